//! Starting one container: image, container, process, postStart hook. Each part that fails has its own reason and its own event.

use std::sync::Arc;

use api::core::v1::{Container, LifecycleHandler, Pod};
use controller::EventType::{Normal, Warning};
use telemetry::span::{SpanExt, pod_worker, runtime};
use tonic::Code;
use tracing::{Instrument, Span};

use super::downward::Surroundings;
use super::env::environment;
use super::execute::about;
use super::handler::{self, Hook};
use super::{NodeContext, config, volumes};
use crate::cri;
use crate::lifecycle::{Failure, FailureKind, Slot, slot_of};
use crate::runtime::image_name::ImageName;
use crate::runtime::{Exited, PULL_FAILURES, Purpose, Target, Verdict};

/// One start of one container.
pub(super) struct Launch {
    pub(super) context: Arc<NodeContext>,
    pub(super) pod: Arc<Pod>,
    pub(super) container: String,
    pub(super) attempt: u32,
    pub(super) sandbox: String,
    pub(super) sandbox_attempt: u32,
    pub(super) pod_ip: String,
}

impl Launch {
    /// Returns when the container runs and its postStart hook has returned.
    pub(super) async fn run(&self) -> Result<(), Failure> {
        let Some(slot) = slot_of(&self.pod.spec, &self.container) else {
            return Err(failure(FailureKind::Setup, "CreateContainerConfigError", "the pod has no such container"));
        };
        let result = self.launch(&slot).await;
        if let Err(failure) = &result {
            Span::current().fail(failure.reason.clone(), &failure.message);
        }
        result
    }

    /// Runs only the postStart hook of the container with this id, which runs already.
    pub(super) async fn hook(&self, id: &str) -> Result<(), Failure> {
        let Some(slot) = slot_of(&self.pod.spec, &self.container) else { return Ok(()) };
        self.post_start(&slot, id).await
    }

    async fn launch(&self, slot: &Slot<'_>) -> Result<(), Failure> {
        let image = self.image(slot).await?;
        let id = self.create(slot, &image).await?;
        self.start(slot, &id).await?;
        self.post_start(slot, &id).await
    }

    /// Makes sure that the image is on the node, and answers its id.
    async fn image(&self, slot: &Slot<'_>) -> Result<String, Failure> {
        let wanted = &slot.spec.image;
        let name = ImageName::parse(wanted).map_err(|why| {
            let message =
                format!("Failed to apply default image tag {wanted:?}: couldn't parse image name {wanted:?}: {why}");
            self.event(slot, Warning, "InspectFailed", message.clone());
            self.error(slot, FailureKind::Setup, "InvalidImageName", message)
        })?;
        let tagged = if name.tag.as_deref() == Some("latest") && !wanted.ends_with(":latest") {
            format!("{wanted}:latest")
        } else {
            wanted.clone()
        };
        let spec = config::image(&self.pod, slot.spec, &tagged);
        let present = self.context.runtime.images.image_status(spec.clone()).await.map_err(|error| {
            let message = format!("Failed to inspect image {wanted:?}: {error}");
            self.event(slot, Warning, "InspectFailed", message.clone());
            self.error(slot, FailureKind::Setup, "ImageInspectError", message)
        })?;
        match (pull_policy(slot.spec, &name), present) {
            ("Never", None) => {
                let message = format!("Container image {wanted:?} is not present with pull policy of Never");
                self.event(slot, Warning, "ErrImageNeverPull", message.clone());
                Err(self.error(slot, FailureKind::Setup, "ErrImageNeverPull", message))
            }
            ("Never" | "IfNotPresent", Some(image)) => {
                let message =
                    format!("Container image {wanted:?} already present on machine and can be accessed by the pod");
                self.event(slot, Normal, "Pulled", message);
                Ok(image.id)
            }
            _ => self.pull(slot, spec).instrument(runtime::pull_image(wanted)).await,
        }
    }

    async fn pull(&self, slot: &Slot<'_>, spec: cri::ImageSpec) -> Result<String, Failure> {
        let wanted = &slot.spec.image;
        self.event(slot, Normal, "Pulling", format!("Pulling image {wanted:?}"));
        let began = self.context.clock.instant();
        let sandbox_config = config::sandbox(&self.context, &self.pod, self.sandbox_attempt).ok();
        let images = &self.context.runtime.images;
        let request = cri::PullImageRequest { image: Some(spec.clone()), auth: None, sandbox_config };
        let id = images.pull_image(request).await.map_err(|error| {
            // "Unknown" tells nobody anything, so Kubernetes leaves it out of what is said of a pull.
            let why = if error.code == Code::Unknown { error.message } else { error.to_string() };
            self.event(slot, Warning, "Failed", format!("Failed to pull image {wanted:?}: {why}"));
            let known = PULL_FAILURES.iter().find_map(|(word, what)| Some((*word, what, why.strip_prefix(word)?)));
            let (reason, message) = match known {
                Some((word, what, rest)) => (word, format!("image pull failed for {wanted} because {what}{rest}")),
                None => ("ErrImagePull", why),
            };
            Span::current().fail(reason, &message);
            self.error(slot, FailureKind::Pull, reason, message)
        })?;
        let took = self.context.clock.instant() - began;
        let size = images.image_status(spec).await.ok().flatten().map_or(0, |image| image.size);
        let took = if took.as_millis() < 1_000 {
            format!("{}ms", took.as_millis())
        } else {
            format!("{}.{:03}s", took.as_secs(), took.subsec_millis())
        };
        let message = format!(
            "Successfully pulled image {wanted:?} in {took} ({took} including waiting). Image size: {size} bytes."
        );
        self.event(slot, Normal, "Pulled", message);
        Ok(id)
    }

    async fn create(&self, slot: &Slot<'_>, image: &str) -> Result<String, Failure> {
        let config = self.config(slot, image).await;
        let (config, sandbox) =
            config.map_err(|message| self.error(slot, FailureKind::Setup, "CreateContainerConfigError", message))?;
        let request = cri::CreateContainerRequest {
            pod_sandbox_id: self.sandbox.clone(),
            config: Some(config),
            sandbox_config: Some(sandbox),
        };
        let create = self.context.runtime.containers.create_container(request);
        let created = create.instrument(runtime::create_container()).await;
        let id =
            created.map_err(|error| self.error(slot, FailureKind::Setup, "CreateContainerError", error.message))?;
        self.prepare(slot, &id).await?;
        self.event(slot, Normal, "Created", "Container created".to_owned());
        Ok(id)
    }

    /// What the runtime is asked for. The error is what `CreateContainerConfigError` shows.
    async fn config(
        &self,
        slot: &Slot<'_>,
        image: &str,
    ) -> Result<(cri::ContainerConfig, cri::PodSandboxConfig), String> {
        let (context, pod) = (&self.context, &self.pod);
        let node = Arc::clone(&context.node.borrow());
        let around = Surroundings {
            pod_ip: &self.pod_ip,
            host_ip: &context.facts.host_ip,
            allocatable: &node.status.allocatable,
        };
        let env = environment(context.api.as_ref(), pod, slot.spec, around).await?;
        self.check_user(slot)?;
        let mounts = volumes::mounts(context, pod, slot.spec, self.attempt, &env, &self.pod_ip).await?;
        let container = config::container(context, pod, slot, self.attempt, image, &env, mounts);
        Ok((container, config::sandbox(context, pod, self.sandbox_attempt)?))
    }

    /// What the node does for a container before it is started.
    async fn prepare(&self, slot: &Slot<'_>, id: &str) -> Result<(), Failure> {
        self.context.runtime.access.before_start(id).await.map_err(|error| {
            let message = format!("Internal PreStartContainer hook failed: {}", error.message);
            self.event(slot, Warning, "Failed", message);
            failure(FailureKind::Setup, "PreStartHookError", error.message)
        })
    }

    /// `runAsNonRoot` can be checked as far as the spec says who runs.
    fn check_user(&self, slot: &Slot<'_>) -> Result<(), String> {
        let of_pod = self.pod.spec.security_context.as_ref();
        let own = slot.spec.security_context.as_ref();
        let non_root = own.and_then(|c| c.run_as_non_root).or(of_pod.and_then(|c| c.run_as_non_root)) == Some(true);
        let user = own.and_then(|c| c.run_as_user).or(of_pod.and_then(|c| c.run_as_user));
        if non_root && user == Some(0) {
            let meta = &self.pod.metadata;
            let pod = format!("{}_{}({})", meta.name, meta.namespace, meta.uid);
            let container = &slot.spec.name;
            return Err(format!("container's runAsUser breaks non-root policy (pod: {pod:?}, container: {container})"));
        }
        Ok(())
    }

    async fn start(&self, slot: &Slot<'_>, id: &str) -> Result<(), Failure> {
        let start = self.context.runtime.containers.start_container(id);
        start
            .instrument(runtime::start_container())
            .await
            .map_err(|error| self.error(slot, FailureKind::Container, "RunContainerError", error.message))?;
        self.event(slot, Normal, "Started", "Container started".to_owned());
        Ok(())
    }

    async fn post_start(&self, slot: &Slot<'_>, id: &str) -> Result<(), Failure> {
        let Some(hook) = slot.lifecycle().and_then(|lifecycle| lifecycle.post_start.as_ref()) else { return Ok(()) };
        let again = self.attempt > 0;
        let index = if again { slot.stop_index(&self.pod.spec) } else { slot.index };
        let span = about(&self.pod, pod_worker::hook(pod_worker::Hook::PostStart, &slot.spec.name, index, again));
        let target = Target { container_id: id.to_owned(), pod_ip: self.pod_ip.clone() };
        let ran = run_hook(&self.context, slot.spec, hook, &target, Purpose::PostStart).instrument(span.clone()).await;
        ran.map_err(|failed| {
            let message = hook_message(&self.pod, slot.spec, hook, &failed);
            span.fail("PostStartHookError", &message);
            self.event(slot, Warning, "FailedPostStartHook", message.clone());
            failure(FailureKind::Container, "PostStartHookError", message)
        })
    }

    fn event(&self, slot: &Slot<'_>, kind: controller::EventType, reason: &str, message: String) {
        self.context.api.event(&self.pod, &slot.field_path(), kind, reason, message);
    }

    /// A failure that is also told as an event.
    fn error(&self, slot: &Slot<'_>, kind: FailureKind, reason: &str, message: String) -> Failure {
        // Where the event before has told the details, this one names the reason; elsewhere it is the only one.
        let told_before =
            matches!(reason, "ErrImagePull" | "InvalidImageName" | "ImageInspectError" | "ErrImageNeverPull")
                || PULL_FAILURES.iter().any(|(word, _)| *word == reason);
        let text = if told_before { reason } else { &message };
        self.event(slot, Warning, "Failed", format!("Error: {text}"));
        failure(kind, reason, message)
    }
}

fn failure(kind: FailureKind, reason: &str, message: impl Into<String>) -> Failure {
    Failure { kind, reason: reason.to_owned(), message: message.into() }
}

/// What the spec says; else a moving tag is always looked up, and any other image only fetched once.
fn pull_policy<'a>(container: &'a Container, image: &ImageName) -> &'a str {
    match container.image_pull_policy.as_str() {
        "" if image.tag.as_deref() == Some("latest") => "Always",
        "" => "IfNotPresent",
        policy => policy,
    }
}

/// Why a hook failed.
pub(super) struct HookError {
    /// In the words of who called it.
    pub(super) error: String,
    /// What it printed, of a command.
    pub(super) output: String,
}

impl From<String> for HookError {
    fn from(error: String) -> Self {
        Self { error, output: String::new() }
    }
}

/// Runs a hook to its end.
pub(super) async fn run_hook(
    context: &NodeContext,
    container: &Container,
    hook: &LifecycleHandler,
    target: &Target,
    purpose: Purpose,
) -> Result<(), HookError> {
    match handler::hook(hook, container, &target.pod_ip)? {
        Hook::Sleep(seconds) => {
            context.clock.sleep(std::time::Duration::from_secs(seconds)).await;
            Ok(())
        }
        Hook::Run(handler) => match context.runtime.access.run(target, &handler, purpose, None).await {
            Ok(Verdict::Success | Verdict::Warning(_)) => Ok(()),
            Ok(Verdict::Failure(error)) => Err(error.into()),
            Ok(Verdict::Exited(Exited { code, output, stderr })) => {
                let command = hook.exec.as_ref().map(|exec| exec.command.join(" ")).unwrap_or_default();
                Err(HookError { error: format!("command '{command}' exited with {code}: {stderr}"), output })
            }
            Err(error) => Err(error.to_string().into()),
        },
    }
}

/// What is said of a hook that failed: what it was, and what it printed or ran into.
///
/// Kubernetes keeps this from the event since 1.23, where secrets might be printed; here it is what the event is for (SCENARIOS H3).
pub(super) fn hook_message(pod: &Pod, container: &Container, hook: &LifecycleHandler, failed: &HookError) -> String {
    let HookError { error, output } = failed;
    let meta = &pod.metadata;
    let about =
        format!("for Container {:?} in Pod \"{}_{}({})\" failed", container.name, meta.name, meta.namespace, meta.uid);
    match (&hook.exec, &hook.http_get) {
        (Some(exec), _) => {
            let command = exec.command.join(" ");
            format!("Exec lifecycle hook ([{command}]) {about} - error: {error}, message: {output:?}")
        }
        (_, Some(get)) => format!("HTTP lifecycle hook ({}) {about} - error: {error}", get.path),
        _ => format!("Cannot run handler: {error}"),
    }
}
