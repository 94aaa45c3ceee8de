//! `tpctl logs`: what containers have printed, of one pod or of all that a selector chooses.

use std::time::Duration;

use super::reach::{self, Purpose, pod_of, reached};
use crate::duration::duration;
use crate::objects::Object;
use crate::print::out_bytes;
use crate::session::Session;
use anyhow::{Context, Result, bail};
use api::Resource;
use api::core::v1::Pod;
use api::meta::v1::ListOptions;
use api::rpc::LogsRequest;
use clap::Args;
use client::Api;
use futures::future::try_join_all;
use jiff::Timestamp;

/// What `--help` shows at its end.
pub(crate) const EXAMPLES: &str = "Examples:
  tpctl logs web                              of the pod's default or only container
  tpctl logs web -c ruby -p                   of the attempt before the one that runs
  tpctl logs -f web --all-containers          of all containers, as they print
  tpctl logs -l app=web --prefix --tail=20    of all pods with the label, and which line is whose
  tpctl logs --since=1h web                   of the last hour
  tpctl logs deployment/web -c nginx          of a pod of the Deployment";

/// How many lines each pod of a selector shows unless something else is said.
const TAIL_OF_MANY: i64 = 10;

/// Flags of `tpctl logs`.
#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    /// POD or TYPE/NAME, and the container.
    #[arg(value_name = "POD [CONTAINER]")]
    words: Vec<String>,
    /// Keep printing until the container ends.
    #[arg(short, long)]
    follow: bool,
    /// The attempt before the one that is current.
    #[arg(short, long)]
    previous: bool,
    /// The time before each line.
    #[arg(long)]
    timestamps: bool,
    /// The last so many lines; -1 for all [default: -1, with a selector 10].
    #[arg(long, value_name = "LINES", allow_negative_numbers = true)]
    tail: Option<i64>,
    /// Only what is newer: 5s, 2m, 3h.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    since: Option<Duration>,
    /// Only what is newer than this time (RFC 3339).
    #[arg(long, value_name = "TIME")]
    since_time: Option<String>,
    /// At most so many bytes; 0 for all.
    #[arg(long, value_name = "BYTES", default_value_t = 0, allow_negative_numbers = true)]
    limit_bytes: i64,
    /// The container; the default one of the pod, or its first.
    #[arg(short, long, value_name = "NAME")]
    container: Option<String>,
    /// All containers of the pod or pods.
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true")]
    all_containers: bool,
    /// All pods that this label selector chooses.
    #[arg(short = 'l', long, value_name = "SELECTOR", default_value = "")]
    selector: String,
    /// Say before each line which pod and container it is from.
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true")]
    prefix: bool,
    /// An error of one container does not end the others.
    #[arg(long)]
    ignore_errors: bool,
    /// How many containers may be followed at once.
    #[arg(long, value_name = "COUNT", default_value_t = 5)]
    max_log_requests: usize,
    /// How long to wait until there is a pod.
    #[arg(long, value_name = "DURATION", default_value = "20s", value_parser = duration)]
    pod_running_timeout: Duration,
}

/// `tpctl logs`.
pub(crate) async fn run(session: &Session, args: &LogsArgs) -> Result<()> {
    let container = args.container_named()?;
    let request = args.request()?;
    let mut sources = Vec::new();
    for pod in pods(session, args).await? {
        sources.extend(containers(&pod, container, args.all_containers)?.into_iter().map(|container| Source {
            pods: Api::namespaced(session.client.clone(), &pod.metadata.namespace),
            prefix: if args.prefix { format!("[pod/{}/{container}] ", pod.metadata.name) } else { String::new() },
            pod: pod.metadata.name.clone(),
            request: LogsRequest { container, ..request.clone() },
        }));
    }
    if !args.follow || sources.len() <= 1 {
        for source in &sources {
            source.copy(args.ignore_errors).await?;
        }
        return Ok(());
    }
    if sources.len() > args.max_log_requests {
        bail!(
            "you are attempting to follow {} log streams, but maximum allowed concurrency is {}, use --max-log-requests to increase \
             the limit",
            sources.len(),
            args.max_log_requests
        );
    }
    try_join_all(sources.iter().map(|source| source.copy(args.ignore_errors))).await?;
    Ok(())
}

async fn pods(session: &Session, args: &LogsArgs) -> Result<Vec<Pod>> {
    let Some(word) = args.words.first() else {
        let options = ListOptions { label_selector: args.selector.clone(), ..ListOptions::default() };
        let (items, _) = session.api(Pod::INFO).list(&session.namespace, options).await?;
        if items.is_empty() {
            eprintln!("No resources found in {} namespace.", session.namespace);
        }
        return Ok(items.iter().filter_map(Object::typed).cloned().collect());
    };
    let object = reached(session, std::slice::from_ref(word)).await?;
    let (pod, count) = pod_of(session, &object, Purpose::Logs, args.pod_running_timeout).await?;
    if count > 1 {
        eprintln!("Found {count} pods, using pod/{}", pod.metadata.name);
    }
    Ok(vec![pod])
}

/// The names of the containers that are meant.
fn containers(pod: &Pod, named: Option<&str>, all: bool) -> Result<Vec<String>> {
    let spec = &pod.spec;
    if all {
        let own = spec.init_containers.iter().chain(&spec.containers).map(|container| container.name.clone());
        let ephemeral = spec.ephemeral_containers.iter().map(|c| c.ephemeral_container_common.name.clone());
        return Ok(own.chain(ephemeral).collect());
    }
    let Some(name) = named else { return Ok(vec![reach::find_or_default(pod, None, false)?.name]) };
    match reach::find(pod, name) {
        Some(container) => Ok(vec![container.name]),
        None => {
            let (pod, all) = (&pod.metadata.name, reach::all_names(pod));
            bail!("container {name} is not valid for pod {pod} out of: {all}")
        }
    }
}

impl LogsArgs {
    /// The container that the user names, one way or the other.
    fn container_named(&self) -> Result<Option<&str>> {
        const EXPECTED: &str = "expected 'logs [-f] [-p] (POD | TYPE/NAME) [-c CONTAINER]'.\n\
                                POD or TYPE/NAME is a required argument for the logs command";
        let named = match (self.words.as_slice(), &self.container) {
            ([] | [_], named) => named.as_deref(),
            ([_, inline], None) => Some(inline.as_str()),
            ([_, _], Some(_)) => bail!("only one of -c or an inline [CONTAINER] arg is allowed"),
            _ => bail!(EXPECTED),
        };
        match (self.words.is_empty(), self.selector.is_empty()) {
            (true, true) => bail!(EXPECTED),
            (false, false) => bail!("only a selector (-l) or a POD name is allowed"),
            _ => {}
        }
        if let (true, Some(name)) = (self.all_containers, named) {
            bail!("--all-containers=true should not be specified with container name {name}");
        }
        Ok(named)
    }

    /// What is asked of every container.
    fn request(&self) -> Result<LogsRequest> {
        if self.since_time.is_some() && self.since.is_some_and(|since| !since.is_zero()) {
            bail!("at most one of `sinceTime` or `sinceSeconds` may be specified");
        }
        if self.limit_bytes < 0 {
            bail!("--limit-bytes must be greater than 0");
        }
        if self.tail.is_some_and(|tail| tail < -1) {
            bail!("--tail must be greater than or equal to -1");
        }
        let since_time = self.since_time.as_deref().map(|text| {
            let time: Timestamp = text
                .parse()
                .with_context(|| format!("--since-time {text:?} is not a time such as 2026-01-31T12:00:00Z"))?;
            anyhow::Ok(prost_types::Timestamp { seconds: time.as_second(), nanos: time.subsec_nanosecond() })
        });
        let default_tail = (!self.selector.is_empty()).then_some(TAIL_OF_MANY);
        let since = self.since.filter(|since| !since.is_zero());
        Ok(LogsRequest {
            follow: self.follow,
            previous: self.previous,
            timestamps: self.timestamps,
            tail_lines: self.tail.or(default_tail).filter(|tail| *tail != -1),
            // Rounded to whole seconds, and never to none.
            since_seconds: since.map(|since| (since.as_secs_f64().round() as i64).max(1)),
            since_time: since_time.transpose()?,
            limit_bytes: (self.limit_bytes > 0).then_some(self.limit_bytes),
            ..LogsRequest::default()
        })
    }
}

/// One container.
struct Source {
    pods: Api<Pod>,
    pod: String,
    prefix: String,
    request: LogsRequest,
}

impl Source {
    /// Prints it to its end.
    async fn copy(&self, ignore_errors: bool) -> Result<()> {
        let mut lines = Lines { prefix: &self.prefix, partial: Vec::new() };
        let copied = Box::pin(self.copy_lines(&mut lines)).await;
        lines.finish()?;
        match copied {
            Err(error) if ignore_errors && error.is::<api::Error>() => {
                out_bytes(format!("error: {error}\n").as_bytes())
            }
            copied => copied,
        }
    }

    async fn copy_lines(&self, lines: &mut Lines<'_>) -> Result<()> {
        let mut stream = self.pods.logs(&self.pod, self.request.clone()).await?;
        while let Some(chunk) = stream.next().await {
            lines.write(&chunk?.data)?;
        }
        Ok(())
    }
}

/// Prints whole lines, so that several containers never share one.
struct Lines<'a> {
    prefix: &'a str,
    /// The beginning of a line whose end has not come.
    partial: Vec<u8>,
}

impl Lines<'_> {
    fn write(&mut self, data: &[u8]) -> Result<()> {
        let whole = self.take(data);
        if whole.is_empty() { Ok(()) } else { out_bytes(&whole) }
    }

    /// What can be printed now that this has come.
    fn take(&mut self, data: &[u8]) -> Vec<u8> {
        let mut whole = Vec::with_capacity(data.len());
        for piece in data.split_inclusive(|byte| *byte == b'\n') {
            self.partial.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                whole.extend_from_slice(self.prefix.as_bytes());
                whole.append(&mut self.partial);
            }
        }
        whole
    }

    fn finish(&mut self) -> Result<()> {
        if self.partial.is_empty() {
            return Ok(());
        }
        let mut last = self.prefix.as_bytes().to_vec();
        last.append(&mut self.partial);
        out_bytes(&last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        logs: LogsArgs,
    }

    fn parse(line: &str) -> LogsArgs {
        Cli::try_parse_from(std::iter::once("logs").chain(line.split_whitespace()))
            .unwrap_or_else(|e| panic!("{e}"))
            .logs
    }

    fn refusal(line: &str) -> String {
        let args = parse(line);
        let refused = args.container_named().err().or_else(|| args.request().err());
        refused.unwrap_or_else(|| panic!("{line} is accepted")).to_string()
    }

    #[test]
    fn flags_mean_what_they_mean_to_kubectl() {
        let tail = |line| parse(line).request().unwrap().tail_lines;
        assert_eq!([tail("web"), tail("-l a=b"), tail("-l a=b --tail=-1")], [None, Some(10), None]);
        assert_eq!([tail("web --tail=3"), tail("web --tail 0")], [Some(3), Some(0)]);
        let since = |line| parse(line).request().unwrap().since_seconds;
        assert_eq!([since("web"), since("web --since=1h"), since("web --since=200ms")], [None, Some(3600), Some(1)]);
        let args = parse("web ruby -f -p --timestamps --limit-bytes=7 --since-time=2026-01-02T03:04:05.5Z");
        assert_eq!(args.container_named().unwrap(), Some("ruby"));
        let request = args.request().unwrap();
        assert!(request.follow && request.previous && request.timestamps);
        assert_eq!(request.limit_bytes, Some(7));
        assert_eq!(request.since_time.map(|time| (time.seconds, time.nanos)), Some((1_767_323_045, 500_000_000)));
        assert!(parse("web --all-containers=true --prefix").all_containers);
        assert!(!parse("web --all-containers=false").all_containers);
    }

    #[test]
    fn what_cannot_be_meant_is_refused_in_kubectls_words() {
        for (line, expected) in [
            ("", "POD or TYPE/NAME is a required argument for the logs command"),
            ("a b c", "POD or TYPE/NAME is a required argument for the logs command"),
            ("web -l a=b", "only a selector (-l) or a POD name is allowed"),
            ("web ruby -c ruby", "only one of -c or an inline [CONTAINER] arg is allowed"),
            ("web -c a --all-containers", "--all-containers=true should not be specified with container name a"),
            ("web --since=1s --since-time=2026-01-01T00:00:00Z", "at most one of `sinceTime` or `sinceSeconds`"),
            ("web --since-time=yesterday", "--since-time \"yesterday\" is not a time"),
            ("web --limit-bytes=-1", "--limit-bytes must be greater than 0"),
            ("web --tail=-2", "--tail must be greater than or equal to -1"),
        ] {
            let message = refusal(line);
            assert!(message.contains(expected), "{line}: {message}");
        }
    }

    #[test]
    fn lines_are_never_torn() {
        let mut lines = Lines { prefix: "[pod/a/b] ", partial: Vec::new() };
        assert_eq!(lines.take(b"on"), b"");
        assert_eq!(lines.take(b"e\ntwo\nthr"), b"[pod/a/b] one\n[pod/a/b] two\n");
        assert_eq!(lines.take(b"ee\n"), b"[pod/a/b] three\n");
        assert_eq!(lines.partial, b"");
    }
}
