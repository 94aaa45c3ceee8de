//! Probes and lifecycle hooks, and the handlers that both are made of.

use crate::core::v1::{
    Container, ExecAction, GrpcAction, HttpGetAction, Lifecycle, LifecycleHandler, PodSpec, Probe, SleepAction,
    TcpSocketAction,
};
use crate::field::{ErrorList, FieldError, Path};
use crate::names;
use crate::validation::{non_negative, port, required};

/// The signals that a container's stop signal can be.
const LINUX_SIGNALS: &[&str] = &[
    "SIGABRT",
    "SIGALRM",
    "SIGBUS",
    "SIGCHLD",
    "SIGCLD",
    "SIGCONT",
    "SIGFPE",
    "SIGHUP",
    "SIGILL",
    "SIGINT",
    "SIGIO",
    "SIGIOT",
    "SIGKILL",
    "SIGPIPE",
    "SIGPOLL",
    "SIGPROF",
    "SIGPWR",
    "SIGQUIT",
    "SIGRTMAX",
    "SIGRTMIN",
    "SIGSEGV",
    "SIGSTKFLT",
    "SIGSTOP",
    "SIGSYS",
    "SIGTERM",
    "SIGTRAP",
    "SIGTSTP",
    "SIGTTIN",
    "SIGTTOU",
    "SIGURG",
    "SIGUSR1",
    "SIGUSR2",
    "SIGVTALRM",
    "SIGWINCH",
    "SIGXCPU",
    "SIGXFSZ",
];

/// One way to act on a container. At most one may be set.
#[derive(Default)]
struct Handler<'a> {
    exec: Option<&'a ExecAction>,
    http_get: Option<&'a HttpGetAction>,
    tcp_socket: Option<&'a TcpSocketAction>,
    grpc: Option<&'a GrpcAction>,
    sleep: Option<&'a SleepAction>,
}

impl<'a> Handler<'a> {
    fn of_probe(probe: &'a Probe) -> Self {
        let handler = &probe.handler;
        Handler {
            exec: handler.exec.as_ref(),
            http_get: handler.http_get.as_ref(),
            tcp_socket: handler.tcp_socket.as_ref(),
            grpc: handler.grpc.as_ref(),
            sleep: None,
        }
    }

    fn of_hook(hook: &'a LifecycleHandler) -> Self {
        Handler {
            exec: hook.exec.as_ref(),
            http_get: hook.http_get.as_ref(),
            tcp_socket: hook.tcp_socket.as_ref(),
            sleep: hook.sleep.as_ref(),
            grpc: None,
        }
    }
}

pub(super) fn hooks_and_probes(container: &Container, spec: &PodSpec, path: &Path, errors: &mut ErrorList) {
    let grace = spec.termination_grace_period_seconds;
    if let Some(lifecycle) = &container.lifecycle {
        hooks(lifecycle, spec, &path.child("lifecycle"), errors);
    }
    if let Some(liveness) = &container.liveness_probe {
        let path = path.child("livenessProbe");
        probe(liveness, grace, &path, errors);
        succeeds_at_once(liveness, &path, errors);
    }
    if let Some(readiness) = &container.readiness_probe {
        let path = path.child("readinessProbe");
        probe(readiness, grace, &path, errors);
        if let Some(seconds) = readiness.termination_grace_period_seconds {
            let detail = "must not be set for readinessProbes";
            errors.push(FieldError::invalid(&path.child("terminationGracePeriodSeconds"), seconds, detail));
        }
    }
    if let Some(startup) = &container.startup_probe {
        let path = path.child("startupProbe");
        probe(startup, grace, &path, errors);
        succeeds_at_once(startup, &path, errors);
    }
}

/// Where a success ends the question, it cannot take several.
fn succeeds_at_once(probe: &Probe, path: &Path, errors: &mut ErrorList) {
    if probe.success_threshold != 1 {
        errors.push(FieldError::invalid(&path.child("successThreshold"), probe.success_threshold, "must be 1"));
    }
}

fn probe(probe: &Probe, grace: Option<i64>, path: &Path, errors: &mut ErrorList) {
    handler(&Handler::of_probe(probe), grace, path, errors);
    let numbers = [
        ("initialDelaySeconds", probe.initial_delay_seconds),
        ("timeoutSeconds", probe.timeout_seconds),
        ("periodSeconds", probe.period_seconds),
        ("successThreshold", probe.success_threshold),
        ("failureThreshold", probe.failure_threshold),
    ];
    for (field, number) in numbers {
        non_negative(number.into(), &path.child(field), errors);
    }
    if let Some(seconds) = probe.termination_grace_period_seconds
        && seconds <= 0
    {
        let path = path.child("terminationGracePeriodSeconds");
        errors.push(FieldError::invalid(&path, seconds, "must be greater than 0"));
    }
}

fn hooks(lifecycle: &Lifecycle, spec: &PodSpec, path: &Path, errors: &mut ErrorList) {
    let grace = spec.termination_grace_period_seconds;
    for (field, hook) in [("postStart", &lifecycle.post_start), ("preStop", &lifecycle.pre_stop)] {
        if let Some(hook) = hook {
            handler(&Handler::of_hook(hook), grace, &path.child(field), errors);
        }
    }
    if let Some(signal) = &lifecycle.stop_signal {
        let path = path.child("stopSignal");
        match spec.os.as_ref().map(|os| os.name.as_str()) {
            None => {
                let detail = "may not be set for containers with empty `spec.os.name`";
                errors.push(FieldError::forbidden(&path, detail));
            }
            Some("windows") if ["SIGKILL", "SIGTERM"].contains(&signal.as_str()) => {}
            Some("windows") => errors.push(FieldError::not_supported(&path, signal, &["SIGKILL", "SIGTERM"])),
            Some(_) if is_linux_signal(signal) => {}
            Some(_) => errors.push(FieldError::not_supported(&path, signal, LINUX_SIGNALS)),
        }
    }
}

/// Besides the named signals there are the real-time ones: `SIGRTMIN+1` to `+15`, `SIGRTMAX-1` to `-14`.
fn is_linux_signal(signal: &str) -> bool {
    let offset_up_to = |prefix: &str, most: u8| {
        let offset = signal.strip_prefix(prefix).and_then(|offset| offset.parse::<u8>().ok());
        offset.is_some_and(|offset| (1..=most).contains(&offset))
    };
    LINUX_SIGNALS.contains(&signal) || offset_up_to("SIGRTMIN+", 15) || offset_up_to("SIGRTMAX-", 14)
}

fn handler(handler: &Handler<'_>, grace: Option<i64>, path: &Path, errors: &mut ErrorList) {
    let mut found = false;
    // Of several handlers only the first is looked into.
    let mut is_first = |field: &str, errors: &mut ErrorList| {
        if found {
            errors.push(FieldError::forbidden(&path.child(field), "may not specify more than 1 handler type"));
        }
        !std::mem::replace(&mut found, true)
    };
    if let Some(exec) = handler.exec
        && is_first("exec", errors)
        && exec.command.is_empty()
    {
        errors.push(FieldError::required(&path.child("exec.command"), ""));
    }
    if let Some(http) = handler.http_get
        && is_first("httpGet", errors)
    {
        http_get(http, &path.child("httpGet"), errors);
    }
    if let Some(tcp) = handler.tcp_socket
        && is_first("tcpSocket", errors)
    {
        port(&tcp.port, &path.child("tcpSocket.port"), errors);
    }
    if let Some(grpc) = handler.grpc
        && is_first("grpc", errors)
    {
        errors.push_invalid(&path.child("grpc.port"), grpc.port, names::port_number(grpc.port));
    }
    if let (Some(sleep), Some(grace)) = (handler.sleep, grace)
        && is_first("sleep", errors)
        && !(0..=grace).contains(&sleep.seconds)
    {
        let detail = format!("must be non-negative and less than terminationGracePeriodSeconds ({grace})");
        errors.push(FieldError::invalid(&path.child("sleep"), sleep.seconds, detail));
    }
    if !found {
        errors.push(FieldError::required(path, "must specify a handler type"));
    }
}

fn http_get(http: &HttpGetAction, path: &Path, errors: &mut ErrorList) {
    required(&http.path, &path.child("path"), errors);
    port(&http.port, &path.child("port"), errors);
    if !["HTTP", "HTTPS"].contains(&http.scheme.as_str()) {
        errors.push(FieldError::not_supported(&path.child("scheme"), &http.scheme, &["HTTP", "HTTPS"]));
    }
    for header in &http.http_headers {
        errors.push_invalid(&path.child("httpHeaders"), &header.name, names::http_header_name(&header.name));
    }
}
