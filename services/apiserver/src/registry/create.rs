//! Create: a new object, stored only if nobody has its name.
//!
//! The order is Kubernetes': defaults, admission that may change the object, the server's metadata, the kind's preparation, validation,
//! admission that may only refuse, the transaction.

use api::meta::v1::CreateOptions;
use api::names::generate_name;
use api::{Error, Resource};
use bytes::Bytes;
use telemetry::TraceContext;
use telemetry::span::stage;
use uuid::Uuid;

use super::admission::{Attributes, Operation};
use super::answer::Encoded;
use super::strategy::Reservation;
use super::write::{envelope, write_context};
use super::{Registry, errors, intent, metadata, options};
use crate::cache::with_resource_version;
use crate::request::RequestContext;

/// How many generated names are tried. One is taken by chance about once in fourteen million.
const NAME_ATTEMPTS: u32 = 8;

impl<K: Resource> Registry<K> {
    /// Stores a new object and answers with it. `namespace` is the request's; the object may leave its own out.
    ///
    /// # Errors
    /// `AlreadyExists`, `Invalid`, what admission says, and what the store says.
    pub async fn create(
        &self,
        ctx: &RequestContext,
        namespace: &str,
        object: K,
        options: &CreateOptions,
    ) -> Result<Encoded<K>, Error> {
        let dry_run = options::is_dry_run(&options.dry_run, "CreateOptions")?;
        // Objects are large; on the heap they do not grow every future that they pass through.
        let mut object = Box::new(object);
        metadata::settle_namespace(K::INFO, object.metadata_mut(), namespace)?;
        self.strategy().set_defaults(&mut object);
        let namespace = object.metadata().namespace.clone();
        let name = object.metadata().name.clone();
        let attributes = Attributes::new::<K>(Operation::Create, &namespace, &name);
        self.admission().admit(ctx, &mut Attributes { dry_run, object: Some(&mut *object), ..attributes }).await?;
        if !name.is_empty() || object.metadata().generate_name.is_empty() {
            return self.create_named(ctx, object, dry_run).await;
        }
        for _ in 1..NAME_ATTEMPTS {
            match self.create_named(ctx, self.with_generated_name(&object), dry_run).await {
                Err(error) if error.is_already_exists() => {}
                result => return result,
            }
        }
        let last = self.with_generated_name(&object);
        let name = last.metadata().name.clone();
        self.create_named(ctx, last, dry_run).await.map_err(|error| match error.is_already_exists() {
            true => Error::generated_name_taken(K::INFO.group, K::INFO.plural, &name),
            false => error,
        })
    }

    fn with_generated_name(&self, object: &K) -> Box<K> {
        let mut object = Box::new(object.clone());
        let metadata = object.metadata_mut();
        metadata.name = generate_name(&metadata.generate_name, rand::random);
        // Some defaults come from the name.
        self.strategy().set_defaults(&mut object);
        object
    }

    async fn create_named(&self, ctx: &RequestContext, mut object: Box<K>, dry_run: bool) -> Result<Encoded<K>, Error> {
        let strategy = self.strategy();
        metadata::start(object.metadata_mut(), self.now(), Uuid::new_v4().to_string());
        if strategy.resets_status() {
            strategy.copy_status(&K::default(), &mut object);
        }
        if strategy.counts_generation() {
            object.metadata_mut().generation = 1;
        }
        strategy.prepare_for_create(&mut object);
        if strategy.records_trace() {
            intent::on_create(object.metadata_mut(), &ctx.user, &TraceContext::current());
        }
        let (namespace, name) = (object.metadata().namespace.clone(), object.metadata().name.clone());
        stage::validate(ctx.steps.validate)
            .in_scope(|| strategy.validate(&object).into_result(K::INFO.group, K::INFO.kind, &name))?;
        let attributes = Attributes::new::<K>(Operation::Create, &namespace, &name);
        self.admission().validate(ctx, &Attributes { dry_run, object: Some(&mut *object), ..attributes }).await?;
        let reservation = strategy.reserve(&mut object, None).await?;
        self.store_new(ctx, object, reservation, dry_run).await
    }

    async fn store_new(
        &self,
        ctx: &RequestContext,
        object: Box<K>,
        reservation: Reservation,
        dry_run: bool,
    ) -> Result<Encoded<K>, Error> {
        let raw = Bytes::from(object.encode_to_vec());
        let name = &object.metadata().name;
        let key = self.key(&object.metadata().namespace, name);
        if dry_run {
            self.strategy().release(reservation).await;
            return match self.store().get(&key).await.map_err(errors::general)? {
                Some(_) => Err(self.name_taken(&key, Error::already_exists(K::INFO.group, K::INFO.plural, name))),
                None => Ok(Encoded::new(raw)),
            };
        }
        let context = write_context(ctx.steps.commit);
        match self.store().create(&key, envelope::<K>(raw.clone()), &context).await {
            Ok(revision) => Ok(Encoded::new(with_resource_version(&raw, revision))),
            Err(error) => {
                // A write in doubt may need what was reserved for it.
                if !matches!(error, store::Error::Unavailable { in_doubt: true, .. }) {
                    self.strategy().release(reservation).await;
                }
                Err(self.name_taken(&key, errors::of_object(K::INFO, name, error)))
            }
        }
    }

    /// Says so if the name is only taken by an object that is on its way out.
    fn name_taken(&self, key: &str, mut error: Error) -> Error {
        let terminating = |key| {
            let existing = self.cache().get(key)?;
            existing.decode::<K>().metadata().deletion_timestamp
        };
        if error.is_already_exists() && terminating(key).is_some() {
            error.message = format!("object is being deleted: {}", error.message);
        }
        error
    }
}
