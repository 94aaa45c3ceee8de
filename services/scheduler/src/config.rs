//! The flags of the scheduler, named as Kubernetes names them. Each can also be given by the environment.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use clap::builder::RangedU64ValueParser;
use controller::{ContradictoryTimes, Election, LeaderElectionArgs};
use service_kit::flags;
use service_kit::ops::OpsArgs;
use service_kit::tls::TlsServingArgs;
use telemetry::span::TraceMode;

use crate::queue::Timing;
use crate::scheduler::Settings;

/// The scheduler's own port.
pub const DEFAULT_PORT: u16 = 10259;

/// The scheduler's own lease.
const DEFAULT_LEASE: &str = "kube-scheduler";

/// Gives pods their nodes.
#[derive(Debug, Clone, Parser)]
#[command(name = "scheduler", version, max_term_width = 110)]
pub struct Config {
    /// File that says where the apiserver is and who we are.
    #[arg(long, value_name = "FILE", env = "TRACEPLANE_KUBECONFIG")]
    pub kubeconfig: PathBuf,

    /// Which pods to schedule: those whose spec.schedulerName is this.
    #[arg(long, value_name = "NAME", env = "TRACEPLANE_SCHEDULER_NAME", default_value = "default-scheduler")]
    pub scheduler_name: String,

    /// How many pods may be bound at once.
    #[arg(long, value_name = "N", env = "TRACEPLANE_BIND_CONCURRENCY", default_value_t = 64, value_parser = flags::at_least_one())]
    pub bind_concurrency: usize,

    /// How many percent of the nodes are looked at for a pod, if so many are feasible; 0: fewer percent the more nodes there are.
    #[arg(
        long,
        value_name = "PERCENT",
        env = "TRACEPLANE_PERCENTAGE_OF_NODES_TO_SCORE",
        default_value_t = 0,
        value_parser = RangedU64ValueParser::<usize>::new().range(0..=100)
    )]
    pub percentage_of_nodes_to_score: usize,

    /// Makes the choice among equally good nodes repeatable.
    #[arg(long, value_name = "NUMBER", env = "TRACEPLANE_SEED")]
    pub seed: Option<u64>,

    /// How attempts relate to what caused them: `continue` its trace, or begin one that `link`s to it (KEP-5915).
    #[arg(long, value_name = "MODE", env = "TRACEPLANE_TRACE_MODE", default_value_t)]
    pub trace_mode: TraceMode,

    /// Who leads, of several schedulers.
    #[command(flatten)]
    pub leader: LeaderElectionArgs,

    /// How long pods wait.
    #[command(flatten)]
    pub queue: QueueArgs,

    /// Health and metrics.
    #[command(flatten)]
    pub ops: OpsArgs,

    /// The identity of that port; without one it speaks plain text.
    #[command(flatten)]
    pub tls: TlsServingArgs,
}

/// Flags of the queue.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Queue")]
pub struct QueueArgs {
    /// The wait after a pod's first failed attempt; it doubles with each.
    #[arg(
        long,
        value_name = "DURATION",
        env = "TRACEPLANE_POD_INITIAL_BACKOFF",
        default_value = "1s",
        value_parser = flags::duration
    )]
    pub pod_initial_backoff: Duration,

    /// The longest wait.
    #[arg(
        long,
        value_name = "DURATION",
        env = "TRACEPLANE_POD_MAX_BACKOFF",
        default_value = "10s",
        value_parser = flags::duration
    )]
    pub pod_max_backoff: Duration,

    /// How long a pod that no node could take waits for an event that helps before it is tried anyway.
    #[arg(
        long,
        value_name = "DURATION",
        env = "TRACEPLANE_POD_MAX_IN_UNSCHEDULABLE_PODS_DURATION",
        default_value = "5m",
        value_parser = flags::duration
    )]
    pub pod_max_in_unschedulable_pods_duration: Duration,
}

/// Flags that contradict each other.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Times of leader election.
    #[error(transparent)]
    Election(#[from] ContradictoryTimes),
    /// The first wait is longer than the longest.
    #[error("--pod-initial-backoff is {initial:?}: it must not exceed --pod-max-backoff, {max:?}")]
    Backoff {
        /// --pod-initial-backoff.
        initial: Duration,
        /// --pod-max-backoff.
        max: Duration,
    },
}

impl Config {
    /// What is chosen about the algorithm.
    pub fn settings(&self) -> Settings {
        Settings {
            mode: self.trace_mode,
            bind_concurrency: self.bind_concurrency,
            percentage_of_nodes_to_score: self.percentage_of_nodes_to_score,
            seed: self.seed,
        }
    }

    /// How long pods wait.
    ///
    /// # Errors
    /// The first wait is longer than the longest.
    pub fn timing(&self) -> Result<Timing, ConfigError> {
        let (initial, max) = (self.queue.pod_initial_backoff, self.queue.pod_max_backoff);
        if initial > max {
            return Err(ConfigError::Backoff { initial, max });
        }
        Ok(Timing {
            initial_backoff: initial,
            max_backoff: max,
            flush: self.queue.pod_max_in_unschedulable_pods_duration,
        })
    }

    /// Namespace of the lease and how to hold it; `None` without election.
    ///
    /// # Errors
    /// A time is not less than the one that it has to be less than.
    pub fn election(&self) -> Result<Option<(String, Election)>, ConfigError> {
        Ok(self.leader.election(DEFAULT_LEASE)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(flags: &[&str]) -> Config {
        Config::try_parse_from(["scheduler", "--kubeconfig", "k"].iter().chain(flags)).unwrap()
    }

    #[test]
    fn the_defaults_are_those_of_kubernetes() {
        let config = parse(&[]);
        assert_eq!(config.ops.address(DEFAULT_PORT).to_string(), "127.0.0.1:10259");
        assert_eq!((config.scheduler_name.as_str(), config.trace_mode), ("default-scheduler", TraceMode::Continue));
        let (timing, default) = (config.timing().unwrap(), Timing::default());
        assert_eq!(
            (timing.initial_backoff, timing.max_backoff, timing.flush),
            (default.initial_backoff, default.max_backoff, default.flush)
        );
        let (namespace, election) = config.election().unwrap().unwrap();
        assert_eq!((namespace.as_str(), election.lease.as_str()), ("kube-system", "kube-scheduler"));
    }

    #[test]
    fn times_that_cannot_work_are_refused_by_flag() {
        let error = parse(&["--leader-elect-lease-duration=5s"]).election().unwrap_err().to_string();
        assert!(error.starts_with("--leader-elect-renew-deadline is 10s"), "{error}");
        let error = parse(&["--pod-initial-backoff=1m30s"]).timing().unwrap_err().to_string();
        assert_eq!(error, "--pod-initial-backoff is 90s: it must not exceed --pod-max-backoff, 10s");
    }
}
