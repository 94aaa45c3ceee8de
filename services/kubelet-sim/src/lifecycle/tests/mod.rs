//! Tables for the state machine. A [`World`] plays runtime and worker: it carries out actions at once when told to, and writes them down.

mod end;
mod failures;
mod probing;
mod sandbox;
mod start;
mod status;

use std::time::Duration;

use api::core::v1::{ContainerStatus, Pod, PodCondition};
use jiff::{SignedDuration, Timestamp};

use super::memory::Memory;
use super::observed::{Container, Observed, Sandbox, State};
use super::probes::{self, Due, ProbeKind, Verdict};
use super::*;

struct World {
    pod: Pod,
    observed: Observed,
    memory: Memory,
    now: Timestamp,
    node: NodeFacts,
    /// Work begun and not finished.
    open: Vec<(Work, Action)>,
    /// Everything that was begun since it was last read.
    log: Vec<String>,
    last: Step,
}

fn node() -> NodeFacts {
    NodeFacts { host_ip: "192.168.0.7".to_owned(), runtime_name: "virtual".into(), init_image_restarts: true }
}

/// A pod `web` in `default`, from the YAML of its spec.
fn pod(spec: &str) -> Pod {
    let json: serde_json::Value = serde_yaml_ng::from_str(spec).unwrap();
    let mut pod = Pod { spec: serde_json::from_value(json).unwrap(), ..Pod::default() };
    pod.metadata.name = "web".to_owned();
    pod.metadata.namespace = "default".to_owned();
    pod.metadata.uid = "u1".to_owned();
    pod.metadata.generation = 1;
    pod
}

impl World {
    fn new(spec: &str) -> Self {
        Self::of(pod(spec))
    }

    fn of(pod: Pod) -> Self {
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let observed = Observed::default();
        let memory = Memory::adopt(&pod, &observed, now);
        Self { pod, observed, memory, now, node: node(), open: Vec::new(), log: Vec::new(), last: Step::default() }
    }

    /// A pod whose containers run.
    fn running(spec: &str) -> Self {
        let mut world = Self::new(spec);
        world.settle();
        world.log.clear();
        world
    }

    /// Steps until nothing new begins, and answers what began.
    fn step(&mut self) -> Vec<String> {
        loop {
            let Self { pod, observed, memory, node, now, .. } = &*self;
            let step = step(&Input { pod, observed, memory, node, now: *now });
            let actions = step.actions.clone();
            self.last = step;
            if actions.is_empty() {
                self.pod.status = self.last.status.clone();
                return std::mem::take(&mut self.log);
            }
            for action in actions {
                self.log.push(describe(&action));
                if matches!(action, Action::RemoveSandboxes(_)) {
                    self.memory.last_words = Some(Box::new(self.last.status.clone()));
                }
                if let Some(work) = self.memory.begin(&action, &self.pod, &self.observed, self.now) {
                    self.open.push((work, action));
                }
            }
        }
    }

    /// Carries out the oldest open work with success.
    fn done(&mut self) -> Vec<String> {
        let (work, action) = self.open.remove(0);
        self.effect(&action);
        self.memory.finish(&work, Ok(()), &self.pod, &self.observed, self.now);
        self.step()
    }

    /// Lets the oldest open work fail.
    fn fail(&mut self, kind: FailureKind, reason: &str, message: &str) -> Vec<String> {
        let (work, _) = self.open.remove(0);
        let failure = Failure { kind, reason: reason.to_owned(), message: message.to_owned() };
        self.memory.finish(&work, Err(failure), &self.pod, &self.observed, self.now);
        self.step()
    }

    /// Carries out everything that begins, init containers to success.
    fn settle(&mut self) -> Vec<String> {
        let mut log = self.step();
        while !self.open.is_empty() {
            log.extend(self.done());
            let inits: Vec<String> = self.pod.spec.init_containers.iter().map(|c| c.name.clone()).collect();
            for (name, spec) in inits.iter().zip(self.pod.spec.init_containers.clone()) {
                if spec.restart_policy.is_none() && self.observed.latest(name).is_some_and(Container::is_running) {
                    log.extend(self.exits(name, 0));
                }
            }
        }
        log
    }

    fn effect(&mut self, action: &Action) {
        match action {
            Action::RunSandbox { attempt } => {
                let (id, ip) = (format!("s{attempt}"), format!("10.244.0.{}", attempt + 2));
                let sandbox = Sandbox { id, attempt: *attempt, ready: true, ip, created_at: self.now, listed_at: 0 };
                self.observed.sandboxes.insert(0, sandbox);
            }
            Action::Start { container, attempt } => self.create(container, *attempt, State::Running(self.now)),
            Action::Stop { id, .. } => self.set_exited(&id.clone(), 0),
            Action::StopSandboxes(ids) => {
                self.observed.sandboxes.iter_mut().filter(|s| ids.contains(&s.id)).for_each(|s| s.ready = false);
            }
            Action::RemoveSandboxes(_) => self.observed = Observed::default(),
            Action::RemoveContainer(id) => self.observed.containers.retain(|c| c.id != *id),
            _ => {}
        }
    }

    fn create(&mut self, name: &str, attempt: u32, state: State) {
        let spec = slot_of(&self.pod.spec, name).unwrap().spec;
        let container = Container {
            id: format!("{name}-{attempt}"),
            sandbox: self.observed.sandboxes[0].id.clone(),
            name: name.to_owned(),
            attempt,
            state,
            wanted_image: spec.image.clone(),
            image: format!("docker.io/library/{}:latest", spec.image),
            image_id: "sha256:1".to_owned(),
            user: None,
            created_at: self.now,
        };
        self.observed.containers.insert(0, container);
    }

    fn set_exited(&mut self, id: &str, exit: i32) {
        let now = self.now;
        for container in self.observed.containers.iter_mut().filter(|c| c.id == id) {
            if let State::Running(started_at) = container.state {
                let reason = if exit == 0 { "Completed" } else { "Error" }.to_owned();
                let started_at = Some(started_at);
                container.state =
                    State::Exited { started_at, finished_at: now, code: exit, reason, message: String::new() };
            }
        }
    }

    /// The newest attempt at a container ends by itself.
    fn exits(&mut self, name: &str, code: i32) -> Vec<String> {
        let id = self.observed.latest(name).unwrap().id.clone();
        self.set_exited(&id, code);
        self.step()
    }

    /// Time passes until the machine itself asked to be woken, or at most so long.
    fn wait(&mut self, seconds: i64) -> Vec<String> {
        let end = self.now + SignedDuration::from_secs(seconds);
        let mut log = Vec::new();
        while let Some(at) = self.last.wake_at.filter(|at| *at <= end && *at > self.now) {
            self.now = at;
            log.extend(self.step());
        }
        self.now = end;
        log.extend(self.step());
        log
    }

    fn delete(&mut self, grace: i64) -> Vec<String> {
        self.pod.metadata.deletion_timestamp = Some((self.now + SignedDuration::from_secs(grace)).into());
        self.pod.metadata.deletion_grace_period_seconds = Some(grace);
        self.memory.heed(&self.pod, self.now);
        self.step()
    }

    fn status(&self, name: &str) -> &ContainerStatus {
        let status = &self.last.status;
        let mut all = status.init_container_statuses.iter().chain(&status.container_statuses);
        all.find(|status| status.name == name).unwrap()
    }

    /// `Waiting:Reason`, `Running` or `Terminated:Reason`.
    fn state(&self, name: &str) -> String {
        let state = &self.status(name).state;
        match (&state.waiting, &state.running, &state.terminated) {
            (Some(waiting), ..) => format!("Waiting:{}", waiting.reason),
            (_, Some(_), _) => "Running".to_owned(),
            (.., Some(terminated)) => format!("Terminated:{}", terminated.reason),
            _ => "none".to_owned(),
        }
    }

    fn phase(&self) -> &str {
        &self.last.status.phase
    }

    fn condition(&self, kind: &str) -> &PodCondition {
        api::pod_conditions::condition(&self.last.status, kind).unwrap()
    }

    /// `True`, or `False:Reason: message`.
    fn truth(&self, kind: &str) -> String {
        let PodCondition { status, reason, message, .. } = self.condition(kind);
        match (reason.as_str(), message.as_str()) {
            ("", _) => status.clone(),
            (reason, "") => format!("{status}:{reason}"),
            (reason, message) => format!("{status}:{reason}: {message}"),
        }
    }

    /// Runs the probes that are due with this result, and answers what changed.
    fn probe(&mut self, passed: bool) -> Vec<(ProbeKind, Verdict)> {
        let (due, _) = probes::due(&self.pod, &self.observed, &self.memory, self.now);
        due.into_iter().map(|due| (due.kind, self.probed(&due, passed))).collect()
    }

    fn probed(&mut self, due: &Due, passed: bool) -> Verdict {
        let slot = slot_of(&self.pod.spec, &due.container).unwrap();
        let probe = due.kind.of(&slot).unwrap().clone();
        self.memory.probe_begins(due, &probe, self.now);
        self.memory.probed(&self.pod, due, &probe, Some(passed), self.now)
    }
}

fn describe(action: &Action) -> String {
    match action {
        Action::RunSandbox { attempt } => format!("sandbox {attempt}"),
        Action::MountVolumes => "volumes".to_owned(),
        Action::Start { container, attempt } => format!("start {container}#{attempt}"),
        Action::PostStart { container, .. } => format!("postStart {container}"),
        Action::PreStop { container, .. } => format!("preStop {container}"),
        Action::Stop { container, timeout, extended, .. } => {
            let extra = if *extended { " extended" } else { "" };
            format!("stop {container} {}s{extra}", timeout.as_secs())
        }
        Action::StopSandboxes(_) => "stop sandbox".to_owned(),
        Action::RemoveSandboxes(_) => "remove sandbox".to_owned(),
        Action::RemoveContainer(id) => format!("remove {id}"),
        Action::DeletePod => "delete pod".to_owned(),
        Action::Terminate(why) => match why {
            Why::Ended(ended) => format!("terminate: {}", ended.reason),
            why => format!("terminate: {why:?}"),
        },
        Action::Note(Note::Killing { message, .. }) => format!("event: {message}"),
        Action::Note(Note::SandboxChanged { .. }) => "event: sandbox changed".to_owned(),
        Action::Note(Note::CrashLoop { container, again: true, .. }) => format!("event again: back-off {container}"),
        Action::Note(Note::CrashLoop { container, delay, .. }) => {
            format!("event: back-off {container} {}s", delay.as_secs())
        }
        Action::Note(Note::PullBackOff { container, again, .. }) => {
            let again = if *again { " again" } else { "" };
            format!("event{again}: back-off pulling {container}")
        }
    }
}

const ONE: &str = "containers: [{name: web, image: nginx}]";

#[test]
fn a_step_that_changes_nothing_is_the_same_again() {
    let mut world = World::running(ONE);
    world.wait(100);
    let before = world.last.status.clone();
    assert_eq!(world.wait(1_000), [""; 0]);
    assert_eq!(world.last.status, before);
    assert_eq!(world.last.wake_at, None, "nothing to wait for");
}

#[test]
fn seconds_begun_count_as_whole() {
    assert_eq!(super::memory::until(Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH), Duration::ZERO);
}
