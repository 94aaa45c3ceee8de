//! Patch: the new object is the current one with the client's changes, made anew on every newer state.

use api::json::{FieldValidation, decode};
use api::meta::v1::PatchOptions;
use api::rpc::PatchType;
use api::{Error, Resource};

use super::answer::Encoded;
use super::update::Part;
use super::{Registry, metadata, options};
use crate::patch::Patch;
use crate::request::RequestContext;

impl<K: Resource> Registry<K> {
    /// Patches an object (`subresource` empty) or its `status`, and answers with what is stored now.
    ///
    /// # Errors
    /// `BadRequest` for what is no patch, `Invalid` for one that does not fit the object, and everything that an update can say.
    #[expect(clippy::too_many_arguments, reason = "they are the request's, one by one")]
    pub async fn patch(
        &self,
        ctx: &RequestContext,
        namespace: &str,
        name: &str,
        subresource: &str,
        patch_type: PatchType,
        patch: &[u8],
        options: &PatchOptions,
    ) -> Result<Encoded<K>, Error> {
        let dry_run = options::is_dry_run(&options.dry_run, "PatchOptions")?;
        let part = Part::of::<K>(subresource)?;
        let validation = FieldValidation::from_option(&options.field_validation)
            .ok_or_else(|| Error::bad_request("fieldValidation must be Ignore, Warn or Strict"))?;
        let patch = Patch::parse(patch_type, patch)?;
        let mut current = self.current(namespace, name).await?;
        loop {
            let decision = match self.patched(&current.object.decode(), &patch, validation) {
                Ok(new) => self.decide_update(ctx, &current, new, part, dry_run).await,
                Err(error) => Err(error),
            };
            if let Some(settled) = self.settle(ctx, &mut current, decision, dry_run).await? {
                return Ok(settled.object);
            }
        }
    }

    fn patched(&self, old: &K, patch: &Patch, validation: FieldValidation) -> Result<Box<K>, Error> {
        let document = serde_json::to_value(old).map_err(Error::internal)?;
        let patched = patch.apply(document, K::SCHEMA)?;
        let (mut new, _warnings): (K, _) = decode(patched, validation)?;
        metadata::settle_namespace(K::INFO, new.metadata_mut(), &old.metadata().namespace)?;
        metadata::settle_name(new.metadata_mut(), &old.metadata().name)?;
        Ok(Box::new(new))
    }
}
