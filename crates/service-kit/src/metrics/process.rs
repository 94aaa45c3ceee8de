//! What every process tells of itself at each scrape: the standard `process_*` metrics, from `/proc`, and what became of its
//! spans. What the system does not tell is left out.
//!
//! Names and meaning: <https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics>.

use std::fmt;
use std::fs;

use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage};
use nix::unistd::{SysconfVar, sysconf};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

#[derive(Debug)]
pub(super) struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        if let Some(seconds) = cpu_seconds() {
            write(&mut encoder, "process_cpu_seconds", "CPU time used, user and system.", &ConstCounter::new(seconds))?;
        }
        let spans = telemetry::export_stats();
        let counters = [
            ("traceplane_spans_exported", "Spans that the collector took.", spans.exported),
            ("traceplane_spans_dropped", "Spans lost because the export queue was full.", spans.dropped),
            ("traceplane_spans_failed", "Spans lost because the collector did not take them.", spans.failed),
        ];
        for (name, help, value) in counters {
            write(&mut encoder, name, help, &ConstCounter::new(value))?;
        }
        let gauges = [
            ("process_start_time_seconds", "Start of the process since the Unix epoch.", start_time()),
            ("process_resident_memory_bytes", "Resident memory.", resident_memory()),
            ("process_open_fds", "Open file descriptors.", open_fds()),
            ("process_max_fds", "The most file descriptors that may be open.", max_fds()),
        ];
        for (name, help, value) in gauges {
            if let Some(value) = value {
                write(&mut encoder, name, help, &ConstGauge::new(value))?;
            }
        }
        Ok(())
    }
}

fn write(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    metric: &dyn EncodeMetric,
) -> Result<(), fmt::Error> {
    metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)
}

fn cpu_seconds() -> Option<f64> {
    let usage = getrusage(UsageWho::RUSAGE_SELF).ok()?;
    let seconds = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    Some(seconds(usage.user_time()) + seconds(usage.system_time()))
}

/// Boot time plus the process's start, which `/proc/self/stat` counts in ticks since boot.
fn start_time() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the command in parentheses and may contain anything, so count from its end: field 22 is the 20th.
    let ticks: f64 = stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()?;
    let boot = fs::read_to_string("/proc/stat").ok()?;
    let boot: f64 = boot.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    let per_second = sysconf(SysconfVar::CLK_TCK).ok()??;
    Some(boot + ticks / per_second as f64)
}

fn resident_memory() -> Option<f64> {
    let statm = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: f64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    let page_size = sysconf(SysconfVar::PAGE_SIZE).ok()??;
    Some(pages * page_size as f64)
}

fn open_fds() -> Option<f64> {
    // One of them is the directory that is being read.
    Some(fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1) as f64)
}

fn max_fds() -> Option<f64> {
    Some(getrlimit(Resource::RLIMIT_NOFILE).ok()?.0 as f64)
}
