//! The result of a measurement, as a table or as JSON.

use super::{Measured, PodLoad, Stats};
use serde_json::{Value, json};
use std::fmt::Write;

/// Everything that was measured in one run.
#[derive(Debug)]
pub(crate) struct Report {
    /// What was asked for.
    pub(crate) load: PodLoad,
    /// Nodes that were Ready.
    pub(crate) nodes: usize,
    /// Bytes of a pod in the store, and of etcd's values.
    pub(crate) bytes: usize,
    /// What the cluster did.
    pub(crate) pods: Measured,
    /// What etcd did; or why that is not known.
    pub(crate) etcd: Result<Stats, String>,
}

impl Report {
    /// A small table.
    pub(crate) fn table(&self) -> String {
        let PodLoad { count, concurrency, image } = &self.load;
        let mut text = format!(
            "{count} pods of image {image}, {concurrency} at a time, on {} nodes; one pod is {} bytes.\n\n",
            self.nodes, self.bytes
        );
        writeln!(text, "{:<20} {:>9} {:>9} {:>9} {:>9} {:>9}", "", "PER S", "P50", "P90", "P99", "MAX")
            .expect("a String takes everything");
        let mut row = |name: &str, stats: &Stats| {
            let Stats { rate, p50, p90, p99, max, .. } = stats;
            writeln!(
                text,
                "{name:<20} {rate:>9.1} {:>9} {:>9} {:>9} {:>9}",
                time(*p50),
                time(*p90),
                time(*p99),
                time(*max)
            )
            .expect("a String takes everything");
        };
        row("create answered", &self.pods.created);
        row("create to Running", &self.pods.running);
        match &self.etcd {
            Ok(stats) => {
                row("etcd transactions", stats);
                let ratio = stats.rate / self.pods.running.rate.max(1e-9);
                writeln!(text, "\nA pod costs as much as {ratio:.1} raw transactions of this etcd.")
            }
            Err(why) => writeln!(text, "\netcd was not measured: {why}"),
        }
        .expect("a String takes everything");
        text
    }

    /// The same for programs; times in milliseconds.
    pub(crate) fn json(&self) -> Value {
        let mut document = json!({
            "pods": self.load.count,
            "concurrency": self.load.concurrency,
            "image": self.load.image,
            "nodes": self.nodes,
            "bytes": self.bytes,
            "created": self.pods.created,
            "running": self.pods.running,
        });
        match &self.etcd {
            Ok(stats) => document["etcd"] = json!(stats),
            Err(why) => document["etcdSkipped"] = json!(why),
        }
        document
    }
}

fn time(milliseconds: f64) -> String {
    match milliseconds {
        ..1.0 => format!("{milliseconds:.2} ms"),
        1.0..100.0 => format!("{milliseconds:.1} ms"),
        100.0..10_000.0 => format!("{milliseconds:.0} ms"),
        more => format!("{:.1} s", more / 1_000.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(etcd: Result<Stats, String>) -> Report {
        let stats =
            |rate: f64, p50: f64| Stats { count: 100, rate, p50, p90: 2.0 * p50, p99: 3.0 * p50, max: 4.0 * p50 };
        Report {
            load: PodLoad { count: 100, concurrency: 10, image: "pause".into() },
            nodes: 3,
            bytes: 1500,
            pods: Measured { created: stats(800.0, 12.0), running: stats(400.0, 40.0) },
            etcd,
        }
    }

    #[test]
    fn the_cluster_stands_beside_its_etcd() {
        let raw = Stats { count: 9000, rate: 3000.0, p50: 0.3, p90: 0.5, p99: 9.0, max: 12_000.0 };
        let text = report(Ok(raw)).table();
        assert_eq!(
            text,
            "\
100 pods of image pause, 10 at a time, on 3 nodes; one pod is 1500 bytes.

                         PER S       P50       P90       P99       MAX
create answered          800.0   12.0 ms   24.0 ms   36.0 ms   48.0 ms
create to Running        400.0   40.0 ms   80.0 ms    120 ms    160 ms
etcd transactions       3000.0   0.30 ms   0.50 ms    9.0 ms    12.0 s

A pod costs as much as 7.5 raw transactions of this etcd.
"
        );
    }

    #[test]
    fn what_could_not_be_measured_is_said() {
        let report = report(Err("its address is not known".into()));
        assert!(report.table().ends_with("\netcd was not measured: its address is not known\n"));
        assert_eq!(report.json()["etcdSkipped"], "its address is not known");
        assert_eq!(report.json()["running"]["p90"], 80.0);
    }
}
