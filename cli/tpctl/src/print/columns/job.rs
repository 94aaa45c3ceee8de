//! Jobs.

use super::{Column, Columns, age_of, column, containers, selector, wide};
use crate::print::age;
use api::batch::v1::Job;
use jiff::Timestamp;

impl Columns for Job {
    const COLUMNS: &'static [Column] = &[
        column("NAME"),
        column("STATUS"),
        column("COMPLETIONS"),
        column("DURATION"),
        column("AGE"),
        wide("CONTAINERS"),
        wide("IMAGES"),
        wide("SELECTOR"),
    ];

    fn cells(&self, now: Timestamp) -> Vec<String> {
        let [names, images] = containers(&self.spec.template.spec.containers);
        vec![
            self.metadata.name.clone(),
            status(self).to_owned(),
            completions(self),
            duration(self, now),
            age_of(self, now),
            names,
            images,
            selector(self.spec.selector.as_ref()),
        ]
    }
}

fn status(job: &Job) -> &'static str {
    let is_true = |r#type: &str| job.status.conditions.iter().any(|c| c.r#type == r#type && c.status == "True");
    match () {
        () if is_true("Complete") => "Complete",
        () if is_true("Failed") => "Failed",
        () if job.metadata.deletion_timestamp.is_some() => "Terminating",
        () if is_true("Suspended") => "Suspended",
        () if is_true("FailureTarget") => "FailureTarget",
        () if is_true("SuccessCriteriaMet") => "SuccessCriteriaMet",
        () => "Running",
    }
}

fn completions(job: &Job) -> String {
    let succeeded = job.status.succeeded;
    match (job.spec.completions, job.spec.parallelism.unwrap_or_default()) {
        (Some(wanted), _) => format!("{succeeded}/{wanted}"),
        (None, parallelism) if parallelism > 1 => format!("{succeeded}/1 of {parallelism}"),
        (None, _) => format!("{succeeded}/1"),
    }
}

fn duration(job: &Job, now: Timestamp) -> String {
    let Some(start) = job.status.start_time.as_ref().and_then(|time| time.timestamp()) else { return String::new() };
    let end = job.status.completion_time.as_ref().and_then(|time| time.timestamp()).unwrap_or(now);
    age::duration(end.duration_since(start))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_row_says_how_far_the_job_is() {
        let table = [
            (
                json!({ "spec": { "completions": 3 }, "status": { "succeeded": 1, "startTime": "1970-01-01T00:00:10Z" } }),
                "Running 1/3 50s",
            ),
            (json!({ "spec": { "parallelism": 2 } }), "Running 0/1 of 2 "),
            (
                json!({ "spec": {}, "status": { "succeeded": 1, "conditions": [{ "type": "Complete", "status": "True" }],
                    "startTime": "1970-01-01T00:00:10Z", "completionTime": "1970-01-01T00:00:22Z" } }),
                "Complete 1/1 12s",
            ),
        ];
        for (job, expected) in table {
            let job: Job = serde_json::from_value(job).unwrap();
            assert_eq!(job.cells(Timestamp::from_second(60).unwrap())[1..4].join(" "), expected);
        }
    }
}
