//! The part of JSONPath that people use with `wait` and `--sort-by`: `{.status.phase}`, `.items[0].name`, `.data['a.b']`,
//! `.spec.containers[*].image`.
//! <https://kubernetes.io/docs/reference/kubectl/jsonpath/>

use anyhow::{Result, bail};
use serde_json::Value;

/// A path into an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Path(Vec<Segment>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Member(String),
    Index(usize),
    All,
}

impl std::str::FromStr for Path {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Path> {
        let inner = text.trim();
        let inner = inner.strip_prefix('{').map_or(Some(inner), |inner| inner.strip_suffix('}'));
        let Some(mut rest) = inner.map(|inner| inner.strip_prefix('$').unwrap_or(inner)) else {
            bail!("the path {text:?} has no closing brace");
        };
        let mut segments = Vec::new();
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix('[') {
                let Some((inside, after)) = after.split_once(']') else {
                    bail!("the path {text:?} has no closing bracket");
                };
                segments.push(bracket(inside, text)?);
                rest = after;
            } else {
                let after = rest.strip_prefix('.').unwrap_or(rest);
                let (member, after) = member(after);
                if member.is_empty() {
                    bail!("the path {text:?} has an empty part; write it like '{{.status.phase}}'");
                }
                segments.push(if member == "*" { Segment::All } else { Segment::Member(member) });
                rest = after;
            }
        }
        if segments.is_empty() { bail!("the path {text:?} is empty") } else { Ok(Path(segments)) }
    }
}

fn bracket(inside: &str, text: &str) -> Result<Segment> {
    if inside == "*" {
        return Ok(Segment::All);
    }
    let quoted = |q: char| inside.strip_prefix(q).and_then(|i| i.strip_suffix(q));
    if let Some(key) = quoted('\'').or_else(|| quoted('"')) {
        return Ok(Segment::Member(key.to_owned()));
    }
    match inside.parse() {
        Ok(index) => Ok(Segment::Index(index)),
        Err(_) => bail!("[{inside}] in the path {text:?} is not understood; an index, ['key'] or [*] is"),
    }
}

/// Up to the next dot or bracket; a backslash takes the next character as it is.
fn member(text: &str) -> (String, &str) {
    let (mut name, mut chars) = (String::new(), text.char_indices());
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => name.extend(chars.next().map(|(_, c)| c)),
            '.' | '[' => return (name, &text[at..]),
            c => name.push(c),
        }
    }
    (name, "")
}

impl Path {
    /// The values there, in order; none if there is nothing.
    pub(crate) fn find<'a>(&self, object: &'a Value) -> Vec<&'a Value> {
        let mut found = vec![object];
        for segment in &self.0 {
            found = match segment {
                Segment::Member(name) => found.into_iter().filter_map(|v| v.get(name)).collect(),
                Segment::Index(index) => found.into_iter().filter_map(|v| v.get(index)).collect(),
                Segment::All => found.into_iter().flat_map(children).collect(),
            };
        }
        found
    }

    /// The values as text, joined by spaces.
    pub(crate) fn text(&self, object: &Value) -> String {
        let texts: Vec<String> = self.find(object).into_iter().map(shown).collect();
        texts.join(" ")
    }
}

fn children(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().collect(),
        Value::Object(members) => members.values().collect(),
        _ => Vec::new(),
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn paths_find_what_kubectl_finds() {
        let object = json!({
            "status": { "phase": "Running", "n": 3 },
            "items": [{ "name": "a" }, { "name": "b" }],
            "data": { "a.b/c": "x" },
        });
        for (path, expected) in [
            ("{.status.phase}", "Running"),
            (".status.phase", "Running"),
            ("status.n", "3"),
            ("{$.items[1].name}", "b"),
            ("{.items[*].name}", "a b"),
            ("{.data['a.b/c']}", "x"),
            (r"{.data.a\.b/c}", "x"),
            ("{.missing.x}", ""),
        ] {
            assert_eq!(path.parse::<Path>().unwrap().text(&object), expected, "{path}");
        }
        for path in ["", "{}", "{.a", "{.a[}", "{.a[x]}", "{..a}"] {
            assert!(path.parse::<Path>().is_err(), "{path:?}");
        }
    }
}
