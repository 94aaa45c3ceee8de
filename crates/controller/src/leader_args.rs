//! The flags of leader election that every component with replicas shares, named as Kubernetes names them.
//!
//! What was typed becomes an [`Election`] only through [`LeaderElectionArgs::election`], which refuses times with which no election works.

use std::time::Duration;

use clap::ArgAction;
use clap::builder::NonEmptyStringValueParser;
use service_kit::flags;

use crate::Election;

/// How the replicas of a component agree on one.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Leader election")]
pub struct LeaderElectionArgs {
    /// Work only while holding the lease; `false` for a single replica that need not ask.
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
    // An empty holder says that the lease is free: a candidate of that name would share it with everybody.
    #[arg(
        long,
        value_name = "NAME",
        env = "TRACEPLANE_LEADER_ELECT_IDENTITY",
        value_parser = NonEmptyStringValueParser::new()
    )]
    pub leader_elect_identity: Option<String>,

    /// How long the others wait after the last renewal that they saw.
    #[arg(
        long,
        value_name = "DURATION",
        env = "TRACEPLANE_LEADER_ELECT_LEASE_DURATION",
        default_value = "15s",
        value_parser = flags::duration
    )]
    pub leader_elect_lease_duration: Duration,

    /// How long the leader tries to renew before it gives up; less than the lease's duration.
    #[arg(
        long,
        value_name = "DURATION",
        env = "TRACEPLANE_LEADER_ELECT_RENEW_DEADLINE",
        default_value = "10s",
        value_parser = flags::duration
    )]
    pub leader_elect_renew_deadline: Duration,

    /// Time between two tries to take or renew the lease.
    #[arg(
        long,
        value_name = "DURATION",
        env = "TRACEPLANE_LEADER_ELECT_RETRY_PERIOD",
        default_value = "2s",
        value_parser = flags::duration
    )]
    pub leader_elect_retry_period: Duration,

    /// Name of the Lease [default: the component's own].
    #[arg(long, value_name = "NAME", env = "TRACEPLANE_LEADER_ELECT_RESOURCE_NAME")]
    pub leader_elect_resource_name: Option<String>,

    /// Its namespace.
    #[arg(
        long,
        value_name = "NAMESPACE",
        env = "TRACEPLANE_LEADER_ELECT_RESOURCE_NAMESPACE",
        default_value = "kube-system"
    )]
    pub leader_elect_resource_namespace: String,
}

/// Times of leader election that contradict each other.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{flag} is {time:?}: it must be less than {than_flag}, {than:?}, or {danger}")]
pub struct ContradictoryTimes {
    flag: &'static str,
    time: Duration,
    than_flag: &'static str,
    than: Duration,
    danger: &'static str,
}

impl LeaderElectionArgs {
    /// Namespace of the lease and how to hold it; `None` without election. `default_lease` is the component's own (kube-scheduler,
    /// kube-controller-manager). Without a given identity, each call makes a new one.
    ///
    /// # Errors
    /// A time is not less than the one that it has to be less than. Without election the times do not matter.
    pub fn election(&self, default_lease: &str) -> Result<Option<(String, Election)>, ContradictoryTimes> {
        if !self.leader_elect {
            return Ok(None);
        }
        let election = Election {
            duration: self.leader_elect_lease_duration,
            renew_deadline: self.leader_elect_renew_deadline,
            retry_period: self.leader_elect_retry_period,
            // Who chooses the name sees to it that it is not run twice; the flag says so.
            succeeds_namesake: self.leader_elect_identity.is_some(),
            ..Election::new(
                self.leader_elect_resource_name.as_deref().unwrap_or(default_lease),
                self.leader_elect_identity.clone().unwrap_or_else(unique_name),
            )
        };
        const DURATION: &str = "--leader-elect-lease-duration";
        const DEADLINE: &str = "--leader-elect-renew-deadline";
        const RETRY: &str = "--leader-elect-retry-period";
        let Election { duration, renew_deadline, retry_period, .. } = election;
        for (flag, time, than_flag, than, danger) in [
            (DEADLINE, renew_deadline, DURATION, duration, "two replicas could lead"),
            (RETRY, retry_period, DEADLINE, renew_deadline, "no renewal is tried twice"),
        ] {
            if time >= than {
                return Err(ContradictoryTimes { flag, time, than_flag, than, danger });
            }
        }
        Ok(Some((self.leader_elect_resource_namespace.clone(), election)))
    }
}

/// The host's name, for people, and something that no other process has.
fn unique_name() -> String {
    let host = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    format!("{}_{}", host.as_deref().unwrap_or("localhost"), uuid::Uuid::new_v4())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{CommandFactory, Parser};

    #[derive(Debug, Parser)]
    struct Config {
        #[command(flatten)]
        leader: LeaderElectionArgs,
    }

    fn parse(flags: &[&str]) -> LeaderElectionArgs {
        Config::try_parse_from([&["x"], flags].concat()).unwrap().leader
    }

    fn election(flags: &[&str]) -> (String, Election) {
        parse(flags).election("kube-scheduler").unwrap().unwrap()
    }

    #[test]
    fn the_defaults_are_those_of_kubernetes() {
        let (namespace, election) = election(&[]);
        let default = Election::new("kube-scheduler", "x");
        assert_eq!(namespace, "kube-system");
        assert_eq!(
            (election.lease, election.duration, election.renew_deadline, election.retry_period),
            (default.lease, default.duration, default.renew_deadline, default.retry_period)
        );
    }

    #[test]
    fn every_flag_counts() {
        let (namespace, election) = election(&[
            "--leader-elect-identity=a",
            "--leader-elect-lease-duration=1m",
            "--leader-elect-renew-deadline=30s",
            "--leader-elect-retry-period=500ms",
            "--leader-elect-resource-name=mine",
            "--leader-elect-resource-namespace=here",
        ]);
        assert_eq!((namespace.as_str(), election.lease.as_str(), election.identity.as_str()), ("here", "mine", "a"));
        let millis = [election.duration, election.renew_deadline, election.retry_period].map(|time| time.as_millis());
        assert_eq!(millis, [60_000, 30_000, 500]);
    }

    #[test]
    fn every_flag_can_come_from_the_environment() {
        for arg in Config::command().get_arguments().filter(|arg| arg.get_id() != "help") {
            let id = arg.get_id().as_str();
            let env = arg.get_env().unwrap_or_else(|| panic!("--{id} has no env"));
            assert_eq!(env.to_str().unwrap(), format!("TRACEPLANE_{}", id.to_uppercase()));
        }
    }

    #[test]
    fn the_election_can_be_switched_off_in_each_spelling() {
        for on in [&[] as &[_], &["--leader-elect"], &["--leader-elect=true"]] {
            assert!(parse(on).election("x").unwrap().is_some(), "{on:?}");
        }
        for off in [&["--leader-elect=false"] as &[_], &["--leader-elect", "false"]] {
            assert!(parse(off).election("x").unwrap().is_none(), "{off:?}");
        }
    }

    #[test]
    fn no_two_are_called_the_same_unless_they_are_told_to() {
        assert_ne!(election(&[]).1.identity, election(&[]).1.identity);
        assert!(!election(&[]).1.succeeds_namesake);
        assert!(election(&["--leader-elect-identity=a"]).1.succeeds_namesake);
        let error = Config::try_parse_from(["x", "--leader-elect-identity="]).unwrap_err().to_string();
        assert!(error.contains("a value is required for '--leader-elect-identity"), "{error}");
    }

    #[test]
    fn times_that_cannot_work_are_refused_by_flag() {
        for (flags, message) in [
            (
                ["--leader-elect-lease-duration=5s", "--leader-elect-retry-period=1s"],
                "--leader-elect-renew-deadline is 10s: it must be less than --leader-elect-lease-duration, 5s, or two replicas could lead",
            ),
            (
                ["--leader-elect-lease-duration=10s", "--leader-elect-renew-deadline=10s"],
                "--leader-elect-renew-deadline is 10s: it must be less than --leader-elect-lease-duration, 10s, or two replicas could lead",
            ),
            (
                ["--leader-elect-renew-deadline=2s", "--leader-elect-retry-period=2s"],
                "--leader-elect-retry-period is 2s: it must be less than --leader-elect-renew-deadline, 2s, or no renewal is tried twice",
            ),
        ] {
            assert_eq!(parse(&flags).election("x").unwrap_err().to_string(), message);
            let off = [&flags as &[_], &["--leader-elect=false"]].concat();
            assert!(parse(&off).election("x").unwrap().is_none(), "they do not matter without election");
        }
    }
}
