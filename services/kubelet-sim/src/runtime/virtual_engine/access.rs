//! How simulated containers answer hooks, probes and commands.

use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{sleep, timeout};

use super::containers::no_such;
use super::state::{Container, nanos};
use super::{VirtualEngine, command};
use crate::cri;
use crate::runtime::{Handler, PodAccess, Purpose, Result, RuntimeError, Target, Verdict};

/// What a container answers, and how long it takes.
struct Answer {
    after: Duration,
    exit_code: i32,
    output: String,
}

#[async_trait]
impl PodAccess for VirtualEngine {
    async fn run(
        &self,
        target: &Target,
        handler: &Handler,
        purpose: Purpose,
        limit: Option<Duration>,
    ) -> Result<Verdict> {
        let answer = self.ask(&target.container_id, |container, now| match purpose {
            Purpose::PostStart | Purpose::PreStop => hook(container, handler, purpose),
            Purpose::Startup | Purpose::Liveness | Purpose::Readiness => probe(container, handler, purpose, now),
        })?;
        if let Handler::Exec(argv) = handler
            && asks_to_stop(argv)
        {
            self.signal(&target.container_id);
        }
        if timeout(limit.unwrap_or(Duration::MAX), sleep(answer.after)).await.is_err() {
            return Ok(Verdict::Failure(too_late(handler, limit.unwrap_or_default())));
        }
        Ok(if answer.exit_code == 0 { Verdict::Success } else { Verdict::Failure(answer.output) })
    }
}

impl VirtualEngine {
    pub(super) async fn execute(&self, request: cri::ExecSyncRequest) -> Result<cri::ExecSyncResponse> {
        let answer = self.ask(&request.container_id, |container, _| run(container, &request.cmd))?;
        if asks_to_stop(&request.cmd) {
            self.signal(&request.container_id);
        }
        let limit = u64::try_from(request.timeout)
            .ok()
            .filter(|seconds| *seconds > 0)
            .map_or(Duration::MAX, Duration::from_secs);
        if timeout(limit, sleep(answer.after)).await.is_err() {
            let message = format!(
                "failed to exec in container: timeout {}s exceeded: context deadline exceeded",
                request.timeout
            );
            return Err(RuntimeError { code: tonic::Code::DeadlineExceeded, message });
        }
        Ok(cri::ExecSyncResponse {
            stdout: answer.output.into_bytes(),
            stderr: Vec::new(),
            exit_code: answer.exit_code,
        })
    }

    fn ask(&self, id: &str, question: impl FnOnce(&Container, i64) -> Answer) -> Result<Answer> {
        let state = self.state.lock();
        let container = state.containers.get(id).ok_or_else(|| no_such("container", id))?;
        if container.running_since().is_none() {
            return Err(RuntimeError::unknown(format!("container {id} is not running")));
        }
        Ok(question(container, self.now()))
    }

    /// A command inside asked the main process to stop.
    fn signal(&self, id: &str) {
        let mut state = self.state.lock();
        let Some(container) = state.containers.get_mut(id) else { return };
        let exit = container.exit_on_term(self.now());
        if let Some(at) = container.exit_no_later_than(exit) {
            self.record_container(container);
            self.look_again(id, at);
        }
    }
}

/// A hook takes as long as it is told to, else as its command says.
fn hook(container: &Container, handler: &Handler, purpose: Purpose) -> Answer {
    let behaviour = &container.behaviour;
    let (after, error) = match purpose {
        Purpose::PostStart => (behaviour.post_start_time, &behaviour.post_start_error),
        _ => (behaviour.pre_stop_time, &behaviour.pre_stop_error),
    };
    let mut answer = match handler {
        Handler::Exec(argv) => run(container, argv),
        _ => Answer { after: Duration::from_millis(1), exit_code: 0, output: String::new() },
    };
    if let Some(after) = after {
        answer.after = after;
    }
    if let Some(error) = error {
        answer.exit_code = 1;
        answer.output.clone_from(error);
    }
    answer
}

/// A command inside the container.
fn run(container: &Container, argv: &[String]) -> Answer {
    let behaviour = &container.behaviour;
    let course = command::course(argv);
    Answer {
        after: behaviour
            .exec_time
            .or(course.and_then(|course| course.runs_for))
            .unwrap_or_default()
            .max(Duration::from_millis(1)),
        exit_code: behaviour.exec_exit_code.or(course.map(|course| course.exit_code)).unwrap_or(0),
        output: behaviour.exec_output.clone(),
    }
}

/// A probe passes while the container is, by its age, in the state that the probe asks about.
fn probe(container: &Container, handler: &Handler, purpose: Purpose, now: i64) -> Answer {
    let behaviour = &container.behaviour;
    let age = now - container.running_since().unwrap_or(now);
    let started = behaviour.ready_after.is_some_and(|after| age >= nanos(after));
    let (up, healthy) = match purpose {
        Purpose::Liveness => (true, behaviour.live_for.is_none_or(|lives| age < nanos(lives))),
        Purpose::Readiness => {
            let until = behaviour.ready_for.zip(behaviour.ready_after).map(|(lasts, after)| nanos(after + lasts));
            (started, until.is_none_or(|until| age < until))
        }
        _ => (started, true),
    };
    let listens =
        |port: Option<u16>| behaviour.ports.as_ref().is_none_or(|ports| port.is_some_and(|port| ports.contains(&port)));
    let refused = |address: &str| format!("dial tcp {address}: connect: connection refused");
    let failure = match handler {
        Handler::Exec(argv) => {
            let answer = run(container, argv);
            let failed = if up && healthy { answer.exit_code } else { answer.exit_code.max(1) };
            return Answer {
                after: behaviour.exec_time.unwrap_or(behaviour.probe_time),
                exit_code: failed,
                output: answer.output,
            };
        }
        Handler::HttpGet { url, .. } => {
            let address = url.split("://").nth(1).unwrap_or(url).split('/').next().unwrap_or_default();
            if !up || !listens(port_of(address)) {
                Some(format!("Get {url:?}: {}", refused(address)))
            } else {
                (!healthy).then(|| "HTTP probe failed with statuscode: 500".to_owned())
            }
        }
        Handler::TcpSocket(address) => (!(up && healthy && listens(port_of(address)))).then(|| refused(address)),
        Handler::Grpc { address, .. } if !up || !listens(port_of(address)) => {
            Some(format!("error: this server does not answer: {}", refused(address)))
        }
        Handler::Grpc { .. } => (!healthy).then(|| "service unhealthy (responded with \"NOT_SERVING\")".to_owned()),
    };
    Answer { after: behaviour.probe_time, exit_code: i32::from(failure.is_some()), output: failure.unwrap_or_default() }
}

fn port_of(address: &str) -> Option<u16> {
    address.rsplit(':').next()?.parse().ok()
}

/// What a user reads when a handler did not return in time, in the words of the client that would have waited.
fn too_late(handler: &Handler, limit: Duration) -> String {
    match handler {
        Handler::Exec(argv) => format!("command timed out: {:?} timed out after {}s", argv.join(" "), limit.as_secs()),
        Handler::HttpGet { url, .. } => {
            format!("Get {url:?}: context deadline exceeded (Client.Timeout exceeded while awaiting headers)")
        }
        Handler::TcpSocket(address) => format!("dial tcp {address}: i/o timeout"),
        Handler::Grpc { address, .. } => {
            format!(
                "timeout: failed to connect service {address:?} within {}s: context deadline exceeded",
                limit.as_secs()
            )
        }
    }
}

/// Commands by which people ask the main process of a container to stop.
fn asks_to_stop(argv: &[String]) -> bool {
    let line = argv.join(" ");
    ["nginx -s quit", "nginx -s stop", "kill 1", "kill -TERM 1", "kill -15 1", "kill -QUIT 1"].iter().any(|asking| {
        line.match_indices(asking)
            .any(|(at, _)| !line[at + asking.len()..].starts_with(|c: char| c.is_ascii_alphanumeric()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_that_ask_the_main_process_to_stop_are_known() {
        for (line, expected) in [
            ("/usr/sbin/nginx -s quit", true),
            ("sh -c nginx -s quit; sleep 3", true),
            ("kill 1", true),
            ("kill 12", false),
            ("nginx -s reload", false),
        ] {
            let argv: Vec<String> = line.split(' ').map(str::to_owned).collect();
            assert_eq!(asks_to_stop(&argv), expected, "{line}");
        }
    }
}
