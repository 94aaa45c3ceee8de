//! What a kubelet's process costs on this machine, from `/proc`: memory for each pod that it has, and processor time when nothing happens.

use anyhow::{Context, Result};
use serde::Serialize;
use std::fmt::Write;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// The kernel tells processor time in these.
const JIFFIES_PER_SECOND: f64 = 100.0;

/// What a process has used at a moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    /// Bytes of memory that are its own or in use.
    resident: u64,
    /// Processor time since its start.
    jiffies: u64,
    at: Instant,
}

impl Usage {
    /// Of a process now.
    pub(crate) fn of(pid: i32) -> Result<Usage> {
        let read = |file: &str| {
            let path = format!("/proc/{pid}/{file}");
            std::fs::read_to_string(&path)
                .with_context(|| format!("cannot read {path}; is the process on this machine?"))
        };
        let resident = resident(&read("status")?).context("the kernel tells no VmRSS")?;
        let jiffies = jiffies(&read("stat")?).context("the kernel tells no processor time")?;
        Ok(Usage { resident, jiffies, at: Instant::now() })
    }

    /// The part of one processor that was used since then.
    fn processor_since(&self, before: &Usage) -> f64 {
        let seconds = (self.at - before.at).as_secs_f64();
        (self.jiffies - before.jiffies) as f64 / JIFFIES_PER_SECOND / seconds.max(1e-9)
    }
}

/// `VmRSS:  1234 kB`
fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

/// The 14th and 15th field: user and system. The second is a name in parentheses that may have spaces.
fn jiffies(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}

/// What was measured.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct KubeletReport {
    pods: usize,
    nodes: usize,
    resident_before_bytes: u64,
    resident_after_bytes: u64,
    bytes_per_pod: u64,
    idle_seconds: f64,
    idle_processor_percent: f64,
}

impl KubeletReport {
    /// Waits for the pods' last news to settle, then watches the process do nothing.
    pub(crate) async fn measure(pid: i32, before: Usage, pods: usize, nodes: usize, idle: Duration) -> Result<Self> {
        sleep(Duration::from_secs(10)).await;
        let began = Usage::of(pid)?;
        sleep(idle).await;
        let ended = Usage::of(pid)?;
        let grown = ended.resident.saturating_sub(before.resident);
        Ok(KubeletReport {
            pods,
            nodes,
            resident_before_bytes: before.resident,
            resident_after_bytes: ended.resident,
            bytes_per_pod: grown / u64::try_from(pods).unwrap_or(1).max(1),
            idle_seconds: idle.as_secs_f64(),
            idle_processor_percent: ended.processor_since(&began) * 100.0,
        })
    }

    /// For people.
    pub(crate) fn table(&self) -> String {
        let mebibytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let mut text = String::new();
        let (before, after) = (mebibytes(self.resident_before_bytes), mebibytes(self.resident_after_bytes));
        let kibibytes = self.bytes_per_pod as f64 / 1024.0;
        // Writing to a string never fails.
        let _ = writeln!(text, "Pods            {} on {} nodes, all Running", self.pods, self.nodes);
        let _ = writeln!(
            text,
            "Memory          {before:.1} MiB before, {after:.1} MiB with them: {kibibytes:.1} KiB per pod"
        );
        let _ = writeln!(
            text,
            "Idle processor  {:.2} % of a core over {:.0} s",
            self.idle_processor_percent, self.idle_seconds
        );
        text
    }

    /// For programs.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::json!(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_tells_is_read_right() {
        assert_eq!(resident("Name:\tx\nVmRSS:\t   2048 kB\nThreads: 1\n"), Some(2 << 20));
        assert_eq!(resident("Name:\tx\n"), None);
        let stat = "42 (a b) c) S 1 42 42 0 -1 4194560 100 0 0 0 17 5 0 0 20 0 3 0 100 1 2";
        assert_eq!(jiffies(stat), Some(22));
        let own = Usage::of(i32::try_from(std::process::id()).unwrap()).unwrap();
        assert!(own.resident > 1 << 20, "{own:?}");
        assert!(Usage::of(i32::MAX).unwrap_err().to_string().contains("on this machine"));
    }

    #[test]
    fn a_report_says_what_a_pod_costs() {
        let report = KubeletReport {
            pods: 5_000,
            nodes: 100,
            resident_before_bytes: 50 << 20,
            resident_after_bytes: 150 << 20,
            bytes_per_pod: (100 << 20) / 5_000,
            idle_seconds: 30.0,
            idle_processor_percent: 0.5,
        };
        let text = report.table();
        assert!(
            text.contains("5000 on 100 nodes") && text.contains("20.5 KiB per pod") && text.contains("0.50 %"),
            "{text}"
        );
        assert_eq!(report.json()["bytesPerPod"], 20_971);
    }
}
