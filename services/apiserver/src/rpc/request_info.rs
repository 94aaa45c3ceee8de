//! What a call is about, read from its message before anything is decided: Kubernetes' `RequestInfo`.
//!
//! Over REST all of this stands in the URL. Over gRPC it stands in the message, so the message is looked into once: with types
//! that know only the few fields that matter, so that prost skips the rest.

use api::KindInfo;
use api::rpc::ListRequest;
use bytes::Bytes;
use prost::Message;
use telemetry::{ApiSteps, RequestDetail};

use super::{Call, Method};
use crate::auth::{Action, NODE_SIMULATORS, NODES};
use crate::request::UserInfo;

/// Kind, verb and object of a call. The handler uses the namespace and the name from here, so that what was authorized is what
/// is done.
#[derive(Clone, Debug)]
pub struct RequestInfo {
    /// The kind.
    pub kind: &'static KindInfo,
    /// What to do.
    pub method: Method,
    /// `status`, `binding`, `log`, `exec`, `attach`, `portforward`, or empty.
    pub subresource: &'static str,
    /// Empty for cluster-wide kinds and for all namespaces.
    pub namespace: String,
    /// Empty for lists, and for a create whose name is to be generated.
    pub name: String,
    /// The field selector of a list or watch.
    pub field_selector: String,
}

impl RequestInfo {
    /// Reads it from an encoded message. Errors: `BadRequest` if the message is not what the method takes, `NotFound` for a
    /// subresource that there is not.
    pub fn read(call: Call, message: &Bytes) -> api::Result<Self> {
        let Call { kind, method } = call;
        let mut info = Self {
            kind,
            method,
            subresource: method.subresource(),
            namespace: String::new(),
            name: String::new(),
            field_selector: String::new(),
        };
        match method {
            Method::Create | Method::Update | Method::UpdateStatus | Method::Bind => {
                let WithObject { namespace, object } = decode(call, message)?;
                let metadata = object.unwrap_or_default().metadata.unwrap_or_default();
                if !namespace.is_empty() && !metadata.namespace.is_empty() && namespace != metadata.namespace {
                    return Err(api::Error::bad_request(format!(
                        "the namespace of the provided object does not match the namespace sent on the request: \
                         {:?} and {namespace:?}",
                        metadata.namespace
                    )));
                }
                info.namespace = if namespace.is_empty() { metadata.namespace } else { namespace };
                info.name = metadata.name;
            }
            Method::Get | Method::Patch | Method::Delete => {
                let WithName { namespace, name, subresource } = decode(call, message)?;
                info.subresource = match subresource.as_str() {
                    "" => "",
                    "status" if kind.has_status => "status",
                    other => {
                        let resource = format!("{}/{other}", kind.plural);
                        return Err(api::Error::not_found(kind.group, &resource, &name));
                    }
                };
                (info.namespace, info.name) = (namespace, name);
            }
            Method::Logs => {
                let WithPod { pod } = decode(call, message)?;
                let NamedPod { namespace, name } = pod.unwrap_or_default();
                (info.namespace, info.name) = (namespace, name);
            }
            Method::Exec | Method::Attach | Method::PortForward => {
                let NamedPod { namespace, name } = decode::<WithStart>(call, message)?.pod().ok_or_else(|| {
                    api::Error::bad_request(format!("the first message of {} must be its start", method.name()))
                })?;
                (info.namespace, info.name) = (namespace, name);
            }
            // A collection is chosen as a list is: by options in field 2.
            Method::List | Method::Watch | Method::DeleteCollection => {
                let ListRequest { namespace, options } = decode(call, message)?;
                info.namespace = namespace;
                info.field_selector = options.unwrap_or_default().field_selector;
            }
        }
        if !kind.namespaced {
            info.namespace.clear();
        }
        Ok(info)
    }

    /// The question for the authorizer.
    pub fn action(&self) -> Action<'_> {
        Action::Resource {
            verb: self.method.verb(),
            group: self.kind.group,
            resource: self.kind.plural,
            subresource: self.subresource,
            namespace: &self.namespace,
            name: if self.method == Method::Create { "" } else { &self.name },
            field_selector: &self.field_selector,
        }
    }

    /// The steps that the call performs for this user; `restarts`: it says that it belongs to the restart of a container. Whether a delete
    /// removes at once only the registry finds out.
    pub fn steps(&self, user: &UserInfo, restarts: bool) -> ApiSteps {
        let detail = RequestDetail { removes: false, from_kubelet: is_kubelet(user), restarts };
        ApiSteps::for_request(self.kind.plural, self.method.verb(), self.subresource, detail)
    }
}

/// Whether a kubelet asks, of one node or of many.
pub(crate) fn is_kubelet(user: &UserInfo) -> bool {
    user.groups.iter().any(|group| group == NODES || group == NODE_SIMULATORS)
}

fn decode<M: Message + Default>(call: Call, message: &Bytes) -> api::Result<M> {
    M::decode(message.clone()).map_err(|error| {
        let Call { kind, method } = call;
        api::Error::bad_request(format!("the message is no request of {}/{}: {error}", kind.service, method.name()))
    })
}

/// What is read of `GetRequest`, `DeleteRequest` and `PatchRequest`.
#[derive(Clone, PartialEq, Message)]
struct WithName {
    #[prost(string, tag = "1")]
    namespace: String,
    #[prost(string, tag = "2")]
    name: String,
    /// Of a patch only: the others have no field 6.
    #[prost(string, tag = "6")]
    subresource: String,
}

/// What is read of `Create<Kind>Request`, `Update<Kind>Request` and `BindPodRequest`.
#[derive(Clone, PartialEq, Message)]
struct WithObject {
    #[prost(string, tag = "1")]
    namespace: String,
    #[prost(message, optional, tag = "2")]
    object: Option<AnyObject>,
}

/// What is read of `SessionInput` and `PortForwardInput`.
#[derive(Clone, PartialEq, Message)]
struct WithStart {
    #[prost(message, optional, tag = "1")]
    start: Option<WithPod>,
}

impl WithStart {
    fn pod(self) -> Option<NamedPod> {
        self.start.map(|start| start.pod.unwrap_or_default())
    }
}

/// What is read of `LogsRequest`, `SessionStart` and `PortForwardStart`.
#[derive(Clone, PartialEq, Message)]
struct WithPod {
    #[prost(message, optional, tag = "1")]
    pod: Option<NamedPod>,
}

/// What is read of `PodTarget`.
#[derive(Clone, PartialEq, Message)]
struct NamedPod {
    #[prost(string, tag = "1")]
    namespace: String,
    #[prost(string, tag = "2")]
    name: String,
}

/// Field 1 of every kind is its metadata.
#[derive(Clone, PartialEq, Message)]
struct AnyObject {
    #[prost(message, optional, tag = "1")]
    metadata: Option<AnyMetadata>,
}

/// What is read of `ObjectMeta`.
#[derive(Clone, PartialEq, Message)]
struct AnyMetadata {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "3")]
    namespace: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::core::v1::{Binding, Node, Pod};
    use api::meta::v1::{DeleteOptions, ListOptions, ObjectMeta};
    use api::rpc::{
        BindPodRequest, CreateRequest, DeleteCollectionRequest, DeleteRequest, GetRequest, LogsRequest, PatchRequest,
        PodTarget, PortForwardInput, PortForwardStart, SessionInput, SessionStart, WatchRequest, port_forward_input,
        session_input,
    };

    fn read(path: &str, message: &impl Message) -> api::Result<RequestInfo> {
        RequestInfo::read(Call::from_path(path).unwrap(), &message.encode_to_vec().into())
    }

    fn about(path: &str, message: &impl Message) -> String {
        let info = read(path, message).unwrap();
        let Action::Resource { verb, resource, subresource, namespace, name, field_selector, .. } = info.action()
        else {
            panic!()
        };
        format!("{verb} {resource}/{subresource} {namespace}/{name} {field_selector}")
    }

    fn metadata(namespace: &str, name: &str) -> ObjectMeta {
        ObjectMeta { namespace: namespace.into(), name: name.into(), ..ObjectMeta::default() }
    }

    #[test]
    fn every_method_says_what_it_is_about() {
        let pod = |namespace| Pod { metadata: metadata(namespace, "web"), ..Pod::default() };
        let create = |namespace: &str, object| CreateRequest { namespace: namespace.into(), object, options: None };
        assert_eq!(about("/traceplane.v1.Pods/Create", &create("", pod("shop"))), "create pods/ shop/ ");
        assert_eq!(about("/traceplane.v1.Pods/Create", &create("shop", pod(""))), "create pods/ shop/ ");
        assert_eq!(about("/traceplane.v1.Pods/UpdateStatus", &create("shop", pod(""))), "update pods/status shop/web ");
        let node = Node { metadata: metadata("ignored", "n1"), ..Node::default() };
        let create_node = CreateRequest { namespace: String::new(), object: node, options: None };
        assert_eq!(about("/traceplane.v1.Nodes/Update", &create_node), "update nodes/ /n1 ");
        let binding = Some(Binding { metadata: metadata("", "web"), ..Binding::default() });
        let bind = BindPodRequest { namespace: "shop".into(), binding };
        assert_eq!(about("/traceplane.v1.Pods/Bind", &bind), "create pods/binding shop/web ");
        let get = GetRequest { namespace: "shop".into(), name: "web".into(), options: None };
        assert_eq!(about("/traceplane.v1.Pods/Get", &get), "get pods/ shop/web ");
        let options = Some(DeleteOptions { grace_period_seconds: Some(0), ..Default::default() });
        let delete = DeleteRequest { namespace: "shop".into(), name: "web".into(), options };
        assert_eq!(about("/traceplane.v1.Pods/Delete", &delete), "delete pods/ shop/web ");
        let patch = PatchRequest {
            namespace: "shop".into(),
            name: "web".into(),
            subresource: "status".into(),
            ..Default::default()
        };
        assert_eq!(about("/traceplane.v1.Pods/Patch", &patch), "patch pods/status shop/web ");
        let options = Some(ListOptions { field_selector: "spec.nodeName=a".into(), ..Default::default() });
        let watch = WatchRequest { namespace: String::new(), options: options.clone() };
        assert_eq!(about("/traceplane.v1.Pods/Watch", &watch), "watch pods/ / spec.nodeName=a");
        let collection = DeleteCollectionRequest { namespace: "shop".into(), list: options, options: None };
        assert_eq!(
            about("/traceplane.v1.Pods/DeleteCollection", &collection),
            "deletecollection pods/ shop/ spec.nodeName=a"
        );
    }

    #[test]
    fn streams_are_subresources_of_the_pod_that_their_first_message_names() {
        let pod = Some(PodTarget { namespace: "shop".into(), name: "web".into(), ..PodTarget::default() });
        let logs = LogsRequest { pod: pod.clone(), ..LogsRequest::default() };
        assert_eq!(about("/traceplane.v1.Pods/Logs", &logs), "get pods/log shop/web ");
        let start = SessionStart { pod: pod.clone(), ..SessionStart::default() };
        let session = SessionInput { input: Some(session_input::Input::Start(start)) };
        assert_eq!(about("/traceplane.v1.Pods/Exec", &session), "create pods/exec shop/web ");
        assert_eq!(about("/traceplane.v1.Pods/Attach", &session), "create pods/attach shop/web ");
        let start = port_forward_input::Input::Start(PortForwardStart { pod, port: 80 });
        let forward = PortForwardInput { input: Some(start) };
        assert_eq!(about("/traceplane.v1.Pods/PortForward", &forward), "create pods/portforward shop/web ");
        let late = SessionInput { input: Some(session_input::Input::Stdin("x".into())) };
        let error = read("/traceplane.v1.Pods/Exec", &late).unwrap_err();
        assert_eq!(error.message, "the first message of Exec must be its start");
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        let object = Pod { metadata: metadata("a", "web"), ..Pod::default() };
        let create = CreateRequest { namespace: "b".into(), object, options: None };
        assert_eq!(read("/traceplane.v1.Pods/Create", &create).unwrap_err().reason, api::Reason::BadRequest);
        let patch = PatchRequest { name: "web".into(), subresource: "scale".into(), ..Default::default() };
        assert_eq!(read("/traceplane.v1.Pods/Patch", &patch).unwrap_err().message, "pods/scale \"web\" not found");
        let call = Call::from_path("/traceplane.v1.Pods/Get").unwrap();
        let garbage = RequestInfo::read(call, &Bytes::from_static(b"\x0f\xff")).unwrap_err();
        assert!(garbage.message.starts_with("the message is no request of traceplane.v1.Pods/Get"), "{garbage}");
    }
}
