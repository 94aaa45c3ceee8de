//! Health, reflection, metrics and version: what tools ask before they know anything of the API.

use std::time::Duration;

use api::core::v1::Pod;
use api::rpc::GetRequest;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_stream::StreamExt;
use tonic::transport::ClientTlsConfig;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use crate::harness::{Client, PATIENCE, Server};

#[tokio::test(flavor = "multi_thread")]
async fn health_needs_no_identity() {
    let server = Server::start().await;
    let nobody = server.client_with(ClientTlsConfig::new()).await.unwrap();
    let mut health = HealthClient::new(nobody.channel);
    let mut states = health.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    // The service looks at the checks once a second.
    let serving = async {
        while let Some(state) = states.next().await {
            if state.unwrap().status() == ServingStatus::Serving {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, serving).await.expect("a ready apiserver is serving");
}

#[tokio::test(flavor = "multi_thread")]
async fn reflection_lists_every_kind_to_whoever_has_an_identity() {
    let server = Server::start().await;
    let services = services(&server.client("alice", "dev").await).await.unwrap();
    for kind in api::KINDS {
        assert!(services.iter().any(|service| service == kind.service), "{} in {services:?}", kind.service);
    }
    assert!(services.iter().any(|service| service == "grpc.health.v1.Health"), "{services:?}");
    let nobody = server.client_with(ClientTlsConfig::new()).await.unwrap();
    assert_eq!(self::services(&nobody).await.unwrap_err().code(), tonic::Code::Unauthenticated);
}

async fn services(client: &Client) -> Result<Vec<String>, tonic::Status> {
    let request = ServerReflectionRequest {
        message_request: Some(MessageRequest::ListServices(String::new())),
        ..ServerReflectionRequest::default()
    };
    let mut reflection = ServerReflectionClient::new(client.channel.clone());
    let mut answers = reflection.server_reflection_info(tokio_stream::once(request)).await?.into_inner();
    let answer = answers.message().await?.unwrap().message_response;
    let Some(MessageResponse::ListServicesResponse(list)) = answer else { panic!("{answer:?}") };
    Ok(list.service.into_iter().map(|service| service.name).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_http_serves_health_version_and_metrics() {
    let server = Server::start().await;
    let admin = server.admin().await;
    let _ = admin.call::<Pod, _>("/traceplane.v1.Pods/Get", GetRequest::default()).await;
    for (path, token, code, body) in [
        ("/healthz", "", "200", "ok"),
        ("/readyz?verbose", "", "200", "[+]etcd ok"),
        ("/livez", "", "200", "ok"),
        ("/version", "", "200", "v1.35.0+traceplane"),
        ("/metrics", "", "401", "present a client certificate"),
        ("/metrics", "t0ken", "403", "cannot get path \\\"/metrics\\\""),
        ("/metrics", "r00t", "200", "apiserver_request_total{verb=\"get\",group=\"\",resource=\"pods\""),
        ("/metrics", "r00t", "200", "apiserver_storage_objects{resource=\"namespaces\"} 4"),
        ("/api", "t0ken", "403", "\"kind\":\"Status\""),
        ("/api", "r00t", "404", "serves nothing at /api"),
    ] {
        let answer = get(&server, path, token).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {code}")), "{path}: {answer}");
        assert!(answer.contains(body), "{path}: {body} in {answer}");
    }
}

/// One HTTP/1.1 request without a client certificate, and the whole answer.
async fn get(server: &Server, path: &str, token: &str) -> String {
    let ca = service_kit::tls::CaBundle::from_pem(server.authority.pem.as_bytes(), "test").unwrap();
    let mut tls = (*service_kit::tls::client_config(None, &ca)).clone();
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    let stream = TcpStream::connect(server.address).await.unwrap();
    let name = "localhost".try_into().unwrap();
    let mut stream = TlsConnector::from(std::sync::Arc::new(tls)).connect(name, stream).await.unwrap();
    let authorization = if token.is_empty() { String::new() } else { format!("authorization: Bearer {token}\r\n") };
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{authorization}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(Duration::from_secs(10), stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    answer
}
