//! The step catalogue: every arrow of the textbook pictures as a value of one enum.
//!
//! A span says with the attribute `traceplane.step` which step it is. The catalogue is the only place that knows the ids;
//! `docs/steps.md` is generated from it. It does not say when a step applies: the seams do.

mod catalogue;
mod docs;
mod order;
mod request;

pub use catalogue::Step;
pub use docs::markdown;
pub(crate) use request::step_of_rpc;
pub use request::{ApiSteps, RequestDetail, client_step};

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

/// What one row of the catalogue says; the same for every index of an indexed step.
#[derive(Clone, Copy, Debug)]
struct Entry {
    id: &'static str,
    /// The letter in `[i]`: whether the step exists once per container.
    indexed: bool,
    who: &'static str,
    span: &'static str,
    what: &'static str,
}

/// The journeys that the catalogue describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Journey {
    /// A pod, from the request to its answering under its Service's name.
    PodCreate,
    /// A workload, from the request to Available; its pods continue as [`Journey::PodCreate`].
    WorkloadApply,
    /// A pod, from the delete request to its removal and replacement.
    PodDelete,
    /// A container that failed and is started again, which nobody asked for; indexes count as in [`Journey::PodDelete`].
    PodRestart,
}

impl Journey {
    /// All journeys in the order of the documentation.
    pub const ALL: [Self; 4] = [Self::PodCreate, Self::WorkloadApply, Self::PodDelete, Self::PodRestart];

    /// What all ids of the journey's steps start with, the following dot excluded.
    pub fn id(self) -> &'static str {
        match self {
            Self::PodCreate => "pod.create",
            Self::WorkloadApply => "workload.apply",
            Self::PodDelete => "pod.delete",
            Self::PodRestart => "pod.restart",
        }
    }

    /// Its steps in the catalogue's order.
    pub fn steps(self) -> impl Iterator<Item = Step> {
        Step::all().iter().copied().filter(move |step| step.journey() == self)
    }
}

impl Step {
    /// The value of `traceplane.step`: `pod.create.2a`, or with its index `pod.create.5f[3]`.
    pub fn id(self) -> Cow<'static, str> {
        match self.index() {
            None => Cow::Borrowed(self.entry().id),
            Some(index) => Cow::Owned(format!("{}[{index}]", self.entry().id)),
        }
    }

    /// The id without an index, the same for all of an indexed step: `pod.create.5f[i]`.
    pub fn pattern(self) -> Cow<'static, str> {
        let Entry { id, indexed, .. } = self.entry();
        if indexed { Cow::Owned(format!("{id}[i]")) } else { Cow::Borrowed(id) }
    }

    /// Who does it: a component, or two when the step is an arrow between them.
    pub fn who(self) -> &'static str {
        self.entry().who
    }

    /// What happens, in a few words.
    pub fn what(self) -> &'static str {
        self.entry().what
    }

    /// The name of the span (or of the span event) that carries it.
    pub fn span(self) -> &'static str {
        self.entry().span
    }

    /// Which journey it belongs to.
    pub fn journey(self) -> Journey {
        Journey::ALL
            .into_iter()
            .find(|journey| self.entry().id.starts_with(journey.id()))
            .expect("a test holds every id to one of the journeys")
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.id())
    }
}

/// The text names no step of the catalogue.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a step of the catalogue (docs/steps.md)")]
pub struct UnknownStep(String);

impl FromStr for Step {
    type Err = UnknownStep;

    /// Reads what [`Step::id`] writes.
    fn from_str(id: &str) -> Result<Self, Self::Err> {
        let unknown = || UnknownStep(id.to_owned());
        let (name, index) = match id.strip_suffix(']').and_then(|id| id.split_once('[')) {
            // Only the canonical form: "+1" and "01" would be second spellings of one step.
            Some((name, digits)) => {
                let index: u32 = digits.parse().map_err(|_| unknown())?;
                (name, (index.to_string() == digits).then_some(index).ok_or_else(unknown)?.into())
            }
            None => (id, None),
        };
        let step = Self::all().iter().find(|step| step.entry().id == name).ok_or_else(unknown)?;
        match (step.entry().indexed, index) {
            (true, Some(index)) => Ok(step.with_index(index)),
            (false, None) => Ok(*step),
            _ => Err(unknown()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_step_has_its_own_id_and_the_id_reads_back() {
        let mut seen = HashSet::new();
        for step in Step::all() {
            assert!(seen.insert(step.id()), "{step} stands twice in the catalogue");
            assert_eq!(step.id().parse(), Ok(*step));
            assert!(!step.who().is_empty() && !step.what().is_empty() && !step.span().is_empty());
            assert!(step.id().starts_with(&format!("{}.", step.journey().id())));
        }
    }

    #[test]
    fn an_indexed_step_carries_its_index() {
        assert_eq!(Step::PodCreate5f(3).id(), "pod.create.5f[3]");
        assert_eq!(Step::PodCreate5f(3).pattern(), "pod.create.5f[i]");
        assert_eq!("pod.delete.7[12]".parse(), Ok(Step::PodDelete7(12)));
        assert_eq!(Step::PodCreate2a.id(), "pod.create.2a");
    }

    #[test]
    fn other_spellings_are_refused() {
        for id in ["", "pod.create", "pod.create.2z", "pod.create.5f", "pod.create.2a[0]", "pod.create.5f[01]"] {
            assert!(id.parse::<Step>().is_err(), "{id:?}");
        }
    }

    #[test]
    fn the_causal_order_has_one_start_per_journey_and_follows_the_catalogue() {
        for journey in Journey::ALL {
            let starts: Vec<_> = journey.steps().filter(|step| step.after().is_empty()).collect();
            assert_eq!(starts.len(), 1, "{journey:?} starts with {starts:?}");
        }
        for step in Step::all() {
            for before in step.after() {
                assert_eq!(before.journey(), step.journey(), "{before} and {step}");
                // So the order has no cycle.
                assert!(before < step, "{before} stands after {step}");
            }
        }
    }

    #[test]
    fn the_catalogue_is_in_journey_order() {
        let journeys: Vec<_> = Step::all().iter().map(|step| step.journey()).collect();
        assert!(journeys.is_sorted());
        assert_eq!(Journey::ALL.iter().flat_map(|journey| journey.steps()).count(), Step::all().len());
    }
}
