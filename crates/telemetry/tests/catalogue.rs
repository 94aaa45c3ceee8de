//! The constructors and the catalogue agree: who makes the span of a step gives it the name that the documentation says.

use telemetry::span::client::{CallTrace, outgoing};
use telemetry::span::pod_worker::{Hook, Probe, hook, pre_stop_extension, probe, restart_run};
use telemetry::span::scheduling::{ExtensionPoint, extension_point};
use telemetry::span::{runtime, stage, store};
use telemetry::testing::Recorder;
use telemetry::{RequestDetail, Step, TraceContext, self_started_span};
use traceplane_telemetry as telemetry;
use tracing::Span;

fn call(path: &str) -> Span {
    let detail = RequestDetail { from_kubelet: path.ends_with("UpdateStatus"), ..RequestDetail::default() };
    outgoing(path, &CallTrace { detail, ..CallTrace::default() }).span().clone()
}

fn committed(step: Step) -> Span {
    let txn = store::txn("/registry/pods/default/web-1");
    store::committed(&txn, Some(step), 42);
    txn
}

#[test]
fn every_constructor_names_its_span_as_the_catalogue_does() {
    let recorder = Recorder::new();
    let _current = recorder.install();
    self_started_span("journey", &TraceContext::NONE).in_scope(|| {
        let here = TraceContext::current();
        let spans = [
            stage::authenticate(Some(Step::PodCreate2a)),
            stage::authorize(Some(Step::PodCreate2b)),
            stage::admit(Some(Step::PodCreate2c)),
            stage::validate(Some(Step::PodCreate2d)),
            committed(Step::PodCreate2e),
            stage::respond(Some(Step::PodCreate2f)),
            extension_point(ExtensionPoint::Filter),
            extension_point(ExtensionPoint::Score),
            runtime::run_sandbox(),
            runtime::mount_volumes(),
            runtime::init_container("init", 0),
            runtime::container("web", 1),
            hook(Hook::PostStart, "web", 1, false),
            probe(&here, Probe::Startup, "web", 1, false),
            probe(&here, Probe::Readiness, "web", 1, false),
            probe(&here, Probe::Startup, "web", 1, true),
            probe(&here, Probe::Readiness, "web", 1, true),
            hook(Hook::PreStop, "web", 1, false),
            hook(Hook::PostStart, "web", 1, true),
            runtime::container_again("web", 1),
            runtime::stop_to_restart("web", 1),
            runtime::kill_to_restart("web", 1),
            restart_run(&here),
            pre_stop_extension(),
            runtime::stop_container("web", 1),
            runtime::kill_container("web", 1),
            runtime::remove_sandbox(),
            call("/traceplane.v1.Pods/Create"),
            call("/traceplane.v1.Pods/Bind"),
            call("/traceplane.v1.Pods/UpdateStatus"),
            call("/traceplane.v1.Pods/Delete"),
            call("/traceplane.v1.Deployments/Create"),
            call("/traceplane.v1.Deployments/UpdateStatus"),
        ];
        drop(spans);
    });
    let spans = recorder.spans();
    let steps: Vec<_> = spans.iter().filter_map(|span| Some((span, span.step()?))).collect();
    assert_eq!(steps.len(), spans.len() - 1, "each but the root is a step:\n{recorder}");
    for (span, step) in steps {
        assert_eq!(span.name, step.span(), "{step}");
    }
}
