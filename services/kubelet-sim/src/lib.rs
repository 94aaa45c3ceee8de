//! Placeholder head, rewritten when the parts stand.

pub mod cri;
pub mod runtime;
