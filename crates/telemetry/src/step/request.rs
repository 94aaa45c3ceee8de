//! Which steps one API request performs: the only place where resources and verbs meet the catalogue.
//!
//! A request that no journey names has no steps; its spans exist all the same. Who decides what only they can know gives
//! the step themselves: the endpoints controllers choose between `pod.create.7a` and `pod.delete.5a`.

use super::Step;

/// What resource and verb alone do not tell about a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestDetail {
    /// A delete that removes the key at once (grace 0), not one that starts a graceful termination.
    pub removes: bool,
    /// Sent by a kubelet: only its status writes report a pod's progress; a scheduler's or controller's do not.
    pub from_kubelet: bool,
    /// A kubelet's status write that tells of the restart of a container, not of the pod's creation.
    pub restarts: bool,
}

/// The step of each stage of a request in the apiserver; `None` where the stage is no step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ApiSteps {
    /// The request as a whole, its server span.
    pub request: Option<Step>,
    /// Finding out who asks.
    pub authenticate: Option<Step>,
    /// Whether they may.
    pub authorize: Option<Step>,
    /// All admission plugins.
    pub admit: Option<Step>,
    /// Validation of the object.
    pub validate: Option<Step>,
    /// The etcd transaction.
    pub commit: Option<Step>,
    /// Making the answer.
    pub answer: Option<Step>,
}

impl ApiSteps {
    /// No stage is a step.
    pub const NONE: Self = Self {
        request: None,
        authenticate: None,
        authorize: None,
        admit: None,
        validate: None,
        commit: None,
        answer: None,
    };

    /// The steps of `verb` (`create`, `update`, `patch`, `delete` ...) on `resource` (its plural) and `subresource` (`""`, `status`,
    /// `binding`).
    pub fn for_request(resource: &str, verb: &str, subresource: &str, detail: RequestDetail) -> Self {
        let commit = |step| Self { commit: Some(step), ..Self::NONE };
        match (resource, verb, subresource) {
            ("pods", "create", "") => Self {
                request: None,
                authenticate: Some(Step::PodCreate2a),
                authorize: Some(Step::PodCreate2b),
                admit: Some(Step::PodCreate2c),
                validate: Some(Step::PodCreate2d),
                commit: Some(Step::PodCreate2e),
                answer: Some(Step::PodCreate2f),
            },
            ("pods", "create", "binding") => commit(Step::PodCreate4a),
            ("pods", "update" | "patch", "status") if detail.from_kubelet && detail.restarts => {
                commit(Step::PodRestart10b)
            }
            ("pods", "update" | "patch", "status") if detail.from_kubelet => commit(Step::PodCreate6b),
            ("pods", "delete", "") if detail.removes => commit(Step::PodDelete9b),
            ("pods", "delete", "") => Self { answer: Some(Step::PodDelete3), ..commit(Step::PodDelete2) },
            (WORKLOADS!(), "create" | "update" | "patch", "") => Self {
                request: None,
                authenticate: Some(Step::WorkloadApply1a),
                authorize: Some(Step::WorkloadApply1b),
                admit: Some(Step::WorkloadApply1c),
                validate: Some(Step::WorkloadApply1d),
                commit: Some(Step::WorkloadApply1e),
                answer: Some(Step::WorkloadApply1f),
            },
            (WORKLOADS!(), "update" | "patch", "status") => commit(Step::WorkloadApply4b),
            _ => Self::NONE,
        }
    }
}

/// The step of a client's request span, for the same arguments as [`ApiSteps::for_request`].
///
/// A kubelet's last delete is no step of its own: `pod.delete.9b` is the removal that it causes.
pub fn client_step(resource: &str, verb: &str, subresource: &str, detail: RequestDetail) -> Option<Step> {
    match (resource, verb, subresource) {
        ("pods", "create", "") => Some(Step::PodCreate1),
        ("pods", "create", "binding") => Some(Step::PodCreate3e),
        ("pods", "update" | "patch", "status") if detail.from_kubelet && detail.restarts => Some(Step::PodRestart10a),
        ("pods", "update" | "patch", "status") if detail.from_kubelet => Some(Step::PodCreate6a),
        ("pods", "delete", "") if !detail.from_kubelet => Some(Step::PodDelete1),
        (WORKLOADS!(), "create" | "update" | "patch", "") => Some(Step::WorkloadApply1),
        (WORKLOADS!(), "update" | "patch", "status") => Some(Step::WorkloadApply4a),
        _ => None,
    }
}

impl ApiSteps {
    /// As [`ApiSteps::for_request`], for a call of one of our services.
    pub fn for_rpc(path: &str, detail: RequestDetail) -> Self {
        rpc(path)
            .map_or(Self::NONE, |(resource, verb, subresource)| Self::for_request(&resource, verb, subresource, detail))
    }
}

/// As [`client_step`], for a call of one of our services.
pub(crate) fn step_of_rpc(path: &str, detail: RequestDetail) -> Option<Step> {
    let (resource, verb, subresource) = rpc(path)?;
    client_step(&resource, verb, subresource, detail)
}

/// Resource, verb and subresource of a method; a service is called after the plural of its kind.
fn rpc(path: &str) -> Option<(String, &'static str, &'static str)> {
    let (kinds, method) = path.strip_prefix("/traceplane.v1.")?.split_once('/')?;
    let (verb, subresource) = match method {
        "Create" => ("create", ""),
        "Update" => ("update", ""),
        "UpdateStatus" => ("update", "status"),
        "Patch" => ("patch", ""),
        "PatchStatus" => ("patch", "status"),
        "Delete" => ("delete", ""),
        "Bind" => ("create", "binding"),
        _ => return None,
    };
    Some((kinds.to_ascii_lowercase(), verb, subresource))
}

/// The resources of `workload.apply`, as a pattern: one list for both sides of a request.
macro_rules! WORKLOADS {
    () => {
        "deployments" | "replicasets" | "statefulsets" | "daemonsets" | "jobs"
    };
}
use WORKLOADS;

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: RequestDetail = RequestDetail { removes: false, from_kubelet: false, restarts: false };
    const KUBELET: RequestDetail = RequestDetail { from_kubelet: true, ..PLAIN };
    const REMOVES: RequestDetail = RequestDetail { removes: true, ..KUBELET };
    const RESTARTS: RequestDetail = RequestDetail { restarts: true, ..KUBELET };
    const PRETENDS: RequestDetail = RequestDetail { from_kubelet: false, ..RESTARTS };

    #[test]
    fn each_request_commits_the_step_that_the_contract_names() {
        let table = [
            ("pods", "create", "", PLAIN, Some(Step::PodCreate1), Some(Step::PodCreate2e)),
            ("pods", "create", "binding", PLAIN, Some(Step::PodCreate3e), Some(Step::PodCreate4a)),
            ("pods", "patch", "status", KUBELET, Some(Step::PodCreate6a), Some(Step::PodCreate6b)),
            ("pods", "update", "status", RESTARTS, Some(Step::PodRestart10a), Some(Step::PodRestart10b)),
            ("pods", "update", "status", PRETENDS, None, None),
            ("pods", "create", "", RESTARTS, Some(Step::PodCreate1), Some(Step::PodCreate2e)),
            ("pods", "patch", "status", PLAIN, None, None),
            ("pods", "delete", "", PLAIN, Some(Step::PodDelete1), Some(Step::PodDelete2)),
            ("pods", "delete", "", REMOVES, None, Some(Step::PodDelete9b)),
            ("deployments", "create", "", PLAIN, Some(Step::WorkloadApply1), Some(Step::WorkloadApply1e)),
            ("replicasets", "patch", "", PLAIN, Some(Step::WorkloadApply1), Some(Step::WorkloadApply1e)),
            ("deployments", "update", "status", PLAIN, Some(Step::WorkloadApply4a), Some(Step::WorkloadApply4b)),
            ("endpointslices", "create", "", PLAIN, None, None),
            ("leases", "update", "", KUBELET, None, None),
            ("pods", "get", "", PLAIN, None, None),
        ];
        for (resource, verb, subresource, detail, client, commit) in table {
            let case = format!("{verb} {resource}/{subresource} {detail:?}");
            assert_eq!(client_step(resource, verb, subresource, detail), client, "client: {case}");
            assert_eq!(ApiSteps::for_request(resource, verb, subresource, detail).commit, commit, "commit: {case}");
        }
    }

    #[test]
    fn a_method_is_the_request_it_stands_for() {
        let table = [
            ("/traceplane.v1.Pods/Create", Some(Step::PodCreate2e)),
            ("/traceplane.v1.Pods/Bind", Some(Step::PodCreate4a)),
            ("/traceplane.v1.Pods/UpdateStatus", Some(Step::PodCreate6b)),
            ("/traceplane.v1.ReplicaSets/Patch", Some(Step::WorkloadApply1e)),
            ("/traceplane.v1.Deployments/UpdateStatus", Some(Step::WorkloadApply4b)),
            ("/traceplane.v1.Pods/Watch", None),
            ("/other.v1.Pods/Create", None),
        ];
        for (path, commit) in table {
            assert_eq!(ApiSteps::for_rpc(path, KUBELET).commit, commit, "{path}");
        }
    }

    #[test]
    fn a_pod_is_terminating_once_the_delete_is_answered() {
        assert_eq!(ApiSteps::for_request("pods", "delete", "", PLAIN).answer, Some(Step::PodDelete3));
        assert_eq!(ApiSteps::for_request("pods", "delete", "", REMOVES).answer, None);
    }
}
