//! Which texts may be names, labels, keys and ports, and how names are made up.
//!
//! Every rule takes a text and returns what is wrong with it, in [Kubernetes' words](https://kubernetes.io/docs/concepts/overview/working-with-objects/names/),
//! regular expression and examples included; an empty list means that the text is fine. Where the text stands
//! in an object is the business of [`crate::field`].

mod generate;

pub use generate::{RANDOM_LENGTH, generate_name, safe_encode};

/// The longest DNS label, and the longest label key or value.
pub const MAX_LABEL: usize = 63;
/// The longest DNS subdomain, which is what most objects are named by.
pub const MAX_SUBDOMAIN: usize = 253;

/// A rule for texts: returns what is wrong with one, or nothing.
pub type Rule = fn(&str) -> Vec<String>;

const LABEL_1123: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const LABEL_1035: &str = "[a-z]([-a-z0-9]*[a-z0-9])?";
const SUBDOMAIN: &str = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";
const QUALIFIED: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
const LABEL_VALUE: &str = "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?";

/// What names of a kind must look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameRule {
    /// A DNS subdomain (RFC 1123), the usual rule.
    Subdomain,
    /// A DNS label (RFC 1123): namespaces.
    Label,
    /// A DNS label that starts with a letter (RFC 1035): services.
    Label1035,
    /// Anything that can stand in a URL's path: objects of RBAC.
    PathSegment,
}

impl NameRule {
    /// Returns what is wrong with a full name.
    pub fn check(self, name: &str) -> Vec<String> {
        match self {
            NameRule::Subdomain => dns1123_subdomain(name),
            NameRule::Label => dns1123_label(name),
            NameRule::Label1035 => dns1035_label(name),
            NameRule::PathSegment => path_segment(name),
        }
    }

    /// Returns what is wrong with a `generateName`, which may end in a dash because more follows.
    pub fn check_prefix(self, prefix: &str) -> Vec<String> {
        let masked = match prefix.strip_suffix('-') {
            Some(start) if !start.is_empty() => format!("{start}a"),
            _ => prefix.to_owned(),
        };
        self.check(&masked)
    }
}

/// Checks a DNS label as in RFC 1123: `my-name`, `123-abc`.
pub fn dns1123_label(text: &str) -> Vec<String> {
    let mut faults = longer_than(MAX_LABEL, text);
    if !is_label_1123(text) {
        faults.push(if is_subdomain(text) {
            "must not contain dots".to_owned()
        } else {
            by_regex(
                "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start \
                 and end with an alphanumeric character",
                LABEL_1123,
                &["my-name", "123-abc"],
            )
        });
    }
    faults
}

/// Checks a DNS subdomain as in RFC 1123: `example.com`.
pub fn dns1123_subdomain(text: &str) -> Vec<String> {
    let mut faults = longer_than(MAX_SUBDOMAIN, text);
    if !is_subdomain(text) {
        faults.push(by_regex(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must \
             start and end with an alphanumeric character",
            SUBDOMAIN,
            &["example.com"],
        ));
    }
    faults
}

/// Checks a domain to search in, where old ones have underscores: `_tcp.example.com`.
pub fn dns1123_subdomain_with_underscore(text: &str) -> Vec<String> {
    let mut faults = longer_than(MAX_SUBDOMAIN, text);
    let is_label = |label: &str| {
        let label = label.strip_prefix('_').unwrap_or(label);
        !label.starts_with('_') && !label.ends_with('_') && is_label_1123(&label.replace('_', "-"))
    };
    if !text.split('.').all(is_label) {
        faults.push(by_regex(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', and \
             must start and end with an alphanumeric character",
            r"_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\._?[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*",
            &["example.com"],
        ));
    }
    faults
}

/// Checks a DNS label as in RFC 1035, which starts with a letter: `my-name`, `abc-123`.
pub fn dns1035_label(text: &str) -> Vec<String> {
    let mut faults = longer_than(MAX_LABEL, text);
    if !(is_label_1123(text) && text.starts_with(|c: char| c.is_ascii_lowercase())) {
        faults.push(by_regex(
            "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic \
             character, and end with an alphanumeric character",
            LABEL_1035,
            &["my-name", "abc-123"],
        ));
    }
    faults
}

/// Checks the key of a label or annotation, a taint, a resource, a condition: `app`, `example.com/app`.
pub fn qualified_name(text: &str) -> Vec<String> {
    let rule = by_regex(
        "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
        QUALIFIED,
        &["MyName", "my.name", "123-abc"],
    );
    let mut faults = Vec::new();
    let name = match text.split_once('/') {
        None => text,
        Some((_, name)) if name.contains('/') => {
            return vec![format!(
                "a valid label key {rule} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            )];
        }
        Some((prefix, name)) => {
            if prefix.is_empty() {
                faults.push("prefix part must be non-empty".to_owned());
            } else {
                faults.extend(dns1123_subdomain(prefix).into_iter().map(|fault| format!("prefix part {fault}")));
            }
            name
        }
    };
    if name.is_empty() {
        faults.push("name part must be non-empty".to_owned());
    }
    faults.extend(longer_than(MAX_LABEL, name).into_iter().map(|fault| format!("name part {fault}")));
    if !is_qualified(name) {
        faults.push(format!("name part {rule}"));
    }
    faults
}

/// Checks the value of a label: empty, or `MyValue`, `my_value`, `12345`.
pub fn label_value(text: &str) -> Vec<String> {
    let mut faults = longer_than(MAX_LABEL, text);
    if !(text.is_empty() || is_qualified(text)) {
        faults.push(by_regex(
            "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must \
             start and end with an alphanumeric character",
            LABEL_VALUE,
            &["MyValue", "my_value", "12345"],
        ));
    }
    faults
}

/// Checks the name of a port as in RFC 6335: `http`, `dns-tcp`.
pub fn port_name(text: &str) -> Vec<String> {
    let mut faults = longer_than(15, text);
    if text.is_empty() || !text.bytes().all(is_label_byte) {
        faults.push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".to_owned());
    }
    if !text.bytes().any(|b| b.is_ascii_lowercase()) {
        faults.push("must contain at least one letter (a-z)".to_owned());
    }
    if text.contains("--") {
        faults.push("must not contain consecutive hyphens".to_owned());
    }
    if text.starts_with('-') || text.ends_with('-') {
        faults.push("must not begin or end with a hyphen".to_owned());
    }
    faults
}

/// Checks the number of a port.
pub fn port_number(port: i32) -> Vec<String> {
    in_range(port.into(), 1, 65535)
}

/// Checks that a number lies between two bounds, both of which are allowed.
pub fn in_range(value: i64, low: i64, high: i64) -> Vec<String> {
    if (low..=high).contains(&value) { vec![] } else { vec![format!("must be between {low} and {high}, inclusive")] }
}

/// Checks the key of a ConfigMap or Secret: `key.name`, `KEY_NAME`.
pub fn config_map_key(text: &str) -> Vec<String> {
    let mut faults = longer_than(MAX_SUBDOMAIN, text);
    if text.is_empty() || !text.bytes().all(is_qualified_byte) {
        faults.push(by_regex(
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
            "[-._a-zA-Z0-9]+",
            &["key.name", "KEY_NAME", "key-name"],
        ));
    }
    // A key becomes a file in a volume, and must not lead out of it.
    match text {
        "." => faults.push("must not be '.'".to_owned()),
        ".." => faults.push("must not be '..'".to_owned()),
        _ if text.starts_with("..") => faults.push("must not start with '..'".to_owned()),
        _ => {}
    }
    faults
}

/// Checks the name of an environment variable: any printable ASCII but `=`.
pub fn env_var_name(text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if text.is_empty() {
        faults.push("environment variable name must be non-empty".to_owned());
    }
    if !text.chars().all(|c| (' '..='~').contains(&c) && c != '=') {
        faults.push(
            "a valid environment variable name must consist only of printable ASCII characters other than '='"
                .to_owned(),
        );
    }
    faults
}

/// Checks the name of an HTTP header: `X-Header-Name`.
pub fn http_header_name(text: &str) -> Vec<String> {
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        return vec![];
    }
    let message = "a valid HTTP header must consist of alphanumeric characters or '-'";
    vec![by_regex(message, "[-A-Za-z0-9]+", &["X-Header-Name"])]
}

/// Checks a share of something: `25%`.
pub fn percent(text: &str) -> Vec<String> {
    match text.strip_suffix('%') {
        Some(number) if !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()) => vec![],
        _ => {
            let message = "a valid percent string must be a numeric string followed by an ending '%'";
            vec![by_regex(message, "[0-9]+%", &["1%", "93%"])]
        }
    }
}

/// Checks that a text can stand in a URL's path and in a key of the store.
pub fn path_segment(text: &str) -> Vec<String> {
    if matches!(text, "." | "..") {
        return vec![format!("may not be '{text}'")];
    }
    let illegal = ["/", "%"].into_iter().filter(|illegal| text.contains(illegal));
    illegal.map(|illegal| format!("may not contain '{illegal}'")).collect()
}

fn longer_than(max: usize, text: &str) -> Vec<String> {
    if text.len() > max { vec![format!("must be no more than {max} characters")] } else { vec![] }
}

fn by_regex(message: &str, regex: &str, examples: &[&str]) -> String {
    let examples: Vec<String> = examples.iter().map(|example| format!("'{example}', ")).collect();
    format!("{message} (e.g. {}regex used for validation is '{regex}')", examples.join("or "))
}

fn is_label_byte(b: u8) -> bool {
    b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'
}

fn is_qualified_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.')
}

fn is_label_1123(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_label_byte) && !text.starts_with('-') && !text.ends_with('-')
}

fn is_subdomain(text: &str) -> bool {
    text.split('.').all(is_label_1123)
}

fn is_qualified(text: &str) -> bool {
    text.bytes().all(is_qualified_byte)
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.ends_with(|c: char| c.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests;
