//! Containers: image pull policy, ports, environment, probes and hooks.

use super::{resource_list, text};
use crate::core::v1::{Container, EnvVar, HttpGetAction, LifecycleHandler, ObjectFieldSelector, Probe, ProbeHandler};

/// Where a container may leave its last words.
const TERMINATION_MESSAGE_PATH: &str = "/dev/termination-log";

pub(super) fn container(container: &mut Container) {
    let pull_policy = pull_policy(&container.image);
    text(&mut container.image_pull_policy, pull_policy);
    text(&mut container.termination_message_path, TERMINATION_MESSAGE_PATH);
    text(&mut container.termination_message_policy, "File");
    for port in &mut container.ports {
        text(&mut port.protocol, "TCP");
    }
    container.env.iter_mut().for_each(env_var);
    resource_list(&mut container.resources.limits);
    resource_list(&mut container.resources.requests);
    let probes = [&mut container.liveness_probe, &mut container.readiness_probe, &mut container.startup_probe];
    probes.into_iter().flatten().for_each(probe);
    if let Some(lifecycle) = &mut container.lifecycle {
        [&mut lifecycle.post_start, &mut lifecycle.pre_stop].into_iter().flatten().for_each(hook);
    }
}

/// An image that may change under its tag (`latest`, or no tag, which means the same) is pulled every time.
pub(super) fn pull_policy(image: &str) -> &'static str {
    if tag(image) == Some("latest") { "Always" } else { "IfNotPresent" }
}

/// Returns the tag of an image's name; `None` if it goes by digest alone, or is no name at all.
fn tag(image: &str) -> Option<&str> {
    let (name, digest) = match image.split_once('@') {
        Some((name, digest)) => (name, Some(digest)),
        None => (image, None),
    };
    // A colon before the last slash belongs to the registry's port.
    let base_at = name.rfind('/').map_or(0, |slash| slash + 1);
    let (repository, tag) = match name[base_at..].find(':') {
        Some(colon) => (&name[..base_at + colon], Some(&name[base_at + colon + 1..])),
        None => (name, None),
    };
    let valid = !repository.is_empty()
        && repository[base_at..].bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b));
    match (valid, tag, digest) {
        (false, _, _) => None,
        (true, Some(tag), _) => Some(tag),
        (true, None, Some(_)) => None,
        (true, None, None) => Some("latest"),
    }
}

fn env_var(var: &mut EnvVar) {
    let Some(source) = &mut var.value_from else { return };
    if let Some(field) = &mut source.field_ref {
        field_ref(field);
    }
    if let Some(resource) = &mut source.resource_field_ref {
        text(&mut resource.divisor.string, "0");
    }
    if let Some(file) = &mut source.file_key_ref {
        file.optional.get_or_insert(false);
    }
}

pub(super) fn field_ref(field: &mut ObjectFieldSelector) {
    text(&mut field.api_version, "v1");
}

fn probe(probe: &mut Probe) {
    let defaults = [
        (&mut probe.timeout_seconds, 1),
        (&mut probe.period_seconds, 10),
        (&mut probe.success_threshold, 1),
        (&mut probe.failure_threshold, 3),
    ];
    for (field, default) in defaults {
        if *field == 0 {
            *field = default;
        }
    }
    let ProbeHandler { http_get: http, grpc, .. } = &mut probe.handler;
    if let Some(http) = http {
        http_get(http);
    }
    if let Some(grpc) = grpc {
        grpc.service.get_or_insert_default();
    }
}

fn hook(hook: &mut LifecycleHandler) {
    if let Some(http) = &mut hook.http_get {
        http_get(http);
    }
}

fn http_get(action: &mut HttpGetAction) {
    text(&mut action.path, "/");
    text(&mut action.scheme, "HTTP");
}

#[cfg(test)]
mod tests {
    use super::pull_policy;

    #[test]
    fn only_images_that_move_are_always_pulled() {
        for image in ["nginx", "nginx:latest", "quay.io/x/y", "localhost:5000/nginx", "x:latest@sha256:ab"] {
            assert_eq!(pull_policy(image), "Always", "{image}");
        }
        for image in ["nginx:1.29", "localhost:5000/nginx:v1", "nginx@sha256:ab", "nginx:latest-alpine", "", "NGINX"] {
            assert_eq!(pull_policy(image), "IfNotPresent", "{image}");
        }
    }
}
