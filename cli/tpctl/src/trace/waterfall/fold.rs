//! Three pods of one ReplicaSet tell the same story three times. One of them is told, the others get a line each, many a line together.

use super::arrange::{Branch, Fold};
use crate::trace::journey::Journey;
use crate::trace::subject::Subject;
use std::collections::BTreeSet;

/// So many branches get a line of their own besides the one that is shown.
const LINES: usize = 4;

/// Folds equal branches, everywhere. The one that the subject is part of stays open, else the first.
pub(super) fn fold(journey: &Journey, subject: &Subject, branches: &mut Vec<Branch>) {
    for branch in branches.iter_mut() {
        fold(journey, subject, &mut branch.children);
    }
    let mut units = units(journey, std::mem::take(branches));
    let mut open = Vec::new();
    while !units.is_empty() {
        let key = key(journey, &units[0]);
        let is_repeated = |unit: &Vec<Branch>| key.is_some() && self::key(journey, unit) == key;
        let (same, others): (Vec<_>, Vec<_>) = units.into_iter().partition(|unit| is_repeated(unit));
        if same.len() < 2 {
            let mut all = same.into_iter().chain(others);
            open.extend(all.next());
            units = all.collect();
            continue;
        }
        open.push(together(journey, subject, same));
        units = others;
    }
    branches.extend(open.into_iter().flatten());
}

/// Calls with what they caused. A call that begins a journey of its own begins a unit of its own, though it was caused.
fn units(journey: &Journey, branches: Vec<Branch>) -> Vec<Vec<Branch>> {
    let mut units: Vec<Vec<Branch>> = Vec::new();
    for branch in branches {
        let begins = key(journey, std::slice::from_ref(&branch)).is_some();
        let follows = |unit: &Vec<Branch>| unit.iter().any(|other| Some(other.span) == branch.caused_by);
        match units.last_mut() {
            Some(unit) if !begins && follows(unit) => unit.push(branch),
            _ => units.push(vec![branch]),
        }
    }
    units
}

/// What makes branches equal: the same call that begins a journey. `None`: nothing does.
fn key(journey: &Journey, unit: &[Branch]) -> Option<String> {
    let first = journey.span(unit.first()?.span);
    first.step().filter(|step| step.ends_with(".1")).map(|step| format!("{step} {}", first.name))
}

fn together(journey: &Journey, subject: &Subject, mut same: Vec<Vec<Branch>>) -> Vec<Branch> {
    // The server's side knows a generated name, and the uid.
    let sides =
        |call: usize| journey.children(call).iter().chain([&call]).any(|side| subject.is_about(journey.span(*side)));
    let chosen = same.iter().position(|unit| unit.first().is_some_and(|branch| sides(branch.span)));
    // Otherwise the one that tells most, of several such ones the first.
    let richest = || (0..same.len()).rev().max_by_key(|index| steps(journey, &same[*index]).len());
    let open = same.remove(chosen.or_else(richest).unwrap_or(0));
    let mut shown = steps(journey, &open);
    let rest = same.split_off(same.len().min(LINES));
    let mut branches = open;
    branches.extend(same.iter().map(|unit| folded(journey, &mut shown, std::slice::from_ref(unit))));
    if !rest.is_empty() {
        branches.push(folded(journey, &mut shown, &rest));
    }
    branches
}

/// One row for several units. Steps that are shown nowhere else stay, below it: a story with three branches may have its end in the third.
fn folded(journey: &Journey, shown: &mut BTreeSet<String>, units: &[Vec<Branch>]) -> Branch {
    let all: Vec<usize> = units.iter().flat_map(|unit| spans(journey, unit)).collect();
    let end = all.iter().map(|span| journey.span(*span).end).max().unwrap_or_default();
    let fold = Fold { branches: units.len(), spans: all.len(), end };
    let mut children = Vec::new();
    units.iter().for_each(|unit| only_new(journey, unit, shown, &mut children));
    Branch { span: units[0][0].span, caused_by: units[0][0].caused_by, children, fold: Some(fold) }
}

/// Finds branches that are a step which is not shown yet.
fn only_new(journey: &Journey, branches: &[Branch], shown: &mut BTreeSet<String>, found: &mut Vec<Branch>) {
    for branch in branches {
        if journey.span(branch.span).step().is_some_and(|step| shown.insert(step.to_owned())) {
            found.push(Branch { caused_by: None, children: Vec::new(), ..branch.clone() });
        }
        only_new(journey, &branch.children, shown, found);
    }
}

/// The steps in a unit, each once.
fn steps(journey: &Journey, unit: &[Branch]) -> BTreeSet<String> {
    spans(journey, unit).into_iter().filter_map(|span| journey.span(span).step().map(str::to_owned)).collect()
}

/// All spans of a unit, shown or not: the call's and everything below it.
fn spans(journey: &Journey, unit: &[Branch]) -> Vec<usize> {
    let mut found: Vec<usize> = unit.first().map(|branch| branch.span).into_iter().collect();
    let mut next = 0;
    while let Some(span) = found.get(next) {
        found.extend(journey.children(*span));
        next += 1;
    }
    found
}
