//! A trace across one call: client layer, headers, server layer.
#![allow(clippy::unwrap_used, reason = "helpers of a test fail as the test does")]

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use http::{Request, Response};
use telemetry::span::server::RequestSpan;
use telemetry::span::{client, server, stage, store};
use telemetry::testing::Recorder;
use telemetry::{ApiSteps, SpanExt, Step, TraceContext, Untraced, attr, self_started_span};
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
use traceplane_telemetry as telemetry;
use tracing::Instrument;

const CREATE: &str = "/traceplane.v1.Pods/Create";
const SAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const UNSAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

fn grpc(path: &str) -> Request<()> {
    Request::post(path).header("content-type", "application/grpc").body(()).unwrap()
}

/// What the handler saw: the trace context that a write of it would store.
type Seen = Arc<Mutex<Option<TraceContext>>>;

/// Client layer, server layer, and a handler that runs the stages of a create and answers with `status`.
fn stack(
    seen: &Seen,
    status: &'static str,
) -> impl Service<Request<()>, Response = Response<()>, Error = Infallible> + use<> {
    let seen = Arc::clone(seen);
    let handler = service_fn(move |request: Request<()>| {
        let seen = Arc::clone(&seen);
        async move {
            let steps = ApiSteps::for_rpc(request.uri().path(), Default::default());
            RequestSpan::of(request.extensions()).attr(attr::K8S_POD_NAME, "web-1");
            drop(stage::authenticate(steps.authenticate));
            let txn = store::txn("/registry/pods/default/web-1");
            let context = async { TraceContext::current() }.instrument(txn.clone()).await;
            store::committed(&txn, steps.commit, 42);
            *seen.lock().unwrap() = Some(context);
            Ok::<_, Infallible>(Response::builder().header("grpc-status", status).body(()).unwrap())
        }
    });
    ServiceBuilder::new().layer(client::layer()).layer(server::layer()).service(handler)
}

#[tokio::test]
async fn a_call_is_one_trace_from_client_to_transaction() {
    let recorder = Recorder::new();
    let _current = recorder.install();
    let seen = Seen::default();
    let command = self_started_span("tpctl create", &TraceContext::NONE);

    stack(&seen, "0").oneshot(grpc(CREATE)).instrument(command).await.unwrap();

    let command = recorder.only("tpctl create");
    let sent = recorder.step(Step::PodCreate1);
    let served = recorder.spans().into_iter().find(|span| span.kind == "server").expect("a server span");
    let commit = recorder.step(Step::PodCreate2e);
    assert!(sent.is_child_of(&command.context), "{recorder}");
    assert!(served.is_child_of(&sent.context), "{recorder}");
    assert!(recorder.step(Step::PodCreate2a).is_child_of(&served.context), "{recorder}");
    assert!(commit.is_child_of(&served.context), "{recorder}");
    assert_eq!(seen.lock().unwrap().as_ref(), Some(&commit.context));
    for span in [&sent, &served] {
        assert_eq!(span.name, "traceplane.v1.Pods/Create");
        assert_eq!(span.attr(attr::RPC_SYSTEM_NAME), Some("grpc"));
        assert_eq!(span.attr(attr::RPC_METHOD), Some("traceplane.v1.Pods/Create"));
        assert_eq!(span.attr(attr::RPC_RESPONSE_STATUS_CODE), Some("OK"));
    }
    assert_eq!((sent.kind.as_str(), served.attr(attr::K8S_POD_NAME)), ("client", Some("web-1")));
}

#[tokio::test]
async fn an_expected_failure_is_recorded_and_is_no_error() {
    let table =
        [("5", "NOT_FOUND", false, false), ("13", "INTERNAL", true, true), ("3", "INVALID_ARGUMENT", true, false)];
    for (status, name, client_fails, server_fails) in table {
        let recorder = Recorder::new();
        let _current = recorder.install();
        stack(&Seen::default(), status).oneshot(grpc(CREATE)).await.unwrap();
        for (kind, fails) in [("client", client_fails), ("server", server_fails)] {
            let span = recorder.spans().into_iter().find(|span| span.kind == kind && span.name.contains("Pods"));
            let span = span.expect("a span on each side");
            assert_eq!(span.attr(attr::RPC_RESPONSE_STATUS_CODE), Some(name));
            assert_eq!(span.error.is_some(), fails, "{kind} {name}");
        }
    }
}

#[tokio::test]
async fn an_unsampled_caller_gets_no_span_and_its_context_reaches_the_store() {
    let recorder = Recorder::new();
    let _current = recorder.install();
    let seen = Seen::default();
    let mut request = grpc(CREATE);
    request.headers_mut().insert("traceparent", UNSAMPLED.parse().unwrap());

    let (handler, unsampled) = (stack(&seen, "0"), TraceContext::parse(UNSAMPLED, ""));
    // As it is inside an unsampled run: the context is current, without a span.
    let call = opentelemetry::context::FutureExt::with_context(handler.oneshot(request), unsampled.to_otel());
    call.await.unwrap();

    assert_eq!(recorder.spans(), [], "{recorder}");
    assert_eq!(seen.lock().unwrap().as_ref(), Some(&unsampled));
}

#[tokio::test]
async fn what_is_untraced_makes_no_spans_on_either_side() {
    let recorder = Recorder::new();
    let _current = recorder.install();
    let mut heartbeat = grpc("/traceplane.v1.Nodes/UpdateStatus");
    heartbeat.extensions_mut().insert(Untraced);
    let quiet = [grpc("/traceplane.v1.Pods/Watch"), grpc("/traceplane.v1.Leases/Update"), heartbeat];
    for request in quiet {
        let seen = Seen::default();
        let run = self_started_span("run", &TraceContext::NONE);
        stack(&seen, "0").oneshot(request).instrument(run).await.unwrap();
        assert!(recorder.spans().iter().all(|span| span.name == "run"), "{recorder}");
        assert_eq!(seen.lock().unwrap().as_ref(), Some(&TraceContext::NONE));
        recorder.clear();
    }
}

#[tokio::test]
async fn a_read_of_nobody_is_untraced_and_a_write_of_nobody_starts_a_trace() {
    let recorder = Recorder::new();
    let _current = recorder.install();
    stack(&Seen::default(), "0").oneshot(grpc("/traceplane.v1.Pods/List")).await.unwrap();
    assert_eq!(recorder.spans(), [], "{recorder}");
    stack(&Seen::default(), "0").oneshot(grpc(CREATE)).await.unwrap();
    assert_eq!(recorder.step(Step::PodCreate1).parent, None);
}

#[tokio::test]
async fn a_foreign_caller_is_continued_if_trusted_and_only_linked_if_not() {
    for trusted in [true, false] {
        let recorder = Recorder::new();
        let _current = recorder.install();
        let handler = service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new(())) });
        let layer = if trusted { server::layer() } else { server::layer().trusting(|_| false) };
        let mut request = grpc(CREATE);
        request.headers_mut().insert("traceparent", SAMPLED.parse().unwrap());
        ServiceBuilder::new().layer(layer).service(handler).oneshot(request).await.unwrap();

        let (span, caller) = (recorder.only("traceplane.v1.Pods/Create"), TraceContext::parse(SAMPLED, ""));
        assert_eq!(span.is_child_of(&caller), trusted);
        assert_eq!((span.parent.is_none(), span.links.len()), (!trusted, usize::from(!trusted)));
    }
}

#[tokio::test]
async fn an_http_call_is_named_by_its_method_until_the_route_is_known() {
    let recorder = Recorder::new();
    let _current = recorder.install();
    let handler = service_fn(|request: Request<()>| async move {
        if request.uri().path().starts_with("/api") {
            let span = RequestSpan::of(request.extensions());
            server::set_route(&span, request.method(), "/api/v1/namespaces/{namespace}/pods/{name}");
        }
        Ok::<_, Infallible>(Response::builder().status(503).body(()).unwrap())
    });
    let stack = ServiceBuilder::new().layer(server::layer()).service(handler);
    for path in ["/api/v1/namespaces/default/pods/web-1", "/version", "/readyz"] {
        stack.clone().oneshot(Request::get(path).body(()).unwrap()).await.unwrap();
    }
    let names: Vec<_> = recorder.spans().into_iter().map(|span| span.name).collect();
    assert_eq!(names, ["GET /api/v1/namespaces/{namespace}/pods/{name}", "GET"]);
    assert_eq!(recorder.only("GET").attr(attr::HTTP_RESPONSE_STATUS_CODE), Some("503"));
    assert!(recorder.only("GET").error.is_some());
}

#[tokio::test]
async fn a_spawned_task_stays_in_the_trace_sampled_or_not() {
    let recorder = Recorder::new();
    let _current = recorder.install();
    for traceparent in [SAMPLED, UNSAMPLED] {
        let seen = Seen::default();
        let task_saw = Arc::clone(&seen);
        let handler = service_fn(move |_: Request<()>| {
            let seen = Arc::clone(&task_saw);
            async move {
                let binding = telemetry::span::carry(async move {
                    *seen.lock().unwrap() = Some(TraceContext::current());
                });
                tokio::spawn(binding).await.unwrap();
                Ok::<_, Infallible>(Response::new(()))
            }
        });
        let mut request = grpc(CREATE);
        request.headers_mut().insert("traceparent", traceparent.parse().unwrap());
        ServiceBuilder::new().layer(server::layer()).service(handler).oneshot(request).await.unwrap();

        let caller = TraceContext::parse(traceparent, "");
        let seen = seen.lock().unwrap().clone().expect("the task ran");
        assert_eq!((seen.trace_id(), seen.is_sampled()), (caller.trace_id(), caller.is_sampled()));
    }
}
