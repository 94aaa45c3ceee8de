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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pod::PodChange;
    use api::rpc::List;
    use client::Client;
    use controller::Informer;
    use service_kit::{Shutdown, Supervisor};
    use testkit::scripted::ScriptedApiserver;
    use tokio::sync::mpsc;

    fn pod(name: &str, revision: u64) -> Pod {
        let mut pod = Pod::default();
        (pod.metadata.name, pod.metadata.namespace) = (name.to_owned(), "default".to_owned());
        pod.metadata.resource_version = revision.to_string();
        pod.spec.node_name = "n1".to_owned();
        pod
    }

    fn told(changes: &mut mpsc::UnboundedReceiver<PodChange>) -> Vec<String> {
        let shown = |pod: &Pod| format!("{}@{}", pod.metadata.name, pod.metadata.resource_version);
        let mut told = Vec::new();
        while let Ok(change) = changes.try_recv() {
            told.push(match change {
                PodChange::Version(pod, _) => format!("version {}", shown(&pod)),
                PodChange::Gone(pod, _) => format!("gone {}", shown(&pod)),
                PodChange::Known(pods) => format!("known {}", pods.len()),
                PodChange::Evict(..) | PodChange::Complete => panic!("not of a comparison"),
            });
        }
        told
    }

    /// C5: whatever the watch kept to itself is asked for once more, and passed on only if it is still so.
    #[tokio::test(start_paused = true)]
    async fn what_the_watch_has_missed_is_found_by_the_full_comparison() {
        let (client, mut server) = ScriptedApiserver::start();
        let api = |client: Client| Api::<Pod>::all(client);
        let shutdown = Shutdown::new();
        let informer = Informer::of(api(client.clone())).start(&Supervisor::new(&shutdown), &shutdown);
        let watch = server.watch::<Pod>().await;
        for (name, revision) in [("same", 3), ("old", 4), ("gone", 5), ("young", 99)] {
            watch.added(&pod(name, revision));
        }
        watch.initial_events_end(99);
        assert!(informer.synced().await);

        let (node, mut changes) = mpsc::unbounded_channel();
        let mut routes = Routes::default();
        routes.add("n1", node);
        let comparison = Comparison { pods: api(client), cache: informer.cache(), routes: Arc::new(routes) };
        let every = Duration::from_secs(20);
        let repeated = tokio::spawn(async move { comparison.repeat(every).await });
        let list = |pods: &[(&str, u64)]| {
            let mut list = List { items: pods.iter().map(|(name, at)| pod(name, *at)).collect(), ..List::default() };
            list.metadata.resource_version = "90".to_owned();
            list
        };

        server.expect::<Pod>("List").await.answer(&list(&[("same", 3), ("old", 8), ("new", 9)]));
        // One missed version, one missed pod, in any order; then the one that is listed no more. A pod that is younger than the list
        // is not asked for.
        for _ in 0..2 {
            let get = server.expect::<Pod>("Get").await;
            let name = get.request::<api::rpc::GetRequest>().name;
            get.answer(&pod(&name, if name == "old" { 8 } else { 9 }));
        }
        let get = server.expect::<Pod>("Get").await;
        assert_eq!(get.request::<api::rpc::GetRequest>().name, "gone");
        get.refuse(&api::Error::not_found("", "pods", "gone"));

        // The next comparison finds what the watch has told meanwhile: nothing is asked for but the list.
        let next = server.expect::<Pod>("List").await;
        let mut first = told(&mut changes);
        first.sort();
        assert_eq!(first, ["gone gone@5", "known 4", "version new@9", "version old@8"]);
        next.answer(&list(&[("same", 3), ("old", 4), ("gone", 5)]));
        server.expect::<Pod>("List").await;
        assert_eq!(told(&mut changes), ["known 4"]);
        repeated.abort();
    }
}
