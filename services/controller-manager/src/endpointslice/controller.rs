//! Looks at a Service and its pods, and writes its slices.
//!
//! A run that a pod's becoming ready caused is pod.create.7a; one that a pod's deletion caused is pod.delete.5a.

use super::members::{is_listed, matters, selector};
use super::plan::{MANAGED_BY, MANAGER, NodeView, Observed, Plan, SERVICE_NAME, plan};
use crate::context::{Context, Start, is_namespace_terminating};
use crate::indexes::{NAMESPACE, NODE, by_namespace, by_node};
use crate::origin::{Marks, echo, origin, sign};
use crate::written::Written;
use api::core::v1::{Node, Pod, Service};
use api::discovery::v1::EndpointSlice;
use api::meta::v1::{DeleteOptions, Preconditions};
use api::pod_conditions::{is_ready, is_terminating};
use api::{Error, Resource};
use client::Api;
use controller::{Cache, Change, EventType, Key, Outcome, Recorder, WorkQueue};
use std::sync::Arc;
use telemetry::span::reconcile::RunSteps;
use telemetry::{Cause, Causes, SpanExt, Step};
use tracing::Span;

/// Index of slices by the key of their Service.
const SERVICE: &str = "service";
/// Label of a node with its zone.
const ZONE: &str = "topology.kubernetes.io/zone";

/// What happened to a pod behind the Service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    /// It can serve from now on.
    Joined,
    /// It is on its way out.
    Leaves,
}

struct EndpointSlices {
    services: Cache<Service>,
    pods: Cache<Pod>,
    nodes: Cache<Node>,
    slices: Cache<EndpointSlice>,
    slices_api: Api<EndpointSlice>,
    written: Written,
    marks: Marks<Why>,
    recorder: Recorder,
    queue: WorkQueue<Key>,
}

/// Adds the controller to the shared informers.
pub fn register(context: &mut Context, workers: usize) -> Start {
    let this = Arc::new(EndpointSlices {
        services: context.informers.of().cache(),
        pods: context.informers.of().cache(),
        nodes: context.informers.of().cache(),
        slices: context.informers.of().cache(),
        slices_api: context.api(),
        written: Written::default(),
        marks: Marks::default(),
        recorder: context.recorder("endpoint-slice-controller"),
        queue: WorkQueue::new(&context.shutdown),
    });
    let services = context.informers.of::<Service>();
    services.add_index(NAMESPACE, by_namespace);
    services.add_handler({
        let this = Arc::clone(&this);
        move |change, cause| this.service_changed(change, cause)
    });
    let pods = context.informers.of::<Pod>();
    pods.add_index(NAMESPACE, by_namespace);
    pods.add_index(NODE, by_node);
    pods.add_handler({
        let this = Arc::clone(&this);
        move |change, cause| this.pod_changed(change, cause)
    });
    context.informers.of::<Node>().add_handler({
        let this = Arc::clone(&this);
        move |change, cause| this.node_changed(change, cause)
    });
    let slices = context.informers.of::<EndpointSlice>();
    slices.add_index(SERVICE, |slice: &EndpointSlice| owner(slice).map(|key| key.to_string()).into_iter().collect());
    slices.add_handler({
        let this = Arc::clone(&this);
        move |change: &Change<EndpointSlice>, cause| {
            if let Some(key) = owner(change.object()) {
                this.queue.add(key, &echo(cause));
            }
        }
    });
    let (queue, of) = (this.queue.clone(), Arc::clone(&this));
    let origin = move |key: &Key, _: &Causes| {
        of.written.is_shown(key, &of.slices).then(|| origin(&of.services, key, RunSteps::default()))
    };
    let reconcile = move |key: Key, causes: Causes| {
        let this = Arc::clone(&this);
        async move { this.reconcile(&key, &causes).await }
    };
    context.workers(("endpointslice", Service::INFO.kind, workers), &queue, origin, reconcile)
}

/// What the events mean.
impl EndpointSlices {
    fn service_changed(&self, change: &Change<Service>, cause: &Cause) {
        let key = Key::of(&**change.object());
        if let Change::Removed(_) = change {
            // Its slices are garbage.
            self.marks.forget(&key);
        } else {
            self.queue.add(key, &echo(cause));
        }
    }

    fn pod_changed(&self, change: &Change<Pod>, cause: &Cause) {
        let (old, new) = match change {
            Change::Added(pod) => (None, Some(pod)),
            Change::Updated { old, new } if !matters(old, new) => return,
            Change::Updated { old, new } => (Some(old), Some(new)),
            Change::Removed(pod) => (Some(pod), None),
        };
        let serves =
            |pod: Option<&Arc<Pod>>| pod.is_some_and(|pod| is_listed(pod) && is_ready(pod) && !is_terminating(pod));
        let why = match (serves(old), serves(new)) {
            (false, true) => Some(Why::Joined),
            (true, false) if new.is_none_or(|pod| is_terminating(pod)) => Some(Why::Leaves),
            _ => None,
        };
        let mut keys = Vec::new();
        for pod in old.into_iter().chain(new) {
            keys.extend(services_of(&self.services, pod));
        }
        keys.sort();
        keys.dedup();
        for key in keys {
            if let Some(why) = why {
                self.marks.note(&key, cause, why);
            }
            self.queue.add(key, &echo(cause));
        }
    }

    /// A node's zone is part of its pods' endpoints, and so is that it exists.
    fn node_changed(&self, change: &Change<Node>, cause: &Cause) {
        if let Change::Updated { old, new } = change
            && zone(old) == zone(new)
        {
            return;
        }
        for pod in self.pods.by_index(NODE, &change.object().metadata.name) {
            for key in services_of(&self.services, &pod) {
                self.queue.add(key, &echo(cause));
            }
        }
    }
}

/// The Services that select a pod.
pub(crate) fn services_of(services: &Cache<Service>, pod: &Pod) -> Vec<Key> {
    let services = services.by_index(NAMESPACE, &pod.metadata.namespace);
    let selecting = services
        .iter()
        .filter(|service| selector(service).is_some_and(|selector| selector.matches(&pod.metadata.labels)));
    selecting.map(|service| Key::of(&**service)).collect()
}

/// The Service of a slice that is ours.
fn owner(slice: &EndpointSlice) -> Option<Key> {
    let labels = &slice.metadata.labels;
    let is_ours = labels.get(MANAGED_BY).is_some_and(|manager| manager == MANAGER);
    let name = labels.get(SERVICE_NAME).filter(|_| is_ours)?;
    Some(Key::new(&*slice.metadata.namespace, &**name))
}

fn zone(node: &Node) -> Option<String> {
    node.metadata.labels.get(ZONE).cloned()
}

/// A run.
impl EndpointSlices {
    async fn reconcile(&self, key: &Key, causes: &Causes) -> Result<Outcome, Error> {
        let Some(service) = self.services.get(key) else { return Ok(Outcome::Done) };
        let Some(selector) = selector(&service).filter(|_| service.metadata.deletion_timestamp.is_none()) else {
            return Ok(Outcome::Done);
        };
        let mut pods = self.pods.by_index(NAMESPACE, &key.namespace);
        pods.retain(|pod| selector.matches(&pod.metadata.labels));
        let slices = self.slices.by_index(SERVICE, &key.to_string());
        let node = |name: &str| match self.nodes.get(&Key::new("", name)) {
            Some(node) => NodeView::Known(zone(&node)),
            None => NodeView::Unknown,
        };
        let plan = plan(&Observed { service: &service, pods: &pods, node: &node, slices: &slices });
        if plan.is_empty() {
            return Ok(Outcome::Done);
        }
        Span::current().step(self.marks.of(key, causes).map(|why| match why {
            Why::Joined => Step::PodCreate7a,
            Why::Leaves => Step::PodDelete5a,
        }));
        if let Err(error) = self.carry_out(key, plan).await {
            let message = format!("Failed to update Endpoint Slices for Service {key}: {error}");
            self.recorder.record(&*service, EventType::Warning, "FailedToUpdateEndpointSlices", message);
            return Err(error);
        }
        Ok(Outcome::Done)
    }

    async fn carry_out(&self, key: &Key, plan: Plan) -> Result<(), Error> {
        for slice in &plan.update {
            self.written.changed(key, &self.slices_api.update(slice).await?);
        }
        for mut slice in plan.create {
            sign(&mut slice);
            match self.slices_api.create(&slice).await {
                Ok(created) => self.written.created(key, &created),
                Err(error) if is_namespace_terminating(&error) => {}
                Err(error) => return Err(error),
            }
        }
        for slice in &plan.delete {
            let preconditions = Preconditions { uid: Some(slice.metadata.uid.clone()), ..Preconditions::default() };
            let options = DeleteOptions { preconditions: Some(preconditions), ..DeleteOptions::default() };
            match self.slices_api.within(&key.namespace).delete(&slice.metadata.name, options).await {
                Ok(_) => self.written.deleted(key, &**slice),
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
