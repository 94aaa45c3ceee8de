//! What logs, exec, attach and port-forward have in common: which pod and container are meant, and the streams of a terminal.

mod container;
mod pod;
mod session;

pub(super) use container::{all_names, find, find_or_default};
pub(super) use pod::{Purpose, pod_of, reached};
pub(super) use session::{Stdio, explain, run};
