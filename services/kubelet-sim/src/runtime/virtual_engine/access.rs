//! How simulated containers answer hooks, probes and commands.

use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::VirtualEngine;
use super::containers::no_such;
use super::inside::Program;
use super::state::Container;
use crate::cri;
use crate::runtime::behaviour::{Outcome, Steps};
use crate::runtime::{Exited, Handler, PodAccess, Purpose, Result, RuntimeError, Target, Verdict};

/// What a container answers, and how long it takes.
#[derive(Default)]
pub(super) struct Answer {
    pub(super) after: Duration,
    pub(super) exit_code: i32,
    /// All that is printed, complaints last.
    pub(super) output: String,
    /// Its complaints.
    pub(super) stderr: String,
}

/// What a probe finds by the container's age.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    /// Nothing listens yet.
    Down,
    Well,
    Ill,
    /// It does not answer in time.
    Hangs,
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
        let id = &target.container_id;
        let answered = async {
            match purpose {
                Purpose::PostStart | Purpose::PreStop => self.hook(id, handler, purpose).await,
                Purpose::Startup | Purpose::Liveness | Purpose::Readiness => self.probe(id, handler, purpose).await,
            }
        };
        let answer = tokio::select! {
            answer = answered => answer?,
            () = self.clock.sleep(limit.unwrap_or(Duration::MAX)) => {
                return Ok(Verdict::Failure(too_late(handler, limit.unwrap_or_default())));
            }
        };
        let Answer { exit_code: code, output, stderr, .. } = answer;
        Ok(match handler {
            _ if code == 0 => Verdict::Success,
            Handler::Exec(_) => Verdict::Exited(Exited { code, output, stderr }),
            _ => Verdict::Failure(output),
        })
    }

    async fn before_start(&self, container_id: &str) -> Result<()> {
        let state = self.state.lock();
        let container = state.containers.get(container_id).ok_or_else(|| no_such("container", container_id))?;
        match &container.behaviour.pre_start_error {
            Some(error) => Err(RuntimeError::unknown(error.clone())),
            None => Ok(()),
        }
    }
}

impl VirtualEngine {
    pub(super) async fn execute(&self, request: cri::ExecSyncRequest) -> Result<cri::ExecSyncResponse> {
        let limit = u64::try_from(request.timeout)
            .ok()
            .filter(|seconds| *seconds > 0)
            .map_or(Duration::MAX, Duration::from_secs);
        tokio::select! {
            answer = self.command(&request.container_id, &request.cmd) => {
                let Answer { exit_code, mut output, stderr, .. } = answer?;
                output.truncate(output.len() - stderr.len());
                Ok(cri::ExecSyncResponse { stdout: output.into_bytes(), stderr: stderr.into_bytes(), exit_code })
            }
            () = self.clock.sleep(limit) => {
                let message = format!(
                    "failed to exec in container: timeout {}s exceeded: context deadline exceeded",
                    request.timeout
                );
                Err(RuntimeError { code: tonic::Code::DeadlineExceeded, message })
            }
        }
    }

    /// A command inside, as hooks and probes run them: what is not known counts as done.
    async fn command(&self, id: &str, argv: &[String]) -> Result<Answer> {
        if let Some(answer) = self.inside(id, |container, _| container.canned())? {
            if asks_to_stop(argv) {
                self.signal(id);
            }
            self.clock.sleep(answer.after).await;
            return Ok(answer);
        }
        let Some(program) = Program::of(argv) else {
            if asks_to_stop(argv) {
                self.signal(id);
            }
            return Ok(Answer::default());
        };
        let ran = self.perform(id, program, true).await?;
        Ok(Answer { after: Duration::ZERO, exit_code: ran.exit_code, output: ran.out + &ran.err, stderr: ran.err })
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

    /// A hook takes as long as it is told to, else as its command does.
    async fn hook(&self, id: &str, handler: &Handler, purpose: Purpose) -> Result<Answer> {
        let began: Instant = self.clock.instant();
        let (time, error, refused) = self.inside(id, |container, _| {
            let behaviour = &container.behaviour;
            let (time, error) = match purpose {
                Purpose::PostStart => (behaviour.post_start_time, &behaviour.post_start_error),
                _ => (behaviour.pre_stop_time, &behaviour.pre_stop_error),
            };
            (time, error.clone(), refusal(container, handler))
        })?;
        let does = async {
            match handler {
                Handler::Exec(argv) => self.command(id, argv).await,
                _ => Ok(Answer {
                    exit_code: i32::from(refused.is_some()),
                    output: refused.unwrap_or_default(),
                    ..Answer::default()
                }),
            }
        };
        let mut answer = match time {
            None => does.await?,
            Some(time) => {
                // A command that would take longer is cut short, one that is done sooner lingers.
                let done = tokio::select! {
                    done = does => Some(done?),
                    () = self.clock.sleep(time) => None,
                };
                self.clock.sleep_until(began + time).await;
                done.unwrap_or_default()
            }
        };
        if let Some(error) = error {
            (answer.exit_code, answer.output, answer.stderr) = (1, error.clone(), error);
        }
        Ok(answer)
    }

    /// A probe passes while the container is, by its age, in the state that the probe asks about.
    async fn probe(&self, id: &str, handler: &Handler, purpose: Purpose) -> Result<Answer> {
        let (health, takes, mut answer) = self.inside(id, |container, now| {
            let health = match (handler, health(container, purpose, now)) {
                // Who asks by gRPC tries to connect until its time is over.
                (Handler::Grpc { .. }, Health::Down) => Health::Hangs,
                (Handler::Grpc { address, .. }, _) if !container.listens(port_of(address)) => Health::Hangs,
                (_, health) => health,
            };
            (health, container.behaviour.probe_time, look(container, handler, health, now))
        })?;
        if health == Health::Hangs {
            self.clock.sleep(Duration::MAX).await;
        }
        if let Handler::Exec(argv) = handler {
            let ran = self.command(id, argv).await?;
            let code = if health == Health::Well { ran.exit_code } else { ran.exit_code.max(1) };
            answer = Answer { exit_code: code, ..ran };
        }
        self.clock.sleep(takes).await;
        Ok(answer)
    }
}

impl Container {
    /// The answer to any command that settings ask for, in place of what the command would do.
    pub(super) fn canned(&self) -> Option<Answer> {
        let behaviour = &self.behaviour;
        let asked =
            behaviour.exec_time.is_some() || behaviour.exec_exit_code.is_some() || !behaviour.exec_output.is_empty();
        asked.then(|| Answer {
            after: behaviour.exec_time.unwrap_or(Duration::from_millis(1)),
            exit_code: behaviour.exec_exit_code.unwrap_or(0),
            output: behaviour.exec_output.clone(),
            stderr: String::new(),
        })
    }
}

fn health(container: &Container, purpose: Purpose, now: i64) -> Health {
    let behaviour = &container.behaviour;
    let since = container.running_since().unwrap_or(now);
    let age = Duration::from_nanos(u64::try_from(now - since).unwrap_or(0));
    let said = |steps: &Option<Steps<Outcome>>| {
        steps.as_ref().map(|steps| match steps.at(age) {
            Some(Outcome::Pass) => Health::Well,
            Some(Outcome::Fail) => Health::Ill,
            Some(Outcome::Hang) => Health::Hangs,
            // A server is alive before it is ready.
            None if purpose == Purpose::Liveness => Health::Well,
            None => Health::Down,
        })
    };
    let up = behaviour.ready_after.is_some_and(|after| age >= after);
    let well = |well: bool| if well { Health::Well } else { Health::Ill };
    match purpose {
        Purpose::Liveness => {
            said(&behaviour.liveness).unwrap_or_else(|| well(behaviour.live_for.is_none_or(|lives| age < lives)))
        }
        Purpose::Readiness => said(&behaviour.readiness).unwrap_or_else(|| {
            let until =
                behaviour.ready_for.zip(behaviour.ready_after).map(|(lasts, after)| after.saturating_add(lasts));
            if up { well(until.is_none_or(|until| age < until)) } else { Health::Down }
        }),
        _ => said(&behaviour.startup).unwrap_or(if up { Health::Well } else { Health::Down }),
    }
}

/// What a request over the network finds.
fn look(container: &mut Container, handler: &Handler, health: Health, now: i64) -> Answer {
    let reachable = health != Health::Down && health != Health::Hangs;
    let failure = match handler {
        Handler::Exec(_) => None,
        Handler::HttpGet { url, .. } => {
            let (address, path) = parts_of(url);
            if !reachable || !container.listens(port_of(address)) {
                Some(format!("Get {url:?}: {}", refused(address)))
            } else {
                let status = if health == Health::Well { container.page(path, now).status } else { 500 };
                (status >= 400).then(|| format!("HTTP probe failed with statuscode: {status}"))
            }
        }
        Handler::TcpSocket(address) => {
            (health != Health::Well || !container.listens(port_of(address))).then(|| refused(address))
        }
        Handler::Grpc { .. } => {
            (health != Health::Well).then(|| "service unhealthy (responded with \"NOT_SERVING\")".to_owned())
        }
    };
    Answer { exit_code: i32::from(failure.is_some()), output: failure.unwrap_or_default(), ..Answer::default() }
}

/// Why a hook's request is not answered: nothing listens there.
fn refusal(container: &Container, handler: &Handler) -> Option<String> {
    let (what, address) = match handler {
        Handler::HttpGet { url, .. } => (format!("Get {url:?}: "), parts_of(url).0),
        Handler::TcpSocket(address) => (String::new(), address.as_str()),
        _ => return None,
    };
    (!container.listens(port_of(address))).then(|| format!("{what}{}", refused(address)))
}

fn refused(address: &str) -> String {
    format!("dial tcp {address}: connect: connection refused")
}

/// The address and the path of a URL.
fn parts_of(url: &str) -> (&str, &str) {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split_once('/').unwrap_or((rest, ""))
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
