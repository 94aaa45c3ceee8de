//! Who gets through the handshake, and what a request knows of its peer.

use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use traceplane_service_kit::Limits;
use traceplane_service_kit::tls::{ClientAuth, client_config, server_config};

use crate::support::{Served, ask, bundle, connect, identity, who_am_i};
use crate::testing::Authority;

#[tokio::test]
async fn a_peer_is_known_by_its_certificate_on_both_http_versions() {
    let ca = Authority::new("ca");
    let tls = server_config(&identity(&ca, "apiserver", &[]), ClientAuth::Required(&bundle(&ca)));
    let served = Served::start(Some(tls), Limits::default(), who_am_i()).await;
    let config = client_config(Some(&identity(&ca, "system:node:n1", &["system:nodes"])), &bundle(&ca));
    assert_eq!(ask(served.address, config.clone()).await.unwrap(), "system:node:n1 system:nodes");

    let stream = connect(served.address, (*config).clone(), b"h2").await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::get("https://localhost/whoami").body(Empty::<Bytes>::new()).unwrap();
    let body = sender.send_request(request).await.unwrap().into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "system:node:n1 system:nodes");
    drop(sender);
    served.stop().await;
}

#[tokio::test]
async fn certificates_are_demanded_as_configured() {
    let (ca, other) = (Authority::new("ca"), Authority::new("other"));
    let (ours, theirs) = (identity(&ca, "me", &[]), identity(&other, "me", &[]));
    let (server, believed) = (identity(&ca, "apiserver", &[]), bundle(&ca));
    let nobody = "nobody from 127.0.0.1";
    for (demand, client, expected) in [
        (ClientAuth::Required(&believed), Some(&ours), Some("me ")),
        (ClientAuth::Required(&believed), None, None),
        (ClientAuth::Required(&believed), Some(&theirs), None),
        (ClientAuth::Optional(&believed), Some(&ours), Some("me ")),
        (ClientAuth::Optional(&believed), None, Some(nobody)),
        (ClientAuth::Optional(&believed), Some(&theirs), None),
        (ClientAuth::None, None, Some(nobody)),
    ] {
        let served = Served::start(Some(server_config(&server, demand)), Limits::default(), who_am_i()).await;
        let answer = ask(served.address, client_config(client, &believed)).await;
        assert_eq!(answer.as_deref().ok(), expected, "{demand:?}: {answer:?}");
        served.stop().await;
    }
}

#[tokio::test]
async fn a_client_refuses_a_server_of_another_authority() {
    let (ca, other) = (Authority::new("ca"), Authority::new("other"));
    let tls = server_config(&identity(&other, "apiserver", &[]), ClientAuth::None);
    let served = Served::start(Some(tls), Limits::default(), who_am_i()).await;
    let error = ask(served.address, client_config(None, &bundle(&ca))).await.unwrap_err();
    assert!(error.to_string().contains("UnknownIssuer"), "{error}");
    served.stop().await;
}
