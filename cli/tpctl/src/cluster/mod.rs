//! A cluster on this machine: etcd and every service as its own process, kept running between commands.
//!
//! What runs is written to `cluster.json` in the state folder, so that any later command finds it. Starting is idempotent: what runs stays,
//! what does not is started, with the ports of the first start. Nothing here talks about objects.

mod addresses;
mod binaries;
mod down;
mod neighbours;
mod plan;
mod ports;
mod process;
mod ready;
mod record;
mod status;
mod up;

pub(crate) use down::{DownArgs, down};
pub(crate) use ready::Prober;
pub(crate) use record::ClusterRecord;
pub(crate) use status::status;
pub(crate) use up::{UpArgs, up};
