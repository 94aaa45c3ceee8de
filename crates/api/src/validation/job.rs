//! Jobs.

use crate::batch::v1::{Job, JobSpec};
use crate::field::{ErrorList, FieldError, Path};
use crate::names::NameRule;
use crate::selector::label::Selector;

use super::{immutable, metadata, non_negative, one_of, pod, replica_set, required, selector};

/// The most pods that an indexed Job may run at once.
const MAX_INDEXED_PARALLELISM: i32 = 100_000;

/// Checks a new Job, whose selector has been generated already if it is not the user's own.
pub fn create(job: &Job) -> ErrorList {
    let mut errors = ErrorList::new();
    metadata::create(&job.metadata, true, NameRule::Subdomain, &mut errors);
    spec(&job.spec, &Path::new("spec"), &mut errors);
    errors
}

/// Checks a change of a Job.
pub fn update(new: &Job, old: &Job) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("spec");
    metadata::update(&new.metadata, &old.metadata, &mut errors);
    spec(&new.spec, &path, &mut errors);
    let (new, old_spec) = (&new.spec, &old.spec);
    // An indexed Job may grow and shrink, if completions and parallelism go together.
    let elastic = new.completion_mode.as_deref() == Some("Indexed")
        && new.completions.is_some()
        && new.completions == new.parallelism;
    if !elastic {
        immutable(&new.completions, &old_spec.completions, &path.child("completions"), &mut errors);
    }
    immutable(&new.selector, &old_spec.selector, &path.child("selector"), &mut errors);
    // Before the first pod is made, a suspended Job may still be told where its pods go.
    let not_started = old_spec.suspend == Some(true) && old.status.start_time.is_none();
    let (mut template, old_template) = (new.template.clone(), &old_spec.template);
    if not_started {
        template.metadata.labels.clone_from(&old_template.metadata.labels);
        template.metadata.annotations.clone_from(&old_template.metadata.annotations);
        template.spec.node_selector.clone_from(&old_template.spec.node_selector);
        template.spec.affinity.clone_from(&old_template.spec.affinity);
        template.spec.tolerations.clone_from(&old_template.spec.tolerations);
        template.spec.scheduling_gates.clone_from(&old_template.spec.scheduling_gates);
    }
    immutable(&template, old_template, &path.child("template"), &mut errors);
    immutable(&new.completion_mode, &old_spec.completion_mode, &path.child("completionMode"), &mut errors);
    let policy = path.child("podFailurePolicy");
    immutable(&new.pod_failure_policy, &old_spec.pod_failure_policy, &policy, &mut errors);
    let per_index = path.child("backoffLimitPerIndex");
    immutable(&new.backoff_limit_per_index, &old_spec.backoff_limit_per_index, &per_index, &mut errors);
    immutable(&new.managed_by, &old_spec.managed_by, &path.child("managedBy"), &mut errors);
    immutable(&new.success_policy, &old_spec.success_policy, &path.child("successPolicy"), &mut errors);
    errors
}

/// Checks a change of a Job's status.
pub fn status_update(new: &Job, old: &Job) -> ErrorList {
    let mut errors = ErrorList::new();
    metadata::update(&new.metadata, &old.metadata, &mut errors);
    let (path, status) = (Path::new("status"), &new.status);
    let counts = [
        ("active", status.active),
        ("succeeded", status.succeeded),
        ("failed", status.failed),
        ("ready", status.ready.unwrap_or_default()),
        ("terminating", status.terminating.unwrap_or_default()),
    ];
    for (field, count) in counts {
        non_negative(count.into(), &path.child(field), &mut errors);
    }
    errors
}

fn spec(spec: &JobSpec, path: &Path, errors: &mut ErrorList) {
    let numbers = [
        ("parallelism", spec.parallelism.map(i64::from)),
        ("completions", spec.completions.map(i64::from)),
        ("activeDeadlineSeconds", spec.active_deadline_seconds),
        ("backoffLimit", spec.backoff_limit.map(i64::from)),
        ("ttlSecondsAfterFinished", spec.ttl_seconds_after_finished.map(i64::from)),
        ("backoffLimitPerIndex", spec.backoff_limit_per_index.map(i64::from)),
        ("maxFailedIndexes", spec.max_failed_indexes.map(i64::from)),
    ];
    for (field, number) in numbers {
        non_negative(number.unwrap_or_default(), &path.child(field), errors);
    }
    completion_mode(spec, path, errors);
    if let Some(policy) = &spec.pod_replacement_policy {
        one_of(policy, &["Failed", "TerminatingOrFailed"], &path.child("podReplacementPolicy"), errors);
    }
    let template = path.child("template");
    pod::template(&spec.template, &template, errors);
    let restart = template.child("spec.restartPolicy");
    match spec.template.spec.restart_policy.as_str() {
        // Always is the default of all pods, so it means that nothing was said.
        "Always" | "" => {
            errors.push(FieldError::required(&restart, "valid values: \"OnFailure\", \"Never\""));
        }
        policy => one_of(policy, &["OnFailure", "Never"], &restart, errors),
    }
    match &spec.selector {
        None => errors.push(FieldError::required(&path.child("selector"), "")),
        Some(labels) => selector::label_selector(labels, &path.child("selector"), errors),
    }
    if let Ok(selector) = Selector::of(spec.selector.as_ref()) {
        replica_set::matches_template(&selector, &spec.template, &template, errors);
    }
}

fn completion_mode(spec: &JobSpec, path: &Path, errors: &mut ErrorList) {
    let mode = spec.completion_mode.as_deref().unwrap_or("NonIndexed");
    one_of(mode, &["NonIndexed", "Indexed"], &path.child("completionMode"), errors);
    if mode == "Indexed" {
        if spec.completions.is_none() {
            errors.push(FieldError::required(&path.child("completions"), "when completion mode is Indexed"));
        }
        if let Some(parallelism) = spec.parallelism.filter(|p| *p > MAX_INDEXED_PARALLELISM) {
            let detail =
                format!("must be less than or equal to {MAX_INDEXED_PARALLELISM} when completion mode is Indexed");
            errors.push(FieldError::invalid(&path.child("parallelism"), parallelism, detail));
        }
    } else if let Some(limit) = spec.backoff_limit_per_index {
        let detail = "requires indexed completion mode";
        errors.push(FieldError::invalid(&path.child("backoffLimitPerIndex"), limit, detail));
    }
    if let Some(policy) = &spec.pod_failure_policy {
        let path = path.child("podFailurePolicy.rules");
        for (index, rule) in policy.rules.iter().enumerate() {
            let action = path.index(index).child("action");
            one_of(&rule.action, &["Count", "FailIndex", "FailJob", "Ignore"], &action, errors);
            for (number, pattern) in rule.on_pod_conditions.iter().enumerate() {
                let path = path.index(index).child("onPodConditions").index(number).child("type");
                required(&pattern.r#type, &path, errors);
            }
        }
    }
}
