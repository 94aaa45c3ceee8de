//! A container's own view of what is inside it: made when somebody first looks, and kept up to the time of each look.

use std::sync::Arc;

use super::inside::{Change, Files, Process, Program, Surroundings};
use super::state::{Container, Exit, Life, nanos};
use crate::cri;

/// How many changes that others made to a container's files are remembered.
const REMEMBERED: usize = 1_000;

/// The inside of a running container.
#[derive(Debug)]
pub(super) struct Inside {
    pub(super) surroundings: Arc<Surroundings>,
    pub(super) process: Process,
}

impl Container {
    /// What its own process does, if that can be told; the image's command unless the pod replaces it. `None`: it is a server.
    pub(super) fn program(&self) -> Option<Program> {
        Program::of_main(&self.command_line(&self.config.open()))
    }

    /// Whether its own process is a shell that somebody may type into.
    pub(super) fn is_interactive(&self) -> bool {
        let config = self.config.open();
        config.stdin && Program::of_main(&self.command_line(&config)).is_some_and(|program| program.is_interactive())
    }

    fn command_line(&self, config: &cri::ContainerConfig) -> Vec<String> {
        // An entrypoint that nobody described: arguments alone tell something only if they are a command themselves. The usual
        // images with a shell have no entrypoint, only a default command, which arguments replace.
        match (config.command.as_slice(), config.args.as_slice()) {
            ([], []) => self.behaviour.command.clone(),
            (command, args) => [command, args].concat(),
        }
    }

    /// Its process as it was when it started.
    pub(super) fn fresh(&self, started_at: i64) -> Inside {
        let config = self.config.open();
        let words = self.command_line(&config);
        let program = Program::of_main(&words).unwrap_or_else(Program::endless);
        // A shell that somebody may type into waits for that.
        let program = if program.is_interactive() && config.stdin { Program::endless() } else { program };
        let surroundings = Arc::new(Surroundings {
            hostname: self.hostname.to_string(),
            user: self.user_id(&config),
            main: if words.is_empty() { "(a server)".to_owned() } else { words.join(" ") },
            env: config.envs.into_iter().map(|env| (env.key, env.value)).collect(),
            directory: config.working_dir,
        });
        let files = Files::of(self.behaviour.files.iter().cloned());
        let process = Process::new(Arc::new(program), files, &surroundings, started_at);
        Inside { surroundings, process }
    }

    /// The inside as of now.
    pub(super) fn inside(&mut self, now: i64) -> &mut Inside {
        let started_at = self.running_since().unwrap_or(now);
        let mut inside = self.inside.take().unwrap_or_else(|| Box::new(self.fresh(started_at)));
        inside.process.advance(now, i64::MAX, &self.changes, &inside.surroundings, &mut |_| {});
        self.inside.insert(inside)
    }

    /// Somebody has changed files.
    pub(super) fn changed(&mut self, changes: Vec<Change>) {
        self.changes.extend(changes);
        while self.changes.len() > REMEMBERED {
            // The oldest that a later one has made meaningless; else the oldest.
            let superseded = (0..self.changes.len())
                .find(|&at| self.changes[at + 1..].iter().any(|later| later.path == self.changes[at].path));
            self.changes.remove(superseded.unwrap_or(0));
        }
        if let Some(inside) = &mut self.inside {
            inside.process.has_seen(self.changes.len());
        }
    }

    /// The exit that comes by itself: as the settings say, as the command says, or because the memory's limit is passed.
    pub(super) fn own_exit(&self) -> Option<Exit> {
        let started_at = self.running_since()?;
        let behaviour = &self.behaviour;
        let said = behaviour.exit_code_of(self.attempt());
        let planned = match behaviour.run_for {
            Some(None) => None,
            Some(Some(time)) => {
                let code = said.or_else(|| self.command_exit(started_at).map(|(_, code)| code)).unwrap_or(0);
                Some(Exit::new(started_at.saturating_add(nanos(time)), code))
            }
            None => self.command_exit(started_at).map(|(at, code)| Exit::new(at, said.unwrap_or(code))),
        };
        let planned = planned.map(|mut exit| {
            if let Some(reason) = &behaviour.exit_reason {
                exit.reason.clone_from(reason);
            }
            if let Some(message) = &behaviour.exit_message {
                exit.message.clone_from(message);
            }
            exit
        });
        [planned, self.out_of_memory(started_at)].into_iter().flatten().min_by_key(|exit| exit.at)
    }

    /// When and how the command ends, as things are.
    fn command_exit(&self, started_at: i64) -> Option<(i64, i32)> {
        // Most containers are servers: nothing is built for them.
        self.program()?;
        let inside = self.fresh(started_at);
        inside.process.exit(&self.changes, &inside.surroundings)
    }

    fn out_of_memory(&self, started_at: i64) -> Option<Exit> {
        let limit = self.memory_limit?;
        let after = self.behaviour.memory_usage.first(|used| *used > limit)?;
        let mut exit = Exit::killed(started_at.saturating_add(nanos(after)));
        exit.reason = "OOMKilled".to_owned();
        Some(exit)
    }

    fn attempt(&self) -> u32 {
        self.config.open().metadata.map_or(0, |metadata| metadata.attempt)
    }

    /// When its process ran: from, and to if it is over.
    pub(super) fn span(&self) -> Option<(i64, Option<i64>)> {
        match &self.life {
            Life::Created | Life::Exited { started_at: 0, .. } => None,
            Life::Running { started_at, .. } => Some((*started_at, None)),
            Life::Exited { started_at, exit } => Some((*started_at, Some(exit.at))),
        }
    }
}
