//! Double-quoted text as Kubernetes' messages show it (Go's `%q`).
//!
//! Messages are compared by people and by tools across implementations, so an odd character must be escaped
//! in the same way. Rust's `{:?}` differs for control characters (`\u{1b}` against `\x1b`).

use std::fmt::Write as _;

/// Returns `text` in double quotes, with Go's escapes for everything that does not print.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{07}' => out.push_str("\\a"),
            '\u{08}' => out.push_str("\\b"),
            '\u{0c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{0b}' => out.push_str("\\v"),
            '\'' => out.push(c),
            _ => push_escaped(&mut out, c),
        }
    }
    out.push('"');
    out
}

fn push_escaped(out: &mut String, c: char) {
    let code = u32::from(c);
    // A char that escape_debug leaves alone prints as itself.
    let prints = c.escape_debug().count() == 1;
    let written = match code {
        _ if prints => {
            out.push(c);
            Ok(())
        }
        0..=0x7f => write!(out, "\\x{code:02x}"),
        0x80..=0xffff => write!(out, "\\u{code:04x}"),
        _ => write!(out, "\\U{code:08x}"),
    };
    written.expect("writing to a String cannot fail");
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn text_is_quoted_as_go_does() {
        let table = [
            ("", r#""""#),
            ("web", r#""web""#),
            (r#"a"b\c"#, r#""a\"b\\c""#),
            ("it's", r#""it's""#),
            ("tab\tbell\u{07}", r#""tab\tbell\a""#),
            ("\0\u{1b}\u{7f}", r#""\x00\x1b\x7f""#),
            ("naïve 漢字 🦀", r#""naïve 漢字 🦀""#),
            ("\u{85}\u{200b}", r#""\u0085\u200b""#),
            ("\u{e0001}", r#""\U000e0001""#),
        ];
        for (text, want) in table {
            assert_eq!(quoted(text), want);
        }
    }
}
