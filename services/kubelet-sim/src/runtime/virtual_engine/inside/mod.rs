//! What is inside a simulated container: a few files, and commands that are read instead of run.
//!
//! Lessons use a small shell: `echo`, `sleep`, `touch`, `cat`, loops that wait for a file. That much is imitated exactly enough that the
//! manifests of the Kubernetes documentation play out, and nothing more: a program that is not known is a server when it is a
//! container's own command, and a clear refusal when somebody types it.
//!
//! ```text
//! argv ── program ──> Program ── machine ──> Machine (one command after another, in no time of its own)
//!                                                 │ process: adds the time
//!                                                 ▼
//!                                            Process ──> lines with times, the exit, changes of Files
//! ```
//!
//! Invariant: what a process does is a pure function of its program, its start, and the changes that others made to its files. So nothing
//! is stored but those changes, and what it printed can be told again at any time.

mod files;
mod lexer;
mod machine;
mod process;
mod program;
mod tools;

pub(super) use files::{Change, Files};
pub(super) use machine::{Machine, Step, World};
pub(super) use process::{Line, Process, Surroundings};
pub(super) use program::Program;

/// What somebody is told who asks for a program that cannot be imitated.
pub(super) fn nothing_runs(program: &str) -> String {
    format!(
        "{program}: no process runs in a virtual container, and this command cannot be imitated; a kubelet with --engine process runs commands for real\n"
    )
}
