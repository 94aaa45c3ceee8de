//! Which kind and method a path names.

use api::KindInfo;

/// A call of a kind's service, as its path names it.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// The kind.
    pub kind: &'static KindInfo,
    /// What to do.
    pub method: Method,
}

/// The methods of a kind's service. `Patch` may be about a subresource, which only its message tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(
    missing_docs,
    reason = "the names are those of the services; proto/traceplane/v1/common.proto says what they do"
)]
pub enum Method {
    Create,
    Get,
    List,
    Watch,
    Update,
    UpdateStatus,
    Patch,
    Delete,
    DeleteCollection,
    Bind,
    Logs,
    Exec,
    Attach,
    PortForward,
}

impl Method {
    /// Every method, in the order of the services.
    pub const ALL: [Self; 14] = [
        Self::Create,
        Self::Get,
        Self::List,
        Self::Watch,
        Self::Update,
        Self::UpdateStatus,
        Self::Patch,
        Self::Delete,
        Self::DeleteCollection,
        Self::Bind,
        Self::Logs,
        Self::Exec,
        Self::Attach,
        Self::PortForward,
    ];

    /// The name in the proto files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Create => "Create",
            Self::Get => "Get",
            Self::List => "List",
            Self::Watch => "Watch",
            Self::Update => "Update",
            Self::UpdateStatus => "UpdateStatus",
            Self::Patch => "Patch",
            Self::Delete => "Delete",
            Self::DeleteCollection => "DeleteCollection",
            Self::Bind => "Bind",
            Self::Logs => "Logs",
            Self::Exec => "Exec",
            Self::Attach => "Attach",
            Self::PortForward => "PortForward",
        }
    }

    /// Kubernetes' verb for it.
    pub const fn verb(self) -> &'static str {
        match self {
            Self::Create | Self::Bind | Self::Exec | Self::Attach | Self::PortForward => "create",
            Self::Get | Self::Logs => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Update | Self::UpdateStatus => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::DeleteCollection => "deletecollection",
        }
    }

    /// The subresource that the method itself stands for.
    pub const fn subresource(self) -> &'static str {
        match self {
            Self::UpdateStatus => "status",
            Self::Bind => "binding",
            Self::Logs => "log",
            Self::Exec => "exec",
            Self::Attach => "attach",
            Self::PortForward => "portforward",
            _ => "",
        }
    }

    /// Whether it may write.
    pub const fn is_mutating(self) -> bool {
        !matches!(self, Self::Get | Self::List | Self::Watch | Self::Logs)
    }

    /// Whether its answer is a stream that may last: it takes no place among the requests being served, and says nothing about how
    /// long requests take.
    pub const fn is_long_running(self) -> bool {
        matches!(self, Self::Watch) || self.is_pod_stream()
    }

    /// Whether it reaches into a running pod, through the pod's kubelet.
    pub const fn is_pod_stream(self) -> bool {
        matches!(self, Self::Logs | Self::Exec | Self::Attach | Self::PortForward)
    }

    /// Whether the service of this kind has the method.
    pub fn is_served_by(self, kind: &KindInfo) -> bool {
        match self {
            Self::UpdateStatus => kind.has_status,
            Self::Bind | Self::Logs | Self::Exec | Self::Attach | Self::PortForward => {
                kind.kind == "Pod" && kind.group.is_empty()
            }
            _ => true,
        }
    }
}

impl Call {
    /// The call that `/traceplane.v1.Pods/Create` names; `None` if there is no such service or method.
    pub fn from_path(path: &str) -> Option<Self> {
        let (service, method) = path.strip_prefix('/')?.split_once('/')?;
        let kind = api::KINDS.iter().copied().find(|kind| kind.service == service)?;
        let method = Method::ALL.into_iter().find(|known| known.name() == method)?;
        method.is_served_by(kind).then_some(Self { kind, method })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_a_kind_and_a_method_that_it_has() {
        let table = [
            ("/traceplane.v1.Pods/Create", Some(("Pod", Method::Create))),
            ("/traceplane.v1.Pods/Bind", Some(("Pod", Method::Bind))),
            ("/traceplane.v1.Deployments/UpdateStatus", Some(("Deployment", Method::UpdateStatus))),
            ("/traceplane.v1.Pods/Exec", Some(("Pod", Method::Exec))),
            ("/traceplane.v1.Nodes/Bind", None),
            ("/traceplane.v1.Nodes/Logs", None),
            ("/traceplane.v1.ConfigMaps/UpdateStatus", None),
            ("/traceplane.v1.Pods/create", None),
            ("/traceplane.v1.Pods", None),
            ("/traceplane.v1.Pod/Create", None),
            ("/healthz", None),
        ];
        for (path, expected) in table {
            assert_eq!(Call::from_path(path).map(|call| (call.kind.kind, call.method)), expected, "{path}");
        }
    }
}
