//! Against real servers on this machine, with the texts that a user reads.

use std::sync::Arc;

use http::Response;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rcgen::generate_simple_self_signed;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::runtime::Connection;

type Request = http::Request<hyper::body::Incoming>;
type Answer = Response<Full<bytes::Bytes>>;

const SOON: Option<Duration> = Some(Duration::from_secs(30));

/// A server that answers as told; its address.
async fn server(answer: fn(&Request) -> Answer) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, answer));
        }
    });
    address
}

async fn serve(stream: impl Connection + 'static, answer: fn(&Request) -> Answer) {
    let service = service_fn(move |request| async move { Ok::<_, std::convert::Infallible>(answer(&request)) });
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// A server that lets a test have each connection.
async fn raw<F: Future<Output = ()> + Send>(each: impl Fn(TcpStream) -> F + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            each(stream).await;
        }
    });
    address
}

/// An address where nothing listens.
async fn nobody() -> String {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string()
}

async fn get(url: &str, headers: &[(&str, &str)], limit: Option<Duration>) -> Verdict {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    over_network(&Handler::HttpGet { url: url.to_owned(), headers }, Purpose::Liveness, limit).await.unwrap()
}

fn answer(status: u16, body: String) -> Answer {
    Response::builder().status(status).body(Full::new(body.into())).unwrap()
}

fn redirect(to: String) -> Answer {
    Response::builder().status(302).header("location", to).body(Full::new("elsewhere".into())).unwrap()
}

fn failure(text: impl Into<String>) -> Verdict {
    Verdict::Failure(text.into())
}

/// P1: 200 to 399 is success, and nothing else.
#[tokio::test]
async fn the_status_decides() {
    let address = server(|request| answer(request.uri().path()[1..].parse().unwrap(), String::new())).await;
    for code in [200, 204, 299] {
        assert_eq!(get(&format!("http://{address}/{code}"), &[], SOON).await, Verdict::Success, "{code}");
    }
    for code in [400, 404, 500, 503] {
        let expected = failure(format!("HTTP probe failed with statuscode: {code}"));
        assert_eq!(get(&format!("http://{address}/{code}"), &[], SOON).await, expected);
    }
    let not_modified = get(&format!("http://{address}/304"), &[], SOON).await;
    assert_eq!(not_modified, Verdict::Warning("Probe terminated redirects, Response body: ".to_owned()));
}

/// P1: the pod's headers are sent, and the usual ones unless the pod has its own.
#[tokio::test]
async fn headers_are_those_of_the_pod_and_a_kubelet() {
    // Fails with a status that says which header was wrong.
    let strict = |request: &Request| {
        let is = |name: &str, value: Option<&str>| {
            request.headers().get(name).map(|v| v.to_str().unwrap().to_owned()) == value.map(str::to_owned)
        };
        let wrong = match request.uri().path() {
            "/usual" => [
                is("user-agent", Some("kube-probe/1.35")),
                is("accept", Some("*/*")),
                is("host", Some(request.headers()["x-me"].to_str().unwrap())),
            ],
            "/own" => [is("user-agent", Some("mine")), is("accept", None), is("host", Some("web.example"))],
            _ => [is("user-agent", Some("kube-lifecycle/1.35")), true, true],
        };
        answer(wrong.iter().position(|right| !right).map_or(200, |at| 500 + at as u16), String::new())
    };
    let address = server(strict).await;
    assert_eq!(get(&format!("http://{address}/usual"), &[("X-Me", &address)], SOON).await, Verdict::Success);
    let own = [("User-Agent", "mine"), ("Accept", ""), ("Host", "web.example")];
    assert_eq!(get(&format!("http://{address}/own"), &own, SOON).await, Verdict::Success);
    let hook = Handler::HttpGet { url: format!("http://{address}/hook"), headers: Vec::new() };
    assert_eq!(over_network(&hook, Purpose::PostStart, None).await, Some(Verdict::Success));
    let wrong = get(&format!("http://{address}/"), &[("a b", "c")], SOON).await;
    assert_eq!(wrong, failure(format!("Get \"http://{address}/\": net/http: invalid header field name \"a b\"")));
}

#[tokio::test]
async fn redirects_are_followed_on_the_same_host_only() {
    let address = server(|request| match request.uri().path() {
        "/start" => redirect("/end?x=1".to_owned()),
        "/end" => answer(if request.headers().contains_key("referer") { 200 } else { 500 }, String::new()),
        "/gone" => redirect("/missing".to_owned()),
        "/away" => redirect("http://example.invalid/".to_owned()),
        "/loop" => redirect("/loop".to_owned()),
        _ => answer(404, String::new()),
    })
    .await;
    let at = |path: &str| format!("http://{address}/{path}");
    assert_eq!(get(&at("start"), &[], SOON).await, Verdict::Success);
    assert_eq!(get(&at("gone"), &[], SOON).await, failure("HTTP probe failed with statuscode: 404"));
    let away = get(&at("away"), &[], SOON).await;
    assert_eq!(away, Verdict::Warning("Probe terminated redirects, Response body: elsewhere".to_owned()));
    let expected = failure(format!("Get \"{}\": stopped after 10 redirects", at("loop")));
    assert_eq!(get(&at("loop"), &[], SOON).await, expected);
}

#[tokio::test]
async fn no_more_of_a_body_is_read_than_is_needed() {
    let address = server(|_| answer(300, "x".repeat(1 << 20))).await;
    let Verdict::Warning(text) = get(&format!("http://{address}/"), &[], SOON).await else { panic!("no warning") };
    assert_eq!(text.len(), "Probe terminated redirects, Response body: ".len() + (10 << 10));
}

#[tokio::test]
async fn what_does_not_answer_fails_in_gos_words() {
    let address = nobody().await;
    let url = format!("http://{address}/");
    let refused = format!("dial tcp {address}: connect: connection refused");
    assert_eq!(get(&url, &[], SOON).await, failure(format!("Get {url:?}: {refused}")));

    let limit = Some(Duration::from_millis(100));
    let silent = raw(|stream| async move { std::mem::forget(stream) }).await;
    let url = format!("http://{silent}/");
    let late = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)";
    assert_eq!(get(&url, &[], limit).await, failure(format!("Get {url:?}: {late}")));

    let halting = raw(|mut stream| async move {
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf").await.unwrap();
        std::mem::forget(stream);
    })
    .await;
    let late = "context deadline exceeded (Client.Timeout or context cancellation while reading body)";
    assert_eq!(get(&format!("http://{halting}/"), &[], limit).await, failure(late));

    let closing = raw(|mut stream| async move {
        let _ = stream.read(&mut [0; 4096]).await;
    })
    .await;
    let url = format!("http://{closing}/a b");
    assert_eq!(get(&url, &[], SOON).await, failure(format!("Get \"http://{closing}/a%20b\": EOF")));

    let unknown = get("http://no-such-host.invalid:80/", &[], SOON).await;
    let text = "Get \"http://no-such-host.invalid:80/\": dial tcp: lookup no-such-host.invalid: no such host";
    assert_eq!(unknown, failure(text));
}

/// P1: a certificate is not looked at. H2: a hook over https falls back to a server that speaks plainly.
#[tokio::test]
async fn certificates_are_not_verified() {
    let issued = generate_simple_self_signed(vec!["somebody.else".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(issued.signing_key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![issued.cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let address = raw(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            if let Ok(stream) = acceptor.accept(stream).await {
                tokio::spawn(serve(stream, |_| answer(200, String::new())));
            }
        }
    })
    .await;
    assert_eq!(get(&format!("https://{address}/"), &[], SOON).await, Verdict::Success);

    let plain = server(|_| answer(200, String::new())).await;
    let url = format!("https://{plain}/");
    let text = format!("Get {url:?}: http: server gave HTTP response to HTTPS client");
    assert_eq!(get(&url, &[], SOON).await, failure(text));
    let hook = Handler::HttpGet { url, headers: Vec::new() };
    assert_eq!(over_network(&hook, Purpose::PreStop, SOON).await, Some(Verdict::Success));
}

#[tokio::test]
async fn a_socket_passes_when_it_is_accepted() {
    let tcp = async |address: String, limit| {
        over_network(&Handler::TcpSocket(address), Purpose::Readiness, limit).await.unwrap()
    };
    let open = TcpListener::bind("127.0.0.1:0").await.unwrap();
    assert_eq!(tcp(open.local_addr().unwrap().to_string(), SOON).await, Verdict::Success);
    let closed = nobody().await;
    let refused = format!("dial tcp {closed}: connect: connection refused");
    assert_eq!(tcp(closed, SOON).await, failure(refused));
    // A listener whose queue is full answers no more: the connection neither comes about nor is refused.
    let full = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    nix::sys::socket::listen(&full, nix::sys::socket::Backlog::new(0).unwrap()).unwrap();
    let address = full.local_addr().unwrap();
    let _kept: Vec<_> =
        (0..4).map_while(|_| std::net::TcpStream::connect_timeout(&address, Duration::from_millis(200)).ok()).collect();
    let late = tcp(address.to_string(), Some(Duration::from_millis(100))).await;
    assert_eq!(late, failure(format!("dial tcp {address}: i/o timeout")));
}

/// P1: the gRPC health protocol, asked about one service or the whole server.
#[tokio::test]
async fn grpc_servers_are_asked_for_their_health() {
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter.set_service_status("good", tonic_health::ServingStatus::Serving).await;
    reporter.set_service_status("bad", tonic_health::ServingStatus::NotServing).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
    tokio::spawn(tonic::transport::Server::builder().add_service(health).serve_with_incoming(incoming));
    let ask = async |address: &str, service: &str, limit| {
        let handler = Handler::Grpc { address: address.to_owned(), service: service.to_owned() };
        over_network(&handler, Purpose::Startup, limit).await.unwrap()
    };
    assert_eq!(ask(&address, "", SOON).await, Verdict::Success);
    assert_eq!(ask(&address, "good", SOON).await, Verdict::Success);
    let unhealthy = failure("service unhealthy (responded with \"NOT_SERVING\")");
    assert_eq!(ask(&address, "bad", SOON).await, unhealthy);
    let Verdict::Failure(unknown) = ask(&address, "other", SOON).await else { panic!("it has no such service") };
    assert!(unknown.starts_with("error: health rpc probe failed: rpc error: code = NotFound desc = "), "{unknown}");

    let limit = Some(Duration::from_millis(300));
    for absent in [nobody().await, server(|_| answer(200, String::new())).await] {
        let text = format!("timeout: failed to connect service {absent:?} within 300ms: context deadline exceeded");
        assert_eq!(ask(&absent, "", limit).await, failure(text));
    }
}

#[tokio::test]
async fn a_grpc_server_without_health_says_so() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
    let routes = tonic::service::Routes::default();
    tokio::spawn(tonic::transport::Server::builder().add_routes(routes).serve_with_incoming(incoming));
    let handler = Handler::Grpc { address, service: String::new() };
    let Some(Verdict::Failure(text)) = over_network(&handler, Purpose::Liveness, SOON).await else {
        panic!("it is not implemented")
    };
    let start = "error: this server does not implement the grpc health protocol (grpc.health.v1.Health): ";
    assert!(text.starts_with(start), "{text}");
}

#[tokio::test]
async fn commands_are_not_for_the_network() {
    assert_eq!(over_network(&Handler::Exec(vec!["true".to_owned()]), Purpose::Liveness, SOON).await, None);
}

#[test]
fn times_are_written_as_go_writes_them() {
    for (millis, expected) in
        [(250, "250ms"), (1_000, "1s"), (1_500, "1.5s"), (60_000, "1m0s"), (3_661_000, "1h1m1s"), (0, "0s")]
    {
        assert_eq!(in_go(Duration::from_millis(millis)), expected);
    }
}
