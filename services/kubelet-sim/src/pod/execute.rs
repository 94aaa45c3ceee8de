//! Carrying out the state machine's actions: one future for each, with its span.

use std::sync::Arc;
use std::time::Duration;

use api::core::v1::Pod;
use controller::EventType::Warning;
use futures::FutureExt;
use futures::future::BoxFuture;
use telemetry::span::{ObjectRef, SpanExt, pod_worker, runtime};
use tracing::{Instrument, Span};

use super::launch::{Launch, hook_message, run_hook};
use super::{NodeContext, config, volumes};
use crate::cri;
use crate::lifecycle::{Action, Failure, FailureKind, Observed, Role, slot_of};
use crate::runtime::{Purpose, RuntimeError, Target};

/// How an action ended.
pub(super) type Ended = Result<(), Failure>;

/// Everything that carrying out an action needs.
pub(super) struct Executor<'a> {
    pub(super) context: &'a Arc<NodeContext>,
    pub(super) pod: &'a Arc<Pod>,
    pub(super) observed: &'a Observed,
    /// Containers are stopped because the pod ends, not to be started again.
    pub(super) ending: bool,
}

impl Executor<'_> {
    /// The work of an action. Spans become children of the span that is current now; the future may be dropped at any time.
    /// Actions that take no time have no work. The span is answered for the worker to keep, if it outlives the work.
    pub(super) fn carry_out(&self, action: &Action) -> (BoxFuture<'static, Ended>, Option<Span>) {
        match action {
            Action::RunSandbox { attempt } => (self.run_sandbox(*attempt), None),
            Action::MountVolumes => (self.mount_volumes(), None),
            Action::Start { container, attempt } => self.start(container, *attempt),
            Action::PostStart { container, id, attempt } => (self.post_start(container, id, *attempt), None),
            Action::PreStop { container, id, .. } => (self.pre_stop(container, id), None),
            Action::Stop { container, id, timeout, extended } => (self.stop(container, id, *timeout, *extended), None),
            Action::StopSandboxes(ids) => (self.clean_up(ids, false), None),
            Action::RemoveSandboxes(ids) => (self.clean_up(ids, true), None),
            Action::RemoveContainer(id) => (self.remove_container(id), None),
            Action::DeletePod => (self.delete(), None),
            Action::Terminate(_) | Action::Note(_) => (std::future::ready(Ok(())).boxed(), None),
        }
    }

    fn run_sandbox(&self, attempt: u32) -> BoxFuture<'static, Ended> {
        let (context, pod) = (Arc::clone(self.context), Arc::clone(self.pod));
        async move {
            let containers = &context.runtime.containers;
            let network = if pod.spec.host_network { Ok(()) } else { network_ready(&context).await };
            let (reason, message) = match network {
                Err(why) => ("NetworkNotReady", format!("network is not ready: {why}")),
                Ok(()) => {
                    let made = match config::sandbox(&context, &pod, attempt) {
                        Ok(config) => {
                            let runtime_handler = pod.spec.runtime_class_name.clone().unwrap_or_default();
                            let request = cri::RunPodSandboxRequest { config: Some(config), runtime_handler };
                            containers.run_pod_sandbox(request).await.map(drop).map_err(|error| error.to_string())
                        }
                        Err(why) => Err(why),
                    };
                    match made {
                        Ok(()) => return Ok(()),
                        Err(why) => ("FailedCreatePodSandBox", format!("Failed to create pod sandbox: {why}")),
                    }
                }
            };
            Span::current().fail(reason, &message);
            context.api.event(&pod, "", Warning, reason, message.clone());
            Err(Failure { kind: FailureKind::Setup, reason: reason.to_owned(), message })
        }
        .instrument(about(self.pod, runtime::run_sandbox()))
        .boxed()
    }

    fn mount_volumes(&self) -> BoxFuture<'static, Ended> {
        let (context, pod) = (Arc::clone(self.context), Arc::clone(self.pod));
        async move {
            volumes::mount(&context, &pod).await.map_err(|message| {
                context.api.event(&pod, "", Warning, "FailedMount", message.clone());
                Failure { kind: FailureKind::Setup, reason: "FailedMount".to_owned(), message }
            })
        }
        .boxed()
    }

    fn launch(&self, name: &str, attempt: u32) -> Option<Launch> {
        let sandbox = self.observed.sandbox()?;
        let pod_ip = if self.pod.spec.host_network { &self.context.facts.host_ip } else { &sandbox.ip };
        Some(Launch {
            context: Arc::clone(self.context),
            pod: Arc::clone(self.pod),
            container: name.to_owned(),
            attempt,
            sandbox: sandbox.id.clone(),
            sandbox_attempt: sandbox.attempt,
            pod_ip: pod_ip.clone(),
        })
    }

    fn post_start(&self, name: &str, id: &str, attempt: u32) -> BoxFuture<'static, Ended> {
        let Some(launch) = self.launch(name, attempt) else { return gone() };
        let id = id.to_owned();
        async move { launch.hook(&id).await }.boxed()
    }

    fn start(&self, name: &str, attempt: u32) -> (BoxFuture<'static, Ended>, Option<Span>) {
        let Some(slot) = slot_of(&self.pod.spec, name) else { return (gone(), None) };
        let Some(launch) = self.launch(name, attempt) else { return (gone(), None) };
        // An init container's step lasts until it has exited.
        let span = match slot.role {
            Role::Main | Role::Sidecar if attempt > 0 => {
                runtime::container_again(name, slot.stop_index(&self.pod.spec))
            }
            Role::Main => runtime::container(name, slot.index),
            Role::Init | Role::Sidecar => runtime::init_container(name, slot.index),
        };
        let span = about(self.pod, span);
        let keep = (slot.role == Role::Init).then(|| span.clone());
        (async move { launch.run().await }.instrument(span).boxed(), keep)
    }

    fn pre_stop(&self, name: &str, id: &str) -> BoxFuture<'static, Ended> {
        let Some(slot) = slot_of(&self.pod.spec, name) else { return gone() };
        let span = pod_worker::hook(pod_worker::Hook::PreStop, name, slot.stop_index(&self.pod.spec), !self.ending);
        let span = about(self.pod, span);
        let (context, pod, container) = (Arc::clone(self.context), Arc::clone(self.pod), slot.spec.clone());
        let field = slot.field_path();
        let target = self.target(id);
        async move {
            let Some(hook) = container.lifecycle.as_ref().and_then(|lifecycle| lifecycle.pre_stop.as_ref()) else {
                return Ok(());
            };
            if let Err(failed) = run_hook(&context, &container, hook, &target, Purpose::PreStop).await {
                let message = hook_message(&pod, &container, hook, &failed);
                Span::current().fail("FailedPreStopHook", &message);
                context.api.event(&pod, &field, Warning, "FailedPreStopHook", message);
            }
            // A hook that failed does not hold up the end.
            Ok(())
        }
        .instrument(span)
        .boxed()
    }

    /// TERM, and at the end of `timeout` KILL. The runtime does both; the second part is a span of its own.
    fn stop(&self, name: &str, id: &str, timeout: Duration, extended: bool) -> BoxFuture<'static, Ended> {
        let Some(slot) = slot_of(&self.pod.spec, name) else { return gone() };
        let extension = extended.then(|| about(self.pod, pod_worker::pre_stop_extension()));
        let (name, index, ending) = (name.to_owned(), slot.stop_index(&self.pod.spec), self.ending);
        let stop_span =
            || if ending { runtime::stop_container(&name, index) } else { runtime::stop_to_restart(&name, index) };
        let span = extension.as_ref().map_or_else(stop_span, |extension| extension.in_scope(stop_span));
        let span = about(self.pod, span);
        let (context, pod, id) = (Arc::clone(self.context), Arc::clone(self.pod), id.to_owned());
        let stop = async move {
            let kill_at = context.clock.instant() + timeout;
            let kill =
                || if ending { runtime::kill_container(&name, index) } else { runtime::kill_to_restart(&name, index) };
            let seconds = i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX);
            let mut stop = context.runtime.containers.stop_container(&id, seconds);
            let stopped = tokio::select! {
                // First, because the runtime's deadline is the same moment.
                biased;
                () = context.clock.sleep_until(kill_at) => stop.instrument(about(&pod, kill())).await,
                stopped = &mut stop => stopped,
            };
            if let Ok(status) = context.runtime.containers.container_status(&id).await {
                Span::current().attr(telemetry::attr::EXIT_CODE, i64::from(status.exit_code));
            }
            failed(stopped, "KillContainerError")
        };
        stop.instrument(span).instrument(extension.unwrap_or_else(Span::none)).boxed()
    }

    fn clean_up(&self, ids: &[String], remove: bool) -> BoxFuture<'static, Ended> {
        let (context, ids) = (Arc::clone(self.context), ids.to_vec());
        let span = if remove { about(self.pod, runtime::remove_sandbox()) } else { Span::none() };
        let uid = self.pod.metadata.uid.clone();
        // A pod that is over or goes needs its files no more; one whose sandbox is replaced finds them again.
        let ending = self.ending || matches!(self.pod.status.phase.as_str(), "Succeeded" | "Failed");
        async move {
            for id in &ids {
                let containers = &context.runtime.containers;
                failed(containers.stop_pod_sandbox(id).await, "KillPodSandboxError")?;
                if remove {
                    failed(containers.remove_pod_sandbox(id).await, "KillPodSandboxError")?;
                }
            }
            if ending {
                let removed = context.volumes.remove(&uid).await;
                removed.map_err(|message| {
                    let reason = "FailedUnMount".to_owned();
                    Failure { kind: FailureKind::Setup, reason, message }
                })?;
            }
            Ok(())
        }
        .instrument(span)
        .boxed()
    }

    fn remove_container(&self, id: &str) -> BoxFuture<'static, Ended> {
        let (context, id) = (Arc::clone(self.context), id.to_owned());
        async move { failed(context.runtime.containers.remove_container(&id).await, "RemoveContainerError") }.boxed()
    }

    fn delete(&self) -> BoxFuture<'static, Ended> {
        let (context, pod) = (Arc::clone(self.context), Arc::clone(self.pod));
        async move {
            // Usually gone with the sandbox; a pod that never had one may have been given files before.
            if let Err(message) = context.volumes.remove(&pod.metadata.uid).await {
                return Err(Failure { kind: FailureKind::Setup, reason: "FailedUnMount".to_owned(), message });
            }
            match context.api.delete(&pod).await {
                Ok(()) => Ok(()),
                // It is gone, or another pod has its name: either way this one is deleted.
                Err(error) if error.is_not_found() || error.is_conflict() => Ok(()),
                Err(error) => {
                    let reason = "FailedDelete".to_owned();
                    Err(Failure { kind: FailureKind::Setup, reason, message: error.message })
                }
            }
        }
        .boxed()
    }

    fn target(&self, id: &str) -> Target {
        target(self.context, self.pod, self.observed, id)
    }
}

/// Where a container is reached.
pub(super) fn target(context: &NodeContext, pod: &Pod, observed: &Observed, id: &str) -> Target {
    let pod_ip = match observed.sandbox() {
        Some(sandbox) if !pod.spec.host_network => sandbox.ip.clone(),
        _ => context.facts.host_ip.clone(),
    };
    Target { container_id: id.to_owned(), pod_ip }
}

/// A span that says which pod it is about, so that one pod's part of a trace can be told from another's.
pub(super) fn about(pod: &Pod, span: Span) -> Span {
    let meta = &pod.metadata;
    span.object(&ObjectRef::pod(&meta.namespace, &meta.name, &meta.uid));
    span
}

async fn network_ready(context: &NodeContext) -> Result<(), String> {
    let status = context.runtime.containers.status().await.map_err(|error| error.to_string())?;
    let conditions = status.status.unwrap_or_default().conditions;
    match conditions.iter().find(|condition| condition.r#type == "NetworkReady" && !condition.status) {
        None => Ok(()),
        Some(cri::RuntimeCondition { reason, message, .. }) => {
            Err(format!("container runtime network not ready: NetworkReady=false reason:{reason} message:{message}"))
        }
    }
}

fn failed(result: Result<(), RuntimeError>, reason: &str) -> Ended {
    match result {
        Ok(()) => Ok(()),
        Err(error) if error.is_not_found() => Ok(()),
        Err(error) => {
            Span::current().fail(reason.to_owned(), &error);
            let message = error.to_string();
            Err(Failure { kind: FailureKind::Setup, reason: reason.to_owned(), message })
        }
    }
}

/// The spec or the sandbox changed between the decision and now; the next step decides anew.
fn gone() -> BoxFuture<'static, Ended> {
    std::future::ready(Ok(())).boxed()
}
