//! What a journey must be: whole, and with every step that applies (docs/steps.md has the catalogue).

use std::collections::BTreeSet;
use std::fmt;

use anyhow::{Context, Result};
use serde_json::Value;

/// The parts of a journey that this demo's objects must leave.
#[derive(Debug)]
pub(super) struct Expected {
    /// Steps, by the name of their journey and their ids.
    steps: &'static [(&'static str, &'static [&'static str])],
    /// Why others are not among them.
    pub(super) absent: &'static str,
}

/// Programs that take part in both journeys.
const SERVICES: [&str; 5] = ["tpctl", "apiserver", "scheduler", "controller-manager", "kubelet"];

const POD_CREATE: (&str, &[&str]) = (
    "pod.create",
    &[
        "1", "2a", "2b", "2c", "2d", "2e", "2f", "3a", "3b", "3c", "3d", "3e", "4a", "4b", "5a", "5b", "5c", "5d",
        "5f[0]", "5i[0]", "6a", "6b", "7a",
    ],
);

/// Applying the Deployment: it, its ReplicaSet, and all of its pods up to Ready and into the Service.
pub(super) const APPLY: Expected = Expected {
    steps: &[
        ("workload.apply", &["1", "1a", "1b", "1c", "1d", "1e", "1f", "2a", "2b", "2c", "3a", "3b", "3c", "4a", "4b"]),
        POD_CREATE,
    ],
    absent: "pod.create.5e, 5g and 5h do not apply: no init container, no postStart hook, no startup probe",
};

/// Deleting one pod, and its replacement.
pub(super) const DELETE: Expected = Expected {
    steps: &[("pod.delete", &["1", "2", "3", "4", "5a", "7[0]", "9a", "9b", "10"]), POD_CREATE],
    absent: "pod.delete.6 and 8 do not apply: nginx has no preStop hook here, and ends when it is told to",
};

impl Expected {
    fn steps(&self) -> impl Iterator<Item = String> {
        self.steps.iter().flat_map(|(journey, ids)| ids.iter().map(move |id| format!("{journey}.{id}")))
    }

    /// Everything that is wrong with a journey.
    pub(super) fn faults(&self, journey: &Journey) -> Vec<String> {
        let services = SERVICES.iter().filter(|s| !journey.services.contains(**s)).map(|s| format!("no span of {s}"));
        let steps = self.steps().filter(|step| !journey.steps.contains(step)).map(|step| format!("no step {step}"));
        let mut faults: Vec<String> = services.chain(steps).collect();
        if journey.roots != 1 {
            faults.push(format!("{} roots, where there should be one", journey.roots));
        }
        if journey.orphans != 0 {
            faults.push(format!("{} spans whose parent is missing", journey.orphans));
        }
        faults
    }

    /// The steps that are not to be seen in a printed journey.
    pub(super) fn not_shown(&self, printed: &str) -> Vec<String> {
        let is_part_of_name = |c: char| c.is_ascii_alphanumeric() || ".-[]".contains(c);
        let words: BTreeSet<&str> = printed.split(|c| !is_part_of_name(c)).collect();
        self.steps().filter(|step| !words.contains(step.as_str())).map(|step| format!("{step} is not shown")).collect()
    }
}

/// What `tpctl trace --format json` says, as far as the demo looks at it.
#[derive(Debug, Default)]
pub(super) struct Journey {
    spans: usize,
    roots: usize,
    orphans: usize,
    services: BTreeSet<String>,
    steps: BTreeSet<String>,
}

impl Journey {
    /// Reads the document.
    pub(super) fn read(json: &str) -> Result<Journey> {
        let document: Value = serde_json::from_str(json).context("tpctl printed no JSON")?;
        let spans = document["spans"].as_array().context("tpctl printed no spans")?;
        let texts = |name: &str| spans.iter().filter_map(|span| span[name].as_str().map(str::to_owned)).collect();
        let ids: BTreeSet<String> = texts("spanId");
        let parents = spans.iter().filter_map(|span| span["parentSpanId"].as_str()).filter(|id| !id.is_empty());
        let (known, orphans): (Vec<&str>, Vec<&str>) = parents.partition(|id| ids.contains(*id));
        Ok(Journey {
            spans: spans.len(),
            roots: spans.len() - known.len() - orphans.len(),
            orphans: orphans.len(),
            services: texts("service"),
            steps: texts("step"),
        })
    }
}

impl fmt::Display for Journey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} spans of {} services under one root", self.spans, self.services.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Expected = Expected { steps: &[("pod.delete", &["1", "7[0]", "10"])], absent: "" };

    /// One span per service, the first being the root; the steps go to the root's service.
    fn journey(services: &[&str], steps: &[&str]) -> Journey {
        let span = |id: usize, service: &str, step: Option<&&str>| {
            let parent = if id == 0 { Value::Null } else { "0".into() };
            serde_json::json!({"spanId": id.to_string(), "parentSpanId": parent, "service": service, "step": step})
        };
        let of_services = services.iter().enumerate().map(|(id, service)| span(id, service, None));
        let of_steps = steps.iter().enumerate().map(|(n, step)| span(100 + n, services[0], Some(step)));
        let spans: Vec<Value> = of_services.chain(of_steps).collect();
        Journey::read(&serde_json::json!({ "spans": spans }).to_string()).unwrap()
    }

    #[test]
    fn a_whole_journey_has_no_faults() {
        let whole = journey(&SERVICES, &["pod.delete.1", "pod.delete.7[0]", "pod.delete.10", "pod.delete.9a"]);
        assert_eq!(SMALL.faults(&whole), Vec::<String>::new());
        assert_eq!(whole.to_string(), "9 spans of 5 services under one root");
    }

    #[test]
    fn every_fault_is_named() {
        let broken = journey(&SERVICES[..4], &["pod.delete.1", "pod.delete.7[1]"]);
        assert_eq!(SMALL.faults(&broken), ["no span of kubelet", "no step pod.delete.7[0]", "no step pod.delete.10"]);
        let spans = r#"{"spans": [{"spanId": "a"}, {"spanId": "b", "parentSpanId": ""}, {"spanId": "c", "parentSpanId": "x"}]}"#;
        let faults = SMALL.faults(&Journey::read(spans).unwrap());
        assert!(faults.contains(&"2 roots, where there should be one".to_owned()), "{faults:?}");
        assert!(faults.contains(&"1 spans whose parent is missing".to_owned()), "{faults:?}");
        assert!(Journey::read("nothing").is_err() && Journey::read("{}").is_err());
    }

    #[test]
    fn whole_names_are_looked_for_in_what_is_printed() {
        assert_eq!(SMALL.not_shown("pod.delete.1 | (pod.delete.7[0]),\npod.delete.10:"), Vec::<String>::new());
        assert_eq!(
            SMALL.not_shown("pod.delete.10 pod.delete.7"),
            ["pod.delete.1 is not shown", "pod.delete.7[0] is not shown"]
        );
    }
}
