//! Real connections, and what is said when there is none.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use api::core::v1::Pod;
use api::{Error, Reason};
use axum::Router;
use axum::body::Body;
use axum::routing::post;
use service_kit::rpc_status::to_status;
use service_kit::tls::{CaBundle, ClientAuth, Identity, server_config};
use service_kit::{Listener, Shutdown};
use std::net::SocketAddr;
use tempfile::TempDir;
use testkit::pki::{Authority, Pair};
use tokio::net::TcpListener;
use traceplane_client::{Api, Client, Kubeconfig};

const LOCAL: &[&str] = &["localhost", "127.0.0.1"];

/// A server that refuses every Get with a NotFound that quotes the caller's token.
struct Server {
    address: SocketAddr,
    shutdown: Shutdown,
}

impl Server {
    async fn start(identity: &Pair, clients: Option<&Authority>) -> Server {
        let answer = post(async |headers: http::HeaderMap| {
            let token = headers.get("authorization").map_or("nothing", |token| token.to_str().unwrap());
            to_status(&Error::not_found("", "pods", token)).into_http::<Body>()
        });
        let identity = Identity::from_pem(identity.certificate.as_bytes(), identity.key.as_bytes(), "test").unwrap();
        let bundle = clients.map(|ca| CaBundle::from_pem(ca.pem.as_bytes(), "test").unwrap());
        let auth = bundle.as_ref().map_or(ClientAuth::None, ClientAuth::Required);
        let listener = Listener::bind(SocketAddr::from(([127, 0, 0, 1], 0)), "--port").await.unwrap();
        let listener = listener.with_tls(server_config(&identity, auth));
        let (address, shutdown) = (listener.local_addr(), Shutdown::new());
        let router = Router::new().route("/traceplane.v1.Pods/Get", answer);
        tokio::spawn(listener.serve(router, shutdown.clone()));
        Server { address, shutdown }
    }

    fn url(&self) -> String {
        format!("https://{}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shutdown.trigger();
    }
}

async fn get(config: &Kubeconfig) -> Error {
    let client = Client::new(&config.session(None).unwrap()).unwrap();
    Api::<Pod>::namespaced(client, "default").get("web").await.expect_err("nothing is served")
}

#[tokio::test]
async fn certificates_prove_both_sides_and_a_token_travels() {
    let (ca, folder) = (Authority::new("ca"), TempDir::new().unwrap());
    let server = Server::start(&ca.sign("apiserver", "", LOCAL), Some(&ca)).await;
    let mut config = ca.kubeconfig(folder.path(), &server.url(), Some(&ca.sign("me", "", &[])));
    assert_eq!(get(&config).await.message, "pods \"nothing\" not found");
    let token = folder.path().join("token");
    std::fs::write(&token, "s3cret\n").unwrap();
    config.users[0].content.token_file = Some(token);
    assert_eq!(get(&config).await.message, "pods \"Bearer s3cret\" not found");
}

#[tokio::test]
async fn the_certificates_name_may_be_given_apart_from_the_address() {
    let (ca, folder) = (Authority::new("ca"), TempDir::new().unwrap());
    let server = Server::start(&ca.sign("apiserver", "", &["apiserver.example"]), None).await;
    let mut config = ca.kubeconfig(folder.path(), &server.url(), None);
    let error = get(&config).await;
    assert_eq!(error.reason, Reason::ServiceUnavailable);
    assert!(error.message.contains("names this address"), "{error}");
    config.clusters[0].content.tls_server_name = Some("apiserver.example".to_owned());
    assert_eq!(get(&config).await.reason, Reason::NotFound);
}

#[tokio::test]
async fn what_is_wrong_is_said_with_the_server_and_what_to_do() {
    let (ca, other, folder) = (Authority::new("ca"), Authority::new("other"), TempDir::new().unwrap());
    let server = Server::start(&ca.sign("apiserver", "", LOCAL), Some(&ca)).await;
    let (ours, theirs) = (ca.sign("me", "", &[]), other.sign("me", "", &[]));
    for (believed, user, reason, parts) in [
        (&other, Some(&ours), Reason::ServiceUnavailable, ["cannot trust", "certificate authority in the kubeconfig"]),
        (&ca, None, Reason::Unauthorized, ["does not accept this client's certificate", "tpctl pki"]),
        (&ca, Some(&theirs), Reason::Unauthorized, ["does not accept this client's certificate", "tpctl pki"]),
    ] {
        let error = get(&believed.kubeconfig(folder.path(), &server.url(), user)).await;
        assert_eq!(error.reason, reason, "{error}");
        assert!(error.message.contains(&server.url()), "{error}");
        for part in parts {
            assert!(error.message.contains(part), "{part:?} is not in: {error}");
        }
    }
}

#[tokio::test]
async fn a_port_where_nobody_listens_or_nobody_speaks_tls_is_named() {
    let (ca, folder) = (Authority::new("ca"), TempDir::new().unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let config = ca.kubeconfig(folder.path(), &format!("https://{address}"), None);
    let plain = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::io::AsyncWriteExt::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        }
    });
    let error = get(&config).await;
    assert_eq!(error.reason, Reason::ServiceUnavailable);
    assert!(error.message.contains(&address.to_string()), "{error}");
    plain.abort();
    let _ = plain.await;
    let error = get(&config).await;
    assert_eq!(error.reason, Reason::ServiceUnavailable);
    assert!(error.message.contains("Connection refused") && error.message.contains("check that it runs"), "{error}");
}

/// The server accepts and says nothing; the client's time is paused, so it gives up at once.
#[tokio::test(start_paused = true)]
async fn a_handshake_that_never_ends_is_given_up() {
    let (ca, folder) = (Authority::new("ca"), TempDir::new().unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = ca.kubeconfig(folder.path(), &format!("https://{}", listener.local_addr().unwrap()), None);
    let start = tokio::time::Instant::now();
    let error = get(&config).await;
    assert_eq!(error.reason, Reason::ServiceUnavailable, "{error}");
    assert!(start.elapsed().as_secs() < 60, "{:?}", start.elapsed());
    assert!(error.message.contains(&listener.local_addr().unwrap().to_string()), "{error}");
}

#[tokio::test]
async fn an_address_that_cannot_be_one_is_refused_before_any_call() {
    let (ca, folder) = (Authority::new("ca"), TempDir::new().unwrap());
    for (server, part) in [
        ("127.0.0.1:6443", "it must look like https://127.0.0.1:6443"),
        ("http://127.0.0.1:6443", "speaks TLS only"),
        ("https://127.0.0.1:6443/k8s", "not under a path"),
        ("https://exa mple", "not a URL"),
        ("https://-", "not a name or an address"),
    ] {
        let session = ca.kubeconfig(folder.path(), server, None).session(None).unwrap();
        let error = Client::new(&session).unwrap_err().to_string();
        assert!(error.contains(part) && error.contains(server), "{error}");
    }
    let mut config = ca.kubeconfig(folder.path(), "https://[::1]:6443", None);
    config.users[0].content.token = Some("two\nlines".to_owned());
    let error = Client::new(&config.session(None).unwrap()).unwrap_err().to_string();
    assert!(error.contains("token") && !error.contains("two"), "{error}");
}
