//! Who owns whom, as the informers show it. Pure: the graph is told of changes and answers which objects may need something now.
//!
//! An edge is an owner reference, and counts by uid. Owners that were not seen have no node; whether they exist is for the plan to ask.

use super::plan::{Decision, Known, plan};
use api::meta::v1::{ObjectMeta, OwnerReference};
use api::{KindInfo, Resource};
use controller::RunKey;
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::fmt;
use telemetry::span::ObjectRef;

/// Finalizer of an owner that waits for its dependents.
pub const FOREGROUND: &str = "foregroundDeletion";
/// Finalizer of an owner whose dependents shall stay.
pub const ORPHAN: &str = "orphan";

/// Absent owners that are remembered, so that a thousand dependents ask once. Kubernetes' number.
const REMEMBERED: usize = 500;

/// An object of any kind.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identity {
    /// No other object ever has it.
    pub uid: String,
    /// Group of its kind.
    pub group: &'static str,
    /// Its kind.
    pub kind: &'static str,
    /// Empty for cluster-wide kinds.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl Identity {
    /// The identity of an object of kind `info`.
    pub fn new(info: &'static KindInfo, meta: &ObjectMeta) -> Self {
        Identity {
            uid: meta.uid.clone(),
            group: info.group,
            kind: info.kind,
            namespace: meta.namespace.clone(),
            name: meta.name.clone(),
        }
    }

    /// The identity of an object.
    pub fn of<K: Resource>(object: &K) -> Self {
        Identity::new(K::INFO, object.metadata())
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{} ({})", self.kind, self.namespace, self.name, self.uid)
    }
}

impl RunKey for Identity {
    fn object<'a>(&'a self, _: &'a str) -> ObjectRef<'a> {
        ObjectRef { kind: self.kind, namespace: &self.namespace, name: &self.name, uid: &self.uid }
    }
}

/// An object in the graph.
#[derive(Debug, Clone)]
pub struct Node {
    /// Which object.
    pub identity: Identity,
    /// Its owner references.
    pub owners: Vec<OwnerReference>,
    /// Its deletion was asked for.
    pub deleting: bool,
    /// It has the finalizer [`FOREGROUND`].
    pub foreground: bool,
    /// It has the finalizer [`ORPHAN`].
    pub orphan: bool,
    /// The revision that all of this was true at.
    pub resource_version: String,
}

impl Node {
    fn of(identity: Identity, meta: &ObjectMeta) -> Self {
        let has = |finalizer: &str| meta.finalizers.iter().any(|held| held == finalizer);
        Node {
            identity,
            owners: meta.owner_references.clone(),
            deleting: meta.deletion_timestamp.is_some(),
            foreground: has(FOREGROUND),
            orphan: has(ORPHAN),
            resource_version: meta.resource_version.clone(),
        }
    }

    /// Whether it goes once its dependents are gone.
    pub fn waits_for_dependents(&self) -> bool {
        self.deleting && self.foreground
    }

    /// Whether `owner` may not go before it.
    pub fn blocks(&self, owner: &str) -> bool {
        self.owners.iter().any(|reference| reference.uid == owner && reference.block_owner_deletion == Some(true))
    }
}

/// Everything that is known.
#[derive(Debug, Default)]
pub struct Graph {
    nodes: HashMap<String, Node>,
    /// By uid of the owner, also of owners without a node.
    dependents: HashMap<String, BTreeSet<String>>,
    absent: HashSet<Identity>,
    /// The same, oldest first.
    absent_order: VecDeque<Identity>,
}

impl Graph {
    /// An object by its uid.
    pub fn node(&self, uid: &str) -> Option<&Node> {
        self.nodes.get(uid)
    }

    /// The objects that refer to an owner.
    pub fn dependents(&self, owner: &str) -> impl Iterator<Item = &Node> {
        self.dependents.get(owner).into_iter().flatten().filter_map(|uid| self.nodes.get(uid))
    }

    /// Whether an owner was found not to exist.
    pub fn is_absent(&self, owner: &Identity) -> bool {
        self.absent.contains(owner)
    }

    /// Remembers that an object does not exist: the apiserver said so.
    pub fn note_absent(&mut self, object: Identity) {
        if self.absent.insert(object.clone()) {
            self.absent_order.push_back(object);
        }
        if self.absent_order.len() > REMEMBERED
            && let Some(oldest) = self.absent_order.pop_front()
        {
            self.absent.remove(&oldest);
        }
    }

    /// An object is like this now. Returns which objects may need something because of it.
    pub fn observe(&mut self, identity: Identity, meta: &ObjectMeta) -> Vec<Identity> {
        let uid = identity.uid.clone();
        if let Some(node) = self.nodes.get_mut(&uid) {
            let new = Node::of(identity.clone(), meta);
            let is_same = node.owners == new.owners
                && (node.deleting, node.foreground, node.orphan) == (new.deleting, new.foreground, new.orphan);
            if is_same {
                // The usual case: a status, a heartbeat.
                node.resource_version = new.resource_version;
                return Vec::new();
            }
        }
        let new = Node::of(identity, meta);
        let began_to_wait =
            new.waits_for_dependents() && self.nodes.get(&uid).is_none_or(|old| !old.waits_for_dependents());
        let owners: Vec<_> = new.owners.iter().map(|owner| owner.uid.clone()).collect();
        let old = self.nodes.insert(uid.clone(), new);
        for owner in owners {
            self.dependents.entry(owner).or_default().insert(uid.clone());
        }
        let mut affected = vec![uid.clone()];
        if let Some(old) = old {
            affected.extend(self.unlink(&uid, &old.owners));
        }
        if began_to_wait {
            affected.extend(self.dependents(&uid).map(|node| node.identity.uid.clone()));
        }
        self.in_need(affected)
    }

    /// An object is gone. `is_certain` if the apiserver said so, and it is not merely missing in a list. Returns which objects may need
    /// something because of it.
    pub fn forget(&mut self, identity: &Identity, is_certain: bool) -> Vec<Identity> {
        if is_certain {
            self.note_absent(identity.clone());
        }
        let Some(node) = self.nodes.remove(&identity.uid) else { return Vec::new() };
        let mut affected: Vec<_> = self.dependents(&identity.uid).map(|node| node.identity.uid.clone()).collect();
        affected.extend(self.unlink(&identity.uid, &node.owners));
        self.in_need(affected)
    }

    /// Takes a dependent away from those former owners that it refers to no more. Returns the owners that may wait for it no longer.
    fn unlink(&mut self, dependent: &str, former: &[OwnerReference]) -> Vec<String> {
        let now = self.nodes.get(dependent);
        for owner in former.iter().map(|owner| &owner.uid) {
            if now.is_some_and(|node| node.owners.iter().any(|reference| &reference.uid == owner)) {
                continue;
            }
            if let Some(dependents) = self.dependents.get_mut(owner) {
                dependents.remove(dependent);
                if dependents.is_empty() {
                    self.dependents.remove(owner);
                }
            }
        }
        former.iter().map(|owner| owner.uid.clone()).collect()
    }

    /// Those for which there is something to do, or to ask.
    fn in_need(&self, uids: Vec<String>) -> Vec<Identity> {
        let uids: BTreeSet<_> = uids.into_iter().collect();
        let needy = uids.iter().filter(|uid| plan(self, uid, &Known::default()) != Decision::Nothing);
        needy.filter_map(|uid| self.nodes.get(uid)).map(|node| node.identity.clone()).collect()
    }
}
