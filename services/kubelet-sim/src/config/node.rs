//! The flags that say how a node looks after itself: what it keeps back, when it counts as short of something, how it ends.

use std::time::Duration;

use clap::Args;
use service_kit::flags;

use super::{Amounts, amounts};
use crate::eviction::{EvictionPolicy, GracePeriods, Reclaims, Statements, Threshold, thresholds};
use crate::image_gc::Policy;
use crate::shutdown::Periods;

/// Kubernetes' thresholds on Linux.
const EVICTION_HARD: &str =
    "memory.available<100Mi,nodefs.available<10%,imagefs.available<15%,nodefs.inodesFree<5%,imagefs.inodesFree<5%";

/// How a node looks after itself.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Node")]
pub struct NodeArgs {
    /// What of each node is kept back for the kubelet and the runtime.
    #[arg(long, value_name = "RESOURCE=AMOUNT,...", env = "TRACEPLANE_KUBE_RESERVED", default_value = "", value_parser = amounts)]
    pub kube_reserved: Amounts,

    /// What of each node is kept back for the rest of the system.
    #[arg(long, value_name = "RESOURCE=AMOUNT,...", env = "TRACEPLANE_SYSTEM_RESERVED", default_value = "", value_parser = amounts)]
    pub system_reserved: Amounts,

    /// How many processes each node has room for; pid.available is measured against it.
    #[arg(long, value_name = "COUNT", env = "TRACEPLANE_MAX_PIDS", default_value_t = 32_768, value_parser = clap::value_parser!(i64).range(1..))]
    pub max_pids: i64,

    /// How often the node's status is worked out; it is reported when it has changed.
    #[arg(long, value_name = "TIME", env = "TRACEPLANE_NODE_STATUS_UPDATE_FREQUENCY", default_value = "10s", value_parser = flags::duration)]
    pub node_status_update_frequency: Duration,

    /// How often it is reported although nothing has changed.
    #[arg(long, value_name = "TIME", env = "TRACEPLANE_NODE_STATUS_REPORT_FREQUENCY", default_value = "5m", value_parser = flags::duration)]
    pub node_status_report_frequency: Duration,

    /// How often nodes are measured, and pods ended where they are short of something.
    #[arg(long, value_name = "TIME", env = "TRACEPLANE_HOUSEKEEPING_INTERVAL", default_value = "10s", value_parser = flags::duration)]
    pub housekeeping_interval: Duration,

    /// When pods are ended at once.
    #[arg(long, value_name = "SIGNAL<AMOUNT,...", env = "TRACEPLANE_EVICTION_HARD", default_value = EVICTION_HARD)]
    pub eviction_hard: Statements,

    /// When pods are ended if it lasts.
    #[arg(long, value_name = "SIGNAL<AMOUNT,...", env = "TRACEPLANE_EVICTION_SOFT", default_value = "")]
    pub eviction_soft: Statements,

    /// How long each soft threshold is borne.
    #[arg(long, value_name = "SIGNAL=TIME,...", env = "TRACEPLANE_EVICTION_SOFT_GRACE_PERIOD", default_value = "")]
    pub eviction_soft_grace_period: GracePeriods,

    /// How much beyond its threshold a signal must come back before no more is reclaimed.
    #[arg(long, value_name = "SIGNAL=AMOUNT,...", env = "TRACEPLANE_EVICTION_MINIMUM_RECLAIM", default_value = "")]
    pub eviction_minimum_reclaim: Reclaims,

    /// How long a node's pressure outlives its cause.
    #[arg(long, value_name = "TIME", env = "TRACEPLANE_EVICTION_PRESSURE_TRANSITION_PERIOD", default_value = "5m", value_parser = flags::duration)]
    pub eviction_pressure_transition_period: Duration,

    /// The longest grace period of a pod that is ended because of a soft threshold.
    #[arg(long, value_name = "SECONDS", env = "TRACEPLANE_EVICTION_MAX_POD_GRACE_PERIOD", default_value_t = 0, value_parser = clap::value_parser!(i64).range(0..))]
    pub eviction_max_pod_grace_period: i64,

    /// Usage of the disk, in percent, from which on unused images are removed; 100: never.
    #[arg(long, value_name = "PERCENT", env = "TRACEPLANE_IMAGE_GC_HIGH_THRESHOLD", default_value_t = 85, value_parser = clap::value_parser!(i64).range(0..=100))]
    pub image_gc_high_threshold: i64,

    /// Usage of the disk, in percent, down to which they are removed.
    #[arg(long, value_name = "PERCENT", env = "TRACEPLANE_IMAGE_GC_LOW_THRESHOLD", default_value_t = 80, value_parser = clap::value_parser!(i64).range(0..=100))]
    pub image_gc_low_threshold: i64,

    /// How long an image has been there at least before it is removed.
    #[arg(long, value_name = "TIME", env = "TRACEPLANE_MINIMUM_IMAGE_TTL_DURATION", default_value = "2m", value_parser = flags::duration_or_zero)]
    pub minimum_image_ttl_duration: Duration,

    /// After how long without use an image is removed however much room there is; 0s: never.
    #[arg(long, value_name = "TIME", env = "TRACEPLANE_IMAGE_MAXIMUM_GC_AGE", default_value = "0s", value_parser = flags::duration_or_zero)]
    pub image_maximum_gc_age: Duration,

    /// How often that is looked at.
    #[arg(long, value_name = "TIME", env = "TRACEPLANE_IMAGE_GC_PERIOD", default_value = "5m", value_parser = flags::duration)]
    pub image_gc_period: Duration,

    /// How long pods may take to end when the kubelet is asked to stop; 0s: pods go on without it.
    #[arg(long, value_name = "TIME", env = "TRACEPLANE_SHUTDOWN_GRACE_PERIOD", default_value = "0s", value_parser = flags::duration_or_zero)]
    pub shutdown_grace_period: Duration,

    /// The part of it that is kept for critical pods, which end after the others.
    #[arg(long, value_name = "TIME", env = "TRACEPLANE_SHUTDOWN_GRACE_PERIOD_CRITICAL_PODS", default_value = "0s", value_parser = flags::duration_or_zero)]
    pub shutdown_grace_period_critical_pods: Duration,

    /// The same for each group of pods: those of this priority or more end within this time, lower ones first.
    #[arg(long, value_name = "PRIORITY=TIME,...", env = "TRACEPLANE_SHUTDOWN_GRACE_PERIOD_BY_POD_PRIORITY", default_value = "",
          conflicts_with_all = ["shutdown_grace_period", "shutdown_grace_period_critical_pods"])]
    pub shutdown_grace_period_by_pod_priority: Periods,
}

impl NodeArgs {
    /// All eviction thresholds.
    ///
    /// # Errors
    /// A soft threshold without a grace period.
    pub fn thresholds(&self) -> Result<Vec<Threshold>, String> {
        let reclaim = &self.eviction_minimum_reclaim;
        thresholds(&self.eviction_hard, &self.eviction_soft, &self.eviction_soft_grace_period, reclaim)
    }

    /// When and how pods are ended.
    ///
    /// # Errors
    /// As [`NodeArgs::thresholds`].
    pub fn eviction(&self) -> Result<EvictionPolicy, String> {
        Ok(EvictionPolicy {
            thresholds: self.thresholds()?,
            transition: self.eviction_pressure_transition_period,
            max_grace: self.eviction_max_pod_grace_period,
        })
    }

    /// When images are removed.
    ///
    /// # Errors
    /// Thresholds that contradict each other.
    pub fn image_gc(&self) -> Result<Policy, String> {
        let (high, low) = (self.image_gc_high_threshold, self.image_gc_low_threshold);
        if low >= high {
            return Err(format!(
                "--image-gc-low-threshold {low} must be less than --image-gc-high-threshold {high}; images are removed from the one down to the other"
            ));
        }
        let (min_age, max_age) = (self.minimum_image_ttl_duration, self.image_maximum_gc_age);
        if !max_age.is_zero() && max_age <= min_age {
            return Err(format!(
                "--image-maximum-gc-age {max_age:?} must be longer than --minimum-image-ttl-duration {min_age:?}"
            ));
        }
        Ok(Policy { high, low, min_age, max_age })
    }

    /// How pods end with the node; none: they do not.
    ///
    /// # Errors
    /// Times that contradict each other.
    pub fn shutdown(&self) -> Result<Periods, String> {
        if !self.shutdown_grace_period_by_pod_priority.0.is_empty() {
            return Ok(self.shutdown_grace_period_by_pod_priority.clone());
        }
        let (all, critical) = (self.shutdown_grace_period, self.shutdown_grace_period_critical_pods);
        let too_short = |time: Duration| !time.is_zero() && time < Duration::from_secs(1);
        if critical > all {
            return Err(format!(
                "--shutdown-grace-period-critical-pods {critical:?} is a part of --shutdown-grace-period {all:?} and cannot be longer"
            ));
        }
        if too_short(all) || too_short(critical) {
            return Err(
                "--shutdown-grace-period and --shutdown-grace-period-critical-pods are 0s or at least 1s".to_owned()
            );
        }
        Ok(Periods::of(all, critical))
    }
}
