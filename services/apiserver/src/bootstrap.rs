//! The objects that every cluster has: made at start where they are missing and again when somebody has deleted them, never changed
//! where they exist.
//!
//! They go through the registry as any other write, made by the apiserver itself. Several apiservers may do this at once: whoever comes
//! second finds the object there. Endpoints of the Service `kubernetes` are absent: they need an address that every pod reaches, and
//! pods have no network to reach it through yet.

use std::time::Duration;

use api::Resource;
use api::core::v1::{Namespace, Service, ServicePort};
use api::intstr::IntOrString;
use api::meta::v1::{CreateOptions, GetOptions, ObjectMeta};
use api::scheduling::v1::PriorityClass;
use tokio::time::sleep;
use tracing::{info, warn};

use crate::auth::MASTERS;
use crate::registry::{Registries, ServiceRange};
use crate::request::{RequestContext, UserInfo};

/// The cluster's own namespaces.
const NAMESPACES: [&str; 4] = ["default", "kube-system", "kube-public", "kube-node-lease"];

/// How often what was deleted is made again: as often as Kubernetes looks after the Service `kubernetes`.
const KEEP_EVERY: Duration = Duration::from_secs(10);

/// The classes for what the cluster itself cannot do without, with Kubernetes' values.
const PRIORITY_CLASSES: [(&str, i32, &str); 2] = [
    (
        "system-cluster-critical",
        2_000_000_000,
        "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
    ),
    (
        "system-node-critical",
        2_000_001_000,
        "Used for system critical pods that must not be moved from their current node.",
    ),
];

/// Makes what is missing. An error leaves the rest unmade; running it again goes on where it stopped.
pub(crate) async fn bootstrap(registries: &Registries, services: ServiceRange) -> api::Result<()> {
    for name in NAMESPACES {
        create(registries, "", Namespace { metadata: named(name), ..Namespace::default() }).await?;
    }
    for (name, value, description) in PRIORITY_CLASSES {
        let class = PriorityClass {
            metadata: named(name),
            value,
            description: description.to_owned(),
            ..PriorityClass::default()
        };
        create(registries, "", class).await?;
    }
    create(registries, "default", kubernetes_service(services)).await
}

/// Makes again what is missing, until it is dropped.
pub(crate) async fn keep(registries: Registries, services: ServiceRange) {
    loop {
        sleep(KEEP_EVERY).await;
        if let Err(error) = bootstrap(&registries, services).await {
            warn!(%error, "cannot make the system's objects again yet");
        }
    }
}

/// The name by which programs inside the cluster find the apiserver.
fn kubernetes_service(services: ServiceRange) -> Service {
    let mut service = Service { metadata: named("kubernetes"), ..Service::default() };
    for (key, value) in [("component", "apiserver"), ("provider", "kubernetes")] {
        service.metadata.labels.insert(key.to_owned(), value.to_owned());
    }
    service.spec.r#type = "ClusterIP".to_owned();
    service.spec.cluster_ip = services.of_apiserver().to_string();
    service.spec.ports.push(ServicePort {
        name: "https".to_owned(),
        protocol: "TCP".to_owned(),
        port: 443,
        target_port: IntOrString::from(6443),
        ..ServicePort::default()
    });
    service
}

fn named(name: &str) -> ObjectMeta {
    ObjectMeta { name: name.to_owned(), ..ObjectMeta::default() }
}

async fn create<K: Resource>(registries: &Registries, namespace: &str, mut object: K) -> api::Result<()> {
    object.metadata_mut().namespace = namespace.to_owned();
    let (kind, name) = (K::INFO.kind, object.metadata().name.clone());
    let user = UserInfo { name: "system:apiserver".to_owned(), groups: vec![MASTERS.to_owned()] };
    let ctx = RequestContext { user, ..RequestContext::default() };
    let registry = registries.of::<K>();
    // Looked for first: a Service that exists would be refused for its address, before its name is even tried.
    match registry.get(&ctx, namespace, &name, &GetOptions::default()).await {
        Ok(_) => return Ok(()),
        Err(error) if error.is_not_found() => {}
        Err(error) => return Err(error),
    }
    match registry.create(&ctx, namespace, object, &CreateOptions::default()).await {
        Ok(_) => {
            info!(kind, name, "created");
            Ok(())
        }
        Err(error) if error.is_already_exists() => Ok(()),
        Err(error) => Err(error),
    }
}
