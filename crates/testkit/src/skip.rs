//! Tests that this machine cannot run say so aloud; `make test` lists them with their reasons.

use std::io::Write as _;

/// Says why the test that calls is not run. It must return right after.
///
/// The line goes past the test harness, which would keep the output of a test that passes to itself.
pub fn skip(reason: impl std::fmt::Display) {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    let line = format!("\nskipped {test}: {reason}\n");
    let _ = std::io::stdout().write_all(line.as_bytes());
}

/// Whether the test may do what only root may. If not, that is said, and the test must return.
pub fn is_root() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        skip("it needs root, for namespaces and network interfaces");
    }
    root
}

/// Whether a program is on this machine. If not, that is said, and the test must return.
pub fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Debian keeps some programs out of the PATH of ordinary users.
    let found = std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .any(|folder| folder.join(program).is_file());
    if !found {
        skip(format!("there is no {program} on this machine"));
    }
    found
}
