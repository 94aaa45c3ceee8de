//! What is particular about a kind; everything else is the generic registry's.
//!
//! A strategy is pure but for [`Strategy::reserve`]: it prepares and checks objects. Each kind's is a small file in `kinds`, and says only
//! where the kind differs from the defaults here. Spec and status have different writers: an update never touches the status, a status
//! update nothing else.

use api::field::ErrorList;
use api::{Error, Resource};
use async_trait::async_trait;
use jiff::Timestamp;

/// The rules of kind `K`.
#[async_trait]
pub(crate) trait Strategy<K: Resource>: Send + Sync + 'static {
    /// Where its objects lie below the store's root. Mostly the resource's name; the exceptions are Kubernetes' own.
    fn path(&self) -> &'static str {
        K::INFO.plural
    }

    /// The selectable field that watches are indexed by.
    fn index(&self) -> Option<&'static str> {
        None
    }

    /// The fields that can be selected by, beyond name and namespace.
    fn field_names(&self) -> &'static [&'static str] {
        &[]
    }

    /// Their values; unset ones may be left out.
    fn fields(&self, object: &K) -> Vec<(&'static str, String)> {
        let _ = object;
        Vec::new()
    }

    /// Fills in what the object is silent about.
    fn set_defaults(&self, object: &mut K) {
        let _ = object;
    }

    /// Replaces the status of `to` by that of `from`. Nothing to do for kinds without one.
    fn copy_status(&self, from: &K, to: &mut K) {
        let _ = (from, to);
    }

    /// Copies what a status update may write: the status, and for some kinds what their controllers note beside it.
    fn copy_reported(&self, from: &K, to: &mut K) {
        self.copy_status(from, to);
    }

    /// Whether a create starts with an empty status, whatever the client sent.
    fn resets_status(&self) -> bool {
        true
    }

    /// Whether `metadata.generation` counts the changes of intent.
    fn counts_generation(&self) -> bool {
        false
    }

    /// Whether a change of intent is recorded in the object (`tracing.k8s.io/traceparent`). Not for what beats or only reports.
    fn records_trace(&self) -> bool {
        true
    }

    /// Whether an update may say nothing about the version that it replaces.
    fn allows_unconditional_update(&self) -> bool {
        true
    }

    /// The last touch on a new object: defaults, admission and metadata are done.
    fn prepare_for_create(&self, object: &mut K) {
        let _ = object;
    }

    /// Keeps what an update may not change but need not repeat.
    fn prepare_for_update(&self, new: &mut K, old: &K) {
        let _ = (new, old);
    }

    /// The same for a status update; `new` differs from `old` in nothing but what is reported.
    fn prepare_for_status_update(&self, new: &mut K, old: &K) {
        let _ = (new, old);
    }

    /// Whether the user now wants something else. By default: whether anything but metadata and status changed.
    fn changes_intent(&self, new: &K, old: &K) -> bool {
        let bare = |object: &K| {
            let mut object = object.clone();
            *object.metadata_mut() = Default::default();
            self.copy_status(&K::default(), &mut object);
            object
        };
        bare(new) != bare(old)
    }

    /// Every fault of a new object.
    fn validate(&self, object: &K) -> ErrorList;

    /// Every fault of an update.
    fn validate_update(&self, new: &K, old: &K) -> ErrorList;

    /// Every fault of a status update.
    fn validate_status_update(&self, new: &K, old: &K) -> ErrorList {
        self.validate_update(new, old)
    }

    /// How long the object may take to stop, given what the client asks for; zero: remove it at once. `None`: objects of this kind are
    /// always removed at once.
    fn grace_period(&self, object: &K, requested: Option<i64>) -> Option<i64> {
        let _ = (object, requested);
        None
    }

    /// Whether something beside `metadata.finalizers` keeps a deleted object from going.
    fn is_held(&self, object: &K) -> bool {
        let _ = object;
        false
    }

    /// Notes on the object itself that it is being deleted.
    fn mark_deleting(&self, object: &mut K, now: Timestamp) {
        let _ = (object, now);
    }

    /// Whether other objects can name one of this kind as their owner, so that a delete has to say what becomes of them.
    fn has_dependents(&self) -> bool {
        true
    }

    /// Takes what the object needs and no other may have, such as an address, and writes it into `new`. Called last before the write.
    async fn reserve(&self, new: &mut K, old: Option<&K>) -> Result<Reservation, Error> {
        let _ = (new, old);
        Ok(Reservation::default())
    }

    /// Gives back what was taken for a write that did not happen.
    async fn release(&self, reservation: Reservation) {
        let _ = reservation;
    }

    /// Gives back what a removed object held.
    async fn removed(&self, object: &K) {
        let _ = object;
    }
}

/// What was reserved for a write: keys of the store, newly made.
#[derive(Debug, Default)]
pub(crate) struct Reservation {
    /// To be removed if the write does not happen.
    pub(crate) taken: Vec<String>,
    /// To be removed once it has happened: what the object held before and holds no more.
    pub(crate) given_up: Vec<String>,
}
