//! Step 2: turn Kubernetes' descriptors into those that prost makes good Rust of. Only names in Rust change, never the wire.

use crate::schema::{Schema, Shape};
use prost_types::field_descriptor_proto::Label;
use prost_types::{DescriptorProto, FileDescriptorSet};

/// - Fields get Rust names that keep acronyms together (`podIPs` is `pod_ips`, where prost's own rule says `pod_i_ps`).
/// - Structs that Go holds by value become plain fields instead of `Option`s.
/// - Services, and the requests that `src/rpc.rs` has once for all kinds, are left out.
pub(crate) fn rust_types(mut files: FileDescriptorSet, schema: &Schema) -> FileDescriptorSet {
    files.file.retain(|f| f.package() != "schema");
    for file in &mut files.file {
        file.service.clear();
        let package = file.package().to_owned();
        file.message_type.retain(|m| package != "traceplane.v1" || !is_per_kind(m.name()));
        for message in &mut file.message_type {
            rename(&package, message, schema);
        }
    }
    files
}

/// `CreatePodRequest`, `UpdatePodRequest`, `PodEvent`.
fn is_per_kind(message: &str) -> bool {
    ((message.starts_with("Create") || message.starts_with("Update")) && message.ends_with("Request"))
        || message.ends_with("Event")
}

fn rename(package: &str, message: &mut DescriptorProto, schema: &Schema) {
    let full_name = format!("{package}.{}", message.name());
    for field in &mut message.field {
        let known = schema.field(&full_name, field.name());
        if known.is_some_and(|f| f.value && f.shape == Shape::Single) {
            field.label = Some(Label::Required as i32);
        }
        field.name = Some(snake_case(field.name()));
    }
}

/// `hostIP` -> `host_ip`, `podIPs` -> `pod_ips`, `setHostnameAsFQDN` -> `set_hostname_as_fqdn`.
pub(crate) fn snake_case(camel: &str) -> String {
    let chars: Vec<char> = camel.chars().collect();
    let mut out = String::with_capacity(camel.len() + 4);
    for (i, &c) in chars.iter().enumerate() {
        if c.is_ascii_uppercase() && i > 0 && chars[i - 1] != '_' {
            let after_word = !chars[i - 1].is_ascii_uppercase();
            // The last capital before a lower-case letter starts a word, unless that letter is the plural s of an acronym.
            let next = chars.get(i + 1).copied();
            let plural = next == Some('s') && chars.get(i + 2).is_none_or(|c| c.is_ascii_uppercase());
            let starts_word = next.is_some_and(|c| c.is_ascii_lowercase()) && !plural;
            if after_word || starts_word {
                out.push('_');
            }
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}
