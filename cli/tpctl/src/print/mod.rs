//! What the user sees of objects: tables as kubectl prints them, YAML, JSON, names, descriptions.
//!
//! The columns of each kind stand in [`columns`], the sections of `describe` in [`describe`]. Nothing here talks to a server.

pub(crate) mod age;
pub(crate) mod columns;
pub(crate) mod describe;
mod output;
mod table;
mod view;
mod yaml;

pub(crate) use output::{Format, OutputFormat, print_document, print_list, result_line};
pub(crate) use table::Table;
pub(crate) use view::View;

use crate::failure::OutputClosed;
use std::io::{ErrorKind, Write as _};

/// Writes to standard output.
///
/// # Errors
/// [`OutputClosed`] when the reader has gone.
pub(crate) fn out(text: &str) -> anyhow::Result<()> {
    out_bytes(text.as_bytes())
}

/// The same for what may be no text.
pub(crate) fn out_bytes(bytes: &[u8]) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(e) if e.kind() == ErrorKind::BrokenPipe => Err(OutputClosed.into()),
        written => Ok(written?),
    }
}
