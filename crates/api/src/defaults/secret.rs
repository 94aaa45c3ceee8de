//! Secrets: opaque, and with their plain texts among the data.

use super::text;
use crate::core::v1::Secret;

/// Sets the defaults of a Secret.
///
/// `stringData` is a convenience for writing: it goes into `data`, over what is there, and is never read back.
pub fn secret(secret: &mut Secret) {
    text(&mut secret.r#type, "Opaque");
    for (key, value) in std::mem::take(&mut secret.string_data) {
        secret.data.insert(key, value.into_bytes());
    }
}
