//! The URLs of probes, and where a redirect leads.

use std::fmt;

/// `http://10.0.0.1:80/path?query`, with everything escaped that must be. Fragments are dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Url {
    /// `http` or `https`.
    pub(super) scheme: String,
    /// `host`, `host:port`; an IPv6 host in brackets.
    pub(super) authority: String,
    /// From the first slash on. Never empty.
    pub(super) path: String,
}

impl Url {
    /// Reads an absolute URL.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        if !matches!(scheme, "http" | "https") {
            return None;
        }
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        (!authority.is_empty()).then(|| Self {
            scheme: scheme.to_owned(),
            authority: authority.to_owned(),
            path: escaped(path),
        })
    }

    /// The URL that `location` means here (RFC 3986, 5.2, without dots in paths: servers resolve them).
    pub(super) fn join(&self, location: &str) -> Option<Self> {
        let with = |path: &str| Self { path: escaped(path), ..self.clone() };
        if location.starts_with("//") {
            Self::parse(&format!("{}:{location}", self.scheme))
        } else if location.starts_with('/') {
            Some(with(location))
        } else if is_absolute(location) {
            Self::parse(location)
        } else {
            let here = self.path.split('?').next().unwrap_or_default();
            let folder = match location.starts_with('?') {
                true => here,
                false => here.rsplit_once('/').map_or("/", |(folder, _)| &here[..=folder.len()]),
            };
            Some(with(&format!("{folder}{location}")))
        }
    }

    /// The host without its port.
    pub(super) fn host(&self) -> &str {
        match self.authority.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => host,
            _ => &self.authority,
        }
    }

    /// Where to connect.
    pub(super) fn address(&self) -> String {
        if self.host().len() < self.authority.len() {
            return self.authority.clone();
        }
        format!("{}:{}", self.authority, if self.scheme == "https" { 443 } else { 80 })
    }
}

/// Whether a location names its scheme.
pub(super) fn is_absolute(location: &str) -> bool {
    location.split_once("://").is_some_and(|(scheme, _)| scheme.chars().all(|c| c.is_ascii_alphanumeric()))
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme, self.authority, self.path)
    }
}

fn escaped(path: &str) -> String {
    let path = path.split('#').next().unwrap_or_default();
    let mut escaped = if path.starts_with('/') { String::new() } else { "/".to_owned() };
    for byte in path.bytes() {
        if byte.is_ascii_graphic() && !matches!(byte, b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}') {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_escaped_and_redirects_resolved() {
        let here = Url::parse("http://10.0.0.1:80/a/b?c=d").unwrap();
        assert_eq!((here.host(), here.address().as_str()), ("10.0.0.1", "10.0.0.1:80"));
        for (location, expected) in [
            ("/x y", "http://10.0.0.1:80/x%20y"),
            ("x?y#z", "http://10.0.0.1:80/a/x?y"),
            ("?y", "http://10.0.0.1:80/a/b?y"),
            ("//web/x", "http://web/x"),
            ("https://[::1]:1", "https://[::1]:1/"),
            ("/to?next=http://web/", "http://10.0.0.1:80/to?next=http://web/"),
        ] {
            assert_eq!(here.join(location).unwrap().to_string(), expected, "{location}");
        }
        assert_eq!(here.join("ftp://web/x"), None);
        let six = Url::parse("https://[::1]").unwrap();
        assert_eq!((six.host(), six.address().as_str(), six.path.as_str()), ("[::1]", "[::1]:443", "/"));
    }
}
