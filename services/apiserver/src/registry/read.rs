//! Get, list and watch: all from the cache, as fresh as the client asks for.

use std::sync::Arc;
use std::time::Duration;

use api::meta::v1::{GetOptions, ListMeta, ListOptions};
use api::{Error, Resource};
use store::Revision;

use super::answer::{Encoded, ListAnswer};
use super::options::{self, At};
use super::paging::{Token, expired_token};
use super::{Registry, errors};
use crate::cache::{Cached, Selection, Snapshot, Watch, WatchOptions, WatchStart};
use crate::request::RequestContext;

/// How long a read waits for a revision that the cache has not reached.
const PATIENCE: Duration = Duration::from_secs(3);

/// A watch without a limit of its own ends after this many seconds, or up to twice as many, so that not all come back at once.
const WATCH_SECONDS: u64 = 1_800;

/// How many entries are read from the store at once for a state that the cache does not have.
const PAGE: u64 = 500;

impl<K: Resource> Registry<K> {
    /// The object, as new as `options.resourceVersion` asks for.
    ///
    /// # Errors
    /// `NotFound`, and `ServiceUnavailable` if the newest state is asked for and the store does not answer.
    pub async fn get(
        &self,
        _ctx: &RequestContext,
        namespace: &str,
        name: &str,
        options: &GetOptions,
    ) -> Result<Encoded<K>, Error> {
        self.wait_until(&options::get_at(&options.resource_version)?).await?;
        match self.cache().get(&self.key(namespace, name)) {
            Some(object) => Ok(Encoded::new(object.encoded.clone())),
            None => Err(Error::not_found(K::INFO.group, K::INFO.plural, name)),
        }
    }

    /// The selected objects at one revision, or a page of them.
    ///
    /// # Errors
    /// `BadRequest` for selectors and tokens that make no sense, `Expired` for a state that is compacted, and as [`get`](Self::get).
    pub async fn list(
        &self,
        _ctx: &RequestContext,
        namespace: &str,
        options: &ListOptions,
    ) -> Result<ListAnswer<K>, Error> {
        let selection = self.selection(namespace, options)?;
        let at = options::list_at(options)?;
        self.wait_until(&at).await?;
        let limit = usize::try_from(options.limit).unwrap_or(0);
        let snapshot = match &at {
            At::Newest | At::Any | At::NotOlderThan(_) => self.cache().snapshot(&selection, None, limit),
            At::Exact(revision) => self.snapshot_at(*revision, &selection, None, limit).await?,
            At::Page(token) => {
                let after = format!("{}{}", self.cache().layout().prefix_of(&selection.namespace), token.after);
                let page = self.snapshot_at(token.revision, &selection, Some(after), limit).await;
                page.map_err(|error| if error.is_expired() { expired_token() } else { error })?
            }
        };
        Ok(self.answer(snapshot, &selection))
    }

    /// The changes of the selected objects from `options.resourceVersion` on.
    ///
    /// # Errors
    /// Before the first event as [`list`](Self::list); later they are the stream's last item.
    pub async fn watch(&self, _ctx: &RequestContext, namespace: &str, options: &ListOptions) -> Result<Watch, Error> {
        options::check_watch(options)?;
        let selection = self.selection(namespace, options)?;
        let at = options::get_at(&options.resource_version)?;
        let start = match (options.send_initial_events, &at) {
            (None, At::NotOlderThan(revision)) => WatchStart::After(*revision),
            (Some(true), _) => {
                self.wait_until(&at).await?;
                WatchStart::Existing { marked: true }
            }
            (Some(false), At::NotOlderThan(revision)) => WatchStart::After(*revision),
            (Some(false), _) => {
                self.wait_until(&at).await?;
                WatchStart::After(self.cache().revision())
            }
            (None, _) => {
                self.wait_until(&at).await?;
                WatchStart::Existing { marked: false }
            }
        };
        self.storage().check_ready()?;
        let timeout = match options.timeout_seconds.and_then(|seconds| u64::try_from(seconds).ok()) {
            None | Some(0) => Duration::from_secs_f64(WATCH_SECONDS as f64 * (1.0 + rand::random::<f64>())),
            Some(seconds) => Duration::from_secs(seconds),
        };
        self.cache().watch(selection, start, WatchOptions { timeout, bookmarks: options.allow_watch_bookmarks })
    }

    fn selection(&self, namespace: &str, options: &ListOptions) -> Result<Selection, Error> {
        options::selection(K::INFO, namespace, options, self.strategy().field_names())
    }

    /// Waits until the cache can show the state that is asked for.
    async fn wait_until(&self, at: &At) -> Result<(), Error> {
        match at {
            At::Newest => self.storage().catch_up().await,
            At::Any | At::Page(_) => self.storage().check_ready(),
            At::NotOlderThan(revision) => {
                if self.storage().wait_for(*revision, PATIENCE).await {
                    return self.storage().check_ready();
                }
                Err(Error::too_large_resource_version(revision.get(), self.cache().revision().get(), 1))
            }
            // The store knows.
            At::Exact(_) => Ok(()),
        }
    }

    /// The state at a revision: from the cache if nothing has changed since, otherwise from the store's history.
    async fn snapshot_at(
        &self,
        revision: Revision,
        selection: &Selection,
        mut after: Option<String>,
        limit: usize,
    ) -> Result<Snapshot, Error> {
        if let Some(snapshot) = self.cache().snapshot_at(revision, selection, after.as_deref(), limit) {
            return Ok(snapshot);
        }
        let prefix = self.cache().layout().prefix_of(&selection.namespace);
        let mut objects: Vec<Arc<Cached>> = Vec::new();
        loop {
            let options = store::ListOptions {
                revision: Some(revision),
                limit: Some(PAGE),
                start_after: after.take().map(Into::into),
            };
            let page = self.store().list(&prefix, options).await.map_err(errors::general)?;
            let mut rest = page.entries.iter();
            for object in rest.by_ref().filter_map(|entry| self.cache().read(entry)) {
                if selection.matches(&object) {
                    objects.push(object);
                }
                if limit > 0 && objects.len() == limit {
                    let remaining = rest.len() + usize::try_from(page.remaining).unwrap_or(usize::MAX);
                    return Ok(Snapshot { objects, revision, remaining });
                }
            }
            match page.entries.last().filter(|_| page.more) {
                Some(last) => after = Some(last.key.to_string()),
                None => return Ok(Snapshot { objects, revision, remaining: 0 }),
            }
        }
    }

    fn answer(&self, snapshot: Snapshot, selection: &Selection) -> ListAnswer<K> {
        let Snapshot { objects, revision, remaining } = snapshot;
        let mut metadata = ListMeta { resource_version: revision.to_string(), ..ListMeta::default() };
        if let Some(last) = objects.last().filter(|_| remaining > 0) {
            let prefix = self.cache().layout().prefix_of(&selection.namespace);
            let after = last.key.strip_prefix(&prefix).unwrap_or(&last.key).to_owned();
            metadata.r#continue = Token { revision, after }.encode();
            // With selectors nobody has counted, and Kubernetes does not say either.
            metadata.remaining_item_count = selection.is_everything().then_some(remaining as i64);
        }
        ListAnswer::new(metadata, objects)
    }
}
