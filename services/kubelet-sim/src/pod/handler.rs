//! Handlers of hooks and probes: from the spec's words to something that can be run.

use api::core::v1::{Container, HttpGetAction, LifecycleHandler, ProbeHandler, TcpSocketAction};
use api::intstr::IntOrString;

use crate::runtime::Handler;

/// What a hook does.
pub(super) enum Hook {
    /// Something in or against the container.
    Run(Handler),
    /// Wait so many seconds.
    Sleep(u64),
}

/// A hook's handler; the error says what is wrong with it.
pub(super) fn hook(handler: &LifecycleHandler, container: &Container, pod_ip: &str) -> Result<Hook, String> {
    if let Some(exec) = &handler.exec {
        return Ok(Hook::Run(Handler::Exec(exec.command.clone())));
    }
    if let Some(get) = &handler.http_get {
        return http_get(get, container, pod_ip).map(Hook::Run);
    }
    if let Some(socket) = &handler.tcp_socket {
        return tcp_socket(socket, container, pod_ip).map(Hook::Run);
    }
    match &handler.sleep {
        Some(sleep) => Ok(Hook::Sleep(u64::try_from(sleep.seconds).unwrap_or(0))),
        None => Err("invalid handler: it names no action".to_owned()),
    }
}

/// A probe's handler.
pub(super) fn probe(handler: &ProbeHandler, container: &Container, pod_ip: &str) -> Result<Handler, String> {
    if let Some(exec) = &handler.exec {
        return Ok(Handler::Exec(exec.command.clone()));
    }
    if let Some(get) = &handler.http_get {
        return http_get(get, container, pod_ip);
    }
    if let Some(socket) = &handler.tcp_socket {
        return tcp_socket(socket, container, pod_ip);
    }
    match &handler.grpc {
        Some(grpc) => {
            Ok(Handler::Grpc { address: address(pod_ip, grpc.port), service: grpc.service.clone().unwrap_or_default() })
        }
        None => Err(format!("missing probe handler for {}", container.name)),
    }
}

fn http_get(get: &HttpGetAction, container: &Container, pod_ip: &str) -> Result<Handler, String> {
    let scheme = if get.scheme.eq_ignore_ascii_case("https") { "https" } else { "http" };
    let host = if get.host.is_empty() { pod_ip } else { &get.host };
    let address = address(host, port(&get.port, container)?);
    let path = get.path.trim_start_matches('/');
    let headers = get.http_headers.iter().map(|header| (header.name.clone(), header.value.clone())).collect();
    Ok(Handler::HttpGet { url: format!("{scheme}://{address}/{path}"), headers })
}

fn tcp_socket(socket: &TcpSocketAction, container: &Container, pod_ip: &str) -> Result<Handler, String> {
    let host = if socket.host.is_empty() { pod_ip } else { &socket.host };
    Ok(Handler::TcpSocket(address(host, port(&socket.port, container)?)))
}

fn address(host: &str, port: i32) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// A port by number, by the name of one of the container's ports, or by a number written as text.
fn port(port: &IntOrString, container: &Container) -> Result<i32, String> {
    let number = match (port.as_int(), port.as_str()) {
        (Some(number), _) => number,
        (_, Some(name)) => match container.ports.iter().find(|port| port.name == name) {
            Some(port) => port.container_port,
            // What Kubernetes says about a name that no port has, which it then takes for a number.
            None => name.parse().map_err(|_| format!("strconv.Atoi: parsing {name:?}: invalid syntax"))?,
        },
        _ => 0,
    };
    if (1..=65_535).contains(&number) { Ok(number) } else { Err(format!("invalid port number: {number}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handlers_are_resolved_against_their_container() {
        let container: Container = serde_json::from_value(serde_json::json!({
            "name": "web", "ports": [{"name": "http", "containerPort": 8080}]
        }))
        .unwrap();
        let resolved = |json: serde_json::Value| {
            let handler: ProbeHandler = serde_json::from_value(json).unwrap();
            probe(&handler, &container, "10.0.0.1")
        };
        let url = |url: &str| Ok(Handler::HttpGet { url: url.to_owned(), headers: Vec::new() });
        assert_eq!(resolved(serde_json::json!({"httpGet": {"port": "http"}})), url("http://10.0.0.1:8080/"));
        assert_eq!(
            resolved(serde_json::json!({"httpGet": {"port": 1, "path": "/x", "scheme": "HTTPS", "host": "::1"}})),
            url("https://[::1]:1/x")
        );
        let socket = resolved(serde_json::json!({"tcpSocket": {"port": "99"}}));
        assert_eq!(socket, Ok(Handler::TcpSocket("10.0.0.1:99".to_owned())));
        let unknown = resolved(serde_json::json!({"tcpSocket": {"port": "grpc"}}));
        assert_eq!(unknown, Err("strconv.Atoi: parsing \"grpc\": invalid syntax".to_owned()));
        assert!(resolved(serde_json::json!({})).is_err());
    }
}
