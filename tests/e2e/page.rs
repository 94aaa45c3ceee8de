//! Pages of the documentation whose commands are run and whose output is compared with what they show.
//!
//! A page is Markdown. What it shows of a terminal stands in blocks like this:
//!
//! ````text
//! ```console until="Init:1/2"
//! $ tpctl get pod myapp-pod
//! NAME        READY   STATUS     RESTARTS   AGE
//! myapp-pod   0/1     Init:1/2   0          12s
//! ```
//! ````
//!
//! A command that ends in `&` goes on beside the others; `$ fg` shows what it has printed since. Of that the page may leave lines out.
//!
//! `until`: the command is repeated until its output contains that; `from`: only the output from the line that begins with that is
//! shown; `some`: there may be lines that the page does not show, and their order is free, as that of events is. A command that only reads is repeated until it shows what the page shows. What differs from run to run (ages,
//! durations, addresses, ids, sizes in bytes) is not compared.
//!
//! With `UPDATE_DOCS=1` the page is written anew, from what the commands really print.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::PATIENCE;
use testkit::cluster::Cluster;
use testkit::eventually;

/// One page.
pub(crate) struct Page {
    path: PathBuf,
    pieces: Vec<Piece>,
}

enum Piece {
    /// Lines that are no terminal.
    Prose(String),
    Terminal {
        /// The line that opens the block.
        fence: String,
        until: Option<String>,
        from: Option<String>,
        some: bool,
        commands: Vec<Command>,
    },
}

struct Command {
    /// Behind the `$`.
    line: String,
    output: String,
}

/// The folder of the project, where the commands of a page are typed.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

impl Page {
    /// Reads a page of the project.
    pub(crate) fn read(path: &str) -> Page {
        let path = root().join(path);
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        Page { path, pieces: pieces(&text) }
    }

    /// Types every command. Panics where the page is not true; or, if it is to be written anew, writes it.
    pub(crate) async fn play(mut self, cluster: &Cluster) {
        let update = std::env::var_os("UPDATE_DOCS").is_some();
        let mut background = None;
        for piece in &mut self.pieces {
            let Piece::Terminal { until, from, some, commands, .. } = piece else { continue };
            let last = commands.len() - 1;
            for (index, command) in commands.iter_mut().enumerate() {
                let until = until.as_deref().filter(|_| index == last);
                let shown = (!update).then_some(command.output.as_str());
                if let Some(line) = command.line.strip_suffix(" &") {
                    background = Some(Background::start(cluster, line));
                } else if command.line == "fg" {
                    let background = background.take().expect("something goes on in the background");
                    command.output = background.show(until, shown).await;
                } else {
                    command.output = command.show(cluster, until, from.as_deref(), shown, *some).await;
                }
            }
        }
        if update {
            let text: String = self.pieces.iter().map(Piece::to_string).collect();
            std::fs::write(&self.path, text).expect("the page can be written");
        }
    }
}

impl Command {
    /// Types it, again and again if it only reads, until the output is what is expected.
    async fn show(
        &self,
        cluster: &Cluster,
        until: Option<&str>,
        from: Option<&str>,
        shown: Option<&str>,
        some: bool,
    ) -> String {
        let words = arguments(&self.line);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let once = async || {
            let ran = cluster.tpctl(&words).await;
            let output = part(&(ran.stdout() + &ran.stderr()), from);
            if ran.code() == Some(0) { Ok(output) } else { Err(format!("it fails:\n{output}")) }
        };
        let fits = |output: &str| {
            if let Some(until) = until
                && !output.contains(until)
            {
                return Err(format!("no {until:?} in\n{output}"));
            }
            let Some(shown) = shown else { return Ok(()) };
            let (page, is) = (shape(shown), shape(output));
            let same = if some { page.iter().all(|line| is.contains(line)) } else { page == is };
            if same { Ok(()) } else { Err(format!("the page shows\n{shown}but it is\n{output}")) }
        };
        let reads = ["get", "describe", "logs", "events", "trace"].contains(&words[0]);
        if !reads {
            let output = once().await.and_then(|output| fits(&output).map(|()| output));
            return output.unwrap_or_else(|why| panic!("$ {}: {why}", self.line));
        }
        eventually(&format!("$ {}", self.line), PATIENCE + Duration::from_secs(60), async || {
            once().await.and_then(|output| fits(&output).map(|()| output))
        })
        .await
    }
}

/// A command that goes on.
struct Background {
    line: String,
    printed: tempfile::NamedTempFile,
    _child: tokio::process::Child,
}

impl Background {
    fn start(cluster: &Cluster, line: &str) -> Background {
        let printed = tempfile::NamedTempFile::new().expect("a file can be made");
        let words = arguments(line);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let file = printed.reopen().expect("it is there");
        let child = cluster.command(&words).stdout(file).kill_on_drop(true).spawn().expect("tpctl can be started");
        Background { line: line.to_owned(), printed, _child: child }
    }

    /// What it has printed, once that contains all that is expected, in that order.
    async fn show(self, until: Option<&str>, shown: Option<&str>) -> String {
        eventually(&format!("$ {} &", self.line), PATIENCE, async || {
            let output = part(&std::fs::read_to_string(self.printed.path()).map_err(|e| e.to_string())?, None);
            // A state that is told twice is told.
            let (mut page, mut is) = (shape(shown.unwrap_or_default()), shape(&output));
            page.dedup();
            is.dedup();
            let mut rest = is.iter();
            let complete = page.iter().all(|line| rest.any(|is| is == line));
            if complete && until.is_none_or(|until| output.contains(until)) { Ok(output) } else { Err(output) }
        })
        .await
    }
}

/// The words behind `tpctl`, with files found from wherever the test runs.
fn arguments(line: &str) -> Vec<String> {
    let mut words = shlex::split(line).expect("the quotes of the command match");
    assert_eq!(words.remove(0), "tpctl", "only tpctl can be typed here: {line}");
    let root = root();
    for word in words.iter_mut().filter(|word| word.starts_with("examples/")) {
        *word = root.join(&*word).display().to_string();
    }
    words
}

fn pieces(text: &str) -> Vec<Piece> {
    let mut pieces = vec![Piece::Prose(String::new())];
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.starts_with("```console") {
            let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            pieces.push(terminal(line, &block));
            pieces.push(Piece::Prose(String::new()));
        } else if let Some(Piece::Prose(prose)) = pieces.last_mut() {
            prose.push_str(line);
            prose.push('\n');
        }
    }
    pieces
}

fn terminal(fence: &str, block: &[&str]) -> Piece {
    let words = shlex::split(fence).expect("the quotes of the fence match");
    let setting = |key: &str| words.iter().find_map(|word| word.strip_prefix(key)).map(str::to_owned);
    let mut commands: Vec<Command> = Vec::new();
    for line in block {
        if let Some(line) = line.strip_prefix("$ ") {
            commands.push(Command { line: line.to_owned(), output: String::new() });
        } else {
            let command = commands.last_mut().unwrap_or_else(|| panic!("{fence}: output without a command: {line}"));
            command.output.push_str(line);
            command.output.push('\n');
        }
    }
    assert!(!commands.is_empty(), "{fence}: no command");
    let some = words.iter().any(|word| word == "some");
    Piece::Terminal { fence: fence.to_owned(), until: setting("until="), from: setting("from="), some, commands }
}

impl std::fmt::Display for Piece {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Prose(prose) => f.write_str(prose),
            Self::Terminal { fence, commands, .. } => {
                writeln!(f, "{fence}")?;
                for command in commands {
                    write!(f, "$ {}\n{}", command.line, command.output)?;
                }
                writeln!(f, "```")
            }
        }
    }
}

/// The output from the line that begins with `from`, with lines that end where their text ends.
fn part(output: &str, from: Option<&str>) -> String {
    let begins = |line: &&str| from.is_none_or(|from| line.starts_with(from));
    let lines = output.lines().skip_while(|line| !begins(line));
    lines.map(|line| format!("{}\n", line.trim_end())).collect()
}

/// What is the same in every run.
fn shape(output: &str) -> Vec<Vec<String>> {
    output.lines().map(|line| line.split_whitespace().map(masked).collect()).collect()
}

/// A word without what changes: `(x3 over 12s)` and `(x4 over 9s)` are the same.
fn masked(word: &str) -> String {
    let bare = word.trim_matches(|c: char| "(),.\"'".contains(c));
    let digits = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    let address = bare.split(['/', ':']).next().unwrap_or_default();
    let mask = if is_duration(bare) {
        "<time>"
    } else if address.split('.').count() == 4 && address.split('.').all(digits) {
        "<address>"
    } else if bare.len() > 5 && digits(bare) {
        "<bytes>"
    } else if bare.strip_prefix('x').is_some_and(digits) {
        "<times>"
    } else if bare.len() >= 12 && bare.chars().any(|c| c.is_ascii_digit()) && is_hexadecimal(bare) {
        "<id>"
    } else {
        return word.to_owned();
    };
    word.replacen(bare, mask, 1)
}

/// `5s`, `1m20s`, `3.123s`, `12ms`, `<invalid>` never.
fn is_duration(word: &str) -> bool {
    let allowed = |c: char| c.is_ascii_digit() || "dhms.".contains(c);
    word.starts_with(|c: char| c.is_ascii_digit()) && word.ends_with(['d', 'h', 'm', 's']) && word.chars().all(allowed)
}

/// An id as runtimes and the API make them, perhaps with a scheme in front.
fn is_hexadecimal(word: &str) -> bool {
    let id = word.rsplit(['/', ':']).next().unwrap_or_default();
    id.len() >= 12 && id.chars().all(|c| c.is_ascii_hexdigit() || c == '-')
}

#[test]
fn a_page_is_read_and_written_unchanged() {
    let text = "# A\n\n```console until=\"Init:0/2\" from=NAME\n$ tpctl get pod\nNAME\na\n$ tpctl get node\n```\n\nb\n";
    let pieces = pieces(text);
    assert_eq!(pieces.iter().map(Piece::to_string).collect::<String>(), text);
    let Piece::Terminal { until, from, commands, .. } = &pieces[1] else { panic!("a terminal") };
    assert_eq!((until.as_deref(), from.as_deref(), commands.len()), (Some("Init:0/2"), Some("NAME"), 2));
}

#[test]
fn what_changes_from_run_to_run_is_not_compared() {
    for (one, other) in [
        ("web  1/1  Running  0  5s", "web   1/1   Running   0   1m12s"),
        ("Warning  Unhealthy  2s (x3 over 12s)", "Warning  Unhealthy  12s (x14 over 1m2s)"),
        ("10.244.1.2:80 refused", "10.244.1.31:80 refused"),
        ("process://0123456789abcdef", "process://fedcba9876543210"),
        ("Image size: 1989735 bytes.", "Image size: 1990001 bytes."),
        ("pulled in 503ms (503ms including", "pulled in 1.250s (1.250s including"),
    ] {
        assert_eq!(shape(one), shape(other));
    }
    assert_ne!(shape("web  1/1  Running  0  5s"), shape("web  0/1  Running  0  5s"));
    assert_ne!(shape("exit code 1"), shape("exit code 2"));
}
