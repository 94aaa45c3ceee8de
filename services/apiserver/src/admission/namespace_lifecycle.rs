//! Nothing is written into a namespace that is not there, nothing new into one that is going away, and the cluster's own namespaces
//! stay.

use api::StatusCause;
use api::core::v1::Namespace;
use async_trait::async_trait;

use super::{Attributes, Operation, Plugin, forbidden};
use crate::registry::Lookup;
use crate::request::RequestContext;

/// The namespaces that may not be deleted. Kubernetes lets `kube-node-lease` go and makes it again; here it stays,
/// because every node's lease would go with it.
const IMMORTAL: [&str; 4] = ["default", "kube-system", "kube-public", "kube-node-lease"];

pub(super) struct NamespaceLifecycle {
    namespaces: Lookup<Namespace>,
}

impl NamespaceLifecycle {
    pub(super) fn new(namespaces: Lookup<Namespace>) -> Self {
        Self { namespaces }
    }

    async fn find(&self, name: &str) -> api::Result<Option<Namespace>> {
        match self.namespaces.get("", name) {
            Some(namespace) => Ok(Some(namespace)),
            // It may have been made a moment ago: `create namespace`, then at once a pod in it.
            None => self.namespaces.get_live("", name).await,
        }
    }
}

#[async_trait]
impl Plugin for NamespaceLifecycle {
    fn name(&self) -> &'static str {
        "NamespaceLifecycle"
    }

    fn concerns(&self, _: &RequestContext, attributes: &Attributes<'_>) -> bool {
        match attributes.operation {
            // Deleting is how a namespace gets empty.
            Operation::Delete => attributes.kind.kind == "Namespace" && attributes.subresource.is_empty(),
            Operation::Create | Operation::Update | Operation::Connect => attributes.kind.namespaced,
        }
    }

    async fn admit(&self, _: &RequestContext, attributes: &mut Attributes<'_>) -> api::Result<()> {
        if attributes.operation == Operation::Delete {
            return if IMMORTAL.contains(&attributes.name) {
                Err(forbidden(attributes, "this namespace may not be deleted"))
            } else {
                Ok(())
            };
        }
        let name = attributes.namespace;
        let namespace = self.find(name).await?.ok_or_else(|| api::Error::not_found("", "namespaces", name))?;
        if attributes.operation == Operation::Create && is_terminating(&namespace) {
            return Err(terminating(attributes));
        }
        Ok(())
    }
}

fn is_terminating(namespace: &Namespace) -> bool {
    namespace.status.phase == "Terminating" || namespace.metadata.deletion_timestamp.is_some()
}

fn terminating(attributes: &Attributes<'_>) -> api::Error {
    let namespace = attributes.namespace;
    let why = format!("unable to create new content in namespace {namespace} because it is being terminated");
    forbidden(attributes, why).with_cause(StatusCause {
        reason: "NamespaceTerminating".to_owned(),
        message: format!("namespace {namespace} is being terminated"),
        field: "metadata.namespace".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::Resource;
    use api::core::v1::Pod;

    fn attributes<'a>(name: &'a str, namespace: &'a str) -> Attributes<'a> {
        Attributes {
            operation: Operation::Create,
            kind: Pod::INFO,
            namespace,
            name,
            subresource: "",
            dry_run: false,
            object: None,
            old_object: None,
        }
    }

    #[test]
    fn a_refusal_speaks_as_kubernetes_does() {
        let error = terminating(&attributes("web", "shop"));
        assert_eq!(
            error.message,
            "pods \"web\" is forbidden: unable to create new content in namespace shop because it is being terminated"
        );
        assert_eq!(error.details.causes[0].reason, "NamespaceTerminating");
    }

    #[test]
    fn a_namespace_terminates_from_its_deletion_on() {
        let mut namespace = Namespace::default();
        assert!(!is_terminating(&namespace));
        namespace.metadata.deletion_timestamp = Some(Default::default());
        assert!(is_terminating(&namespace));
    }
}
