//! Shows that something is going on, on a terminal as a spinner, elsewhere as lines.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::time::Duration;

/// One wait that a person watches. Written to stderr, so that output can be piped.
pub(crate) struct Progress {
    bar: ProgressBar,
    lines: bool,
}

impl Progress {
    /// Starts with this message.
    pub(crate) fn start(message: impl Into<String>) -> Progress {
        let lines = !std::io::stderr().is_terminal();
        let bar = ProgressBar::with_draw_target(
            None,
            if lines { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() },
        );
        let style = ProgressStyle::with_template("{spinner} {msg} ({elapsed})").expect("the template is valid");
        bar.set_style(style);
        bar.enable_steady_tick(Duration::from_millis(100));
        let progress = Progress { bar, lines };
        progress.say(message);
        progress
    }

    /// Says what is waited for now.
    pub(crate) fn say(&self, message: impl Into<String>) {
        let message = message.into();
        if self.bar.message() == message {
            return;
        }
        if self.lines {
            eprintln!("{message}");
        }
        self.bar.set_message(message);
    }

    /// Ends with a line that stays.
    pub(crate) fn done(self, message: &str) {
        self.bar.finish_and_clear();
        eprintln!("{message}");
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
