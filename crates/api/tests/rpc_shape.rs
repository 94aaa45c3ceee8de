//! The proto files against the generic requests of `api::rpc`: every kind's service has the same shape.

use std::collections::HashMap;

use prost::Message;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorSet, MethodDescriptorProto};

const META: &str = ".k8s.io.apimachinery.pkg.apis.meta.v1";

/// All messages by their full names.
fn messages(set: &FileDescriptorSet) -> HashMap<String, &DescriptorProto> {
    let of_file = |file: &prost_types::FileDescriptorProto| format!(".{}", file.package());
    set.file
        .iter()
        .flat_map(|file| file.message_type.iter().map(move |m| (format!("{}.{}", of_file(file), m.name()), m)))
        .collect()
}

/// `2 object .k8s.io.api.core.v1.Pod`, `2 items repeated ...`
fn shape(message: &DescriptorProto) -> Vec<String> {
    let field = |field: &FieldDescriptorProto| {
        let repeated = if field.label() == Label::Repeated { "repeated " } else { "" };
        let of = if field.r#type() == Type::String { "string" } else { field.type_name() };
        format!("{} {} {repeated}{of}", field.number(), field.name())
    };
    message.field.iter().map(field).collect()
}

#[test]
fn the_services_of_all_kinds_have_one_shape() {
    let set = FileDescriptorSet::decode(api::FILE_DESCRIPTOR_SET).unwrap();
    let messages = messages(&set);
    for kind in api::KINDS {
        let found =
            set.file.iter().flat_map(|f| f.service.iter().map(move |s| (format!("{}.{}", f.package(), s.name()), s)));
        let (_, service) = found.clone().find(|(name, _)| name == kind.service).expect(kind.service);
        let method =
            |name: &str| -> Option<&MethodDescriptorProto> { service.method.iter().find(|m| m.name() == name) };
        let create = method("Create").expect(kind.service);
        let object = create.output_type();
        assert!(object.ends_with(&format!(".{}", kind.kind)), "{object}");
        // What a `PartialObjectMetadata` relies on.
        assert_eq!(shape(messages[object])[0], format!("1 metadata {META}.ObjectMeta"), "{object}");

        let written = |options: &str| {
            vec!["1 namespace string".to_owned(), format!("2 object {object}"), format!("3 options {META}.{options}")]
        };
        assert_eq!(shape(messages[create.input_type()]), written("CreateOptions"), "{}", kind.service);
        for name in ["Update", "UpdateStatus"] {
            let Some(update) = method(name) else { continue };
            assert_eq!(shape(messages[update.input_type()]), written("UpdateOptions"), "{}/{name}", kind.service);
        }
        let watch = method("Watch").expect(kind.service);
        assert!(watch.server_streaming(), "{}", kind.service);
        let event = ["1 type .traceplane.v1.EventType", &format!("2 object {object}"), "3 cause .traceplane.v1.Cause"]
            .map(str::to_owned);
        assert_eq!(shape(messages[watch.output_type()]), event, "{}", kind.service);
        for name in ["List", "DeleteCollection"] {
            let list = method(name).expect(kind.service);
            let expected = [format!("1 metadata {META}.ListMeta"), format!("2 items repeated {object}")];
            assert_eq!(shape(messages[list.output_type()]), expected, "{}/{name}", kind.service);
        }
        for (name, request) in [
            ("Get", "GetRequest"),
            ("List", "ListRequest"),
            ("Watch", "WatchRequest"),
            ("Patch", "PatchRequest"),
            ("Delete", "DeleteRequest"),
            ("DeleteCollection", "DeleteCollectionRequest"),
        ] {
            let method = method(name).expect(kind.service);
            assert_eq!(method.input_type(), format!(".traceplane.v1.{request}"), "{}/{name}", kind.service);
        }
        assert_eq!(method("UpdateStatus").is_some(), kind.has_status, "{}", kind.service);
    }
}

#[test]
fn the_generic_requests_are_those_of_the_proto_files_on_the_wire() {
    use api::core::v1::Pod;
    use api::rpc::{CreateRequest, Event, EventType, List, PartialObjectMetadataList};

    let mut pod = Pod::default();
    pod.metadata.name = "web".into();
    let bytes = pod.encode_to_vec();
    // Field numbers with their wire types, then lengths: what the proto files' numbers come to.
    let field = |tag: u8, content: &[u8]| [&[tag << 3 | 2, u8::try_from(content.len()).unwrap()], content].concat();

    let request = CreateRequest { namespace: "ns".into(), object: pod.clone(), options: None };
    assert_eq!(request.encode_to_vec(), [field(1, b"ns"), field(2, &bytes)].concat());
    let event = Event { r#type: EventType::Modified.into(), object: pod.clone(), cause: None };
    assert_eq!(event.encode_to_vec(), [vec![1 << 3, 2], field(2, &bytes)].concat());
    let list = List { metadata: Default::default(), items: vec![pod] };
    assert_eq!(list.encode_to_vec(), [field(1, b""), field(2, &bytes)].concat());
    let partial = PartialObjectMetadataList::decode(list.encode_to_vec().as_slice()).unwrap();
    assert_eq!(partial.items[0].metadata, list.items[0].metadata);
}
