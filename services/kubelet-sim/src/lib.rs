//! Placeholder head, rewritten when the parts stand.

pub mod cri;
pub mod lifecycle;
pub mod pod;
pub mod runtime;
