//! V1: Services and their addresses.

use super::*;
use api::core::v1::{Service, ServicePort};

fn service(name: &str, cluster_ip: &str) -> Service {
    let mut service = Service { metadata: metadata(name), ..Service::default() };
    service.spec.cluster_ip = cluster_ip.to_owned();
    service.spec.ports.push(ServicePort { port: 80, ..ServicePort::default() });
    service
}

async fn refused(server: &Server, service: Service) -> api::Error {
    server.registries.services.create(&server.ctx, "", service, &CreateOptions::default()).await.unwrap_err()
}

#[tokio::test(start_paused = true)]
async fn v1_every_service_gets_an_address_that_no_other_has() {
    let store = MemoryStore::new();
    let settings = Settings { services: "10.96.0.0/26".parse().unwrap(), ..Settings::default() };
    // Two apiservers share the range.
    let first = Server::start_with(store.clone(), Arc::new(store.clone()), settings.clone()).await;
    let second = Server::start_with(store.clone(), Arc::new(store), settings).await;
    let mut addresses = std::collections::BTreeSet::new();
    for number in 0..61 {
        let server = if number % 2 == 0 { &first } else { &second };
        let created = server.create(service(&format!("s{number}"), "")).await;
        assert_eq!(created.spec.cluster_ips, std::slice::from_ref(&created.spec.cluster_ip));
        assert!(addresses.insert(created.spec.cluster_ip));
    }
    let error = refused(&first, service("one-too-many", "")).await;
    assert!(error.message.contains("range is full"), "{error}");
    // The first address is only for who asks for it by name.
    first.create(service("kubernetes", "10.96.0.1")).await;
}

#[tokio::test(start_paused = true)]
async fn v1_a_chosen_address_must_be_free_and_in_range() {
    let server = Server::start().await;
    server.create(service("dns", "10.96.0.10")).await;
    let error = refused(&server, service("other", "10.96.0.10")).await;
    assert!(error.message.ends_with("failed to allocate IP 10.96.0.10: provided IP is already allocated"), "{error}");
    let error = refused(&server, service("other", "10.1.2.3")).await;
    assert!(error.message.contains("is not in the valid range. The range of valid IPs is 10.96.0.0/16"), "{error}");
    assert_eq!(error.code(), 422);
}

#[tokio::test(start_paused = true)]
async fn v1_an_address_is_given_back_with_its_service_and_by_a_write_that_fails() {
    let server = Server::start().await;
    server.create(service("dns", "10.96.0.10")).await;
    refused(&server, service("dns", "10.96.0.11")).await;
    server.create(service("other", "10.96.0.11")).await;
    server.registries.services.delete(&server.ctx, "default", "dns", &DeleteOptions::default()).await.unwrap();
    server.create(service("new", "10.96.0.10")).await;
}

#[tokio::test(start_paused = true)]
async fn v1_a_service_keeps_its_address_until_its_type_needs_none() {
    let server = Server::start().await;
    let created = server.create(service("web", "")).await;
    let mut update = service("web", "");
    update.spec.ports[0].port = 81;
    let updated = server.update(update).await.unwrap();
    assert_eq!(updated.spec.cluster_ip, created.spec.cluster_ip);
    let mut external = updated.clone();
    external.spec.r#type = "ExternalName".to_owned();
    external.spec.external_name = "example.org".to_owned();
    external.spec.internal_traffic_policy = None;
    let external = server.update(external).await.unwrap();
    assert_eq!(external.spec.cluster_ip, "");
    server.create(service("next", &created.spec.cluster_ip)).await;
    let headless = server.create(service("headless", "None")).await;
    assert_eq!(headless.spec.cluster_ips, ["None"]);
}

#[tokio::test(start_paused = true)]
async fn the_systems_objects_are_made_once_and_found_after_a_restart() {
    let range = ServiceRange::default();
    let store = MemoryStore::new();
    let mut made = Vec::new();
    for _ in 0..2 {
        let server = Server::start_on(store.clone()).await;
        crate::bootstrap::bootstrap(&server.registries, range).await.unwrap();
        let service: Service = server.get("default", "kubernetes").await.unwrap();
        assert_eq!(service.spec.cluster_ip, "10.96.0.1");
        made.push(service.metadata.uid);
    }
    assert_eq!(made[0], made[1]);
}

#[tokio::test(start_paused = true)]
async fn the_service_kubernetes_is_made_again_when_somebody_deletes_it() {
    let range = ServiceRange::default();
    let server = Server::start().await;
    crate::bootstrap::bootstrap(&server.registries, range).await.unwrap();
    let keep = tokio::spawn(crate::bootstrap::keep(server.registries.clone(), range));
    let first = server.get::<Service>("default", "kubernetes").await.unwrap();
    let options = DeleteOptions::default();
    server.registries.services.delete(&server.ctx, "default", "kubernetes", &options).await.unwrap();
    let again = async {
        loop {
            match server.get::<Service>("default", "kubernetes").await {
                Some(service) => break service,
                None => tokio::time::sleep(Duration::from_secs(1)).await,
            }
        }
    };
    let again = timeout(Duration::from_secs(15), again).await.expect("made within a round");
    assert_ne!(again.metadata.uid, first.metadata.uid);
    assert_eq!(again.spec.cluster_ip, "10.96.0.1");
    keep.abort();
}
