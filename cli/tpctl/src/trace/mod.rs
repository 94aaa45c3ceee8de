//! Journeys: reading traces from a console or a Jaeger, and showing them in a terminal.
//!
//! [`Query`] fetches spans over Jaeger's HTTP API; a [`Journey`] is the spans of one trace as a tree. It is shown as a waterfall, as a table of
//! steps, or as JSON; several are a list. What a pod or a Deployment is, is not known here: spans say by their attributes what they are about.

mod http;
mod journey;
mod json;
mod list;
mod otlp;
mod query;
mod span;
mod steps;
mod subject;
mod waterfall;

#[cfg(test)]
mod fixture;

pub(crate) use journey::Journey;
pub(crate) use json::json;
pub(crate) use list::list;
pub(crate) use query::Query;
pub(crate) use steps::{StepGoal, steps};
pub(crate) use subject::Subject;
pub(crate) use waterfall::{Look, waterfall};
