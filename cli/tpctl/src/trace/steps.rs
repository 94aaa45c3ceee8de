//! A journey as a table of its steps.

use super::journey::Journey;
use super::span::Span;
use crate::print::Table;
use anyhow::{Result, bail};
use std::collections::BTreeSet;
use telemetry::{Step, attr};

/// A row per span that is a step, by start.
pub(crate) fn steps(journey: &Journey) -> String {
    let mut table = Table::new();
    table.push(["START", "TOOK", "STEP", "SERVICE", "SPAN", "OBJECT", "REVISION"]);
    for (index, span) in journey.spans().iter().enumerate().filter(|(_, span)| span.step().is_some()) {
        table.push([
            super::waterfall::milliseconds(span.start - journey.start()),
            super::waterfall::milliseconds(span.duration()),
            span.step().unwrap_or_default().to_owned(),
            span.service.clone(),
            super::waterfall::short_name(&span.name).to_owned(),
            journey.object(index).unwrap_or_default(),
            span.text(attr::REVISION),
        ]);
    }
    table.flush()
}

/// A step that is waited for: `pod.create.6b`, `pod.create.5f[i]` for any container, `pod.create.1=3` for three objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StepGoal {
    /// As the user wrote it, without the number.
    step: String,
    objects: usize,
}

impl std::str::FromStr for StepGoal {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<StepGoal> {
        let (step, objects) = text.split_once('=').unwrap_or((text, "1"));
        let first = step.replace("[i]", "[0]");
        if first.parse::<Step>().is_err() {
            bail!(
                "{step:?} is not a step of the catalogue (docs/steps.md); write it like pod.create.6b or pod.create.5f[i]"
            );
        }
        let Ok(objects) = objects.parse() else { bail!("{objects:?} in {text:?} is not a number of objects") };
        Ok(StepGoal { step: step.to_owned(), objects })
    }
}

impl std::fmt::Display for StepGoal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.objects == 1 { f.write_str(&self.step) } else { write!(f, "{} of {} objects", self.step, self.objects) }
    }
}

impl StepGoal {
    /// Whether the step has been taken, for as many objects as wanted.
    pub(crate) fn is_reached(&self, journey: &Journey) -> bool {
        let is_taken = |(_, span): &(usize, &Span)| span.step().is_some_and(|step| self.is(step));
        let taken = journey.spans().iter().enumerate().filter(is_taken);
        let objects: BTreeSet<Option<String>> = taken.map(|(index, _)| journey.object(index)).collect();
        objects.len() >= self.objects
    }

    fn is(&self, step: &str) -> bool {
        match self.step.strip_suffix("[i]") {
            Some(any) => step.strip_prefix(any).is_some_and(|rest| rest.starts_with('[')),
            None => step == self.step,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::fixture;

    #[test]
    fn goals_are_steps_of_the_catalogue_for_a_number_of_objects() {
        let journey = fixture::apply();
        for (goal, reached) in [
            ("workload.apply.1", true),
            ("pod.create.1", true),
            ("pod.create.1=3", true),
            ("pod.create.6b=3", true),
            ("pod.create.1=4", false),
            ("pod.create.5f[0]", true),
            ("pod.create.5f[i]=3", true),
            ("pod.create.5f[1]", false),
            ("pod.delete.1", false),
        ] {
            assert_eq!(goal.parse::<StepGoal>().unwrap().is_reached(&journey), reached, "{goal}");
        }
        for goal in ["pod.create", "pod.create.9", "pod.create.1=x", "pod.create.5f"] {
            assert!(goal.parse::<StepGoal>().is_err(), "{goal}");
        }
    }

    #[test]
    fn the_table_has_a_row_per_step() {
        let text = steps(&fixture::apply());
        assert!(text.lines().next().unwrap().starts_with("START"), "{text}");
        let rows = fixture::apply().spans().iter().filter(|span| span.step().is_some()).count();
        assert_eq!(text.lines().count(), rows + 1);
    }
}
