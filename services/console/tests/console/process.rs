//! The program itself: start, health, stop, and what it says when it cannot start.

use std::{
    process::{Command, Output, Stdio},
    time::Duration,
};

use http::{Request, StatusCode};
use http_body_util::Full;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::TcpListener,
    time::timeout,
};

use crate::harness::{Console, call, from, span, spans, trace_id};

const PORTS: [&str; 4] = ["--otlp-grpc-port", "--otlp-http-port", "--query-grpc-port", "--query-http-port"];

/// Runs the program to its end.
fn output(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_console")).args(args).env_clear().output().unwrap()
}

#[tokio::test]
async fn a_signal_stops_the_program_with_code_0() {
    let mut program = tokio::process::Command::new(env!("CARGO_BIN_EXE_console"))
        .args(PORTS.iter().flat_map(|flag| [*flag, "0"]))
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(program.stderr.take().unwrap()).lines();
    let ready = async {
        loop {
            let line = lines.next_line().await.unwrap().expect("the program says where it serves before it ends");
            if let Some((_, address)) = line.split_once("query_http=") {
                return address.split_whitespace().next().unwrap().parse().unwrap();
            }
        }
    };
    let address = timeout(Duration::from_secs(20), ready).await.unwrap();
    let (status, body) = call(address, Request::get("/readyz").body(Full::default()).unwrap()).await;
    assert_eq!((status, &body[..]), (StatusCode::OK, &b"ok"[..]));

    kill(Pid::from_raw(program.id().unwrap().try_into().unwrap()), Signal::SIGTERM).unwrap();
    let ended = timeout(Duration::from_secs(20), program.wait()).await.unwrap().unwrap();
    assert_eq!(ended.code(), Some(0));
}

#[tokio::test]
async fn a_port_in_use_is_named_with_the_flag_that_changes_it() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for flag in PORTS {
        let mut args: Vec<&str> = PORTS.iter().filter(|other| **other != flag).flat_map(|free| [*free, "0"]).collect();
        args.extend([flag, &port]);
        let output = output(&args);
        let stderr = String::from_utf8_lossy(&output.stderr);
        let error = stderr.lines().find(|line| line.starts_with("error: ")).unwrap_or_default();
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(error.contains(&port) && error.contains("in use") && error.contains(flag), "{stderr}");
    }
}

#[test]
fn wrong_flags_are_refused_with_code_2() {
    for args in
        [["--max-spans", "0"], ["--max-bytes", "much"], ["--bind-address", "nowhere"], ["--otlp-grpc-port", "70000"]]
    {
        let output = output(&args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(args[0]), "{args:?}");
    }
}

#[tokio::test]
async fn health_metrics_and_a_word_of_welcome_are_served() {
    let console = Console::start(&["--max-traces", "1"]).await;
    for path in ["/healthz", "/livez", "/readyz"] {
        assert_eq!(console.text(path).await, "ok");
    }
    assert!(console.text("/").await.contains("/api/v3/traces"));

    let mut bad = span(9, 1, "bad", 1);
    bad.span_id.clear();
    console.export(vec![from("a", vec![span(1, 1, "one", 1), span(2, 1, "two", 2), bad])]).await;
    let metrics = console.text("/metrics").await;
    for line in [
        r#"traceplane_console_spans_received_total{outcome="accepted"} 2"#,
        r#"traceplane_console_spans_received_total{outcome="malformed"} 1"#,
        r#"traceplane_console_spans_received_total{outcome="over_limit"} 0"#,
        "traceplane_console_traces_evicted_total 1",
        "traceplane_console_spans_evicted_total 1",
        "traceplane_console_traces 1",
        "traceplane_console_spans 1",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} is not in\n{metrics}");
    }
}

#[tokio::test]
async fn a_stop_lets_a_slow_reader_finish() {
    let mut console = Console::start(&[]).await;
    let spans_sent: Vec<_> = (1..=200).map(|id| span(1, id, &"x".repeat(20_000), u64::from(id))).collect();
    console.export(vec![from("a", spans_sent)]).await;

    // The answer is larger than the buffers between, so it is still being written when the signal comes.
    let stream = tokio::net::TcpStream::connect(console.at.query_http).await.unwrap();
    let (mut client, connection) =
        hyper::client::conn::http1::handshake(hyper_util::rt::TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::get(format!("/api/v3/traces/{}", trace_id(1))).header("host", "console");
    let answer = client.send_request(request.body(Full::<hyper::body::Bytes>::default()).unwrap()).await.unwrap();
    console.shutdown.trigger();
    let body = http_body_util::BodyExt::collect(answer.into_body()).await.unwrap().to_bytes();
    assert_eq!(spans(&serde_json::from_slice(&body).unwrap()).count(), 200);

    timeout(Duration::from_secs(20), console.handle.take().unwrap().stopped()).await.unwrap().unwrap();
    assert!(tokio::net::TcpStream::connect(console.at.query_http).await.is_err());
}
