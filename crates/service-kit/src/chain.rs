//! An error with its sources on one line, nothing said twice.
//!
//! Libraries disagree on whether an error's text includes its source's. Printing the chain naively then repeats the same words
//! two or three times; a source that the line already contains is left out here.

use std::error::Error;
use std::fmt;

/// Displays an error and its sources, outermost first: `cannot renew the lease: connection refused`.
#[derive(Debug)]
pub struct Chain<'a>(
    /// The outermost error.
    pub &'a (dyn Error + 'static),
);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = one_line(self.0);
        let mut next = self.0.source();
        while let Some(source) = next {
            let text = one_line(source);
            if !line.contains(&text) {
                line.push_str(": ");
                line.push_str(&text);
            }
            next = source.source();
        }
        f.write_str(&line)
    }
}

fn one_line(error: &dyn Error) -> String {
    error.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Layer {
        text: &'static str,
        source: Option<Box<Layer>>,
    }

    fn layers(texts: &[&'static str]) -> Layer {
        let (first, rest) = texts.split_first().expect("at least one layer");
        Layer { text: first, source: (!rest.is_empty()).then(|| Box::new(layers(rest))) }
    }

    #[test]
    fn sources_follow_once_each_on_one_line() {
        for (texts, expected) in [
            (&["no etcd"] as &[_], "no etcd"),
            (&["cannot start", "no etcd", "connection refused"], "cannot start: no etcd: connection refused"),
            (&["cannot start: no etcd", "no etcd", "refused"], "cannot start: no etcd: refused"),
            (&["first\n  second", "third\nfourth"], "first second: third fourth"),
        ] {
            assert_eq!(Chain(&layers(texts)).to_string(), expected);
        }
    }
}
