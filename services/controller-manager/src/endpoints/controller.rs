//! Looks at a Service and its pods, and writes its Endpoints object.

use super::plan::{MANAGED_BY, MANAGER, plan};
use crate::context::{Context, Start, is_namespace_terminating};
use crate::endpointslice::controller::services_of;
use crate::endpointslice::members::{matters, selector};
use crate::indexes::{NAMESPACE, by_namespace};
use crate::origin::{echo, origin, sign};
use crate::written::Written;
use api::core::v1::{Endpoints, Pod, Service};
use api::meta::v1::{DeleteOptions, Preconditions};
use api::{Error, Resource};
use client::Api;
use controller::{Cache, Change, EventType, Key, Outcome, Recorder, WorkQueue};
use std::sync::Arc;
use telemetry::span::reconcile::RunSteps;
use telemetry::{Cause, Causes};

struct EndpointsObjects {
    services: Cache<Service>,
    pods: Cache<Pod>,
    endpoints: Cache<Endpoints>,
    endpoints_api: Api<Endpoints>,
    written: Written,
    recorder: Recorder,
    queue: WorkQueue<Key>,
}

/// Adds the controller to the shared informers.
pub fn register(context: &mut Context, workers: usize) -> Start {
    let this = Arc::new(EndpointsObjects {
        services: context.informers.of().cache(),
        pods: context.informers.of().cache(),
        endpoints: context.informers.of().cache(),
        endpoints_api: context.api(),
        written: Written::default(),
        recorder: context.recorder("endpoint-controller"),
        queue: WorkQueue::new(&context.shutdown),
    });
    let services = context.informers.of::<Service>();
    services.add_index(NAMESPACE, by_namespace);
    services.add_handler({
        let this = Arc::clone(&this);
        move |change: &Change<Service>, cause| this.queue.add(Key::of(&**change.object()), &echo(cause))
    });
    let pods = context.informers.of::<Pod>();
    pods.add_index(NAMESPACE, by_namespace);
    pods.add_handler({
        let this = Arc::clone(&this);
        move |change, cause| this.pod_changed(change, cause)
    });
    context.informers.of::<Endpoints>().add_handler({
        let this = Arc::clone(&this);
        move |change: &Change<Endpoints>, cause| this.queue.add(Key::of(&**change.object()), &echo(cause))
    });
    let (queue, of) = (this.queue.clone(), Arc::clone(&this));
    let origin = move |key: &Key, _: &Causes| {
        of.written.is_shown(key, &of.endpoints).then(|| origin(&of.services, key, RunSteps::default()))
    };
    let reconcile = move |key: Key, _: Causes| {
        let this = Arc::clone(&this);
        async move { this.reconcile(&key).await }
    };
    context.workers(("endpoints", Service::INFO.kind, workers), &queue, origin, reconcile)
}

impl EndpointsObjects {
    fn pod_changed(&self, change: &Change<Pod>, cause: &Cause) {
        if let Change::Updated { old, new } = change {
            if !matters(old, new) {
                return;
            }
            self.queue_services_of(old, cause);
        }
        self.queue_services_of(change.object(), cause);
    }

    fn queue_services_of(&self, pod: &Pod, cause: &Cause) {
        for key in services_of(&self.services, pod) {
            self.queue.add(key, &echo(cause));
        }
    }

    async fn reconcile(&self, key: &Key) -> Result<Outcome, Error> {
        let current = self.endpoints.get(key);
        let Some(service) = self.services.get(key) else {
            // The object has no owner reference, so that nobody else would delete it.
            if let Some(left) = current.filter(|left| is_ours(left)) {
                self.delete(key, &left).await?;
            }
            return Ok(Outcome::Done);
        };
        let Some(selector) = selector(&service).filter(|_| service.metadata.deletion_timestamp.is_none()) else {
            return Ok(Outcome::Done);
        };
        let mut pods = self.pods.by_index(NAMESPACE, &key.namespace);
        pods.retain(|pod| selector.matches(&pod.metadata.labels));
        let Some(wanted) = plan(&service, &pods, current.as_deref()) else { return Ok(Outcome::Done) };
        if let Err(error) = self.write(key, wanted, current.is_none()).await {
            let message = format!("Failed to update endpoint {key}: {error}");
            self.recorder.record(&*service, EventType::Warning, "FailedToUpdateEndpoint", message);
            return Err(error);
        }
        Ok(Outcome::Done)
    }

    async fn write(&self, key: &Key, mut wanted: Endpoints, is_new: bool) -> Result<(), Error> {
        if !is_new {
            self.written.changed(key, &self.endpoints_api.update(&wanted).await?);
            return Ok(());
        }
        sign(&mut wanted);
        match self.endpoints_api.create(&wanted).await {
            Ok(created) => self.written.created(key, &created),
            Err(error) if is_namespace_terminating(&error) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    async fn delete(&self, key: &Key, left: &Endpoints) -> Result<(), Error> {
        let preconditions = Preconditions { uid: Some(left.metadata.uid.clone()), ..Preconditions::default() };
        let options = DeleteOptions { preconditions: Some(preconditions), ..DeleteOptions::default() };
        match self.endpoints_api.within(&key.namespace).delete(&key.name, options).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error),
        }
    }
}

fn is_ours(endpoints: &Endpoints) -> bool {
    endpoints.metadata.labels.get(MANAGED_BY).is_some_and(|manager| manager == MANAGER)
}
