//! Bearer tokens from a file, as Kubernetes' static token file:
//! <https://kubernetes.io/docs/reference/access-authn-authz/authentication/#static-token-file>.
//!
//! ```text
//! token,user,uid,"group1,group2"
//! ```
//! A field may be quoted; uid and groups may be empty or left out; lines that are empty or begin with `#` are skipped. The uid is
//! accepted for the format's sake: nothing here tells users apart by anything but their name. The file is read once, at start.
//!
//! Tokens are secrets: no message and no debug output shows one.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::request::UserInfo;

/// The users of a token file, by token.
#[derive(Clone, Default)]
pub struct TokenFile {
    users: Arc<HashMap<String, Arc<UserInfo>>>,
}

/// Why a token file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TokenFileError {
    /// The file is not there or may not be read.
    #[error("cannot read {}: {error}", .path.display())]
    NotReadable {
        /// The file.
        path: PathBuf,
        /// The reason the system gave.
        error: std::io::Error,
    },
    /// A line is not what it should be.
    #[error("{} line {line}: {problem}; expected token,user,uid,\"group1,group2\"", .path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        problem: &'static str,
    },
}

impl TokenFile {
    /// Reads the file.
    pub fn load(path: &Path) -> Result<Self, TokenFileError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| TokenFileError::NotReadable { path: path.to_owned(), error })?;
        Self::parse(&text).map_err(|(line, problem)| TokenFileError::Line { path: path.to_owned(), line, problem })
    }

    /// The user that a token stands for.
    pub fn user(&self, token: &str) -> Option<Arc<UserInfo>> {
        self.users.get(token).cloned()
    }

    fn parse(text: &str) -> Result<Self, (usize, &'static str)> {
        let mut users = HashMap::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let wrong = |problem| (index + 1, problem);
            let fields = split(line).ok_or_else(|| wrong("a quote is not closed"))?;
            let field = |n: usize| fields.get(n).map(|field| field.trim()).unwrap_or_default();
            if fields.len() < 2 || fields.len() > 4 {
                return Err(wrong("it has not two to four fields (groups with a comma between them need quotes)"));
            }
            if field(0).is_empty() || field(1).is_empty() {
                return Err(wrong("token or user is empty"));
            }
            let groups = field(3).split(',').map(str::trim).filter(|group| !group.is_empty());
            let user = super::authenticator::user(field(1), groups);
            if users.insert(field(0).to_owned(), Arc::new(user)).is_some() {
                return Err(wrong("its token stands in an earlier line"));
            }
        }
        Ok(Self { users: Arc::new(users) })
    }
}

impl fmt::Debug for TokenFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenFile({} tokens)", self.users.len())
    }
}

/// The fields of a line of comma-separated values; two quotes inside quotes are one. `None` if a quote stays open.
fn split(line: &str) -> Option<Vec<String>> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        let field = fields.last_mut().expect("it starts with one field and only grows");
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                field.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            _ => field.push(c),
        }
    }
    (!quoted).then_some(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_stands_for_user_and_groups() {
        let file = "# operators\nt0ken,alice,42,\"dev,ops\"\n\nother, bob\nthird,\"carol \"\"c\"\"\",,dev\n";
        let tokens = TokenFile::parse(file).unwrap();
        for (token, name, groups) in
            [("t0ken", "alice", vec!["dev", "ops"]), ("other", "bob", vec![]), ("third", "carol \"c\"", vec!["dev"])]
        {
            let user = tokens.user(token).unwrap();
            assert_eq!(user.name, name);
            let groups: Vec<_> = groups.into_iter().chain([crate::auth::AUTHENTICATED]).collect();
            assert_eq!(user.groups, groups);
        }
        assert!(tokens.user("t0ke").is_none() && tokens.user("").is_none());
    }

    #[test]
    fn a_bad_line_is_named_and_no_token_shown() {
        for (file, line, problem) in [
            ("a,b\nsecret", 2, "not two to four fields"),
            ("secret,u,1,g1,g2", 1, "not two to four fields"),
            ("secret,\"u", 1, "not closed"),
            (",u", 1, "empty"),
            ("secret,", 1, "empty"),
            ("secret,u\nsecret,v", 2, "earlier line"),
        ] {
            let (at, text) = TokenFile::parse(file).unwrap_err();
            assert!(at == line && text.contains(problem), "{file:?}: {at} {text}");
            let error = TokenFileError::Line { path: "tokens.csv".into(), line: at, problem: text };
            assert!(!error.to_string().contains("secret"), "{error}");
        }
        let tokens = TokenFile::parse("secret,u").unwrap();
        assert_eq!(format!("{tokens:?}"), "TokenFile(1 tokens)");
    }
}
