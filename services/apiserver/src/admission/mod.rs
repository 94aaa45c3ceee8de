//! Admission: what the cluster says about a request that its author may make.
//!
//! A request passes the plugins in a fixed order before the object is defaulted and validated. Each plugin has a file, Kubernetes' name
//! and a span of its own (children of `admit`, step 2c); a plugin that has nothing to do with a request makes none. The field
//! defaults of a kind and the validation of its fields are not here: they are the registry's.

mod default_toleration_seconds;
mod namespace_lifecycle;
mod node_restriction;
mod priority;
mod service_account;
mod taint_nodes_by_condition;

use api::core::v1::Node;
use async_trait::async_trait;
use telemetry::SpanExt;
use telemetry::span::stage;
use tracing::Instrument;

use crate::registry::{Admission, AnyObject, Attributes, Operation, Storage};
use crate::request::RequestContext;

use default_toleration_seconds::DefaultTolerationSeconds;
use namespace_lifecycle::NamespaceLifecycle;
use node_restriction::NodeRestriction;
use priority::Priority;
use service_account::ServiceAccount;
use taint_nodes_by_condition::TaintNodesByCondition;

/// One rule of admission.
#[async_trait]
trait Plugin: Send + Sync + 'static {
    /// Kubernetes' name of the plugin.
    fn name(&self) -> &'static str;

    /// Whether it has anything to do with this request. Cheap: it is asked for every write.
    fn concerns(&self, ctx: &RequestContext, attributes: &Attributes<'_>) -> bool;

    /// Changes the object, or refuses the request. It may run several times for one request, each time on a fresh object, so it
    /// keeps nothing and changes nothing else.
    async fn admit(&self, ctx: &RequestContext, attributes: &mut Attributes<'_>) -> api::Result<()>;
}

/// The plugins of the cluster, in their order.
pub struct Chain {
    plugins: Vec<Box<dyn Plugin>>,
}

impl Chain {
    /// All plugins, looking things up in `storage`. The order is Kubernetes'.
    pub fn new(storage: &Storage) -> Self {
        Self {
            plugins: vec![
                // First: nothing else matters in a namespace that is not there.
                Box::new(NamespaceLifecycle::new(storage.lookup())),
                Box::new(ServiceAccount),
                Box::new(NodeRestriction::new(storage.lookup::<Node>())),
                Box::new(TaintNodesByCondition),
                Box::new(Priority::new(storage.lookup())),
                Box::new(DefaultTolerationSeconds),
            ],
        }
    }
}

#[async_trait]
impl Admission for Chain {
    async fn admit(&self, ctx: &RequestContext, attributes: &mut Attributes<'_>) -> api::Result<()> {
        async {
            for plugin in &self.plugins {
                if !plugin.concerns(ctx, attributes) {
                    continue;
                }
                let span = stage::plugin(plugin.name());
                if let Err(error) = plugin.admit(ctx, attributes).instrument(span.clone()).await {
                    // Refusing is a plugin's work, not its failure; the verdict tells.
                    span.attr(telemetry::attr::VERDICT, error.reason.as_str())
                        .attr(telemetry::attr::MESSAGE, error.message.clone());
                    return Err(error);
                }
            }
            Ok(())
        }
        .instrument(stage::admit(ctx.steps.admit))
        .await
    }

    /// Every plugin decides before validation; none depends on what validation and preparation add.
    async fn validate(&self, _: &RequestContext, _: &Attributes<'_>) -> api::Result<()> {
        Ok(())
    }
}

/// Whether the request is about an object of this kind itself, not about a subresource.
fn is_about(attributes: &Attributes<'_>, kind: &str, operations: &[Operation]) -> bool {
    attributes.kind.kind == kind && attributes.subresource.is_empty() && operations.contains(&attributes.operation)
}

/// The error of a plugin that refuses a request; `why` completes the sentence.
fn forbidden(attributes: &Attributes<'_>, why: impl std::fmt::Display) -> api::Error {
    let metadata = attributes.object.as_deref().map(AnyObject::metadata);
    let name = [attributes.name]
        .into_iter()
        .chain(metadata.into_iter().flat_map(|metadata| [metadata.name.as_str(), metadata.generate_name.as_str()]))
        .find(|name| !name.is_empty())
        .unwrap_or("Unknown");
    api::Error::forbidden(attributes.kind.group, attributes.kind.plural, name, why)
}

#[cfg(test)]
mod testing {
    //! Requests for the plugins' tests.

    use api::Resource;

    use super::{Operation, Plugin};
    use crate::registry::{AnyObject, Attributes};
    use crate::request::{RequestContext, UserInfo};

    /// A request of `user` on objects of one kind.
    pub(super) struct Request<'a> {
        pub(super) user: (&'a str, &'a str),
        pub(super) operation: Operation,
        pub(super) subresource: &'static str,
    }

    /// A create by an administrator.
    pub(super) const CREATE: Request<'static> =
        Request { user: ("kubernetes-admin", "system:masters"), operation: Operation::Create, subresource: "" };

    /// Passes a request through one plugin, if it concerns it; `object` is left as the plugin made it.
    pub(super) async fn pass<K: Resource>(
        plugin: &dyn Plugin,
        request: &Request<'_>,
        object: Option<&mut K>,
        old: Option<&K>,
    ) -> api::Result<()> {
        let (name, group) = request.user;
        let user = UserInfo { name: name.into(), groups: vec![group.into()] };
        let ctx = RequestContext { user, ..RequestContext::default() };
        let metadata = object.as_deref().or(old).expect("a request has an object").metadata().clone();
        let mut attributes = Attributes {
            operation: request.operation,
            kind: K::INFO,
            namespace: &metadata.namespace,
            name: &metadata.name,
            subresource: request.subresource,
            dry_run: false,
            object: object.map(|object| object as &mut dyn AnyObject),
            old_object: old.map(|old| old as &dyn AnyObject),
        };
        if plugin.concerns(&ctx, &attributes) { plugin.admit(&ctx, &mut attributes).await } else { Ok(()) }
    }
}
