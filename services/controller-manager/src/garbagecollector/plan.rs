//! What garbage collection does about one object, without I/O.

use super::graph::{FOREGROUND, Graph, Identity, Node};
use crate::kinds::kind_of;
use api::meta::v1::OwnerReference;
use std::collections::HashMap;

/// What the apiserver said about owners that the graph does not show, by uid.
pub type Known = HashMap<String, Owner>;

/// How an owner is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// It exists and keeps its dependents.
    Solid,
    /// It exists, and wants its dependents gone first.
    Waiting,
    /// It is gone.
    Absent,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Nothing.
    Nothing,
    /// The apiserver has to be asked about these owners first.
    Ask(Vec<Identity>),
    /// These dependents keep an owner from going: each has to be looked at.
    LookAt(Vec<Identity>),
    /// An owner need not wait any more: its finalizer goes.
    Finalize(&'static str),
    /// These dependents lose their reference, and then the owner its finalizer.
    Orphan(Vec<Identity>),
    /// Other owners keep the object; the references with these uids go.
    Unlink(Vec<String>),
    /// Nobody keeps the object.
    Delete {
        /// What is to become of its own dependents.
        policy: &'static str,
        /// Its references must stop blocking first: it waits, in a circle, for an owner that waits for it.
        unblock: bool,
    },
}

/// Decides about the object with this uid.
pub fn plan(graph: &Graph, uid: &str, known: &Known) -> Decision {
    let Some(node) = graph.node(uid) else { return Decision::Nothing };
    if node.deleting { of_deleting(graph, node) } else { of_living(graph, node, known) }
}

fn of_deleting(graph: &Graph, node: &Node) -> Decision {
    let uid = &node.identity.uid;
    if node.orphan {
        return Decision::Orphan(graph.dependents(uid).map(|dependent| dependent.identity.clone()).collect());
    }
    if !node.foreground {
        return Decision::Nothing;
    }
    let blocking: Vec<_> = graph.dependents(uid).filter(|dependent| dependent.blocks(uid)).collect();
    if blocking.is_empty() {
        return Decision::Finalize(FOREGROUND);
    }
    let idle = blocking.into_iter().filter(|dependent| !dependent.deleting);
    let idle: Vec<_> = idle.map(|dependent| dependent.identity.clone()).collect();
    if idle.is_empty() { Decision::Nothing } else { Decision::LookAt(idle) }
}

fn of_living(graph: &Graph, node: &Node, known: &Known) -> Decision {
    if node.owners.is_empty() {
        return Decision::Nothing;
    }
    let (mut unknown, mut lost, mut solid, mut waiting) = (Vec::new(), Vec::new(), false, false);
    for reference in &node.owners {
        let Some(owner) = owner(node, reference) else {
            // Its kind is not served: it can neither be asked for nor be judged gone.
            solid = true;
            continue;
        };
        match state(graph, &owner, known) {
            None => unknown.push(owner),
            Some(Owner::Solid) => solid = true,
            Some(Owner::Waiting) => {
                waiting = true;
                lost.push(owner.uid);
            }
            Some(Owner::Absent) => lost.push(owner.uid),
        }
    }
    if !unknown.is_empty() {
        return Decision::Ask(unknown);
    }
    if solid {
        return if lost.is_empty() { Decision::Nothing } else { Decision::Unlink(lost) };
    }
    let dependents = || graph.dependents(&node.identity.uid);
    if waiting && dependents().next().is_some() {
        let unblock = dependents().any(Node::waits_for_dependents);
        return Decision::Delete { policy: "Foreground", unblock };
    }
    // What was asked of the object itself, before its owner went, holds.
    let policy = if node.orphan {
        "Orphan"
    } else if node.foreground {
        "Foreground"
    } else {
        "Background"
    };
    Decision::Delete { policy, unblock: false }
}

/// The object that a reference of `node` means; `None` if there can be none here.
fn owner(node: &Node, reference: &OwnerReference) -> Option<Identity> {
    let info = kind_of(&reference.api_version, &reference.kind)?;
    if info.namespaced && node.identity.namespace.is_empty() {
        // Something cluster-wide cannot belong to a namespace. Kubernetes leaves such objects alone.
        return None;
    }
    Some(Identity {
        uid: reference.uid.clone(),
        group: info.group,
        kind: info.kind,
        namespace: if info.namespaced { node.identity.namespace.clone() } else { String::new() },
        name: reference.name.clone(),
    })
}

fn state(graph: &Graph, owner: &Identity, known: &Known) -> Option<Owner> {
    if let Some(node) = graph.node(&owner.uid).filter(|node| node.identity == *owner) {
        return Some(if node.waits_for_dependents() { Owner::Waiting } else { Owner::Solid });
    }
    if graph.is_absent(owner) {
        return Some(Owner::Absent);
    }
    known.get(&owner.uid).copied()
}

#[cfg(test)]
mod tests;
