//! Commands in running containers: what hooks, probes and people have done there.
//!
//! A command goes on in steps, each under the lock and in no time; between them it sleeps without the lock. It dies with its container.

use std::sync::Arc;
use std::time::Duration;

use super::VirtualEngine;
use super::containers::no_such;
use super::inside::{Machine, Program, Step, World};
use super::state::{Container, Life};
use crate::runtime::{Result, RuntimeError};

/// What a command printed and how it ended.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) out: String,
    pub(super) err: String,
    pub(super) exit_code: i32,
}

/// The exit code of a command whose container is gone.
const KILLED: i32 = 137;

impl VirtualEngine {
    /// A machine for a command in a container that runs.
    pub(super) fn begin(&self, id: &str, program: Program) -> Result<Machine> {
        self.inside(id, |container, now| {
            let directory = container.inside(now).surroundings.directory.clone();
            Machine::new(Arc::new(program), &directory)
        })
    }

    /// Looks into a container that runs.
    pub(super) fn inside<T>(&self, id: &str, look: impl FnOnce(&mut Container, i64) -> T) -> Result<T> {
        let mut state = self.state.lock();
        let container = state.containers.get_mut(id).ok_or_else(|| no_such("container", id))?;
        if container.running_since().is_none() {
            return Err(RuntimeError::unknown(format!("container {id} is not running")));
        }
        Ok(look(container, self.now()))
    }

    /// One step of a command. `None`: the container does not run any more.
    pub(super) fn step(&self, id: &str, machine: &mut Machine, forgiving: bool) -> Option<Step> {
        let mut state = self.state.lock();
        let now = self.now();
        let container = state.containers.get_mut(id).filter(|container| container.running_since().is_some())?;
        let inside = container.inside(now);
        let surroundings = Arc::clone(&inside.surroundings);
        let files = inside.process.files();
        let step = machine.step(&mut World { files, surroundings: &surroundings, now, forgiving });
        let changes = files.take_changes(now);
        let mut due = None;
        let wrote = !changes.is_empty();
        if wrote {
            container.changed(changes);
            let exit = container.own_exit();
            due = container.exit_no_later_than(exit);
        }
        if matches!(step, Step::Ran { stops_main: true, .. }) {
            let exit = container.exit_on_term(now);
            due = container.exit_no_later_than(exit);
        }
        if let Some(at) = due {
            self.look_again(id, at);
        }
        if wrote || due.is_some() {
            self.record_container(container);
            self.changed.send_replace(());
        }
        Some(step)
    }

    /// Runs a command to its end, or to its container's.
    pub(super) async fn perform(&self, id: &str, program: Program, forgiving: bool) -> Result<Outcome> {
        let mut machine = self.begin(id, program)?;
        let mut outcome = Outcome::default();
        loop {
            match self.step(id, &mut machine, forgiving) {
                None => {
                    outcome.exit_code = KILLED;
                    return Ok(outcome);
                }
                Some(Step::Ran { out, err, .. }) => {
                    outcome.out.push_str(&out);
                    outcome.err.push_str(&err);
                }
                Some(Step::Exited(code)) => {
                    outcome.exit_code = code;
                    return Ok(outcome);
                }
                Some(Step::Sleeps(time)) => self.sleep_inside(id, time).await,
                // A loop that takes no time must leave some to others.
                Some(Step::Again) => self.sleep_inside(id, Duration::from_millis(1)).await,
                Some(Step::Stays | Step::Reads) => self.sleep_inside(id, Duration::MAX).await,
            }
        }
    }

    /// Sleeps, but no longer than the container lives.
    pub(super) async fn sleep_inside(&self, id: &str, time: Duration) {
        tokio::select! {
            () = self.clock.sleep(time) => {}
            () = self.ended(id) => {}
        }
    }

    /// Returns when a container does not run any more.
    pub(super) async fn ended(&self, id: &str) {
        let mut changed = self.changed.subscribe();
        loop {
            let runs = self.state.lock().containers.get(id).is_some_and(|c| matches!(c.life, Life::Running { .. }));
            if !runs || changed.changed().await.is_err() {
                return;
            }
        }
    }
}
