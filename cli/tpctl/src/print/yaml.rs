//! YAML as kubectl writes it, down to the quotes.
//!
//! A general writer would do for programs. People compare what two tools print, and keep it in repositories; and a text that another parser
//! takes for a number or a date (`"1"`, `"2026-01-01T00:00:00Z"`) must be quoted whatever our own parser thinks of it.

use serde_json::{Map, Value};
use std::fmt::Write;

/// The document, with a line break at its end.
pub(super) fn yaml(document: &Value) -> String {
    let mut text = String::new();
    match document {
        Value::Object(members) if !members.is_empty() => mapping(&mut text, members, 0, true),
        Value::Array(items) if !items.is_empty() => sequence(&mut text, items, 0, true),
        scalar => line(&mut text, &self::scalar(scalar, 0)),
    }
    text
}

/// `is_indented`: the first line's indentation is still to be written; behind a dash it is not.
fn mapping(text: &mut String, members: &Map<String, Value>, indent: usize, is_indented: bool) {
    for (position, (key, value)) in members.iter().enumerate() {
        if position > 0 || is_indented {
            text.extend(std::iter::repeat_n(' ', indent));
        }
        // A key is one line.
        text.push_str(&if key.contains('\n') { Value::from(key.as_str()).to_string() } else { string(key, indent) });
        text.push(':');
        match value {
            Value::Object(inner) if !inner.is_empty() => {
                text.push('\n');
                mapping(text, inner, indent + 2, true);
            }
            // A list stands no further in than its name.
            Value::Array(items) if !items.is_empty() => {
                text.push('\n');
                sequence(text, items, indent, true);
            }
            scalar => {
                text.push(' ');
                line(text, &self::scalar(scalar, indent + 2));
            }
        }
    }
}

fn sequence(text: &mut String, items: &[Value], indent: usize, is_indented: bool) {
    for (position, item) in items.iter().enumerate() {
        if position > 0 || is_indented {
            text.extend(std::iter::repeat_n(' ', indent));
        }
        text.push_str("- ");
        match item {
            Value::Object(members) if !members.is_empty() => mapping(text, members, indent + 2, false),
            Value::Array(items) if !items.is_empty() => sequence(text, items, indent + 2, false),
            scalar => line(text, &self::scalar(scalar, indent + 2)),
        }
    }
}

fn line(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("a String takes everything");
}

fn scalar(value: &Value, indent: usize) -> String {
    match value {
        Value::String(text) => string(text, indent),
        Value::Array(_) => "[]".to_owned(),
        Value::Object(_) => "{}".to_owned(),
        other => other.to_string(),
    }
}

/// Plain if it can be; in double quotes if it would be taken for something else than text, in single ones if it would be no text at all.
fn string(text: &str, indent: usize) -> String {
    let is_printable = text.chars().all(|c| !c.is_control() || c == '\n');
    if text.contains('\n') && is_printable && !text.starts_with([' ', '\n']) {
        return block(text, indent);
    }
    if text.is_empty() || !is_printable || text.contains('\n') || is_no_text(text) {
        return Value::from(text).to_string();
    }
    if is_plain(text) { text.to_owned() } else { format!("'{}'", text.replace('\'', "''")) }
}

/// Several lines as they are.
fn block(text: &str, indent: usize) -> String {
    let kept = match text.len() - text.trim_end_matches('\n').len() {
        0 => "-",
        1 => "",
        _ => "+",
    };
    let body = text.strip_suffix('\n').unwrap_or(text);
    let lines =
        body.split('\n').map(|line| if line.is_empty() { String::new() } else { format!("{:indent$}{line}", "") });
    format!("|{kept}\n{}", lines.collect::<Vec<_>>().join("\n"))
}

/// Whether YAML 1.1 or 1.2 reads it as a number, a truth value, a date or nothing.
fn is_no_text(text: &str) -> bool {
    const WORDS: [&str; 12] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null", "~", ".nan", "<<"];
    let lower = text.to_ascii_lowercase();
    let unsigned = lower.strip_prefix(['-', '+']).unwrap_or(&lower);
    let digits = unsigned.replace('_', "");
    let starts_as_number = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    let is_number = starts_as_number
        && (digits.parse::<f64>().is_ok() || ["0x", "0o", "0b"].iter().any(|prefix| is_integer(&digits, prefix)));
    // Minutes and hours: 1:30, 12:30:45.
    let parts: Vec<&str> = digits.split(':').collect();
    let is_base_60 = parts.len() > 1 && parts.iter().all(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit()));
    let date = lower.as_bytes();
    let is_date = date.len() >= 8
        && date[..4].iter().all(u8::is_ascii_digit)
        && date[4] == b'-'
        && date[5].is_ascii_digit()
        && lower[5..].contains('-');
    WORDS.contains(&lower.as_str()) || unsigned == ".inf" || is_number || is_base_60 || is_date
}

fn is_integer(digits: &str, prefix: &str) -> bool {
    let radix = if prefix == "0x" { 16 } else { 8 };
    digits.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty() && rest.chars().all(|c| c.is_digit(radix)))
}

/// Whether it stands for itself without quotes.
fn is_plain(text: &str) -> bool {
    const INDICATORS: &str = ",[]{}#&*!|>'\"%@`";
    let begins_well = match text.chars().next() {
        None => false,
        Some('-' | '?' | ':') => text.chars().nth(1).is_some_and(|next| next != ' '),
        Some(first) => !INDICATORS.contains(first),
    };
    let has_inner_mark = text.contains(": ") || text.contains(" #") || text.ends_with(':');
    begins_well && !has_inner_mark && !text.starts_with("---") && text.trim() == text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_document_is_written_as_kubectl_writes_it() {
        let document = json!({
            "metadata": { "annotations": { "revision": "1", "note": "a: b" }, "creationTimestamp": "2026-11-20T09:14:54Z", "labels": {} },
            "spec": { "args": ["-c", "x"], "containers": [{ "image": "nginx", "ports": [{ "containerPort": 80 }] }, { "name": "b" }], "replicas": 3, "list": [["a"], []] },
            "data": { "motd": "hello\nworld\n", "tail": "a\nb", "blank": "a\n\n  b\n\n" },
        });
        let expected = "\
data:
  blank: |+
    a

      b

  motd: |
    hello
    world
  tail: |-
    a
    b
metadata:
  annotations:
    note: 'a: b'
    revision: \"1\"
  creationTimestamp: \"2026-11-20T09:14:54Z\"
  labels: {}
spec:
  args:
  - -c
  - x
  containers:
  - image: nginx
    ports:
    - containerPort: 80
  - name: b
  list:
  - - a
  - []
  replicas: 3
";
        assert_eq!(yaml(&document), expected);
    }

    #[test]
    fn text_is_quoted_where_others_would_take_it_for_something_else() {
        for (text, expected) in [
            ("nginx:1.27", "nginx:1.27"),
            ("10.244.0.7", "10.244.0.7"),
            ("25%", "25%"),
            ("100m", "100m"),
            ("/dev/termination-log", "/dev/termination-log"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("", "\"\""),
            ("80", "\"80\""),
            ("1.5", "\"1.5\""),
            ("1e3", "\"1e3\""),
            ("0x1F", "\"0x1F\""),
            ("-1", "\"-1\""),
            ("true", "\"true\""),
            ("No", "\"No\""),
            ("null", "\"null\""),
            ("12:30", "\"12:30\""),
            ("2026-01-01", "\"2026-01-01\""),
            ("*", "'*'"),
            ("{a}", "'{a}'"),
            ("it's: x", "'it''s: x'"),
            ("- a", "'- a'"),
            (" a", "' a'"),
            ("a\tb", "\"a\\tb\""),
        ] {
            assert_eq!(string(text, 0), expected, "{text:?}");
        }
    }

    #[test]
    fn what_is_written_reads_back_as_it_was() {
        let tricky = vec![
            "",
            " ",
            "a b",
            "#",
            "a #b",
            "a: b",
            "a:",
            "- ",
            "-",
            "---",
            "?",
            "~",
            "'",
            "\"",
            "\\",
            "\n",
            "a\n",
            "\na",
            " a\nb",
            "a\n b\n\n",
            "\t",
            "é",
            "😀",
            "0b1",
            "1_000",
            "+.inf",
            "%x",
            "@x",
            "`x`",
            "!x",
            "&x",
            "|",
            ">",
            "[",
            "]",
            "{",
            "}",
            ",",
            "a,b",
            "yes",
            "<<",
            "=",
        ];
        let document =
            json!({ "list": tricky, "map": tricky.iter().map(|t| ((*t).to_owned(), json!(t))).collect::<Map<_, _>>() });
        let read: Value = serde_yaml_ng::from_str(&yaml(&document)).unwrap();
        assert_eq!(read, document, "{}", yaml(&document));
    }
}
