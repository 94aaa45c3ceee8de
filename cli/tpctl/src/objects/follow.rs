//! A list, then its changes without end, over lost connections and expired revisions.

use super::any::Changes;
use super::{Change, Object, ObjectApi};
use api::meta::v1::ListOptions;
use api::{Error, Reason};
use service_kit::Backoff;
use std::time::Duration;

const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_CAP: Duration = Duration::from_secs(2);
/// After so many failures in a row the server counts as gone: about ten seconds.
const ATTEMPTS: u32 = 9;

/// Follows the objects of one kind.
///
/// Guarantees: every change after the list is told once, in order; if history was lost meanwhile, the whole state is told anew instead
/// ([`Next::Anew`]). Both `start` and `next` may be dropped at any time; only `next` may be called again then.
pub(crate) struct Follow<'a> {
    api: &'a dyn ObjectApi,
    namespace: String,
    options: ListOptions,
    revision: String,
    changes: Option<Box<dyn Changes>>,
    backoff: Backoff,
}

/// What happened next.
pub(crate) enum Next {
    /// This object changed.
    Changed(Change),
    /// History was lost; these are all objects that exist now.
    Anew(Vec<Object>),
}

impl<'a> Follow<'a> {
    /// Lists; returns what exists, and what tells the changes from there on. The options' selectors count.
    pub(crate) async fn start(
        api: &'a dyn ObjectApi,
        namespace: &str,
        options: ListOptions,
    ) -> Result<(Vec<Object>, Follow<'a>), Error> {
        let (items, revision) = api.list(namespace, options.clone()).await?;
        let backoff = Backoff::new(RETRY_FIRST, RETRY_CAP);
        let namespace = namespace.to_owned();
        Ok((items, Follow { api, namespace, options, revision, changes: None, backoff }))
    }

    /// Waits for the next change.
    ///
    /// # Errors
    /// The server stays away, or does not allow the watch.
    pub(crate) async fn next(&mut self) -> Result<Next, Error> {
        loop {
            match self.attempt().await {
                Ok(Some(next)) => {
                    self.backoff.reset();
                    return Ok(next);
                }
                // The server ended the watch in good order.
                Ok(None) => self.changes = None,
                Err(error) => {
                    self.changes = None;
                    let passing = matches!(error.reason, Reason::ServiceUnavailable | Reason::Timeout)
                        || error.reason == Reason::TooManyRequests;
                    if error.is_expired() {
                        let (items, revision) = self.api.list(&self.namespace, self.options.clone()).await?;
                        self.revision = revision;
                        return Ok(Next::Anew(items));
                    }
                    let delay = self.backoff.next_delay();
                    if !passing || self.backoff.failures() >= ATTEMPTS {
                        return Err(error);
                    }
                    tracing::debug!(%error, ?delay, "the watch broke");
                    tokio::time::sleep(delay).await;
                }
            }
        }
    }

    async fn attempt(&mut self) -> Result<Option<Next>, Error> {
        let changes = match &mut self.changes {
            Some(changes) => changes,
            none => {
                let options = ListOptions {
                    resource_version: self.revision.clone(),
                    allow_watch_bookmarks: true,
                    ..self.options.clone()
                };
                none.insert(self.api.watch(&self.namespace, options).await?)
            }
        };
        while let Some(change) = changes.next().await.transpose()? {
            match &change {
                Change::Bookmark(revision) => self.revision.clone_from(revision),
                Change::Added(object) | Change::Modified(object) | Change::Deleted(object) => {
                    self.revision.clone_from(&object.metadata().resource_version);
                    return Ok(Some(Next::Changed(change)));
                }
            }
        }
        Ok(None)
    }
}
