//! Placeholder.

pub mod cache;
pub mod patch;
pub mod registry;
pub mod request;
