//! The periodic full comparison of the apiserver's list with what the watch has told (SCENARIOS C5).
//!
//! The watch misses nothing by its contract. This repairs what breaks it: a bug, here or there, or a worker that failed. Whatever differs is
//! asked for once more before it is believed, since list and watch are two moments. A comparison that finds nothing makes no span.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use api::core::v1::Pod;
use api::meta::v1::{ListOptions, ObjectMeta};
use client::Api;
use controller::{Cache, Key};
use telemetry::Cause;
use tokio::time::sleep;
use tracing::{debug, warn};

use super::routing::Routes;

const PAGE: i64 = 500;

/// What is compared.
pub(super) struct Comparison {
    pub(super) pods: Api<Pod>,
    pub(super) cache: Cache<Pod>,
    pub(super) routes: Arc<Routes>,
}

impl Comparison {
    /// Compares for ever.
    pub(super) async fn repeat(&self, every: Duration) {
        let pods = self.pods.clone().untraced();
        loop {
            sleep(every).await;
            if let Err(error) = self.compare(&pods).await {
                debug!(%error, "the comparison with the apiserver's list did not succeed");
            }
        }
    }

    async fn compare(&self, pods: &Api<Pod>) -> Result<(), api::Error> {
        let (listed, revision) = self.list(pods).await?;
        for (key, listed) in &listed {
            if self.cache.get(key).is_none_or(|known| revision_of(&known.metadata) < *listed) {
                self.missed(pods, key).await?;
            }
        }
        for pod in self.cache.list() {
            let key = Key::of(&*pod);
            if !listed.contains_key(&key) && revision_of(&pod.metadata) <= revision {
                self.missed(pods, &key).await?;
            }
        }
        self.routes.tell_known(self.cache.list());
        Ok(())
    }

    /// The revisions of all pods of the list, and its own.
    async fn list(&self, pods: &Api<Pod>) -> Result<(HashMap<Key, u64>, u64), api::Error> {
        let mut listed = HashMap::new();
        let mut options = ListOptions { field_selector: self.routes.selector(), limit: PAGE, ..ListOptions::default() };
        loop {
            let page = pods.list_metadata(options.clone()).await?;
            let of_page = page.items.into_iter().map(|pod| pod.metadata);
            listed.extend(of_page.map(|meta| (Key::new(&meta.namespace, &meta.name), revision_of(&meta))));
            let metadata = page.metadata;
            if metadata.r#continue.is_empty() {
                return Ok((listed, metadata.resource_version.parse().unwrap_or(0)));
            }
            options.r#continue = metadata.r#continue;
        }
    }

    /// Asks for a pod on which list and watch differ, and passes on the answer if the watch still does not know it.
    async fn missed(&self, pods: &Api<Pod>, key: &Key) -> Result<(), api::Error> {
        let asked = match pods.within(&key.namespace).get(&key.name).await {
            Ok(pod) => Some(pod),
            Err(error) if error.is_not_found() => None,
            Err(error) => return Err(error),
        };
        match (asked, self.cache.get(key)) {
            (Some(pod), known) if is_newer(&pod, known.as_deref()) => {
                warn!(pod = %key, "the watch has not told of this version of the pod");
                self.routes.version(&Arc::new(pod), &Cause::default());
            }
            (None, Some(known)) => {
                warn!(pod = %key, "the watch has not told that the pod is gone");
                self.routes.gone(&known, &Cause::default());
            }
            _ => {}
        }
        Ok(())
    }
}

fn is_newer(pod: &Pod, known: Option<&Pod>) -> bool {
    known.is_none_or(|known| revision_of(&known.metadata) < revision_of(&pod.metadata))
}

fn revision_of(meta: &ObjectMeta) -> u64 {
    meta.resource_version.parse().unwrap_or(0)
}
