//! The containers of a pod by their place in the spec.

use api::core::v1::{Container, Lifecycle, PodSpec};
use api::pod_resources::is_sidecar;

/// What a container is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Runs to success before the next one starts.
    Init,
    /// Started among the init containers, stays, and is stopped last.
    Sidecar,
    /// What the pod is about.
    Main,
}

/// One container of the spec.
#[derive(Clone, Copy, Debug)]
pub struct Slot<'a> {
    /// What it is for.
    pub role: Role,
    /// Its place among the init containers, or among the containers.
    pub index: u32,
    /// What is wanted.
    pub spec: &'a Container,
}

impl<'a> Slot<'a> {
    /// How events name it.
    pub fn field_path(&self) -> String {
        let list = if self.role == Role::Main { "containers" } else { "initContainers" };
        format!("spec.{list}{{{}}}", self.spec.name)
    }

    /// Its place among all containers, init containers after the others: the index of its steps when it is stopped.
    pub fn stop_index(&self, spec: &PodSpec) -> u32 {
        let before = if self.role == Role::Main { 0 } else { u32::try_from(spec.containers.len()).unwrap_or(u32::MAX) };
        before.saturating_add(self.index)
    }

    /// Its hooks.
    pub fn lifecycle(&self) -> Option<&'a Lifecycle> {
        self.spec.lifecycle.as_ref()
    }
}

/// All containers in the order in which they start.
pub fn slots(spec: &PodSpec) -> impl DoubleEndedIterator<Item = Slot<'_>> {
    init_slots(spec).chain(main_slots(spec))
}

/// Init containers and sidecars.
pub(super) fn init_slots(spec: &PodSpec) -> impl DoubleEndedIterator<Item = Slot<'_>> + ExactSizeIterator {
    numbered(&spec.init_containers, |c| if is_sidecar(c) { Role::Sidecar } else { Role::Init })
}

/// What the pod is about.
pub(super) fn main_slots(spec: &PodSpec) -> impl DoubleEndedIterator<Item = Slot<'_>> + ExactSizeIterator {
    numbered(&spec.containers, |_| Role::Main)
}

/// The container of a name.
pub fn slot_of<'a>(spec: &'a PodSpec, name: &str) -> Option<Slot<'a>> {
    slots(spec).find(|slot| slot.spec.name == name)
}

fn numbered(
    containers: &[Container],
    role: impl Fn(&Container) -> Role,
) -> impl DoubleEndedIterator<Item = Slot<'_>> + ExactSizeIterator {
    containers.iter().enumerate().map(move |(index, spec)| Slot {
        role: role(spec),
        index: u32::try_from(index).unwrap_or(u32::MAX),
        spec,
    })
}
