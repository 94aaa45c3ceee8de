//! Which ports are meant: `8080:80`, `:80`, `80`, and names of a pod's or a Service's ports.

use anyhow::{Context, Result, bail};
use api::core::v1::{Pod, Service};

/// A port here and the one in the pod that it leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Forward {
    /// 0: any that is free.
    pub(super) local: u16,
    pub(super) remote: u16,
}

/// Reads the ports; those of a Service are translated to the pod's.
pub(super) fn parse(words: &[String], pod: &Pod, service: Option<&Service>) -> Result<Vec<Forward>> {
    words.iter().map(|word| one(word, pod, service)).collect()
}

fn one(word: &str, pod: &Pod, service: Option<&Service>) -> Result<Forward> {
    let (local, remote) = match word.split(':').collect::<Vec<_>>().as_slice() {
        [port] => (*port, *port),
        [local, remote] => (*local, *remote),
        _ => bail!("invalid port format '{word}'"),
    };
    if remote.is_empty() {
        bail!("remote port cannot be empty");
    }
    let (here, there) = match service {
        Some(service) => of_service(remote, pod, service)?,
        None => {
            let number = numbered(remote).map_or_else(|| of_pod(remote, pod), Ok)?;
            check_protocol(remote, number, pod_ports(pod))?;
            (number, number)
        }
    };
    let local = match local {
        "" => 0,
        // A name that stands for both is a number here, too.
        same if same == remote => u16::try_from(here).unwrap_or(0),
        other => other.parse().with_context(|| format!("error parsing local port '{other}'"))?,
    };
    let remote: u16 = u16::try_from(there).with_context(|| format!("error parsing remote port '{there}'"))?;
    if remote == 0 {
        bail!("remote port must be > 0");
    }
    Ok(Forward { local, remote })
}

fn numbered(port: &str) -> Option<i32> {
    port.parse().ok()
}

/// The Service's port of this number or name, and the pod's behind it.
fn of_service(wanted: &str, pod: &Pod, service: &Service) -> Result<(i32, i32)> {
    let name = &service.metadata.name;
    let ports = &service.spec.ports;
    let number = match numbered(wanted) {
        Some(number) => number,
        None => match ports.iter().find(|port| port.name == wanted) {
            Some(port) => port.port,
            None => bail!("Service '{name}' does not have a named port '{wanted}'"),
        },
    };
    check_protocol(wanted, number, ports.iter().map(|port| (port.port, port.protocol.as_str())))?;
    if service.spec.cluster_ip == "None" {
        return Ok((number, number));
    }
    let Some(port) = ports.iter().find(|port| port.port == number) else {
        bail!("Service {name} does not have a service port {number}");
    };
    let target = match (port.target_port.as_int(), port.target_port.as_str()) {
        (Some(0), _) | (None, None | Some("")) => port.port,
        (Some(target), _) => target,
        (None, Some(name)) => of_pod(name, pod)?,
    };
    Ok((number, target))
}

fn of_pod(name: &str, pod: &Pod) -> Result<i32> {
    let containers = pod.spec.containers.iter().chain(&pod.spec.init_containers);
    let found = containers.flat_map(|container| &container.ports).find(|port| port.name == name);
    match found {
        Some(port) => Ok(port.container_port),
        None => bail!("Pod '{}' does not have a named port '{name}'", pod.metadata.name),
    }
}

fn pod_ports(pod: &Pod) -> impl Iterator<Item = (i32, &str)> {
    let ports = pod.spec.containers.iter().flat_map(|container| &container.ports);
    ports.map(|port| (port.container_port, port.protocol.as_str()))
}

/// A port that is declared for UDP, and for UDP only, cannot be forwarded.
fn check_protocol<'a>(wanted: &str, number: i32, ports: impl Iterator<Item = (i32, &'a str)>) -> Result<()> {
    let protocols: Vec<&str> = ports.filter(|(port, _)| *port == number).map(|(_, protocol)| protocol).collect();
    if protocols.contains(&"UDP") && !protocols.contains(&"TCP") {
        bail!("UDP protocol is not supported for {wanted}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::core::v1::{Container, ContainerPort, ServicePort};

    fn pod() -> Pod {
        let port = |name: &str, number, protocol: &str| ContainerPort {
            name: name.to_owned(),
            container_port: number,
            protocol: protocol.to_owned(),
            ..ContainerPort::default()
        };
        let ports = vec![port("http", 80, "TCP"), port("dns", 53, "UDP")];
        let mut pod = Pod::default();
        pod.metadata.name = "web".to_owned();
        pod.spec.containers.push(Container { ports, ..Container::default() });
        pod
    }

    fn service() -> Service {
        let port = |name: &str, number, target: serde_json::Value| ServicePort {
            name: name.to_owned(),
            port: number,
            protocol: "TCP".to_owned(),
            target_port: serde_json::from_value(target).unwrap(),
            ..ServicePort::default()
        };
        let mut service = Service::default();
        service.metadata.name = "front".to_owned();
        service.spec.ports = vec![port("https", 443, "http".into()), port("api", 8080, 9090.into())];
        service
    }

    #[test]
    fn ports_are_read_as_kubectl_reads_them() {
        let service = service();
        for (word, of_service, expected) in [
            ("8080:80", false, (8080, 80)),
            ("80", false, (80, 80)),
            (":80", false, (0, 80)),
            ("0:80", false, (0, 80)),
            ("8080:http", false, (8080, 80)),
            ("http", false, (80, 80)),
            ("5000", false, (5000, 5000)),
            ("8443:https", true, (8443, 80)),
            ("https", true, (443, 80)),
            ("8080", true, (8080, 9090)),
        ] {
            let forward = one(word, &pod(), of_service.then_some(&service)).unwrap();
            assert_eq!((forward.local, forward.remote), expected, "{word}");
        }
    }

    #[test]
    fn what_cannot_be_forwarded_is_refused_in_kubectls_words() {
        let service = service();
        for (word, of_service, expected) in [
            ("1:2:3", false, "invalid port format '1:2:3'"),
            ("80:", false, "remote port cannot be empty"),
            ("0", false, "remote port must be > 0"),
            ("x:80", false, "error parsing local port 'x'"),
            ("80:70000", false, "error parsing remote port '70000'"),
            ("nope", false, "Pod 'web' does not have a named port 'nope'"),
            ("53", false, "UDP protocol is not supported for 53"),
            ("nope", true, "Service 'front' does not have a named port 'nope'"),
            ("81", true, "Service front does not have a service port 81"),
        ] {
            let error = one(word, &pod(), of_service.then_some(&service)).unwrap_err();
            assert_eq!(error.to_string(), expected, "{word}");
        }
    }
}
