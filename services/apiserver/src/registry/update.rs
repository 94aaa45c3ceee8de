//! Update: spec or status of an object that exists, replaced as a whole.
//!
//! Patches end here too: a patch makes the new object out of the current one, everything after is the same.

use api::field::{ErrorList, Fault, FieldError};
use api::meta::v1::{ObjectMeta, UpdateOptions};
use api::{Error, Resource};
use telemetry::TraceContext;
use telemetry::span::stage;

use super::admission::{Attributes, Operation};
use super::answer::Encoded;
use super::write::{Current, Decision};
use super::{Registry, intent, metadata, options};
use crate::request::RequestContext;

/// Which part of an object a request writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Everything but the status.
    Spec,
    /// The status and nothing else.
    Status,
}

impl Part {
    /// The part that a subresource stands for.
    pub(super) fn of<K: Resource>(subresource: &str) -> Result<Self, Error> {
        match subresource {
            "" => Ok(Self::Spec),
            "status" if K::INFO.has_status => Ok(Self::Status),
            other => Err(Error::not_found(K::INFO.group, &format!("{}/{other}", K::INFO.plural), "")),
        }
    }

    fn subresource(self) -> &'static str {
        match self {
            Self::Spec => "",
            Self::Status => "status",
        }
    }
}

impl<K: Resource> Registry<K> {
    /// Replaces an object but for its status, and answers with what is stored now. The object names itself.
    ///
    /// # Errors
    /// `NotFound`, `Conflict` if the object carries a `resourceVersion` or `uid` that is not the current one, `Invalid`, what admission says,
    /// and what the store says.
    pub async fn update(
        &self,
        ctx: &RequestContext,
        namespace: &str,
        object: K,
        options: &UpdateOptions,
    ) -> Result<Encoded<K>, Error> {
        self.replace_part(ctx, namespace, Box::new(object), options, Part::Spec).await
    }

    /// Replaces an object's status and nothing else; otherwise as [`update`](Self::update).
    pub async fn update_status(
        &self,
        ctx: &RequestContext,
        namespace: &str,
        object: K,
        options: &UpdateOptions,
    ) -> Result<Encoded<K>, Error> {
        let part = Part::of::<K>("status")?;
        self.replace_part(ctx, namespace, Box::new(object), options, part).await
    }

    async fn replace_part(
        &self,
        ctx: &RequestContext,
        namespace: &str,
        mut object: Box<K>,
        options: &UpdateOptions,
        part: Part,
    ) -> Result<Encoded<K>, Error> {
        let dry_run = options::is_dry_run(&options.dry_run, "UpdateOptions")?;
        metadata::settle_namespace(K::INFO, object.metadata_mut(), namespace)?;
        metadata::settle_name(object.metadata_mut(), "")?;
        let mut current = self.current(&object.metadata().namespace, &object.metadata().name).await?;
        loop {
            let decision = self.decide_update(ctx, &current, object.clone(), part, dry_run).await;
            if let Some(settled) = self.settle(ctx, &mut current, decision, dry_run).await? {
                return Ok(settled.object);
            }
        }
    }

    /// What becomes of the current object if the client wants it to be `new`.
    pub(super) async fn decide_update(
        &self,
        ctx: &RequestContext,
        current: &Current,
        mut new: Box<K>,
        part: Part,
        dry_run: bool,
    ) -> Result<Decision<K>, Error> {
        let strategy = self.strategy();
        let old: Box<K> = Box::new(current.object.decode());
        self.check_version(new.metadata(), old.metadata())?;
        if part == Part::Status {
            // Whatever else the client sent with the status is not asked for.
            let mut with_status = old.clone();
            strategy.copy_reported(&new, &mut with_status);
            new = with_status;
        }
        strategy.set_defaults(&mut new);
        let (namespace, name) = (current.object.namespace(), current.object.name());
        let attributes = || {
            let attributes = Attributes::new::<K>(Operation::Update, namespace, name);
            Attributes { subresource: part.subresource(), dry_run, old_object: Some(&*old), ..attributes }
        };
        self.admission().admit(ctx, &mut Attributes { object: Some(&mut *new), ..attributes() }).await?;
        metadata::carry_over(new.metadata_mut(), old.metadata());
        match part {
            Part::Spec => self.prepare_spec(ctx, &mut new, &old),
            Part::Status => strategy.prepare_for_status_update(&mut new, &old),
        }
        let faults = stage::validate(ctx.steps.validate).in_scope(|| match part {
            Part::Spec => strategy.validate_update(&new, &old),
            Part::Status => strategy.validate_status_update(&new, &old),
        });
        faults.into_result(K::INFO.group, K::INFO.kind, name)?;
        self.admission().validate(ctx, &Attributes { object: Some(&mut *new), ..attributes() }).await?;
        if self.was_waiting_to_go(&old) && new.metadata().finalizers.is_empty() && !strategy.is_held(&new) {
            new.metadata_mut().resource_version.clear();
            return Ok(Decision::Remove(new));
        }
        let reservation = match part {
            Part::Spec => strategy.reserve(&mut new, Some(&old)).await?,
            Part::Status => Default::default(),
        };
        // The store's revision is the truth; it is not stored with the object.
        new.metadata_mut().resource_version.clear();
        Ok(Decision::Write(new, reservation))
    }

    fn prepare_spec(&self, ctx: &RequestContext, new: &mut K, old: &K) {
        let strategy = self.strategy();
        strategy.copy_status(old, new);
        strategy.prepare_for_update(new, old);
        let changes_intent = strategy.changes_intent(new, old);
        if strategy.counts_generation() && changes_intent {
            new.metadata_mut().generation = old.metadata().generation + 1;
        }
        if strategy.records_trace() {
            let current = TraceContext::current();
            intent::on_update(new.metadata_mut(), old.metadata(), changes_intent, &ctx.user, &current);
        }
    }

    /// Whether the client means this very object, and this very version of it if it says so.
    fn check_version(&self, new: &ObjectMeta, old: &ObjectMeta) -> Result<(), Error> {
        let kind = K::INFO;
        if !new.uid.is_empty() && new.uid != old.uid {
            let why = format!("Precondition failed: UID in precondition: {}, UID in object meta: {}", new.uid, old.uid);
            return Err(Error::conflict(kind.group, kind.plural, &old.name, why));
        }
        if new.resource_version.is_empty() {
            if self.strategy().allows_unconditional_update() {
                return Ok(());
            }
            let mut errors = ErrorList::new();
            errors.push(FieldError {
                fault: Fault::Invalid,
                field: "metadata.resourceVersion".to_owned(),
                value: Some("0x0".to_owned()),
                detail: "must be specified for an update".to_owned(),
            });
            return errors.into_result(kind.group, kind.kind, &old.name);
        }
        options::revision(&new.resource_version)?;
        match new.resource_version == old.resource_version {
            true => Ok(()),
            false => Err(Error::modified(kind.group, kind.plural, &old.name)),
        }
    }

    /// Whether the object was deleted and only waited for somebody to let it go.
    fn was_waiting_to_go(&self, old: &K) -> bool {
        let metadata = old.metadata();
        metadata.deletion_timestamp.is_some() && metadata.deletion_grace_period_seconds.unwrap_or(0) == 0
    }
}
