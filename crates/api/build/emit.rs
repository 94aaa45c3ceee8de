//! Step 3: write the Rust source of what prost does not make: JSON, the schema tables and the `Resource` impls.

use crate::names::snake_case;
use crate::schema::{Field, Kind, Message, Schema, Shape, Type};
use heck::ToUpperCamelCase as _;
use std::fmt::Write as _;

pub(crate) fn source(schema: &Schema) -> String {
    let mut out = String::new();
    for message in &schema.messages {
        json(&mut out, message);
        table(&mut out, message);
        if let Some(kind) = &message.kind {
            resource(&mut out, message, kind);
        }
    }
    kinds(&mut out, schema);
    out
}

/// The Rust path of a message; prost spells type names this way.
fn path(full_name: &str) -> String {
    let (package, name) = full_name.rsplit_once('.').expect("every message has a package");
    format!("crate::types::{}::{}", package.replace('.', "::"), name.to_upper_camel_case())
}

fn table_name(full_name: &str) -> String {
    full_name.trim_start_matches("k8s.io.").replace('.', "_").to_uppercase()
}

/// A Rust identifier; keywords get prost's escapes.
fn ident(json: &str) -> String {
    match snake_case(json).as_str() {
        word @ ("type" | "continue" | "static" | "match" | "ref" | "use" | "in" | "as" | "loop" | "move") => {
            format!("r#{word}")
        }
        word => word.to_owned(),
    }
}

fn json(out: &mut String, message: &Message) {
    let ty = path(&message.full_name);
    let mut write = String::new();
    let mut read = String::new();
    let mut inner = String::new();
    for field in &message.fields {
        let (name, key) = (ident(&field.json), &field.json);
        let bytes = matches!(field.ty, Type::Plain("Bytes"));
        if field.inline {
            writeln!(write, "        self.{name}.write(map)?;").expect("a String takes everything");
            writeln!(inner, "                if self.{name}.read(key, map)? {{ return Ok(true); }}")
                .expect("a String takes everything");
            continue;
        }
        // Go prints an unset quantity as "0"; leaving it out means the same and stays unset.
        let quantity = matches!(field.ty, Type::Plain("Quantity"));
        let function = match (bytes, field.always || (field.value && !quantity)) {
            (false, false) if field.shape == Shape::Single && matches!(field.ty, Type::Plain("Time" | "MicroTime")) => {
                "unless_zero"
            }
            (false, false) => "unless_empty",
            (false, true) => "always",
            (true, _) => "base64_unless_empty",
        };
        writeln!(write, "        write::{function}(map, \"{key}\", &self.{name})?;")
            .expect("a String takes everything");
        let function = if bytes { "base64" } else { "value" };
        writeln!(read, "            \"{key}\" => self.{name} = read::{function}(map)?,")
            .expect("a String takes everything");
    }
    let header = match &message.kind {
        Some(kind) => {
            let version =
                if kind.group.is_empty() { kind.version.clone() } else { format!("{}/{}", kind.group, kind.version) };
            format!("        write::type_meta(map, \"{version}\", \"{}\")?;\n", message.name)
        }
        None => String::new(),
    };
    write!(
        out,
        r#"
impl Fields for {ty} {{
    const SCHEMA: &'static schema::Message = &{table};
    #[allow(unused_variables, reason = "some messages have no field")]
    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {{
{header}{write}        Ok(())
    }}
    #[allow(unused_variables, unreachable_code, reason = "some messages have no field")]
    fn read<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<bool, A::Error> {{
        match key {{
{read}            _ => {{
{inner}                return Ok(false);
            }}
        }}
        Ok(true)
    }}
}}
impl serde::Serialize for {ty} {{
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {{
        write::object(self, serializer)
    }}
}}
impl<'de> serde::Deserialize<'de> for {ty} {{
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {{
        read::object(deserializer)
    }}
}}
"#,
        table = table_name(&message.full_name),
    )
    .expect("a String takes everything");
}

fn table(out: &mut String, message: &Message) {
    let fields: String = message.fields.iter().map(field).collect();
    write!(
        out,
        "static {}: schema::Message = schema::Message {{ name: \"{}\", is_kind: {}, fields: &[\n{fields}] }};\n",
        table_name(&message.full_name),
        message.name,
        message.kind.is_some(),
    )
    .expect("a String takes everything");
}

fn field(f: &Field) -> String {
    let shape = match f.shape {
        Shape::Single => "Single",
        Shape::List => "List",
        Shape::Map => "Map",
    };
    let ty = match &f.ty {
        Type::Plain(name) => format!("schema::Type::{name}"),
        Type::Message(full_name) => format!("schema::Type::Message(&{})", table_name(full_name)),
    };
    format!(
        "    schema::Field {{ json: \"{}\", shape: schema::Shape::{shape}, ty: {ty}, optional: {}, inline: {}, always: {}, merge_key: {:?}, merge: {} }},\n",
        f.json,
        f.optional,
        f.inline,
        f.always || f.value,
        f.merge_key,
        f.merge
    )
}

fn resource(out: &mut String, message: &Message, kind: &Kind) {
    write!(
        out,
        r#"
impl Resource for {ty} {{
    const INFO: &'static KindInfo = &KindInfo {{
        group: {:?}, version: {:?}, kind: {:?}, plural: {:?}, singular: {:?}, short_names: &{:?}, categories: &{:?},
        namespaced: {}, service: {:?}, has_status: {},
    }};
    fn metadata(&self) -> &crate::meta::v1::ObjectMeta {{ &self.metadata }}
    fn metadata_mut(&mut self) -> &mut crate::meta::v1::ObjectMeta {{ &mut self.metadata }}
}}
"#,
        kind.group,
        kind.version,
        message.name,
        kind.plural,
        kind.singular,
        kind.short_names,
        kind.categories,
        kind.namespaced,
        kind.service,
        kind.status,
        ty = path(&message.full_name),
    )
    .expect("a String takes everything");
}

/// The list of all kinds, and the way from a kind's name to its type.
fn kinds(out: &mut String, schema: &Schema) {
    let kinds: Vec<String> = schema.messages.iter().filter(|m| m.kind.is_some()).map(|m| path(&m.full_name)).collect();
    let infos: String = kinds.iter().map(|k| format!("    <{k} as Resource>::INFO,\n")).collect();
    let arms: String = kinds
        .iter()
        .map(|k| format!("    if <{k} as Resource>::INFO.same_kind(info) {{ return Some(visitor.visit::<{k}>()); }}\n"))
        .collect();
    write!(
        out,
        "
/// Every kind that the apiserver serves.
pub static KINDS: &[&KindInfo] = &[\n{infos}];

/// Calls the visitor with the Rust type of a kind; `None` for a kind that is not served.
pub fn visit_kind<V: KindVisitor>(info: &KindInfo, visitor: V) -> Option<V::Output> {{
{arms}    None
}}
"
    )
    .expect("a String takes everything");
}
