//! The health endpoints answer as Kubernetes' do.
// Helper functions of tests are no tests to clippy.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use axum::body::Body;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use tower::ServiceExt;
use traceplane_service_kit::{Health, Shutdown};

async fn ask(health: &Health, path: &str) -> (StatusCode, String) {
    let request = Request::get(path).body(Body::empty()).unwrap();
    let answer = health.router().oneshot(request).await.unwrap();
    let status = answer.status();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

fn ok(body: &str) -> (StatusCode, String) {
    (StatusCode::OK, body.to_owned())
}

fn failed(body: &str) -> (StatusCode, String) {
    (StatusCode::INTERNAL_SERVER_ERROR, body.to_owned())
}

#[tokio::test]
async fn a_healthy_component_says_ok_and_lists_its_checks_when_asked() {
    let health = Health::new();
    health.live("etcd", || async { Ok(()) });
    for endpoint in ["healthz", "livez", "readyz"] {
        assert_eq!(ask(&health, &format!("/{endpoint}")).await, ok("ok"));
        assert_eq!(
            ask(&health, &format!("/{endpoint}?verbose")).await,
            ok(&format!("[+]ping ok\n[+]etcd ok\n{endpoint} check passed\n"))
        );
        assert_eq!(ask(&health, &format!("/{endpoint}/etcd")).await, ok("ok"));
    }
}

#[tokio::test]
async fn a_failing_check_is_named_and_its_reason_withheld() {
    let health = Health::new();
    health.live("etcd", || async { Err("secret address refused".to_owned()) });
    assert_eq!(
        ask(&health, "/livez").await,
        failed("[+]ping ok\n[-]etcd failed: reason withheld\nlivez check failed\n")
    );
    assert_eq!(ask(&health, "/livez/etcd").await, failed("etcd failed: reason withheld\n"));
    assert_eq!(ask(&health, "/livez/ping").await, ok("ok"));
    assert_eq!(ask(&health, "/livez?exclude=etcd").await, ok("ok"));
    assert_eq!(
        ask(&health, "/livez?verbose=true&exclude=etcd&exclude=disk").await,
        ok("[+]ping ok\n[+]etcd excluded: ok\nwarn: there is no check disk to exclude\nlivez check passed\n")
    );
}

#[tokio::test]
async fn a_ready_check_leaves_liveness_alone() {
    let health = Health::new();
    let synced = health.gate("informer-sync");
    assert_eq!(ask(&health, "/livez").await, ok("ok"));
    assert_eq!(ask(&health, "/livez/informer-sync").await.0, StatusCode::NOT_FOUND);
    assert_eq!(
        ask(&health, "/readyz").await,
        failed("[+]ping ok\n[-]informer-sync failed: reason withheld\nreadyz check failed\n")
    );
    assert!(!health.is_ready().await);
    synced.open();
    assert_eq!(ask(&health, "/readyz").await, ok("ok"));
    assert!(health.is_ready().await);
}

#[tokio::test]
async fn a_stopping_component_is_alive_and_not_ready() {
    let (health, shutdown) = (Health::new(), Shutdown::new());
    health.not_ready_after(&shutdown);
    assert_eq!(ask(&health, "/readyz").await, ok("ok"));
    shutdown.trigger();
    assert_eq!(ask(&health, "/healthz").await, ok("ok"));
    assert_eq!(ask(&health, "/readyz/shutdown").await, failed("shutdown failed: reason withheld\n"));
}

#[tokio::test(start_paused = true)]
async fn a_check_that_hangs_fails_before_the_probe_gives_up() {
    let health = Health::new();
    health.live("stuck", std::future::pending);
    let answer = tokio::time::timeout(Duration::from_secs(1), ask(&health, "/livez")).await.unwrap();
    assert_eq!(answer, failed("[+]ping ok\n[-]stuck failed: reason withheld\nlivez check failed\n"));
}
