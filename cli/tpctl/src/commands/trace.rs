//! `tpctl trace`: the journey of an object or of a command, from a console or a Jaeger.

use super::patience::{Status, with_progress};
use crate::cluster::ClusterRecord;
use crate::duration::duration;
use crate::global::Global;
use crate::print::out;
use crate::session;
use crate::trace::{Journey, Look, Query, StepGoal, Subject, json, list, steps, waterfall};
use anyhow::{Result, anyhow, bail};
use clap::{Args, ValueEnum};
use jiff::{SignedDuration, Timestamp};
use std::io::IsTerminal;
use std::time::Duration;
use tokio::time::Instant;

/// What `--help` says.
pub(crate) const ABOUT: &str = "Show the journey that a request set in motion, step by step.

  tpctl trace deployment/web              what applying it has led to
  tpctl trace pod/web-5d8f-x7k2p          also when the pod is gone
  tpctl trace pod/web-5d8f-x7k2p --list   all journeys that it had a part in
  tpctl trace 4bf92f3577b34da6a3ce929d0e0e4736
  tpctl trace --last                      of the last command that changed something
  tpctl trace --last delete

Every row is a span: which step of the journey it is (docs/steps.md), who made it, what it did, when it began and how long it took. What
stands behind an arrow was not called but caused: somebody saw the change above it in a watch and acted.";

/// Without a cluster in the state folder: where a console or a Jaeger listens by default.
const DEFAULT_URL: &str = "http://127.0.0.1:16686";
/// How often the server is asked.
const ASK: Duration = Duration::from_millis(100);
/// Spans arrive a moment after the work that they describe; so long a journey that still grows is asked for again.
const SETTLE: Duration = Duration::from_millis(2_000);
/// A journey that has not grown for so long is taken as it is: longer than exporters collect before they send.
const QUIET: Duration = Duration::from_millis(450);
/// A journey that ended so long ago has arrived.
const OLD: SignedDuration = SignedDuration::from_secs(5);
/// The width of lines that go to a file or another program.
const PLAIN_WIDTH: usize = 132;

/// Flags of `tpctl trace`.
#[derive(Debug, Args)]
pub(crate) struct TraceArgs {
    /// TYPE/NAME or TYPE NAME, the id of a trace, or the uid of an object.
    #[arg(value_name = "OBJECT|TRACE", required_unless_present = "last", conflicts_with = "last")]
    subject: Vec<String>,
    /// The newest journey that tpctl began, or the newest one of this command.
    #[arg(long, value_name = "COMMAND", num_args = 0..=1)]
    last: Option<Option<String>>,
    /// List all journeys, the newest first, rather than show that one.
    #[arg(long, conflicts_with_all = ["format", "all", "wait_for"])]
    list: bool,
    /// How to show it.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: TraceFormat,
    /// Show every span.
    #[arg(long)]
    all: bool,
    /// Wait until the journey has these steps: pod.create.6b, pod.create.5f[i] of any container, pod.create.6b=3 for three objects.
    #[arg(long, value_name = "STEP", value_delimiter = ',')]
    wait_for: Vec<StepGoal>,
    /// How long to wait for them.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration)]
    timeout: Duration,
    /// How far back to look.
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = duration)]
    since: Duration,
    /// Where traces are queried; the cluster's own console by default.
    #[arg(long, value_name = "URL", env = "TRACEPLANE_QUERY_URL")]
    query_url: Option<String>,
    /// Whether to use colours; on a terminal by default, unless NO_COLOR is set.
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    color: When,
    /// Characters in a line; the terminal's width by default.
    #[arg(long, value_name = "COLUMNS", env = "COLUMNS")]
    width: Option<usize>,
}

/// How a journey is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum TraceFormat {
    /// A waterfall.
    Text,
    /// All spans, for programs.
    Json,
    /// A table of the steps.
    Steps,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum When {
    Auto,
    Always,
    Never,
}

/// `tpctl trace`.
pub(crate) async fn run(global: &Global, args: TraceArgs) -> Result<()> {
    let subject = match &args.last {
        Some(command) => Subject::Last(command.clone()),
        None => Subject::parse(&args.subject, &session::namespace(global))?,
    };
    let url = match &args.query_url {
        Some(url) => url.clone(),
        None => ClusterRecord::read(&global.state_dir)?.map_or(DEFAULT_URL.to_owned(), |cluster| cluster.query_url()),
    };
    let since = SignedDuration::try_from(args.since).map_err(|_| anyhow!("--since is too long"))?;
    let query = Query::new(url.as_str(), since);
    let journeys = if args.list {
        query.all(&subject).await?
    } else {
        with_progress(|status| find(&query, &subject, &args, status)).await?
    };
    let Some(journey) = journeys.first() else {
        bail!(
            "{url} knows {}; commands that change something leave a trace, which is kept for a while",
            subject.missing()
        );
    };
    if args.list {
        return out(&list(&journeys));
    }
    show(&args, &subject, journey)?;
    if args.format == TraceFormat::Text {
        mention(&subject, &journeys[1..]);
    }
    let missing: Vec<String> = missing(&args, journey).map(ToString::to_string).collect();
    if !missing.is_empty() {
        bail!("timed out waiting for {} in the journey of {}", missing.join(", "), subject.name());
    }
    Ok(())
}

/// The journeys of the subject once the newest has what is waited for and does not grow any more, or as they are when time is up.
async fn find(query: &Query, subject: &Subject, args: &TraceArgs, status: Status) -> Result<Vec<Journey>> {
    let begin = Instant::now();
    let (mut spans, mut grown) = (0, begin);
    loop {
        let journeys = query.journeys(subject).await?;
        let newest = journeys.first();
        let count = newest.map_or(0, |journey| journey.spans().len());
        if count != spans {
            (spans, grown) = (count, Instant::now());
        }
        let missing: Vec<String> = newest.into_iter().flat_map(|j| missing(args, j)).map(ToString::to_string).collect();
        let has_goals = !args.wait_for.is_empty() && (newest.is_none() || !missing.is_empty());
        let is_settled = |journey: &Journey| journey.is_whole() && (is_old(journey) || grown.elapsed() >= QUIET);
        let patience = if has_goals { args.timeout } else { SETTLE };
        if (!has_goals && newest.is_some_and(is_settled)) || begin.elapsed() >= patience {
            return Ok(journeys);
        }
        status.send_replace(match missing.as_slice() {
            [] => format!("Waiting for the spans of {}", subject.name()),
            steps => format!("Waiting for {} of {}", steps.join(", "), subject.name()),
        });
        tokio::time::sleep(ASK).await;
    }
}

fn is_old(journey: &Journey) -> bool {
    let end = Timestamp::from_nanosecond(i128::from(journey.end())).unwrap_or_default();
    Timestamp::now().duration_since(end) > OLD
}

fn missing<'a>(args: &'a TraceArgs, journey: &Journey) -> impl Iterator<Item = &'a StepGoal> + use<'a> {
    let missing: Vec<&StepGoal> = args.wait_for.iter().filter(|goal| !goal.is_reached(journey)).collect();
    missing.into_iter()
}

fn show(args: &TraceArgs, subject: &Subject, journey: &Journey) -> Result<()> {
    match args.format {
        TraceFormat::Text => out(&waterfall(journey, subject, look(args))),
        TraceFormat::Steps => out(&steps(journey)),
        TraceFormat::Json => out(&format!("{:#}\n", json(journey))),
    }
}

fn look(args: &TraceArgs) -> Look {
    let stdout = std::io::stdout();
    let is_terminal = stdout.is_terminal();
    let colours = match args.color {
        When::Always => true,
        When::Never => false,
        // https://no-color.org
        When::Auto => is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
    };
    let terminal = || terminal_size::terminal_size_of(stdout).map(|(width, _)| usize::from(width.0));
    let width = args.width.or_else(terminal).unwrap_or(PLAIN_WIDTH);
    Look { width, colours, all: args.all }
}

/// Says which other journeys there are.
fn mention(subject: &Subject, others: &[Journey]) {
    if !matches!(subject, Subject::Object { .. } | Subject::Uid(_)) {
        return;
    }
    for other in others.iter().take(3) {
        eprintln!("Also about {}: {} (tpctl trace {})", subject.name(), other.title(), other.trace_id());
    }
    if others.len() > 3 {
        eprintln!("And {} more (--list has them all).", others.len() - 3);
    }
}
