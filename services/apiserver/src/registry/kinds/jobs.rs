//! Jobs: the server makes the selector, so that no two Jobs ever claim each other's pods.

use std::collections::BTreeMap;

use api::batch::v1::Job;
use api::field::ErrorList;
use api::{defaults, validation};

use crate::registry::strategy::Strategy;

/// The rules of Jobs.
pub(crate) struct Jobs;

/// The labels that name a pod's Job, each with the name that it had before Kubernetes 1.27.
const CONTROLLER_UID: [&str; 2] = ["batch.kubernetes.io/controller-uid", "controller-uid"];
const JOB_NAME: [&str; 2] = ["batch.kubernetes.io/job-name", "job-name"];

impl Strategy<Job> for Jobs {
    fn field_names(&self) -> &'static [&'static str] {
        &["status.successful"]
    }

    fn fields(&self, job: &Job) -> Vec<(&'static str, String)> {
        vec![("status.successful", job.status.succeeded.to_string())]
    }

    fn set_defaults(&self, job: &mut Job) {
        defaults::job(job);
    }

    fn copy_status(&self, from: &Job, to: &mut Job) {
        to.status = from.status.clone();
    }

    fn counts_generation(&self) -> bool {
        true
    }

    fn prepare_for_create(&self, job: &mut Job) {
        if job.spec.manual_selector != Some(true) {
            select_own_pods(job);
        }
    }

    fn changes_intent(&self, new: &Job, old: &Job) -> bool {
        new.spec != old.spec
    }

    fn validate(&self, job: &Job) -> ErrorList {
        validation::job::create(job)
    }

    fn validate_update(&self, new: &Job, old: &Job) -> ErrorList {
        validation::job::update(new, old)
    }

    fn validate_status_update(&self, new: &Job, old: &Job) -> ErrorList {
        validation::job::status_update(new, old)
    }
}

fn select_own_pods(job: &mut Job) {
    let (uid, name) = (job.metadata.uid.clone(), job.metadata.name.clone());
    let labels: &mut BTreeMap<_, _> = &mut job.spec.template.metadata.labels;
    for (keys, value) in [(CONTROLLER_UID, uid.clone()), (JOB_NAME, name)] {
        labels.extend(keys.map(|key| (key.to_owned(), value.clone())));
    }
    let selector = job.spec.selector.get_or_insert_default();
    selector.match_labels.entry(CONTROLLER_UID[0].to_owned()).or_insert(uid);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_selects_the_pods_that_carry_its_uid() {
        let mut job = Job::default();
        job.metadata.name = "pi".to_owned();
        job.metadata.uid = "u1".to_owned();
        Jobs.prepare_for_create(&mut job);
        let selected = &job.spec.selector.as_ref().unwrap().match_labels;
        assert!(selected.iter().all(|(key, value)| job.spec.template.metadata.labels.get(key) == Some(value)));
        assert_eq!(selected.get(CONTROLLER_UID[0]).map(String::as_str), Some("u1"));
        assert_eq!(job.spec.template.metadata.labels.get("job-name").map(String::as_str), Some("pi"));
    }

    #[test]
    fn a_selector_made_by_hand_is_left_alone() {
        let mut job = Job::default();
        job.spec.manual_selector = Some(true);
        Jobs.prepare_for_create(&mut job);
        assert_eq!(job.spec.selector, None);
    }
}
