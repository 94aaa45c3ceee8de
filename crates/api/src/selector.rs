//! Selectors: which objects a list, a watch or a controller means.
//!
//! [`label`] selects by labels, [`field`] by the few fields that a kind offers for it. Both are conjunctions of
//! simple terms, read and written in Kubernetes' text form.

pub mod field;
pub mod label;

/// A text that is no selector; the message says where it stops making sense.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError(pub(crate) String);

impl std::fmt::Display for ParseError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ParseError {}

impl From<ParseError> for crate::Error {
    fn from(error: ParseError) -> Self {
        crate::Error::bad_request(error.0)
    }
}
