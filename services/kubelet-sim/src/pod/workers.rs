//! The pods of one node: every pod has its worker, and hears what concerns it.
//!
//! One task per node reads three sources: versions of pods (from the watch, or from the periodic full comparison that repairs what the
//! watch missed), events of the runtime, and the ends of workers. What the runtime has without the apiserver knowing of it is an orphan, and
//! is cleaned away once the list of pods is complete.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use api::core::v1::{Container, Pod};
use futures::channel::mpsc::unbounded;
use futures::{FutureExt, StreamExt};
use service_kit::{Backoff, Shutdown};
use telemetry::Cause;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio::time::sleep;
use tracing::{error, warn};

use super::NodeContext;
use super::listing::{Listed, list};
use super::worker::{Inbox, Message, Worker};
use crate::cri;
use crate::lifecycle::{Eviction, Observed};
use crate::runtime::{Events, RuntimeError};

/// What a node is told about its pods.
#[derive(Debug)]
pub enum PodChange {
    /// A pod of this node is new or has changed.
    Version(Arc<Pod>, Cause),
    /// A pod of this node is gone.
    Gone(Arc<Pod>, Cause),
    /// The node ends the pod with this uid.
    Evict(String, Box<Eviction>),
    /// Everything that existed at the start has been told.
    Complete,
    /// All pods of this node that are known: each must have a worker.
    Known(Vec<Arc<Pod>>),
}

/// The workers of one node.
pub struct Workers {
    context: Arc<NodeContext>,
    changes: mpsc::UnboundedReceiver<PodChange>,
    inboxes: HashMap<String, Inbox>,
    tasks: JoinSet<String>,
    /// Pods of the runtime that no version has come for yet.
    unclaimed: HashMap<String, Listed>,
    complete: bool,
    /// What pods left that are no more is removed, once.
    swept: bool,
}

impl Workers {
    /// The workers of a node, and where to tell it about its pods. Unbounded: workers take everything at once.
    pub fn new(context: Arc<NodeContext>) -> (Self, mpsc::UnboundedSender<PodChange>) {
        let (sender, changes) = mpsc::unbounded_channel();
        let workers = Self {
            context,
            changes,
            inboxes: HashMap::new(),
            tasks: JoinSet::new(),
            unclaimed: HashMap::new(),
            complete: false,
            swept: false,
        };
        (workers, sender)
    }

    /// Runs until shutdown. Workers are dropped then; what runs in the runtime goes on.
    pub async fn run(mut self, shutdown: Shutdown) {
        let _ = shutdown.run_until_triggered(self.follow()).await;
    }

    async fn follow(&mut self) {
        let mut backoff = Backoff::default();
        loop {
            match self.subscribe().await {
                Ok(mut events) => {
                    backoff.reset();
                    self.serve(&mut events).await;
                    warn!(node = self.context.name, "runtime events may have been missed; listing");
                }
                Err(error) => {
                    let delay = backoff.next_delay();
                    warn!(node = self.context.name, %error, ?delay, "the runtime does not answer");
                    sleep(delay).await;
                }
            }
        }
    }

    /// Subscribes, then lists: what happens in between comes as an event, and only repeats what the list says.
    async fn subscribe(&mut self) -> Result<Events, RuntimeError> {
        let runtime = Arc::clone(&self.context.runtime.containers);
        let events = runtime.events().await?;
        let mut listed = list(&self.context).await?;
        for (uid, inbox) in &self.inboxes {
            let observed = listed.remove(uid).map(|listed| listed.observed).unwrap_or_default();
            let _ = inbox.unbounded_send(Message::Listed(Box::new(observed)));
        }
        self.unclaimed = listed;
        self.adopt_orphans();
        Ok(events)
    }

    /// Returns when the event stream ends.
    async fn serve(&mut self, events: &mut Events) {
        loop {
            tokio::select! {
                // Runtime events first, so that a version never meets an older state of the runtime than it must.
                biased;
                event = events.next() => match event {
                    Some(Ok(event)) => self.tell_event(event),
                    Some(Err(_)) | None => return,
                },
                Some(ended) = self.tasks.join_next() => self.ended(ended),
                Some(change) = self.changes.recv() => self.tell_change(change),
            }
        }
    }

    fn tell_change(&mut self, change: PodChange) {
        match change {
            PodChange::Version(pod, cause) => match self.inboxes.get(&pod.metadata.uid) {
                Some(inbox) => drop(inbox.unbounded_send(Message::Version(Box::new((pod, cause))))),
                None => {
                    let observed = self.unclaimed.remove(&pod.metadata.uid).map(|listed| listed.observed);
                    self.start(pod, observed.unwrap_or_default(), &cause, false);
                }
            },
            PodChange::Gone(pod, cause) => {
                if let Some(inbox) = self.inboxes.get(&pod.metadata.uid) {
                    let _ = inbox.unbounded_send(Message::Gone(Box::new(cause)));
                }
            }
            PodChange::Evict(uid, eviction) => {
                if let Some(inbox) = self.inboxes.get(&uid) {
                    let _ = inbox.unbounded_send(Message::Evict(eviction));
                }
            }
            PodChange::Known(pods) => {
                for pod in pods {
                    if !self.inboxes.contains_key(&pod.metadata.uid) {
                        warn!(node = self.context.name, pod = pod.metadata.name, "the pod had no worker");
                        self.tell_change(PodChange::Version(pod, Cause::default()));
                    }
                }
            }
            PodChange::Complete => {
                self.complete = true;
                self.adopt_orphans();
                self.sweep();
            }
        }
    }

    fn tell_event(&mut self, mut event: cri::ContainerEventResponse) {
        let Some(sandbox) = &event.pod_sandbox_status else { return };
        let Some(metadata) = sandbox.metadata.clone() else { return };
        self.context.volumes.complete(&metadata.uid, &mut event.containers_statuses);
        if let Some(inbox) = self.inboxes.get(&metadata.uid) {
            let _ = inbox.unbounded_send(Message::Runtime(Box::new(event)));
            return;
        }
        // A call that was given up took effect after all, or the pod has not been told of yet.
        let listed = self.unclaimed.entry(metadata.uid.clone()).or_default();
        listed.metadata = metadata;
        listed.observed.apply(event);
        self.adopt_orphans();
    }

    /// Gives workers to pods that only the runtime knows, so that they are cleaned away.
    fn adopt_orphans(&mut self) {
        if !self.complete {
            return;
        }
        for (_, Listed { metadata, observed }) in std::mem::take(&mut self.unclaimed) {
            if !observed.sandboxes.is_empty() {
                let pod = Arc::new(described_by(&metadata, &observed));
                self.start(pod, observed, &Cause::default(), true);
            }
        }
    }

    /// Removes the files of pods that neither the apiserver nor the runtime knows.
    fn sweep(&mut self) {
        if std::mem::replace(&mut self.swept, true) {
            return;
        }
        let known: HashSet<String> = self.inboxes.keys().cloned().collect();
        let context = Arc::clone(&self.context);
        tokio::spawn(async move { context.volumes.sweep(|uid| known.contains(uid)).await });
    }

    fn start(&mut self, pod: Arc<Pod>, observed: Observed, cause: &Cause, orphan: bool) {
        let (inbox, messages) = unbounded();
        let uid = pod.metadata.uid.clone();
        let mut worker = Worker::new(Arc::clone(&self.context), messages, pod, observed);
        if orphan {
            worker = worker.orphaned();
        }
        worker.begin(cause);
        self.inboxes.insert(uid.clone(), inbox);
        self.context.running_pods.inc();
        self.tasks.spawn(Box::new(worker).run().map(move |()| uid));
    }

    fn ended(&mut self, ended: Result<String, JoinError>) {
        self.context.running_pods.dec();
        match ended {
            Ok(uid) => drop(self.inboxes.remove(&uid)),
            // The pod's inbox is closed now, so it is found again by the next full comparison.
            Err(error) => {
                error!(node = self.context.name, %error, "a pod worker has failed");
                self.inboxes.retain(|_, inbox| !inbox.is_closed());
            }
        }
    }
}

/// A pod as far as the runtime remembers it: enough to stop its containers.
fn described_by(metadata: &cri::PodSandboxMetadata, observed: &Observed) -> Pod {
    let mut pod = Pod::default();
    pod.metadata.name.clone_from(&metadata.name);
    pod.metadata.namespace.clone_from(&metadata.namespace);
    pod.metadata.uid.clone_from(&metadata.uid);
    let names: BTreeSet<&str> = observed.containers.iter().map(|container| container.name.as_str()).collect();
    pod.spec.containers =
        names.into_iter().map(|name| Container { name: name.to_owned(), ..Container::default() }).collect();
    pod
}
