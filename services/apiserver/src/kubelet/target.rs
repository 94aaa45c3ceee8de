//! Which container a stream is about, and what to tell the kubelet. Pure.

use api::core::v1::Pod;
use api::field::{ErrorList, FieldError, Path};
use api::rpc::{LogsRequest, PodTarget, PortForwardInput, SessionInput, port_forward_input, session_input};
use bytes::Bytes;
use prost::Message;

use crate::rpc::Method;

/// Where the stream leads, and its first message as the kubelet gets it.
#[derive(Debug, PartialEq)]
pub(crate) enum Place {
    /// To the kubelet of this node.
    Node {
        /// Its name.
        name: String,
        /// The method there.
        path: &'static str,
        /// The completed message.
        first: Vec<u8>,
    },
    /// Nowhere: the pod has no node, and so it has no logs.
    Nowhere,
}

/// Completes the first message of a stream about `pod`.
///
/// # Errors
/// `BadRequest`: a container that the pod has not, or none where it has several; a session for a pod without a node. `Conflict`: another
/// uid was asked for. `Invalid`: options out of their range.
pub(crate) fn complete(method: Method, message: Bytes, pod: &Pod) -> api::Result<Place> {
    match method {
        Method::Logs => {
            let mut request: LogsRequest = read(message)?;
            check(&request, &pod.metadata.name)?;
            request.container = container(pod, &request.container)?;
            if pod.spec.node_name.is_empty() {
                return Ok(Place::Nowhere);
            }
            aim(&mut request.pod, pod)?;
            Ok(place(pod, "/traceplane.v1.Kubelet/Logs", &request))
        }
        Method::PortForward => {
            let mut input: PortForwardInput = read(message)?;
            if let Some(port_forward_input::Input::Start(start)) = &mut input.input {
                if start.port == 0 || start.port > u16::MAX.into() {
                    return Err(api::Error::bad_request(format!("port {} is not between 1 and 65535", start.port)));
                }
                has_node(pod)?;
                aim(&mut start.pod, pod)?;
            }
            Ok(place(pod, "/traceplane.v1.Kubelet/PortForward", &input))
        }
        _ => {
            let mut input: SessionInput = read(message)?;
            if let Some(session_input::Input::Start(start)) = &mut input.input {
                if !(start.stdin || start.stdout || start.stderr) {
                    return Err(api::Error::bad_request("you must specify at least 1 of stdin, stdout, stderr"));
                }
                if method == Method::Exec && start.command.is_empty() {
                    return Err(api::Error::bad_request("you must specify at least one command for the container"));
                }
                if start.tty && start.stderr {
                    return Err(api::Error::bad_request("tty and stderr cannot both be true"));
                }
                start.container = container(pod, &start.container)?;
                has_node(pod)?;
                aim(&mut start.pod, pod)?;
            }
            let exec = method == Method::Exec;
            Ok(place(pod, if exec { "/traceplane.v1.Kubelet/Exec" } else { "/traceplane.v1.Kubelet/Attach" }, &input))
        }
    }
}

fn read<M: Message + Default>(message: Bytes) -> api::Result<M> {
    M::decode(message).map_err(|error| api::Error::bad_request(format!("the first message is not valid: {error}")))
}

fn place(pod: &Pod, path: &'static str, first: &impl Message) -> Place {
    Place::Node { name: pod.spec.node_name.clone(), path, first: first.encode_to_vec() }
}

/// Makes the target this very pod on its node.
fn aim(target: &mut Option<PodTarget>, pod: &Pod) -> api::Result<()> {
    let asked = target.take().unwrap_or_default().uid;
    let meta = &pod.metadata;
    if !asked.is_empty() && asked != meta.uid {
        let why = format!("Precondition failed: UID in precondition: {asked}, UID in object meta: {}", meta.uid);
        return Err(api::Error::conflict("", "pods", &meta.name, why));
    }
    *target = Some(PodTarget {
        namespace: meta.namespace.clone(),
        name: meta.name.clone(),
        uid: meta.uid.clone(),
        node: pod.spec.node_name.clone(),
    });
    Ok(())
}

fn has_node(pod: &Pod) -> api::Result<()> {
    if pod.spec.node_name.is_empty() {
        return Err(api::Error::bad_request(format!("pod {} does not have a host assigned", pod.metadata.name)));
    }
    Ok(())
}

/// The container that is meant, in Kubernetes' words where that is not clear.
fn container(pod: &Pod, asked: &str) -> api::Result<String> {
    let pod_name = &pod.metadata.name;
    let all: Vec<&str> = {
        let init = pod.spec.init_containers.iter().map(|container| container.name.as_str());
        let main = pod.spec.containers.iter().map(|container| container.name.as_str());
        let ephemeral = pod.spec.ephemeral_containers.iter();
        let ephemeral = ephemeral.map(|container| container.ephemeral_container_common.name.as_str());
        init.chain(main).chain(ephemeral).collect()
    };
    if !asked.is_empty() {
        return match all.contains(&asked) {
            true => Ok(asked.to_owned()),
            false => Err(api::Error::bad_request(format!("container {asked} is not valid for pod {pod_name}"))),
        };
    }
    match pod.spec.containers.as_slice() {
        [only] => Ok(only.name.clone()),
        _ => Err(api::Error::bad_request(format!(
            "a container name must be specified for pod {pod_name}, choose one of: [{}]",
            all.join(" ")
        ))),
    }
}

/// Kubernetes' `ValidatePodLogOptions`.
fn check(request: &LogsRequest, name: &str) -> api::Result<()> {
    let mut errors = ErrorList::default();
    let field = |name: &str| Path::new(name);
    if let Some(lines) = request.tail_lines.filter(|lines| *lines < 0) {
        errors.push(FieldError::invalid(&field("tailLines"), lines, "must be greater than or equal to 0"));
    }
    if let Some(bytes) = request.limit_bytes.filter(|bytes| *bytes < 1) {
        errors.push(FieldError::invalid(&field("limitBytes"), bytes, "must be greater than 0"));
    }
    match (request.since_seconds, &request.since_time) {
        (Some(_), Some(_)) => errors
            .push(FieldError::forbidden(&field(""), "at most one of `sinceTime` or `sinceSeconds` may be specified")),
        (Some(seconds), None) if seconds < 1 => {
            errors.push(FieldError::invalid(&field("sinceSeconds"), seconds, "must be greater than 0"));
        }
        _ => {}
    }
    if errors.is_empty() { Ok(()) } else { Err(api::Error::invalid("", "PodLogOptions", name, &errors)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::core::v1::Container;
    use api::rpc::{PortForwardStart, SessionStart};

    fn pod(init: &[&str], main: &[&str], node: &str) -> Pod {
        let named = |name: &&str| Container { name: (*name).to_owned(), ..Container::default() };
        let mut pod = Pod::default();
        pod.metadata.namespace = "shop".to_owned();
        pod.metadata.name = "web".to_owned();
        pod.metadata.uid = "u1".to_owned();
        pod.spec.init_containers = init.iter().map(named).collect();
        pod.spec.containers = main.iter().map(named).collect();
        pod.spec.node_name = node.to_owned();
        pod
    }

    fn logs(pod: &Pod, change: impl FnOnce(&mut LogsRequest)) -> api::Result<Place> {
        let mut request = LogsRequest::default();
        change(&mut request);
        complete(Method::Logs, request.encode_to_vec().into(), pod)
    }

    fn exec(pod: &Pod, change: impl FnOnce(&mut SessionStart)) -> api::Result<Place> {
        let mut start = SessionStart { command: vec!["sh".to_owned()], stdout: true, ..SessionStart::default() };
        change(&mut start);
        let input = SessionInput { input: Some(session_input::Input::Start(start)) };
        complete(Method::Exec, input.encode_to_vec().into(), pod)
    }

    #[test]
    fn the_kubelet_is_told_the_very_pod_its_node_and_the_container() {
        let Place::Node { name, path, first } = logs(&pod(&[], &["app"], "n1"), |r| r.follow = true).unwrap() else {
            panic!("the pod has a node")
        };
        assert_eq!((name.as_str(), path), ("n1", "/traceplane.v1.Kubelet/Logs"));
        let sent = LogsRequest::decode(first.as_slice()).unwrap();
        let target = PodTarget { namespace: "shop".into(), name: "web".into(), uid: "u1".into(), node: "n1".into() };
        assert_eq!((sent.pod, sent.container.as_str(), sent.follow), (Some(target), "app", true));
        let Place::Node { path, first, .. } = exec(&pod(&["i"], &["app"], "n1"), |s| s.container = "i".into()).unwrap()
        else {
            panic!("the pod has a node")
        };
        assert_eq!(path, "/traceplane.v1.Kubelet/Exec");
        let Some(session_input::Input::Start(start)) = SessionInput::decode(first.as_slice()).unwrap().input else {
            panic!("a start")
        };
        assert_eq!((start.container.as_str(), start.pod.unwrap().node.as_str()), ("i", "n1"));
    }

    #[test]
    fn what_cannot_be_meant_is_refused_in_kubernetes_words() {
        let message = |place: api::Result<Place>| place.unwrap_err().message;
        let two = pod(&["i"], &["a", "b"], "n1");
        assert_eq!(
            message(logs(&two, |_| ())),
            "a container name must be specified for pod web, choose one of: [i a b]"
        );
        assert_eq!(message(exec(&two, |s| s.container = "x".into())), "container x is not valid for pod web");
        let unscheduled = pod(&[], &["a"], "");
        assert_eq!(logs(&unscheduled, |_| ()).unwrap(), Place::Nowhere);
        assert_eq!(message(exec(&unscheduled, |_| ())), "pod web does not have a host assigned");
        let one = pod(&[], &["a"], "n1");
        assert_eq!(
            message(exec(&one, |s| s.command.clear())),
            "you must specify at least one command for the container"
        );
        assert!(message(exec(&one, |s| s.stdout = false)).contains("at least 1 of stdin, stdout, stderr"));
        let other = |r: &mut LogsRequest| r.pod = Some(PodTarget { uid: "u0".into(), ..PodTarget::default() });
        let error = logs(&one, other).unwrap_err();
        assert!(error.is_conflict() && error.message.contains("UID in precondition: u0"), "{error}");
        for port in [0, 65_536] {
            let start = PortForwardStart { pod: None, port };
            let input = PortForwardInput { input: Some(port_forward_input::Input::Start(start)) };
            assert!(complete(Method::PortForward, input.encode_to_vec().into(), &one).is_err(), "{port}");
        }
    }

    #[test]
    fn log_options_have_kubernetes_ranges() {
        let one = pod(&[], &["a"], "n1");
        type Change = fn(&mut LogsRequest);
        let table: [(Change, &str); 4] = [
            (|r| r.tail_lines = Some(-1), "tailLines: Invalid value: -1: must be greater than or equal to 0"),
            (|r| r.limit_bytes = Some(0), "limitBytes: Invalid value: 0: must be greater than 0"),
            (|r| r.since_seconds = Some(0), "sinceSeconds: Invalid value: 0: must be greater than 0"),
            (
                |r| {
                    r.since_seconds = Some(1);
                    r.since_time = Some(prost_types::Timestamp::default());
                },
                "Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified",
            ),
        ];
        for (change, expected) in table {
            let error = logs(&one, change).unwrap_err();
            assert_eq!(error.reason, api::Reason::Invalid);
            assert!(
                error.message.starts_with("PodLogOptions \"web\" is invalid: ") && error.message.contains(expected),
                "{error}"
            );
        }
        for fine in [|r: &mut LogsRequest| r.tail_lines = Some(0), |r: &mut LogsRequest| r.since_seconds = Some(1)] {
            assert!(logs(&one, fine).is_ok());
        }
    }
}
