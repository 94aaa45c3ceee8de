//! The generic messages of `api::rpc` against the services that `proto/` declares for clients in other languages.
//!
//! A generic message has no descriptor of its own, so each is encoded with a value in every field and read back by the declared
//! type: a field with another number or type would be missing there, or unknown.

use api::meta::v1::{CreateOptions, ListMeta, ObjectMeta, UpdateOptions};
use api::rpc::{Cause, CreateRequest, Event, EventType, List, UpdateRequest};
use api::{KindVisitor, Resource};
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, MethodDescriptor};
use traceplane_apiserver::rpc::Method;

fn pool() -> DescriptorPool {
    DescriptorPool::decode(api::FILE_DESCRIPTOR_SET).unwrap()
}

#[test]
fn every_kind_has_the_service_that_is_served() {
    let pool = pool();
    for kind in api::KINDS {
        let service = pool.get_service_by_name(kind.service).unwrap_or_else(|| panic!("no service {}", kind.service));
        let declared: Vec<String> = service.methods().map(|method| method.name().to_owned()).collect();
        let served = Method::ALL.into_iter().filter(|method| method.is_served_by(kind));
        assert_eq!(declared, served.map(Method::name).collect::<Vec<_>>(), "{}", kind.service);
    }
    let served = |name: &str| api::KINDS.iter().any(|kind| kind.service == name);
    let is_kubelets = |name: &str| name == "traceplane.v1.Kubelet";
    let unserved: Vec<_> = pool.services().filter(|s| !served(s.full_name()) && !is_kubelets(s.full_name())).collect();
    assert!(unserved.is_empty(), "no kind has {unserved:?}");
}

#[test]
fn the_methods_take_and_answer_what_the_generic_service_does() {
    for kind in api::KINDS {
        api::visit_kind(kind, Shapes { pool: pool() }).unwrap();
    }
}

struct Shapes {
    pool: DescriptorPool,
}

impl KindVisitor for Shapes {
    type Output = ();

    fn visit<K: Resource>(self) {
        let mut object = K::default();
        *object.metadata_mut() = ObjectMeta { name: "n".into(), namespace: "ns".into(), ..ObjectMeta::default() };
        let service = self.pool.get_service_by_name(K::INFO.service).unwrap();
        for method in service.methods() {
            match method.name() {
                "Create" => {
                    let options = Some(CreateOptions { field_manager: "m".into(), ..CreateOptions::default() });
                    let request = CreateRequest { namespace: "ns".into(), object: object.clone(), options };
                    check(&method.input(), &request, &["namespace", "object", "options"]);
                    answers_object::<K>(&method);
                }
                "Update" | "UpdateStatus" => {
                    let options = Some(UpdateOptions { field_manager: "m".into(), ..UpdateOptions::default() });
                    let request = UpdateRequest { namespace: "ns".into(), object: object.clone(), options };
                    check(&method.input(), &request, &["namespace", "object", "options"]);
                    answers_object::<K>(&method);
                }
                "Watch" => {
                    takes(&method, "WatchRequest");
                    assert!(method.is_server_streaming());
                    let cause = Some(Cause { traceparent: "t".into(), ..Cause::default() });
                    let event = Event { r#type: EventType::Added.into(), object: object.clone(), cause };
                    check(&method.output(), &event, &["type", "object", "cause"]);
                }
                "List" | "DeleteCollection" => {
                    takes(&method, &format!("{}Request", method.name()));
                    let metadata = ListMeta { resource_version: "7".into(), ..ListMeta::default() };
                    let list = List { metadata, items: vec![object.clone()] };
                    check(&method.output(), &list, &["metadata", "items"]);
                }
                "Get" | "Patch" | "Delete" => {
                    takes(&method, &format!("{}Request", method.name()));
                    answers_object::<K>(&method);
                }
                "Bind" => takes(&method, "BindPodRequest"),
                // Passed on to the kubelet as they are, so the two services must agree.
                "Logs" | "Exec" | "Attach" | "PortForward" => {
                    let kubelet = self.pool.get_service_by_name("traceplane.v1.Kubelet").unwrap();
                    let same = kubelet.methods().find(|there| there.name() == method.name()).unwrap();
                    assert_eq!((method.input(), method.output()), (same.input(), same.output()), "{}", method.name());
                    assert!(method.is_server_streaming() && same.is_server_streaming());
                    assert_eq!(method.is_client_streaming(), method.name() != "Logs", "{}", method.name());
                    assert_eq!(method.is_client_streaming(), same.is_client_streaming(), "{}", method.name());
                    continue;
                }
                other => panic!("{} declares {other}, which nothing serves", service.full_name()),
            }
            assert!(!method.is_client_streaming(), "{}", method.full_name());
        }
    }
}

/// The declared message has exactly these fields, and each reads what the generic one wrote.
fn check(declared: &MessageDescriptor, message: &impl Message, fields: &[&str]) {
    let name = declared.full_name();
    let names: Vec<_> = declared.fields().map(|field| field.name().to_owned()).collect();
    assert_eq!(names, fields, "{name}");
    let read = DynamicMessage::decode(declared.clone(), message.encode_to_vec().as_slice()).unwrap();
    assert_eq!(unknown(&read), 0, "{name} does not know a field");
    for field in declared.fields() {
        assert!(read.has_field(&field), "{} has nothing to read", field.full_name());
    }
}

/// How many fields, at any depth, the declared types do not know.
fn unknown(message: &DynamicMessage) -> usize {
    let nested = message.fields().map(|(_, value)| match value {
        prost_reflect::Value::Message(inner) => unknown(inner),
        prost_reflect::Value::List(list) => list.iter().filter_map(|v| v.as_message()).map(unknown).sum(),
        _ => 0,
    });
    message.unknown_fields().count() + nested.sum::<usize>()
}

fn takes(method: &MethodDescriptor, message: &str) {
    assert_eq!(method.input().full_name(), format!("traceplane.v1.{message}"), "{}", method.full_name());
}

fn answers_object<K: Resource>(method: &MethodDescriptor) {
    let answer = method.output();
    let package = if K::INFO.group.is_empty() { "core" } else { K::INFO.group.split('.').next().unwrap() };
    assert_eq!(answer.full_name(), format!("k8s.io.api.{package}.{}.{}", K::INFO.version, K::INFO.kind));
    assert!(!method.is_server_streaming());
}
