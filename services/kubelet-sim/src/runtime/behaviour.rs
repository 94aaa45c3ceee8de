//! How a simulated image behaves, as one flat set of settings.
//!
//! The same keys stand in the image catalogue and, behind `sim.traceplane.dev/`, in the annotations of a pod, so there is one
//! reference for both (docs/kubelet-sim.md). Settings are layered: built-in defaults, then the catalogue's matching entries in their
//! order, then the pod's annotations, then the annotations for one container (`sim.traceplane.dev/<container>.<key>`).

mod of_runtime;
mod steps;
mod values;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::cri::Signal;
pub use of_runtime::RuntimeBehaviour;
pub use steps::Steps;
pub use values::Outcome;
use values::{bytes, cpu, files, interval, lines, number, outcome, per_attempt, ports, signal, text, time, time_or};

/// What goes before a key in an annotation.
pub const ANNOTATION_PREFIX: &str = "sim.traceplane.dev/";

/// Everything that can be said about an image's behaviour. A time of `None` means "for ever" or "never", as each field says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Behaviour {
    /// Bytes on the node's disk.
    pub size: u64,
    /// The user that the image's process runs as.
    pub user: i64,
    /// What stops it politely.
    pub stop_signal: Signal,
    /// The image's own command, interpreted like one that a pod gives. Empty: a server that runs until stopped.
    pub command: Vec<String>,
    /// The ports that something listens on; `None`: on any.
    pub ports: Option<Vec<u16>>,
    /// The files of the image that matter, with their contents.
    pub files: Vec<(String, String)>,
    /// The folder whose files answer HTTP requests; `None`: every path has an answer.
    pub document_root: Option<String>,
    /// For the process engine: the folder of this machine that is the image's root file system. In the catalogue only.
    pub root_fs: Option<String>,
    /// For the process engine: the image's environment, `NAME=value` each.
    pub env: Vec<String>,
    /// For the process engine: the folder that the image's process starts in.
    pub working_dir: Option<String>,

    /// Making the sandbox and its network.
    pub sandbox_time: Duration,
    /// Why the sandbox cannot be made.
    pub sandbox_error: Option<String>,
    /// Bringing the image to a node that does not have it.
    pub pull_time: Duration,
    /// Asking the registry whether the image on the node is still the newest.
    pub resolve_time: Duration,
    /// Why the image cannot be pulled.
    pub pull_error: Option<String>,
    /// Why the image cannot be looked at.
    pub inspect_error: Option<String>,
    /// Creating the container.
    pub create_time: Duration,
    /// Why the container cannot be created.
    pub create_error: Option<String>,
    /// Why the kubelet's own preparations between creating and starting the container fail.
    pub pre_start_error: Option<String>,
    /// Starting the container's process.
    pub start_time: Duration,
    /// Why the process cannot be started.
    pub start_error: Option<String>,

    /// From the process's start until startup and readiness probes pass; `None`: they never do.
    pub ready_after: Option<Duration>,
    /// From then until readiness probes fail again; `None`: never.
    pub ready_for: Option<Duration>,
    /// From the process's start until liveness probes fail; `None`: never.
    pub live_for: Option<Duration>,
    /// What startup, readiness and liveness probes see over time, in place of the three settings above.
    pub startup: Option<Steps<Outcome>>,
    /// See `startup`.
    pub readiness: Option<Steps<Outcome>>,
    /// See `startup`.
    pub liveness: Option<Steps<Outcome>>,
    /// From the process's start until it exits by itself. The outer `None`: as its command says, the inner one: never.
    pub run_for: Option<Option<Duration>>,
    /// How it exits by itself, attempt by attempt; the last one stands for all that follow. Empty: as its command says, else 0.
    pub exit_code: Vec<i32>,
    /// Shown as the reason in place of Completed or Error, e.g. OOMKilled.
    pub exit_reason: Option<String>,
    /// Shown beside the reason.
    pub exit_message: Option<String>,
    /// From the stop signal until it exits. The outer `None`: as its command says, the inner one: it ignores the signal.
    pub term_time: Option<Option<Duration>>,
    /// How it exits upon the stop signal.
    pub term_exit_code: i32,
    /// From SIGKILL until it is gone.
    pub kill_time: Duration,

    /// What it prints when it starts.
    pub log_start: Vec<String>,
    /// What it prints from then on, in turn.
    pub log_line: Vec<String>,
    /// How often it prints a line.
    pub log_every: Duration,
    /// CPU used over time, in billionths of one.
    pub cpu_usage: Steps<u64>,
    /// Bytes of memory used over time. More than the limit allows ends the process.
    pub memory_usage: Steps<u64>,
    /// Bytes written to the container's own layer over time.
    pub disk_usage: Steps<u64>,

    /// Any command run inside that is no hook. This and the next two: `None`: as the command says.
    pub exec_time: Option<Duration>,
    /// How such a command exits.
    pub exec_exit_code: Option<i32>,
    /// What such a command prints.
    pub exec_output: String,
    /// Answering a probe that passes or fails.
    pub probe_time: Duration,
    /// Running the postStart hook.
    pub post_start_time: Option<Duration>,
    /// What the postStart hook prints when it fails.
    pub post_start_error: Option<String>,
    /// Running the preStop hook.
    pub pre_stop_time: Option<Duration>,
    /// What the preStop hook prints when it fails.
    pub pre_stop_error: Option<String>,
}

impl Default for Behaviour {
    fn default() -> Self {
        let ms = Duration::from_millis;
        Self {
            size: 50 << 20,
            user: 0,
            stop_signal: Signal::Sigterm,
            command: Vec::new(),
            ports: None,
            files: Vec::new(),
            document_root: None,
            root_fs: None,
            env: Vec::new(),
            working_dir: None,
            sandbox_time: ms(2),
            sandbox_error: None,
            pull_time: ms(500),
            resolve_time: ms(20),
            pull_error: None,
            inspect_error: None,
            create_time: ms(1),
            create_error: None,
            pre_start_error: None,
            start_time: ms(2),
            start_error: None,
            ready_after: Some(Duration::ZERO),
            ready_for: None,
            live_for: None,
            startup: None,
            readiness: None,
            liveness: None,
            run_for: None,
            exit_code: Vec::new(),
            exit_reason: None,
            exit_message: None,
            term_time: None,
            term_exit_code: 0,
            kill_time: ms(2),
            log_start: Vec::new(),
            log_line: Vec::new(),
            log_every: ms(1_000),
            cpu_usage: Steps::constant(0),
            memory_usage: Steps::constant(0),
            disk_usage: Steps::constant(0),
            exec_time: None,
            exec_exit_code: None,
            exec_output: String::new(),
            probe_time: Duration::ZERO,
            post_start_time: None,
            post_start_error: None,
            pre_stop_time: None,
            pre_stop_error: None,
        }
    }
}

/// A setting that does not exist, or a value that it cannot have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {problem}")]
pub struct InvalidSetting {
    /// The key as given.
    pub key: String,
    /// What is wrong, with what would be right.
    pub problem: String,
}

impl Behaviour {
    /// The settings that there are.
    pub const KEYS: [&str; 48] = [
        "size",
        "user",
        "stop-signal",
        "command",
        "ports",
        "files",
        "document-root",
        "root-fs",
        "env",
        "working-dir",
        "sandbox-time",
        "sandbox-error",
        "pull-time",
        "resolve-time",
        "pull-error",
        "inspect-error",
        "create-time",
        "create-error",
        "pre-start-error",
        "start-time",
        "start-error",
        "ready-after",
        "ready-for",
        "live-for",
        "startup",
        "readiness",
        "liveness",
        "run-for",
        "exit-code",
        "exit-reason",
        "exit-message",
        "term-time",
        "term-exit-code",
        "kill-time",
        "log-start",
        "log-line",
        "log-every",
        "cpu-usage",
        "memory-usage",
        "disk-usage",
        "exec-time",
        "exec-exit-code",
        "exec-output",
        "probe-time",
        "post-start-time",
        "post-start-error",
        "pre-stop-time",
        "pre-stop-error",
    ];

    /// Applies one setting, e.g. `("run-for", "5s")`.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), InvalidSetting> {
        let outcome = match key {
            "size" => bytes(value).map(|v| self.size = v),
            "user" => number(value).map(|v| self.user = v),
            "stop-signal" => signal(value).map(|v| self.stop_signal = v),
            "command" => {
                self.command = value.split_whitespace().map(str::to_owned).collect();
                Ok(())
            }
            "ports" => ports(value).map(|v| self.ports = v),
            "files" => files(value).map(|v| self.files = v),
            "document-root" => text(value).map(|v| self.document_root = v),
            "root-fs" => folder(value).map(|v| self.root_fs = v),
            "env" => variables(value).map(|v| self.env = v),
            "working-dir" => folder(value).map(|v| self.working_dir = v),
            "sandbox-time" => time(value).map(|v| self.sandbox_time = v),
            "sandbox-error" => text(value).map(|v| self.sandbox_error = v),
            "pull-time" => time(value).map(|v| self.pull_time = v),
            "resolve-time" => time(value).map(|v| self.resolve_time = v),
            "pull-error" => text(value).map(|v| self.pull_error = v),
            "inspect-error" => text(value).map(|v| self.inspect_error = v),
            "create-time" => time(value).map(|v| self.create_time = v),
            "create-error" => text(value).map(|v| self.create_error = v),
            "pre-start-error" => text(value).map(|v| self.pre_start_error = v),
            "start-time" => time(value).map(|v| self.start_time = v),
            "start-error" => text(value).map(|v| self.start_error = v),
            "ready-after" => time_or(value, "never").map(|v| self.ready_after = v),
            "ready-for" => time_or(value, "forever").map(|v| self.ready_for = v),
            "live-for" => time_or(value, "forever").map(|v| self.live_for = v),
            "startup" => values::steps(value, outcome).map(|v| self.startup = v),
            "readiness" => values::steps(value, outcome).map(|v| self.readiness = v),
            "liveness" => values::steps(value, outcome).map(|v| self.liveness = v),
            "run-for" => time_or(value, "forever").map(|v| self.run_for = Some(v)),
            "exit-code" => per_attempt(value, number).map(|v| self.exit_code = v),
            "exit-reason" => text(value).map(|v| self.exit_reason = v),
            "exit-message" => text(value).map(|v| self.exit_message = v),
            "term-time" => time_or(value, "ignore").map(|v| self.term_time = Some(v)),
            "term-exit-code" => number(value).map(|v| self.term_exit_code = v),
            "kill-time" => time(value).map(|v| self.kill_time = v),
            "log-start" => lines(value).map(|v| self.log_start = v),
            "log-line" => lines(value).map(|v| self.log_line = v),
            "log-every" => interval(value).map(|v| self.log_every = v),
            "cpu-usage" => Steps::parse(value, cpu).map(|v| self.cpu_usage = v),
            "memory-usage" => Steps::parse(value, bytes).map(|v| self.memory_usage = v),
            "disk-usage" => Steps::parse(value, bytes).map(|v| self.disk_usage = v),
            "exec-time" => time(value).map(|v| self.exec_time = Some(v)),
            "exec-exit-code" => number(value).map(|v| self.exec_exit_code = Some(v)),
            "exec-output" => text(value).map(|v| self.exec_output = v.unwrap_or_default()),
            "probe-time" => time(value).map(|v| self.probe_time = v),
            "post-start-time" => time(value).map(|v| self.post_start_time = Some(v)),
            "post-start-error" => text(value).map(|v| self.post_start_error = v),
            "pre-stop-time" => time(value).map(|v| self.pre_stop_time = Some(v)),
            "pre-stop-error" => text(value).map(|v| self.pre_stop_error = v),
            _ => Err("there is no such setting; docs/kubelet-sim.md lists them".to_owned()),
        };
        outcome.map_err(|problem| InvalidSetting { key: key.to_owned(), problem })
    }

    /// Whether a setting's value is lines of text, so that a list in a catalogue becomes lines instead of one line with commas.
    pub fn is_lines(key: &str) -> bool {
        matches!(key, "files" | "log-start" | "log-line")
    }

    /// The exit code of an attempt, where a setting says so. The first attempt is 0.
    pub fn exit_code_of(&self, attempt: u32) -> Option<i32> {
        let last = self.exit_code.len().checked_sub(1)?;
        self.exit_code.get(usize::try_from(attempt).map_or(last, |attempt| attempt.min(last))).copied()
    }

    /// Applies a pod's annotations: those for the whole pod, then those for `container`.
    pub fn annotate(&mut self, annotations: &BTreeMap<String, String>, container: &str) -> Result<(), InvalidSetting> {
        let ours = || annotations.iter().filter_map(|(k, v)| Some((k.strip_prefix(ANNOTATION_PREFIX)?, v)));
        for (key, value) in ours().filter(|(key, _)| !key.contains('.')) {
            self.set(key, value)?;
        }
        for (key, value) in ours() {
            if let Some((name, key)) = key.split_once('.')
                && name == container
            {
                self.set(key, value)?;
            }
        }
        Ok(())
    }
}

fn folder(value: &str) -> Result<Option<String>, String> {
    if value.is_empty() || value.starts_with('/') {
        return text(value);
    }
    Err(format!("{value:?} is not a folder such as /srv/images/shop"))
}

fn variables(value: &str) -> Result<Vec<String>, String> {
    let variable = |pair: &str| match pair.split_once('=') {
        Some((name, _)) if !name.is_empty() => Ok(pair.to_owned()),
        _ => Err(format!("{pair:?} is not a variable such as LANG=C")),
    };
    value.split(',').map(str::trim).filter(|pair| !pair.is_empty()).map(variable).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_say_times_sizes_and_exceptions() {
        let mut behaviour = Behaviour::default();
        for (key, value) in [
            ("size", "72Mi"),
            ("ports", "80, 443"),
            ("pull-time", "1.5s"),
            ("ready-after", "never"),
            ("run-for", "forever"),
            ("term-time", "ignore"),
            ("stop-signal", "SIGQUIT"),
            ("probe-time", "0"),
        ] {
            behaviour.set(key, value).unwrap();
        }
        assert_eq!(behaviour.size, 72 << 20);
        assert_eq!(behaviour.ports, Some(vec![80, 443]));
        assert_eq!(behaviour.pull_time, Duration::from_millis(1500));
        assert_eq!((behaviour.ready_after, behaviour.run_for, behaviour.term_time), (None, Some(None), Some(None)));
        assert_eq!(behaviour.stop_signal, Signal::Sigquit);
    }

    #[test]
    fn a_wrong_setting_names_its_key_and_what_would_be_right() {
        let problem = |key, value| Behaviour::default().set(key, value).unwrap_err().to_string();
        assert_eq!(problem("run-fro", "1s"), "run-fro: there is no such setting; docs/kubelet-sim.md lists them");
        assert_eq!(problem("pull-time", "soon"), "pull-time: \"soon\" is not a time such as 250ms, 1.5s or 2m");
        assert_eq!(
            problem("run-for", "-1s"),
            "run-for: \"-1s\" is not a time such as 250ms, 1.5s or 2m, nor \"forever\""
        );
        assert!(problem("ports", "http").contains("80,443"));
        assert!(problem("size", "99999999999Gi").contains("72Mi"));
    }

    #[test]
    fn annotations_for_one_container_win_over_those_for_the_pod() {
        let annotations = BTreeMap::from([
            ("sim.traceplane.dev/run-for".to_owned(), "5s".to_owned()),
            ("sim.traceplane.dev/sidecar.run-for".to_owned(), "forever".to_owned()),
            ("example.com/run-for".to_owned(), "1s".to_owned()),
        ]);
        let of = |container| {
            let mut behaviour = Behaviour::default();
            behaviour.annotate(&annotations, container).unwrap();
            behaviour.run_for
        };
        assert_eq!(of("main"), Some(Some(Duration::from_secs(5))));
        assert_eq!(of("sidecar"), Some(None));
    }

    #[test]
    fn every_setting_is_documented_and_every_documented_one_exists() {
        let page = include_str!("../../../../docs/kubelet-sim.md");
        let table = page.split("| setting | default | meaning |").nth(1).and_then(|rest| rest.split("\n\n").next());
        let keys: Vec<&str> = table
            .unwrap()
            .lines()
            .filter_map(|row| row.split('|').nth(1))
            .flat_map(|cell| cell.split('`').skip(1).step_by(2))
            .collect();
        let mut documented = keys.clone();
        documented.sort_unstable();
        let mut known = Behaviour::KEYS.to_vec();
        known.sort_unstable();
        assert_eq!(documented, known);
        for key in Behaviour::KEYS {
            let problem = Behaviour::default().set(key, "\u{1}").err().map(|wrong| wrong.problem).unwrap_or_default();
            assert!(!problem.contains("no such setting"), "{key} is listed and not known");
        }
        let source = include_str!("behaviour.rs");
        let arms = source.lines().filter(|line| line.trim_start().starts_with('"') && line.contains(" => ")).count();
        assert_eq!(arms, Behaviour::KEYS.len(), "a setting is known and not listed");
    }
}
