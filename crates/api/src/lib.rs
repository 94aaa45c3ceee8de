//! Placeholder.

mod error;
mod quoted;

pub use error::{Denied, Details, Error, Reason, Result, StatusCause};
