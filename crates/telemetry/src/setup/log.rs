//! Log lines on stderr, as text or JSON, each with the id of the trace it belongs to.
//!
//! Lines take no spans, only events: the trace shows the spans, and the id leads there.

use std::fmt;
use std::str::FromStr;

use tracing::{Event, Subscriber};
use tracing_subscriber::filter::{FilterExt, filter_fn};
use tracing_subscriber::fmt::format::{Format, Json, JsonFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{EnvFilter, Layer};

use crate::TraceContext;

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Time, level, target, message, fields: for people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// The word is no log format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a log format: use text or json")]
pub struct UnknownLogFormat(String);

impl FromStr for LogFormat {
    type Err = UnknownLogFormat;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        match word {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(UnknownLogFormat(word.to_owned())),
        }
    }
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Text => "text",
            Self::Json => "json",
        })
    }
}

/// The layer that writes log lines to stderr.
pub(super) fn layer<S>(format: LogFormat, filter: EnvFilter) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
{
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    let events = filter.and(filter_fn(|meta| meta.is_event()));
    match format {
        LogFormat::Text => lines.event_format(TextLine).with_filter(events).boxed(),
        LogFormat::Json => {
            let json = Format::default().json().flatten_event(true).with_current_span(false);
            let line = JsonLine(json.with_span_list(false));
            lines.fmt_fields(JsonFields::new()).event_format(line).with_filter(events).boxed()
        }
    }
}

/// `2025-11-20T07:50:01.123456Z  INFO scheduler: bound pod=web-1 trace_id=4bf9...`
struct TextLine;

impl<S, N> FormatEvent<S, N> for TextLine
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(&self, ctx: &FmtContext<'_, S, N>, mut line: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let meta = event.metadata();
        SystemTime.format_time(&mut line)?;
        write!(line, " {:>5} {}: ", meta.level(), meta.target())?;
        ctx.format_fields(line.by_ref(), event)?;
        let trace = TraceContext::current();
        if trace.is_valid() {
            write!(line, " trace_id={}", trace.trace_id())?;
        }
        writeln!(line)
    }
}

/// The subscriber's JSON with two more members.
struct JsonLine(Format<Json>);

impl<S, N> FormatEvent<S, N> for JsonLine
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(&self, ctx: &FmtContext<'_, S, N>, mut line: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let trace = TraceContext::current();
        if !trace.is_valid() {
            return self.0.format_event(ctx, line, event);
        }
        let mut object = String::new();
        self.0.format_event(ctx, Writer::new(&mut object), event)?;
        let open = object.trim_end().strip_suffix('}').ok_or(fmt::Error)?;
        writeln!(line, "{open},\"trace_id\":\"{}\",\"span_id\":\"{}\"}}", trace.trace_id(), trace.span_id())
    }
}
