//! Containers of a pod or of a pod template.

use super::writer::Writer;
use crate::print::age::date;
use crate::print::columns::NONE;
use api::core::v1::{Container, ContainerPort, ContainerState, ContainerStatus, EnvVar, Pod, Probe};
use api::resource::Quantity;
use std::collections::BTreeMap;

/// Whose containers these are.
#[derive(Clone, Copy)]
pub(super) enum Place<'a> {
    /// A pod's, with how they fare.
    Pod(&'a Pod, &'a [ContainerStatus]),
    /// Those of a template, one step further in.
    Template,
}

/// Adds a section of containers; nothing if there are none and `title` is not "Containers".
pub(super) fn containers(writer: &mut Writer, title: &str, containers: &[Container], place: Place<'_>) {
    if containers.is_empty() && title != "Containers" {
        return;
    }
    let (indent, name_indent) = match place {
        Place::Pod(..) => ("", ""),
        Place::Template => ("  ", " "),
    };
    writer.line(0, format!("{indent}{title}:{}", if containers.is_empty() { " <none>" } else { "" }));
    for container in containers {
        writer.line(1, format!("{name_indent}{}:", container.name));
        let status = match place {
            Place::Pod(_, statuses) => statuses.iter().find(|status| status.name == container.name),
            Place::Template => None,
        };
        basics(writer, container, status, matches!(place, Place::Pod(..)));
        words(writer, "Command", &container.command);
        words(writer, "Args", &container.args);
        if let Some(status) = status {
            state(writer, "State", &status.state);
            if status.last_state.terminated.is_some() {
                state(writer, "Last State", &status.last_state);
            }
            writer.line(2, format!("Ready:\t{}", boolean(status.ready)));
            writer.line(2, format!("Restart Count:\t{}", status.restart_count));
        }
        amounts(writer, "Limits", &container.resources.limits);
        amounts(writer, "Requests", &container.resources.requests);
        for (name, probe) in [
            ("Liveness", &container.liveness_probe),
            ("Readiness", &container.readiness_probe),
            ("Startup", &container.startup_probe),
        ] {
            if let Some(probe) = probe {
                writer.line(2, format!("{name}:\t{}", describe_probe(probe)));
            }
        }
        environment(writer, container, place);
        mounts(writer, container);
    }
}

fn basics(writer: &mut Writer, container: &Container, status: Option<&ContainerStatus>, in_pod: bool) {
    if in_pod {
        writer.line(2, format!("Container ID:\t{}", status.map_or("", |status| &status.container_id)));
    }
    writer.line(2, format!("Image:\t{}", container.image));
    if in_pod {
        writer.line(2, format!("Image ID:\t{}", status.map_or("", |status| &status.image_id)));
    }
    let container_port = |port: &ContainerPort| match port.name.as_str() {
        "" => format!("{}/{}", port.container_port, port.protocol),
        name => format!("{}/{} ({name})", port.container_port, port.protocol),
    };
    let host_port = |port: &ContainerPort| format!("{}/{}", port.host_port, port.protocol);
    ports(writer, "Port", container.ports.iter().map(container_port).collect());
    ports(writer, "Host Port", container.ports.iter().map(host_port).collect());
}

fn ports(writer: &mut Writer, title: &str, all: Vec<String>) {
    let plural = if all.len() > 1 { "s" } else { "" };
    let text = if all.is_empty() { NONE.to_owned() } else { all.join(", ") };
    writer.line(2, format!("{title}{plural}:\t{text}"));
}

fn words(writer: &mut Writer, title: &str, words: &[String]) {
    if words.is_empty() {
        return;
    }
    writer.line(2, format!("{title}:"));
    words.iter().flat_map(|word| word.split('\n')).for_each(|line| writer.line(3, line));
}

fn state(writer: &mut Writer, title: &str, state: &ContainerState) {
    if let Some(running) = &state.running {
        writer.line(2, format!("{title}:\tRunning"));
        writer.line(3, format!("Started:\t{}", date(running.started_at.as_ref())));
    } else if let Some(end) = &state.terminated {
        writer.line(2, format!("{title}:\tTerminated"));
        for (name, text) in [("Reason", &end.reason), ("Message", &end.message)] {
            if !text.is_empty() {
                writer.line(3, format!("{name}:\t{text}"));
            }
        }
        writer.line(3, format!("Exit Code:\t{}", end.exit_code));
        if end.signal > 0 {
            writer.line(3, format!("Signal:\t{}", end.signal));
        }
        writer.line(3, format!("Started:\t{}", date(end.started_at.as_ref())));
        writer.line(3, format!("Finished:\t{}", date(end.finished_at.as_ref())));
    } else {
        writer.line(2, format!("{title}:\tWaiting"));
        if let Some(waiting) = state.waiting.as_ref().filter(|waiting| !waiting.reason.is_empty()) {
            writer.line(3, format!("Reason:\t{}", waiting.reason));
        }
    }
}

fn amounts(writer: &mut Writer, title: &str, amounts: &BTreeMap<String, Quantity>) {
    if amounts.is_empty() {
        return;
    }
    writer.line(2, format!("{title}:"));
    amounts.iter().for_each(|(name, amount)| writer.line(3, format!("{name}:\t{}", amount.string)));
}

fn describe_probe(probe: &Probe) -> String {
    let times = format!(
        "delay={}s timeout={}s period={}s #success={} #failure={}",
        probe.initial_delay_seconds,
        probe.timeout_seconds,
        probe.period_seconds,
        probe.success_threshold,
        probe.failure_threshold
    );
    let handler = &probe.handler;
    if let Some(exec) = &handler.exec {
        format!("exec [{}] {times}", exec.command.join(" "))
    } else if let Some(get) = &handler.http_get {
        let scheme = get.scheme.to_ascii_lowercase();
        format!("http-get {scheme}://{}:{}{} {times}", get.host, get.port, get.path)
    } else if let Some(socket) = &handler.tcp_socket {
        format!("tcp-socket {}:{} {times}", socket.host, socket.port)
    } else if let Some(grpc) = &handler.grpc {
        format!("grpc <pod>:{} {} {times}", grpc.port, grpc.service.as_deref().unwrap_or_default())
    } else {
        format!("unknown {times}")
    }
}

fn environment(writer: &mut Writer, container: &Container, place: Place<'_>) {
    if !container.env_from.is_empty() {
        writer.line(2, "Environment Variables from:");
    }
    for source in &container.env_from {
        let (name, kind, optional) = match (&source.config_map_ref, &source.secret_ref) {
            (Some(map), _) => (&map.local_object_reference.name, "ConfigMap", map.optional),
            (None, Some(secret)) => (&secret.local_object_reference.name, "Secret", secret.optional),
            (None, None) => continue,
        };
        let prefix = if source.prefix.is_empty() { String::new() } else { format!(" with prefix '{}'", source.prefix) };
        writer.line(3, format!("{name}\t{kind}{prefix}\tOptional: {}", optional.unwrap_or_default()));
    }
    if container.env.is_empty() {
        writer.line(2, format!("Environment:\t{NONE}"));
        return;
    }
    writer.line(2, "Environment:");
    for variable in &container.env {
        let mut lines = value(variable, place).lines().map(str::to_owned).collect::<Vec<_>>().into_iter();
        writer.line(3, format!("{}:\t{}", variable.name, lines.next().unwrap_or_default()));
        lines.for_each(|line| writer.line(3, format!("\t{line}")));
    }
}

fn value(variable: &EnvVar, place: Place<'_>) -> String {
    let Some(from) = &variable.value_from else { return variable.value.clone() };
    if let Some(field) = &from.field_ref {
        let version = if field.api_version.is_empty() { "v1" } else { &field.api_version };
        let value = match place {
            Place::Pod(pod, _) => pod_field(pod, &field.field_path),
            Place::Template => String::new(),
        };
        return format!("{value} ({version}:{})", field.field_path);
    }
    if let Some(resource) = &from.resource_field_ref {
        return format!(" ({})", resource.resource);
    }
    let key = |key: &str, preposition: &str, kind: &str, name: &str, optional: Option<bool>| {
        format!("<set to the key '{key}' {preposition} {kind} '{name}'>\tOptional: {}", optional.unwrap_or_default())
    };
    if let Some(secret) = &from.secret_key_ref {
        return key(&secret.key, "in", "secret", &secret.local_object_reference.name, secret.optional);
    }
    match &from.config_map_key_ref {
        Some(map) => key(&map.key, "of", "config map", &map.local_object_reference.name, map.optional),
        None => String::new(),
    }
}

/// What the downward API answers for the paths that need no cluster.
fn pod_field(pod: &Pod, path: &str) -> String {
    let value = match path {
        "metadata.name" => &pod.metadata.name,
        "metadata.namespace" => &pod.metadata.namespace,
        "metadata.uid" => &pod.metadata.uid,
        "spec.nodeName" => &pod.spec.node_name,
        "spec.serviceAccountName" => &pod.spec.service_account_name,
        "status.hostIP" => &pod.status.host_ip,
        "status.podIP" => &pod.status.pod_ip,
        _ => return String::new(),
    };
    value.clone()
}

fn mounts(writer: &mut Writer, container: &Container) {
    if container.volume_mounts.is_empty() {
        writer.line(2, format!("Mounts:\t{NONE}"));
        return;
    }
    writer.line(2, "Mounts:");
    let mut sorted: Vec<_> = container.volume_mounts.iter().collect();
    sorted.sort_by(|a, b| a.mount_path.cmp(&b.mount_path));
    for mount in sorted {
        let mut flags = vec![if mount.read_only { "ro".to_owned() } else { "rw".to_owned() }];
        if !mount.sub_path.is_empty() {
            flags.push(format!("path={:?}", mount.sub_path));
        }
        writer.line(3, format!("{} from {} ({})", mount.mount_path, mount.name, flags.join(",")));
    }
}

fn boolean(value: bool) -> &'static str {
    if value { "True" } else { "False" }
}
