//! tpctl.
fn main() {}
