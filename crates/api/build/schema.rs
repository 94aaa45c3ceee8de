//! Step 1: read what the descriptors and the options of `proto/schema/options.proto` say about each Kubernetes type.

use prost_reflect::{
    Cardinality, DescriptorPool, DynamicMessage, FieldDescriptor, Kind as FieldKind, MessageDescriptor, Value,
};

/// Messages that JSON writes as one value (a time, a quantity); their serde code is written by hand in `src/json/scalars.rs`.
const SCALARS: &[(&str, &str)] = &[
    ("k8s.io.apimachinery.pkg.apis.meta.v1.Time", "Time"),
    ("k8s.io.apimachinery.pkg.apis.meta.v1.MicroTime", "MicroTime"),
    ("k8s.io.apimachinery.pkg.apis.meta.v1.FieldsV1", "Any"),
    ("k8s.io.apimachinery.pkg.api.resource.Quantity", "Quantity"),
    ("k8s.io.apimachinery.pkg.util.intstr.IntOrString", "IntOrString"),
    ("k8s.io.apimachinery.pkg.runtime.RawExtension", "Any"),
];

pub(crate) struct Schema {
    pub(crate) messages: Vec<Message>,
}

pub(crate) struct Message {
    pub(crate) full_name: String,
    pub(crate) name: String,
    pub(crate) fields: Vec<Field>,
    pub(crate) kind: Option<Kind>,
}

pub(crate) struct Field {
    pub(crate) json: String,
    pub(crate) shape: Shape,
    pub(crate) ty: Type,
    /// Kubernetes tells "unset" from the zero value.
    pub(crate) optional: bool,
    pub(crate) value: bool,
    pub(crate) inline: bool,
    pub(crate) always: bool,
    pub(crate) merge_key: Option<String>,
    pub(crate) merge: bool,
}

#[derive(PartialEq, Clone, Copy)]
pub(crate) enum Shape {
    Single,
    List,
    Map,
}

pub(crate) enum Type {
    /// A variant of `json::Type` without content.
    Plain(&'static str),
    /// Full name of a message.
    Message(String),
}

pub(crate) struct Kind {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) plural: String,
    pub(crate) singular: String,
    pub(crate) short_names: Vec<String>,
    pub(crate) categories: Vec<String>,
    pub(crate) namespaced: bool,
    /// The gRPC service whose `Create` answers with this kind, and whether it has `UpdateStatus`.
    pub(crate) service: String,
    pub(crate) status: bool,
}

impl Schema {
    pub(crate) fn read(pool: &DescriptorPool) -> Schema {
        let messages = pool
            .all_messages()
            .filter(|m| m.package_name().starts_with("k8s.io.") && !m.is_map_entry())
            .filter(|m| !SCALARS.iter().any(|(name, _)| *name == m.full_name()))
            .map(|m| message(pool, &m))
            .collect();
        Schema { messages }
    }

    pub(crate) fn field(&self, message: &str, json: &str) -> Option<&Field> {
        self.messages.iter().find(|m| m.full_name == message)?.fields.iter().find(|f| f.json == json)
    }
}

fn message(pool: &DescriptorPool, m: &MessageDescriptor) -> Message {
    Message {
        full_name: m.full_name().to_owned(),
        name: m.name().to_owned(),
        fields: m.fields().map(|f| field(pool, &f)).collect(),
        kind: kind(pool, m),
    }
}

fn field(pool: &DescriptorPool, f: &FieldDescriptor) -> Field {
    let options = f.options();
    let option = |name: &str| extension(pool, &options, name);
    let flag = |name: &str| matches!(option(name), Some(Value::Bool(true)));
    let (shape, kind) = if f.is_map() {
        let FieldKind::Message(entry) = f.kind() else { unreachable!("a map field is a message") };
        (Shape::Map, entry.map_entry_value_field().kind())
    } else if f.cardinality() == Cardinality::Repeated {
        (Shape::List, f.kind())
    } else {
        (Shape::Single, f.kind())
    };
    Field {
        json: f.name().to_owned(),
        shape,
        ty: field_type(&kind),
        optional: f.field_descriptor_proto().proto3_optional.unwrap_or(false),
        value: flag("schema.value"),
        inline: flag("schema.inline"),
        always: flag("schema.always"),
        merge_key: option("schema.merge_key").and_then(|v| v.as_str().map(str::to_owned)).filter(|k| !k.is_empty()),
        merge: flag("schema.merge"),
    }
}

fn field_type(kind: &FieldKind) -> Type {
    match kind {
        FieldKind::String => Type::Plain("String"),
        FieldKind::Bool => Type::Plain("Bool"),
        FieldKind::Int32 => Type::Plain("Int32"),
        FieldKind::Int64 => Type::Plain("Int64"),
        FieldKind::Bytes => Type::Plain("Bytes"),
        FieldKind::Message(m) => match SCALARS.iter().find(|(name, _)| *name == m.full_name()) {
            Some((_, plain)) => Type::Plain(plain),
            None => Type::Message(m.full_name().to_owned()),
        },
        other => panic!("Kubernetes has no field of type {other:?} in the kinds served"),
    }
}

fn kind(pool: &DescriptorPool, m: &MessageDescriptor) -> Option<Kind> {
    let value = extension(pool, &m.options(), "schema.kind")?;
    let kind = value.as_message().expect("schema.kind is a message");
    let text =
        |name: &str| kind.get_field_by_name(name).and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default();
    let texts = |name: &str| -> Vec<String> {
        let list = kind.get_field_by_name(name).and_then(|v| v.as_list().map(<[Value]>::to_vec)).unwrap_or_default();
        list.iter().filter_map(|v| v.as_str().map(str::to_owned)).collect()
    };
    let service = pool
        .services()
        .find(|s| s.methods().any(|method| method.name() == "Create" && method.output().full_name() == m.full_name()))
        .unwrap_or_else(|| panic!("no service in proto/traceplane/v1 creates a {}", m.name()));
    Some(Kind {
        group: text("group"),
        version: text("version"),
        plural: text("plural"),
        singular: text("singular"),
        short_names: texts("short_names"),
        categories: texts("categories"),
        namespaced: kind.get_field_by_name("namespaced").and_then(|v| v.as_bool()).unwrap_or(false),
        service: service.full_name().to_owned(),
        status: service.methods().any(|method| method.name() == "UpdateStatus"),
    })
}

fn extension(pool: &DescriptorPool, options: &DynamicMessage, name: &str) -> Option<Value> {
    let descriptor = pool.get_extension_by_name(name)?;
    options.has_extension(&descriptor).then(|| options.get_extension(&descriptor).into_owned())
}
