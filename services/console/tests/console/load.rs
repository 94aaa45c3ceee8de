//! Many spans at once, with readers beside them. Prints rates; asserts only that nothing is lost or mixed up.
//!
//! `cargo test --release -p traceplane-console load -- --nocapture` shows figures worth reading.

use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, KeyValue, any_value::Value},
    trace::v1::Span,
};

use crate::harness::{Console, attribute, from, span, spans};

const TRACES: u32 = 1000;
const SPANS_PER_TRACE: u32 = 40;
const SPANS_PER_BATCH: usize = 512;
const EXPORTERS: u32 = 4;

/// A span as traceplane's services make them: a dozen attributes, one of them the pod.
fn realistic(trace: u32, number: u32) -> Span {
    let mut span = span(1, 1, &format!("step {}", number % 20), u64::from(trace));
    span.trace_id = (1 << 100 | u128::from(trace)).to_be_bytes().to_vec();
    span.span_id = (1 << 60 | u64::from(trace) << 20 | u64::from(number)).to_be_bytes().to_vec();
    span.parent_span_id = vec![7; 8];
    span.attributes = vec![
        attribute("k8s.pod.name", &format!("web-{trace}")),
        attribute("k8s.pod.uid", &format!("5e1d0000-0000-4000-8000-{trace:012}")),
        attribute("k8s.namespace.name", "default"),
        attribute("k8s.node.name", &format!("node-{}", trace % 5)),
        attribute("traceplane.step", &format!("pod.create.{}", number % 10)),
        attribute("rpc.system", "grpc"),
        attribute("rpc.service", "traceplane.v1.Pods"),
        attribute("rpc.method", "Create"),
    ];
    for (key, value) in [("traceplane.revision", i64::from(trace)), ("traceplane.queue.wait_ms", i64::from(number))] {
        let value = Some(AnyValue { value: Some(Value::IntValue(value)) });
        span.attributes.push(KeyValue { key: key.into(), value, ..Default::default() });
    }
    span
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_journeys_at_once_are_kept_whole_while_others_read() {
    let console = Console::start(&[]).await;
    let began = Instant::now();
    let mut exporters = Vec::new();
    for exporter in 0..EXPORTERS {
        let mut client = console.exporter().await;
        // Each service has some spans of every trace, and sends them in the order in which they end.
        let numbers = (exporter..SPANS_PER_TRACE).step_by(EXPORTERS as usize);
        let all: Vec<Span> =
            numbers.flat_map(|number| (0..TRACES).map(move |trace| realistic(trace, number))).collect();
        exporters.push(tokio::spawn(async move {
            for batch in all.chunks(SPANS_PER_BATCH) {
                let spans = vec![from(&format!("service-{exporter}"), batch.to_vec())];
                let request = ExportTraceServiceRequest { resource_spans: spans };
                let answer = client.export(request).await.unwrap().into_inner();
                assert_eq!(answer.partial_success, None);
            }
        }));
    }

    let mut slowest = Duration::ZERO;
    let mut reads = 0;
    while exporters.iter().any(|exporter| !exporter.is_finished()) {
        let asked = Instant::now();
        console.find("query.attributes=%7B%22k8s.pod.name%22%3A%22web-7%22%7D").await;
        slowest = slowest.max(asked.elapsed());
        reads += 1;
    }
    for exporter in exporters {
        exporter.await.unwrap();
    }
    let took = began.elapsed();
    let count = TRACES * SPANS_PER_TRACE;
    println!("took in {count} spans in {took:?}: {:.0} spans/s", f64::from(count) / took.as_secs_f64());
    println!("{reads} searches meanwhile, the slowest in {slowest:?}");

    let asked = Instant::now();
    let pod = "query.attributes=%7B%22k8s.pod.uid%22%3A%225e1d0000-0000-4000-8000-000000000777%22%7D";
    assert_eq!(console.find(pod).await, [format!("{:032x}", 1u128 << 100 | 777)]);
    println!("one pod among them found in {:?}", asked.elapsed());

    for trace in 0..TRACES {
        let (_, answer) = console.get(&format!("/api/v3/traces/{:032x}", 1u128 << 100 | u128::from(trace))).await;
        assert_eq!(spans(&answer).count(), SPANS_PER_TRACE as usize);
        let pod = format!("web-{trace}");
        assert!(spans(&answer).all(|span| span["attributes"][0]["value"]["stringValue"] == pod.as_str()));
    }
    let metrics = console.text("/metrics").await;
    println!("{}", metrics.lines().find(|line| line.starts_with("traceplane_console_store_bytes ")).unwrap());
    assert!(metrics.contains(&format!("traceplane_console_spans {count}")), "{metrics}");
}
