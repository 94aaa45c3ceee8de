//! A namespace that is being deleted is emptied: everything in it is deleted, and then it goes itself.
//!
//! Kubernetes gives this to the controller-manager, which finds out by discovery what there is to delete. Here the registries know, and
//! without it a namespace could never be deleted at all, so it lives beside them until that controller is built. Pods go first and
//! take the time that they are given; nothing is removed that holds a finalizer. New objects are refused meanwhile by admission.

use std::collections::HashMap;
use std::time::Duration;

use api::core::v1::{Namespace, Pod};
use api::meta::v1::{DeleteOptions, ListOptions, UpdateOptions};
use api::{Error, KindInfo, Resource};
use async_trait::async_trait;
use futures::StreamExt;
use telemetry::span::ObjectRef;
use telemetry::{Causes, Reconcile, reconcile_span};
use tokio::time::{Instant, sleep, timeout_at};
use tracing::{Instrument, info, warn};

use crate::cache::{Cached, Selection, Watch, WatchOptions, WatchStart};
use crate::registry::kinds::NAMESPACE_FINALIZER;
use crate::registry::{Lookup, Registries, Registry};
use crate::request::{RequestContext, UserInfo};

/// How often what is left is looked at: pods end in their own time, finalizers go in their own time.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// The watch is begun anew after this long.
const WATCH_FOR: Duration = Duration::from_secs(30 * 60);

/// Who deletes the contents, as in Kubernetes.
const USER: &str = "system:serviceaccount:kube-system:namespace-controller";

/// Deletes what is in namespaces that are being deleted.
pub(super) struct Emptying {
    registries: Registries,
    namespaces: Lookup<Namespace>,
    ctx: RequestContext,
    /// How often each namespace was tried.
    attempts: HashMap<String, u32>,
}

/// The objects of one kind, as what is in a namespace.
#[async_trait]
pub(in crate::registry) trait Contents: Send + Sync {
    /// The kind.
    fn kind(&self) -> &'static KindInfo;

    /// Deletes all of them in a namespace, and says how many are left for now.
    async fn delete_all(&self, ctx: &RequestContext, namespace: &str) -> Result<usize, Error>;
}

#[async_trait]
impl<K: Resource> Contents for Registry<K> {
    fn kind(&self) -> &'static KindInfo {
        K::INFO
    }

    async fn delete_all(&self, ctx: &RequestContext, namespace: &str) -> Result<usize, Error> {
        let all = ListOptions::default();
        let background =
            DeleteOptions { propagation_policy: Some("Background".to_owned()), ..DeleteOptions::default() };
        if self.delete_collection(ctx, namespace, &all, &background).await?.items.is_empty() {
            return Ok(0);
        }
        Ok(self.list(ctx, namespace, &all).await?.items.len())
    }
}

impl Emptying {
    pub(super) fn new(registries: Registries, namespaces: Lookup<Namespace>) -> Self {
        let user = UserInfo {
            name: USER.to_owned(),
            groups: vec!["system:serviceaccounts".to_owned(), "system:authenticated".to_owned()],
        };
        let ctx = RequestContext { user, ..RequestContext::default() };
        Self { registries, namespaces, ctx, attempts: HashMap::new() }
    }

    /// Runs for ever.
    pub(super) async fn run(mut self) {
        loop {
            match self.changes() {
                Ok(mut changes) => while self.round(&mut changes).await {},
                Err(error) => warn!(%error, "namespaces cannot be watched"),
            }
            sleep(LOOK_AGAIN).await;
        }
    }

    fn changes(&self) -> Result<Watch, Error> {
        let start = WatchStart::Existing { marked: false };
        let options = WatchOptions { timeout: WATCH_FOR, bookmarks: false };
        self.namespaces.cache().watch(Selection::all_in(""), start, options)
    }

    /// Waits for a change, or for the time to look again at what was left; false when the watch has ended.
    async fn round(&mut self, changes: &mut Watch) -> bool {
        if self.attempts.is_empty() {
            if !matches!(changes.next().await, Some(Ok(_))) {
                return false;
            }
        } else {
            let again = Instant::now() + LOOK_AGAIN;
            while let Ok(change) = timeout_at(again, changes.next()).await {
                if !matches!(change, Some(Ok(_))) {
                    return false;
                }
            }
        }
        let terminating: Vec<_> =
            self.namespaces.cached().into_iter().filter(|object| is_terminating(&object.decode())).collect();
        self.attempts.retain(|name, _| terminating.iter().any(|object| object.name() == name));
        for namespace in terminating {
            let attempt = self.attempts.entry(namespace.name().to_owned()).or_default();
            *attempt += 1;
            let attempt = *attempt;
            match self.empty(&namespace, attempt).await {
                Ok(true) => {
                    info!(namespace = namespace.name(), "namespace is empty and goes");
                    self.attempts.remove(namespace.name());
                }
                Ok(false) => {}
                Err(error) => warn!(namespace = namespace.name(), %error, "namespace could not be emptied"),
            }
        }
        true
    }

    /// One run for one namespace, in the trace of its deletion. True if it could be let go.
    async fn empty(&self, namespace: &Cached, attempt: u32) -> Result<bool, Error> {
        let causes = Causes::from(namespace.cause.clone());
        let object = ObjectRef { kind: Namespace::INFO.kind, namespace: "", name: namespace.name(), uid: "" };
        let span = reconcile_span(&Reconcile { attempt, ..Reconcile::new("namespace", object, &causes) });
        async {
            let left = self.delete_contents(namespace.name()).await?;
            if left == 0 {
                self.let_go(namespace).await?;
            }
            Ok(left == 0)
        }
        .instrument(span)
        .await
    }

    async fn delete_contents(&self, namespace: &str) -> Result<usize, Error> {
        // What pods need must be there while they end.
        let pods = self.registries.pods.delete_all(&self.ctx, namespace).await?;
        if pods > 0 {
            return Ok(pods);
        }
        let mut left = 0;
        for contents in self.registries.contents() {
            let kind = contents.kind();
            if kind.namespaced && !kind.same_kind(Pod::INFO) {
                left += contents.delete_all(&self.ctx, namespace).await?;
            }
        }
        Ok(left)
    }

    async fn let_go(&self, namespace: &Cached) -> Result<(), Error> {
        let mut empty: Namespace = namespace.decode();
        empty.spec.finalizers.retain(|finalizer| finalizer != NAMESPACE_FINALIZER);
        match self.registries.namespaces.update(&self.ctx, "", empty, &UpdateOptions::default()).await {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }
}

fn is_terminating(namespace: &Namespace) -> bool {
    namespace.metadata.deletion_timestamp.is_some()
        && namespace.spec.finalizers.iter().any(|finalizer| finalizer == NAMESPACE_FINALIZER)
}
