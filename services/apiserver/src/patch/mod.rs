//! Patches: a client's changes, applied to the JSON form of an object.
//!
//! | type | what it is |
//! |---|---|
//! | JSON patch | operations at paths, RFC 6902 |
//! | merge patch | a partial document; lists are replaced, RFC 7386 |
//! | strategic merge patch | a partial document; lists of objects are merged by key (`strategic`) |
//!
//! Pure. What a patched object means (defaults, validation, who may change what) is the registry's affair.

mod element_order;
mod strategic;

#[cfg(test)]
mod tests;

use api::Error;
use api::json::schema::Message;
use api::rpc::PatchType;
use serde_json::Value;

/// A patch that was read and can be applied, as often as needed.
#[derive(Clone, Debug)]
pub struct Patch(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Json(json_patch::Patch),
    Merge(Value),
    Strategic(Value),
}

/// As many operations as Kubernetes allows in one JSON patch.
const MAX_OPERATIONS: usize = 10_000;

impl Patch {
    /// Reads a patch.
    ///
    /// # Errors
    /// `BadRequest` for what is no patch of the type, `RequestEntityTooLarge` for too many operations.
    pub fn parse(patch_type: PatchType, text: &[u8]) -> Result<Self, Error> {
        let no_patch = |error: serde_json::Error| Error::bad_request(format!("error decoding patch: {error}"));
        let document = || match serde_json::from_slice(text).map_err(no_patch)? {
            document @ Value::Object(_) => Ok(document),
            _ => Err(Error::bad_request("error decoding patch: a patch of this type is an object")),
        };
        Ok(Self(match patch_type {
            PatchType::Unspecified => return Err(Error::bad_request("the type of the patch must be set")),
            PatchType::JsonPatch => {
                let patch: json_patch::Patch = serde_json::from_slice(text).map_err(no_patch)?;
                if patch.0.len() > MAX_OPERATIONS {
                    return Err(Error::too_large(format!(
                        "The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {}",
                        patch.0.len()
                    )));
                }
                Kind::Json(patch)
            }
            PatchType::MergePatch => Kind::Merge(document()?),
            PatchType::StrategicMergePatch => Kind::Strategic(document()?),
        }))
    }

    /// Applies the patch to the JSON form of an object with this schema.
    ///
    /// # Errors
    /// `Invalid` if an operation does not fit the object, `BadRequest` for directives that make no sense.
    pub fn apply(&self, mut document: Value, schema: &'static Message) -> Result<Value, Error> {
        match &self.0 {
            Kind::Json(patch) => json_patch::patch(&mut document, patch).map_err(|error| {
                let reason = api::Reason::Invalid;
                Error::new(reason, format!("the server rejected our request due to an error in our request: {error}"))
            })?,
            Kind::Merge(patch) => json_patch::merge(&mut document, patch),
            Kind::Strategic(patch) => strategic::merge(&mut document, patch, schema)?,
        }
        Ok(document)
    }
}
