//! Measuring a cluster from the outside, as its user sees it, beside what the machine's etcd can do at best.
//!
//! Nothing is measured inside of the services; that is what traces are for. A measurement stands next to the raw transactions of the same
//! etcd in the same run, because a number without its machine says little.

mod etcd;
mod kubelet;
mod pods;
mod report;
mod stats;

pub(crate) use etcd::{EtcdLoad, measure as measure_etcd};
pub(crate) use kubelet::{KubeletReport, Usage};
pub(crate) use pods::{Measured, PodLoad, measure as measure_pods, size_of_one};
pub(crate) use report::Report;
pub(crate) use stats::Stats;
