//! The periodic full comparison of the apiserver's list with what the watch has told (SCENARIOS C5).
//!
//! The watch misses nothing by its contract. This repairs what breaks it: a bug, here or there, or a worker that failed. Whatever differs is
//! asked for once more before it is believed, since list and watch are two moments. A comparison that finds nothing makes no span.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use api::core::v1::Pod;
use api::meta::v1::ListOptions;
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
            // Boxed, because it holds whole pages of pods.
            if let Err(error) = Box::pin(self.compare(&pods)).await {
                debug!(%error, "the comparison with the apiserver's list did not succeed");
            }
        }
    }

    async fn compare(&self, pods: &Api<Pod>) -> Result<(), api::Error> {
        let (listed, revision) = self.list(pods).await?;
        let known: HashMap<Key, Arc<Pod>> = self.cache.list().into_iter().map(|pod| (Key::of(&*pod), pod)).collect();
        for (key, listed) in &listed {
            if known.get(key).is_none_or(|known| self::revision(known) < *listed) {
                self.missed(pods, key).await?;
            }
        }
        for (key, pod) in &known {
            if !listed.contains_key(key) && self::revision(pod) <= revision {
                self.missed(pods, key).await?;
            }
        }
        self.routes.tell_known(self.cache.list());
        Ok(())
    }

    /// The revisions of all pods of the list, and its own. Of the pods themselves only a page is ever in memory.
    async fn list(&self, pods: &Api<Pod>) -> Result<(HashMap<Key, u64>, u64), api::Error> {
        let mut listed = HashMap::new();
        let mut options = ListOptions { field_selector: self.routes.selector(), limit: PAGE, ..ListOptions::default() };
        loop {
            let page = pods.list(options.clone()).await?;
            listed.extend(page.items.iter().map(|pod| (Key::of(pod), revision(pod))));
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
            (Some(pod), known) if known.as_ref().is_none_or(|known| revision(known) < revision(&pod)) => {
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

fn revision(pod: &Pod) -> u64 {
    pod.metadata.resource_version.parse().unwrap_or(0)
}
