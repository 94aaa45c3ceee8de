//! What pods refer to in the API, followed for as long as some pod needs it: config maps, secrets, services.
//!
//! One object that many pods refer to is watched once per process, and only while one of them is interested; a kubelet may not watch more
//! than what its pods use. What is immutable is read and then watched no more: <https://kubernetes.io/docs/concepts/configuration/configmap/#configmap-immutable>.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Weak};

use api::Resource;
use api::core::v1::{ConfigMap, Secret, Service};
use client::{Api, Client};
use controller::{Change, Informer};
use parking_lot::Mutex;
use service_kit::{OnFailure, Shutdown, Supervisor};
use tokio::sync::watch;

/// A config map or a secret.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    /// Which of the two.
    pub kind: SourceKind,
    /// Its namespace: the pod's own.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// The kinds that volumes are made from. Displayed as the kubelet's messages name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SourceKind {
    /// A ConfigMap.
    ConfigMap,
    /// A Secret.
    Secret,
}

impl fmt::Display for SourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ConfigMap => "configmap",
            Self::Secret => "secret",
        })
    }
}

/// What is known of a referenced object.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Known {
    /// The apiserver has not answered yet.
    #[default]
    NotYet,
    /// It does not exist.
    Missing,
    /// It exists.
    Is(Arc<Content>),
}

/// What a config map or secret holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Content {
    /// The values by their keys, text and binary alike.
    pub entries: BTreeMap<String, Vec<u8>>,
    /// Whether it can never change.
    pub immutable: bool,
}

impl From<&ConfigMap> for Content {
    fn from(map: &ConfigMap) -> Self {
        let text = map.data.iter().map(|(key, value)| (key.clone(), value.clone().into_bytes()));
        let binary = map.binary_data.iter().map(|(key, value)| (key.clone(), value.clone()));
        Self { entries: text.chain(binary).collect(), immutable: map.immutable == Some(true) }
    }
}

impl From<&Secret> for Content {
    fn from(secret: &Secret) -> Self {
        Self { entries: secret.data.clone(), immutable: secret.immutable == Some(true) }
    }
}

/// One reader's view of a referenced object. It is followed for as long as this or a clone of it exists.
#[derive(Clone)]
pub struct Followed {
    /// What is known, and when that changes. It never closes.
    pub known: watch::Receiver<Known>,
    _interest: Arc<dyn Send + Sync>,
}

impl Followed {
    /// A view that `interest` keeps alive, which includes the sender.
    pub fn new(known: watch::Receiver<Known>, interest: Arc<dyn Send + Sync>) -> Self {
        Self { known, _interest: interest }
    }
}

/// What the nodes of a process follow. Cheap to clone.
#[derive(Clone)]
pub struct Sources {
    client: Client,
    supervisor: Supervisor,
    shutdown: Shutdown,
    services: Informer<Service>,
    followed: Arc<Mutex<HashMap<Reference, Weak<Interest>>>>,
}

/// Ends following when the last pod has lost its interest.
struct Interest {
    reference: Reference,
    known: watch::Sender<Known>,
    stop: Shutdown,
    followed: Weak<Mutex<HashMap<Reference, Weak<Interest>>>>,
}

impl Drop for Interest {
    fn drop(&mut self) {
        self.stop.trigger();
        let Some(followed) = self.followed.upgrade() else { return };
        let mut followed = followed.lock();
        // Somebody else may be interested by now, in a view of their own.
        if followed.get(&self.reference).is_some_and(|interest| interest.strong_count() == 0) {
            followed.remove(&self.reference);
        }
    }
}

impl Sources {
    /// Follows services from now on, and everything else when it is asked for.
    pub fn start(client: &Client, supervisor: &Supervisor, shutdown: &Shutdown) -> Self {
        let services = Informer::of(Api::<Service>::all(client.clone()).untraced()).start(supervisor, shutdown);
        Self {
            client: client.clone(),
            supervisor: supervisor.clone(),
            shutdown: shutdown.clone(),
            services,
            followed: Arc::default(),
        }
    }

    /// The services of a namespace and `default/kubernetes`; `None` until they have been read.
    pub fn services(&self, namespace: &str) -> Option<Vec<Arc<Service>>> {
        if !self.services.is_synced() {
            return None;
        }
        let cache = self.services.cache();
        let mut services = cache.list_in(namespace);
        services.extend(cache.get(&controller::Key::new("default", "kubernetes")));
        Some(services)
    }

    /// Follows an object.
    pub fn follow(&self, reference: &Reference) -> Followed {
        let mut followed = self.followed.lock();
        if let Some(interest) = followed.get(reference).and_then(Weak::upgrade) {
            return Followed::new(interest.known.subscribe(), interest);
        }
        let interest = Arc::new(Interest {
            reference: reference.clone(),
            known: watch::Sender::default(),
            stop: self.shutdown.child(),
            followed: Arc::downgrade(&self.followed),
        });
        followed.insert(reference.clone(), Arc::downgrade(&interest));
        drop(followed);
        match reference.kind {
            SourceKind::ConfigMap => self.watch::<ConfigMap>(&interest),
            SourceKind::Secret => self.watch::<Secret>(&interest),
        }
        Followed::new(interest.known.subscribe(), interest)
    }

    fn watch<K: Resource>(&self, interest: &Interest)
    where
        Content: for<'a> From<&'a K>,
    {
        let Reference { namespace, name, .. } = &interest.reference;
        let (known, stop) = (interest.known.clone(), interest.stop.clone());
        let tell = move |change: &Change<K>| match change {
            Change::Removed(_) => drop(known.send_replace(Known::Missing)),
            Change::Added(object) | Change::Updated { new: object, .. } => {
                let content = Content::from(object);
                if content.immutable {
                    stop.trigger();
                }
                known.send_replace(Known::Is(Arc::new(content)));
            }
        };
        let informer = Informer::of(Api::<K>::all(self.client.clone()).untraced().within(namespace))
            .fields(format!("metadata.name={name}"))
            .on_change(move |change, _| tell(change))
            .start(&self.supervisor, &interest.stop);
        let known = interest.known.clone();
        self.supervisor.spawn("first look at a referenced object", OnFailure::StopService, async move {
            if informer.synced().await {
                known.send_if_modified(|known| {
                    let nothing = *known == Known::NotYet;
                    if nothing {
                        *known = Known::Missing;
                    }
                    nothing
                });
            }
        });
    }
}
