//! A journey as a waterfall in the terminal: a row per span, its place in the tree on the left, its place in time on the right.
//!
//! Rows follow the story, not the nesting of spans: what a commit has caused stands right below the call that committed it, on the same
//! level. Spans that tell nothing are left out, and of several equal branches one is shown; both are counted, and `all` shows everything.

mod arrange;
mod fold;
mod label;
mod paint;
mod scale;

use super::journey::Journey;
use super::subject::Subject;
use arrange::{Branch, arrange};
use fold::fold;
use jiff::Timestamp;
use label::Label;
use paint::{Paint, Style};
use scale::Scale;
use std::fmt::Write;

/// How a waterfall looks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    /// Characters in a line.
    pub(crate) width: usize,
    /// With colours.
    pub(crate) colours: bool,
    /// Every span, not only those that tell the story.
    pub(crate) all: bool,
}

/// The headings of the columns.
const STEP: &str = "STEP";
const SERVICE: &str = "SERVICE";
const SPAN: &str = "SPAN";
/// From here on names of steps and services are written out.
const WIDE: usize = 110;
/// A time, right-aligned.
const TIME: usize = 7;
/// Bars narrower than this show nothing.
const LEAST_BAR: usize = 12;
/// Bars wider than this show nothing more.
const MOST_BAR: usize = 80;

/// One line.
struct Row {
    span: usize,
    /// Connectors of the tree.
    prefix: String,
    step: String,
    label: Label,
    start: i64,
    end: i64,
    /// Stands for several spans.
    is_folded: bool,
}

/// The text, with a line break at its end. `subject` decides which of several equal branches is shown.
pub(crate) fn waterfall(journey: &Journey, subject: &Subject, look: Look) -> String {
    let mut branches = arrange(journey, look.all);
    if !look.all {
        fold(journey, subject, &mut branches);
    }
    let mut rows = Vec::new();
    flatten(journey, &branches, &Place::default(), &mut rows);
    let paint = Paint::new(look.colours, journey);
    let mut text = header(journey, &paint);
    table(journey, &rows, look, &paint, &mut text);
    text += &footer(journey, &rows, &paint);
    text
}

/// Where in the tree a branch stands.
#[derive(Default)]
struct Place {
    /// Lines of the levels above.
    lines: String,
    /// It hangs on something.
    is_below: bool,
    /// The object that the rows above are about.
    object: String,
}

fn flatten(journey: &Journey, branches: &[Branch], place: &Place, rows: &mut Vec<Row>) {
    for (position, branch) in branches.iter().enumerate() {
        let is_last = position + 1 == branches.len();
        let (own, below) = match (place.is_below, is_last) {
            (false, _) => ("", ""),
            (true, false) => ("├─", "│ "),
            (true, true) => ("└─", "  "),
        };
        let arrow = match (place.is_below, branch.caused_by.is_some()) {
            (false, _) => "",
            (true, true) => "▸ ",
            (true, false) => " ",
        };
        let span = journey.span(branch.span);
        let label = Label::of(journey, branch);
        rows.push(Row {
            span: branch.span,
            prefix: format!("{}{own}{arrow}", place.lines),
            step: span.step().unwrap_or_default().to_owned(),
            start: span.start,
            end: branch.fold.as_ref().map_or(span.end, |fold| fold.end),
            is_folded: branch.fold.is_some(),
            label: label.below(&place.object),
        });
        let object = if label.object().is_empty() { place.object.clone() } else { label.object().to_owned() };
        let below = Place { lines: format!("{}{below}", place.lines), is_below: true, object };
        flatten(journey, &branch.children, &below, rows);
    }
}

fn header(journey: &Journey, paint: &Paint) -> String {
    let began = Timestamp::from_nanosecond(i128::from(journey.start())).unwrap_or_default();
    let began = began.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S.%3f").to_string();
    let errors = match journey.errors() {
        0 => "no errors".to_owned(),
        1 => paint.text(Style::Error, "1 error"),
        count => paint.text(Style::Error, &format!("{count} errors")),
    };
    let services: Vec<String> = journey
        .services()
        .into_iter()
        .map(|service| match paint.is_on() {
            true => format!("{} {service}", paint.service(service, "━━")),
            false => service.to_owned(),
        })
        .collect();
    format!(
        "{}  {}\n{began}, {} long, {} spans, {errors}\n{}\n\n",
        paint.text(Style::Title, journey.title()),
        paint.text(Style::Dim, &format!("trace {}", journey.trace_id())),
        time(journey.end() - journey.start()),
        journey.spans().len(),
        services.join("  ")
    )
}

fn footer(journey: &Journey, rows: &[Row], paint: &Paint) -> String {
    let mut notes = Vec::new();
    let shown = rows.iter().filter(|row| !row.is_folded).count();
    let hidden = journey.spans().len() - shown;
    if hidden > 0 {
        notes.push(format!("{hidden} spans are not shown; --all shows them, --format steps lists the steps."));
    }
    if journey.root().is_none() {
        notes.push(
            "The root has not arrived yet: the command is still running, or its spans are on their way.".to_owned(),
        );
    }
    match journey.orphans() {
        0 => {}
        count => notes.push(format!("{count} spans have a parent that has not arrived yet.")),
    }
    let lines: String = notes.iter().map(|note| format!("{}\n", paint.text(Style::Dim, note))).collect();
    if lines.is_empty() { lines } else { format!("\n{lines}") }
}

/// Widths of the columns; 0 leaves one out.
struct Columns {
    step: usize,
    service: usize,
    label: usize,
    bar: usize,
}

fn columns(journey: &Journey, rows: &[Row], look: Look) -> Columns {
    let is_wide = look.width >= WIDE;
    // The headings need room too.
    let longest =
        |texts: &mut dyn Iterator<Item = usize>, heading: &str| texts.max().unwrap_or_default().max(heading.len());
    let step = longest(&mut rows.iter().map(|row| short_step(&row.step, is_wide).len()), STEP);
    let service = longest(&mut journey.services().iter().map(|s| short_service(s, is_wide).len()), SERVICE);
    let wanted = longest(&mut rows.iter().map(|row| row.prefix.chars().count() + row.label.width()), SPAN);
    let gaps = 2 + 2 + 2 + 1 + 2;
    let rest = look.width.saturating_sub(step + service + 2 * TIME + gaps);
    // The tree gets what it needs, up to two thirds; the bars get the rest.
    let label = wanted.min(rest * 2 / 3).max(rest.saturating_sub(MOST_BAR).min(wanted));
    match rest - label {
        bar if bar < LEAST_BAR => Columns { step, service, label: rest, bar: 0 },
        bar => Columns { step, service, label, bar: bar.min(MOST_BAR) },
    }
}

fn table(journey: &Journey, rows: &[Row], look: Look, paint: &Paint, text: &mut String) {
    let columns = columns(journey, rows, look);
    let is_wide = look.width >= WIDE;
    let begin = journey.start();
    let scale = Scale::new(rows.iter().map(|row| (row.start - begin, row.end - begin)), columns.bar);
    let head = format!(
        "{:step$}  {:service$}  {:label$}  {:>TIME$} {:>TIME$}  {}",
        STEP,
        SERVICE,
        SPAN,
        "START",
        "TOOK",
        scale.axis(),
        step = columns.step,
        service = columns.service,
        label = columns.label
    );
    text.push_str(&paint.text(Style::Dim, head.trim_end()));
    text.push('\n');
    for row in rows {
        let service = journey.span(row.span).service.as_str();
        let shown = short_service(service, is_wide);
        let mut line = format!(
            "{:step$}  {}  {}  {:>TIME$} {:>TIME$}  ",
            short_step(&row.step, is_wide),
            paint.service(service, &format!("{shown:width$}", width = columns.service)),
            row.label.painted(&row.prefix, columns.label, paint, service),
            time(row.start - begin),
            time(row.end - row.start),
            step = columns.step,
        );
        let bar = scale.bar(row.start - begin, row.end - begin, journey.span(row.span).is_wait());
        let style_error = journey.span(row.span).error.is_some();
        line += &if style_error { paint.text(Style::Error, &bar) } else { paint.service(service, &bar) };
        writeln!(text, "{}", line.trim_end()).expect("a String takes everything");
    }
}

fn short_step(step: &str, is_wide: bool) -> &str {
    if is_wide { step } else { step.split_once('.').map_or(step, |(_, rest)| rest) }
}

fn short_service(service: &str, is_wide: bool) -> &str {
    match service {
        "controller-manager" if !is_wide => "ctrl-mgr",
        other => other,
    }
}

/// The name of a span without what all our names begin with.
pub(super) fn short_name(name: &str) -> &str {
    name.strip_prefix("traceplane.v1.").unwrap_or(name)
}

/// A duration in at most seven characters: `20µs`, `9.3ms`, `912ms`, `1.84s`, `2m05s`.
pub(super) fn time(nanoseconds: i64) -> String {
    let microseconds = nanoseconds.max(0) as f64 / 1_000.0;
    let (milliseconds, seconds) = (microseconds / 1_000.0, microseconds / 1_000_000.0);
    match () {
        () if nanoseconds <= 0 => "0".to_owned(),
        () if microseconds < 99.5 => format!("{microseconds:.0}µs"),
        () if milliseconds < 0.995 => format!("{milliseconds:.2}ms"),
        () if milliseconds < 99.95 => format!("{milliseconds:.1}ms"),
        () if milliseconds < 999.5 => format!("{milliseconds:.0}ms"),
        () if seconds < 9.995 => format!("{seconds:.2}s"),
        () if seconds < 99.95 => format!("{seconds:.1}s"),
        () => {
            let whole = seconds.round() as u64;
            if whole < 3600 {
                format!("{}m{:02}s", whole / 60, whole % 60)
            } else {
                format!("{}h{:02}m", whole / 3600, whole % 3600 / 60)
            }
        }
    }
}

/// Milliseconds with three digits behind the point, for tables.
pub(super) fn milliseconds(nanoseconds: i64) -> String {
    format!("{:.3} ms", nanoseconds as f64 / 1e6)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
