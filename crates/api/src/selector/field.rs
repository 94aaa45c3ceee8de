//! Field selectors: `spec.nodeName=node-1,status.phase!=Succeeded`.
//!
//! Which fields can be selected differs by kind, so the caller hands in a closure that knows them. In values a
//! backslash escapes `\`, `,` and `=`. See [field selectors](https://kubernetes.io/docs/concepts/overview/working-with-objects/field-selectors/).

use std::fmt;
use std::str::FromStr;

use super::ParseError;

/// One term: the field has this value, or has another one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Term {
    /// The field's path, `metadata.name`.
    pub field: String,
    /// True for `=`, false for `!=`.
    pub equal: bool,
    /// The value, unescaped.
    pub value: String,
}

/// A conjunction of terms; without any it selects everything.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Selector {
    terms: Vec<Term>,
}

impl Selector {
    /// Selects everything.
    pub fn everything() -> Self {
        Selector::default()
    }

    /// Selects the objects whose `field` has this value.
    pub fn equals(field: impl Into<String>, value: impl Into<String>) -> Self {
        Selector { terms: vec![Term { field: field.into(), equal: true, value: value.into() }] }
    }

    /// True if nothing is left out.
    pub fn is_everything(&self) -> bool {
        self.terms.is_empty()
    }

    /// Returns the terms, in the order of the text form.
    pub fn terms(&self) -> &[Term] {
        &self.terms
    }

    /// Returns the value that `field` must have, if there is exactly such a demand.
    pub fn required_value(&self, field: &str) -> Option<&str> {
        self.terms.iter().find(|t| t.equal && t.field == field).map(|t| t.value.as_str())
    }

    /// Tells whether an object is selected; `value_of` returns a field's value, empty if it is not set.
    pub fn matches<V: AsRef<str>>(&self, value_of: impl Fn(&str) -> V) -> bool {
        self.terms.iter().all(|t| (value_of(&t.field).as_ref() == t.value) == t.equal)
    }

    /// Fails if a field is selected by that is not among `known`, with the message of Kubernetes.
    pub fn only(self, known: &[&str]) -> Result<Self, ParseError> {
        match self.terms.iter().find(|t| !known.contains(&t.field.as_str())) {
            Some(term) => Err(ParseError(format!("field label not supported: {}", term.field))),
            None => Ok(self),
        }
    }
}

impl FromStr for Selector {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let mut parts = split_terms(text);
        // One order for one meaning, so that equal selectors are equal values.
        parts.sort_unstable();
        let terms = parts.into_iter().filter(|part| !part.is_empty()).map(|part| {
            let Some((field, equal, value)) = split_term(part) else {
                return Err(ParseError(format!("invalid selector: '{text}'; can't understand '{part}'")));
            };
            Ok(Term { field: field.to_owned(), equal, value: unescape(value)? })
        });
        Ok(Selector { terms: terms.collect::<Result<_, _>>()? })
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, term) in self.terms.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            let operator = if term.equal { "=" } else { "!=" };
            write!(f, "{comma}{}{operator}", term.field)?;
            for c in term.value.chars() {
                if matches!(c, '\\' | ',' | '=') {
                    f.write_str("\\")?;
                }
                write!(f, "{c}")?;
            }
        }
        Ok(())
    }
}

/// Splits at commas, except escaped ones.
fn split_terms(text: &str) -> Vec<&str> {
    let mut escaped = false;
    text.split(|c| {
        let ends = c == ',' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    })
    .collect()
}

/// Splits at the first operator; `==` means `=`.
fn split_term(term: &str) -> Option<(&str, bool, &str)> {
    let at = term.char_indices().find(|&(at, c)| c == '=' || term[at..].starts_with("!="))?.0;
    let (field, rest) = term.split_at(at);
    if let Some(value) = rest.strip_prefix("!=") {
        return Some((field, false, value));
    }
    let value = rest.strip_prefix("==").or_else(|| rest.strip_prefix('='))?;
    Some((field, true, value))
}

fn unescape(value: &str) -> Result<String, ParseError> {
    let mut plain = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(c @ ('\\' | ',' | '=')) => plain.push(c),
                other => {
                    let sequence: String = std::iter::once('\\').chain(other).collect();
                    return Err(ParseError(format!("invalid field selector: invalid escape sequence: {sequence}")));
                }
            },
            ',' | '=' => {
                let message = format!("invalid field selector: unescaped character in value: {}", u32::from(c));
                return Err(ParseError(message));
            }
            _ => plain.push(c),
        }
    }
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn select(text: &str) -> Selector {
        text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
    }

    #[test]
    fn texts_are_read_and_written() {
        let table = [
            ("", ""),
            ("a=1", "a=1"),
            ("a==1", "a=1"),
            ("b!=2,a=1", "a=1,b!=2"),
            (",a=1,", "a=1"),
            ("a=", "a="),
            ("a=x\\,y\\=z\\\\", "a=x\\,y\\=z\\\\"),
            ("spec.nodeName=n-1", "spec.nodeName=n-1"),
        ];
        for (text, want) in table {
            assert_eq!(select(text).to_string(), want, "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        let table = [
            ("a", "invalid selector: 'a'; can't understand 'a'"),
            ("a=1,b", "invalid selector: 'a=1,b'; can't understand 'b'"),
            ("a=1=2", "invalid field selector: unescaped character in value: 61"),
            ("a=\\x", "invalid field selector: invalid escape sequence: \\x"),
            ("a=\\", "invalid field selector: invalid escape sequence: \\"),
        ];
        for (text, want) in table {
            assert_eq!(text.parse::<Selector>().unwrap_err().to_string(), want);
        }
        assert_eq!(
            select("spec.x=1").only(&["metadata.name"]).unwrap_err().to_string(),
            "field label not supported: spec.x"
        );
    }

    #[test]
    fn all_terms_must_match() {
        let value_of = |field: &str| match field {
            "a" => "1",
            "b" => "2",
            _ => "",
        };
        for text in ["", "a=1", "a=1,b=2", "a!=2", "a=1,b!=1", "c="] {
            assert!(select(text).matches(value_of), "{text}");
        }
        for text in ["a=2", "a=1,b=1", "a!=1", "c=1", "c!="] {
            assert!(!select(text).matches(value_of), "{text}");
        }
        assert_eq!(select("a=1,b!=2").required_value("a"), Some("1"));
        assert_eq!(select("a=1,b!=2").required_value("b"), None);
    }

    proptest! {
        #[test]
        fn any_value_survives_the_text_form(value in ".*", equal in any::<bool>()) {
            let term = Term { field: "spec.x".into(), equal, value };
            let selector = Selector { terms: vec![term] };
            prop_assert_eq!(select(&selector.to_string()), selector);
        }
    }
}
