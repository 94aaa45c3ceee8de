//! The flags of the scheduler, named as Kubernetes names them. Each can also be given by the environment.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::RangedU64ValueParser;
use clap::{ArgAction, Parser};
use controller::Election;
use service_kit::flags;
use service_kit::ops::OpsArgs;
use service_kit::tls::TlsServingArgs;
use telemetry::span::TraceMode;

use crate::queue::Timing;
use crate::scheduler::Settings;

/// The scheduler's own port.
pub const DEFAULT_PORT: u16 = 10259;

/// Gives pods their nodes.
#[derive(Debug, Clone, Parser)]
#[command(name = "scheduler", version, max_term_width = 110)]
pub struct Config {
    /// File that says where the apiserver is and who we are.
    #[arg(long, value_name = "FILE", env = "KUBECONFIG")]
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
    pub leader: LeaderArgs,

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

/// Flags of the election.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Leader election")]
pub struct LeaderArgs {
    /// Work only while leading; `false` for the only scheduler of its name.
    #[arg(
        long,
        value_name = "BOOL",
        env = "TRACEPLANE_LEADER_ELECT",
        default_value_t = true,
        action = ArgAction::Set,
        num_args = 0..=1,
        default_missing_value = "true"
    )]
    pub leader_elect: bool,

    /// Our name among the candidates [default: host name and a random id]. Whoever starts us again after a crash under the same name
    /// takes the lease at once; two that run at the same time must not have the same.
    #[arg(long, value_name = "NAME", env = "TRACEPLANE_LEADER_ELECT_IDENTITY")]
    pub leader_elect_identity: Option<String>,

    /// How long the others wait after the leader's last sign of life.
    #[arg(
        long,
        value_name = "DURATION",
        env = "TRACEPLANE_LEADER_ELECT_LEASE_DURATION",
        default_value = "15s",
        value_parser = flags::duration
    )]
    pub leader_elect_lease_duration: Duration,

    /// How long the leader tries to give one before it stops. Less than the lease's duration.
    #[arg(
        long,
        value_name = "DURATION",
        env = "TRACEPLANE_LEADER_ELECT_RENEW_DEADLINE",
        default_value = "10s",
        value_parser = flags::duration
    )]
    pub leader_elect_renew_deadline: Duration,

    /// How often it does, and how often the others look.
    #[arg(
        long,
        value_name = "DURATION",
        env = "TRACEPLANE_LEADER_ELECT_RETRY_PERIOD",
        default_value = "2s",
        value_parser = flags::duration
    )]
    pub leader_elect_retry_period: Duration,

    /// Name of the Lease.
    #[arg(long, value_name = "NAME", env = "TRACEPLANE_LEADER_ELECT_RESOURCE_NAME", default_value = "kube-scheduler")]
    pub leader_elect_resource_name: String,

    /// Its namespace.
    #[arg(
        long,
        value_name = "NAME",
        env = "TRACEPLANE_LEADER_ELECT_RESOURCE_NAMESPACE",
        default_value = "kube-system"
    )]
    pub leader_elect_resource_namespace: String,
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
#[error("{0}")]
pub struct ConfigError(String);

impl Config {
    /// Checks what one flag alone does not show.
    ///
    /// # Errors
    /// A time is not less than the one that it has to be less than.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let Self { leader, queue, .. } = self;
        for (less, than, less_flag, than_flag) in [
            (
                leader.leader_elect_renew_deadline,
                leader.leader_elect_lease_duration,
                "--leader-elect-renew-deadline",
                "--leader-elect-lease-duration",
            ),
            (
                leader.leader_elect_retry_period,
                leader.leader_elect_renew_deadline,
                "--leader-elect-retry-period",
                "--leader-elect-renew-deadline",
            ),
        ] {
            if less >= than {
                return Err(ConfigError(format!(
                    "{less_flag} is {less:?}: it must be less than {than_flag}, {than:?}"
                )));
            }
        }
        if queue.pod_initial_backoff > queue.pod_max_backoff {
            let (initial, max) = (queue.pod_initial_backoff, queue.pod_max_backoff);
            let message =
                format!("--pod-initial-backoff is {initial:?}: it must not exceed --pod-max-backoff, {max:?}");
            return Err(ConfigError(message));
        }
        Ok(())
    }

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
    pub fn timing(&self) -> Timing {
        Timing {
            initial_backoff: self.queue.pod_initial_backoff,
            max_backoff: self.queue.pod_max_backoff,
            flush: self.queue.pod_max_in_unschedulable_pods_duration,
        }
    }

    /// How we take part in the election.
    pub fn election(&self) -> Election {
        let leader = &self.leader;
        Election {
            lease: leader.leader_elect_resource_name.clone(),
            identity: leader.leader_elect_identity.clone().unwrap_or_else(unique_name),
            duration: leader.leader_elect_lease_duration,
            renew_deadline: leader.leader_elect_renew_deadline,
            retry_period: leader.leader_elect_retry_period,
        }
    }
}

/// The host's name, for people, and something that no other process has.
fn unique_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{}_{}", host.trim(), uuid::Uuid::new_v4())
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
        assert_eq!(config.validate(), Ok(()));
        assert_eq!(config.ops.address(DEFAULT_PORT).to_string(), "127.0.0.1:10259");
        assert_eq!((config.scheduler_name.as_str(), config.trace_mode), ("default-scheduler", TraceMode::Continue));
        let (timing, default) = (config.timing(), Timing::default());
        assert_eq!(
            (timing.initial_backoff, timing.max_backoff, timing.flush),
            (default.initial_backoff, default.max_backoff, default.flush)
        );
        let (election, default) = (config.election(), Election::new("kube-scheduler", "x"));
        assert_eq!(
            (election.lease, election.duration, election.renew_deadline, election.retry_period),
            (default.lease, default.duration, default.renew_deadline, default.retry_period)
        );
        assert_ne!(config.election().identity, config.election().identity, "no two are called the same");
    }

    #[test]
    fn the_election_can_be_switched_off_in_both_spellings() {
        assert!(config_elects(&[]) && config_elects(&["--leader-elect"]) && config_elects(&["--leader-elect=true"]));
        assert!(!config_elects(&["--leader-elect=false"]));
    }

    fn config_elects(flags: &[&str]) -> bool {
        parse(flags).leader.leader_elect
    }

    #[test]
    fn times_that_cannot_work_are_refused_by_flag() {
        let config = parse(&["--leader-elect-lease-duration=5s"]);
        assert_eq!(
            config.validate().unwrap_err().to_string(),
            "--leader-elect-renew-deadline is 10s: it must be less than --leader-elect-lease-duration, 5s"
        );
        let config = parse(&["--pod-initial-backoff=1m30s"]);
        assert_eq!(
            config.validate().unwrap_err().to_string(),
            "--pod-initial-backoff is 90s: it must not exceed --pod-max-backoff, 10s"
        );
    }
}
