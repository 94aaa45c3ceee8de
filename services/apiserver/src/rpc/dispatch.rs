//! From a call to the service of its kind.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use api::core::v1::Pod;
use api::{KindInfo, KindVisitor, Resource};
use axum::body::Body;
use http::Request;
use service_kit::Shutdown;
use service_kit::rpc_status::to_status;

use super::RequestInfo;
use super::answer::Response;
use super::kind_service::{Authorized, KindService, PodService, Service};
use super::pod_streams::PodStreams;
use super::to_the_end::to_the_end;
use super::watch::Ending;
use crate::kubelet::Kubelets;
use crate::registry::{Registries, Registry};
use crate::request::RequestContext;

/// The services of all kinds.
pub struct Dispatch {
    services: HashMap<&'static str, Arc<dyn Service>>,
}

impl Dispatch {
    /// A service for every kind there is; watches and streams of pods end when `shutdown` is triggered.
    pub fn new(registries: &Registries, kubelets: Kubelets, shutdown: &Shutdown) -> Self {
        let ending = Ending::new(shutdown);
        let mut services: HashMap<_, _> = api::KINDS
            .iter()
            .map(|kind| {
                let service = api::visit_kind(kind, Serve { registries, ending: ending.clone() });
                (kind.service, service.expect("every kind that is listed can be visited"))
            })
            .collect();
        // Kinds with methods of their own.
        let pods: Registry<Pod> = registries.of();
        let streams = PodStreams {
            pods: pods.clone(),
            nodes: registries.of(),
            kubelets,
            ending: crate::kubelet::Ending::new(shutdown),
        };
        services.insert(Pod::INFO.service, Arc::new(PodService { kind: KindService::new(pods, ending), streams }));
        Self { services }
    }

    async fn serve(&self, call: Authorized) -> Response {
        let service = self.services.get(call.info.kind.service).expect("calls name kinds that are listed");
        let method = call.info.method;
        if method.is_mutating() && !method.is_long_running() {
            let service = Arc::clone(service);
            to_the_end(async move { service.serve(call).await }).await
        } else {
            service.serve(call).await
        }
    }
}

/// Makes the generic service of a kind.
struct Serve<'a> {
    registries: &'a Registries,
    ending: Ending,
}

impl KindVisitor for Serve<'_> {
    type Output = Arc<dyn Service>;

    fn visit<K: Resource>(self) -> Self::Output {
        Arc::new(KindService::<K>::new(self.registries.of(), self.ending))
    }
}

/// The services once they exist. The port is open before the store is reached, so that health can be asked for meanwhile.
#[derive(Clone, Default)]
pub struct Started(Arc<OnceLock<Dispatch>>);

impl Started {
    /// Serves calls from now on. May be called once.
    pub fn start(&self, dispatch: Dispatch) {
        let first = self.0.set(dispatch).is_ok();
        debug_assert!(first, "services start once");
    }

    /// Serves a call that was authenticated, read and authorized; UNAVAILABLE before the start.
    pub async fn serve(&self, request: Request<Body>, info: RequestInfo, ctx: RequestContext) -> Response {
        match self.0.get() {
            Some(dispatch) => dispatch.serve(Authorized { request, info, ctx }).await,
            None => to_status(&starting(info.kind)).into_http(),
        }
    }
}

fn starting(kind: &KindInfo) -> api::Error {
    let message =
        format!("{} cannot be served yet: the apiserver is starting and waits for etcd", kind.group_resource());
    api::Error::unavailable(message).retry_after(1)
}
