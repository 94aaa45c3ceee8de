//! What a user wants to see the journey of.

use super::journey::Journey;
use super::span::Span;
use crate::objects::{Targets, kind_named};
use anyhow::{Result, bail};
use api::KindInfo;
use telemetry::attr;

/// Whose journey.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Subject {
    /// The trace of this id.
    Trace(String),
    /// The object of this uid, there or not.
    Uid(String),
    /// The object of this name, there or not.
    Object {
        /// Its kind.
        kind: &'static KindInfo,
        /// Empty for cluster-wide kinds.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// The newest one that `tpctl` began, with the first word of the command.
    Last(Option<String>),
}

impl Subject {
    /// Reads the words of the command line: TYPE/NAME, TYPE NAME, a trace's id, or an object's uid.
    pub(crate) fn parse(words: &[String], namespace: &str) -> Result<Subject> {
        if let [word] = words {
            let is_hex = word.chars().all(|c| c.is_ascii_hexdigit());
            if is_hex && (16..=32).contains(&word.len()) {
                return Ok(Subject::Trace(format!("{:0>32}", word.to_ascii_lowercase())));
            }
            let is_uuid = word.len() == 36 && word.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
            if is_uuid {
                return Ok(Subject::Uid(word.to_ascii_lowercase()));
            }
            if !word.contains('/') {
                // Says so if it is not even a type.
                kind_named(word)?;
                bail!("name the object: {word}/NAME");
            }
        }
        let (kind, name) = Targets::one(words)?;
        let namespace = if kind.namespaced { namespace.to_owned() } else { String::new() };
        Ok(Subject::Object { kind, namespace, name })
    }

    /// For messages.
    pub(crate) fn name(&self) -> String {
        match self {
            Subject::Trace(id) => format!("trace {id}"),
            Subject::Uid(uid) => format!("an object with uid {uid}"),
            Subject::Object { kind, name, .. } => format!("{}/{name}", kind.singular),
            Subject::Last(None) => "any command of tpctl".to_owned(),
            Subject::Last(Some(command)) => format!("`tpctl {command}`"),
        }
    }

    /// That there is nothing about it.
    pub(crate) fn missing(&self) -> String {
        match self {
            Subject::Trace(id) => format!("no trace {id}"),
            other => format!("no trace of {}", other.name()),
        }
    }

    /// The attributes by which spans about it are found, alternatives one after the other.
    pub(super) fn attributes(&self) -> Vec<Vec<(&'static str, String)>> {
        match self {
            Subject::Trace(_) | Subject::Last(_) => Vec::new(),
            Subject::Uid(uid) => vec![vec![(attr::K8S_POD_UID, uid.clone())], vec![(attr::OBJECT_UID, uid.clone())]],
            Subject::Object { kind, namespace, name } => {
                let key = attr::name_of_kind(kind.kind);
                let mut all = vec![(key, name.clone())];
                if key == attr::OBJECT_NAME {
                    all.push((attr::OBJECT_KIND, kind.kind.to_owned()));
                }
                if !namespace.is_empty() {
                    all.push((attr::K8S_NAMESPACE_NAME, namespace.clone()));
                }
                vec![all]
            }
        }
    }

    /// Whether a span says that it is about it.
    pub(crate) fn is_about(&self, span: &Span) -> bool {
        let has_all = |wanted: &Vec<(&str, String)>| wanted.iter().all(|(key, value)| span.text(key) == *value);
        self.attributes().iter().any(has_all)
    }

    /// Whether a request about it began there: what follows is its own journey, not one that touches it.
    pub(crate) fn begins_in(&self, journey: &Journey) -> bool {
        let is_request = |span: &Span| span.step().is_some_and(|step| step.ends_with(".1"));
        journey.spans().iter().any(|span| is_request(span) && self.is_about(span))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::fixture::span;

    fn parse(line: &str) -> Result<Subject> {
        Subject::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>(), "default")
    }

    #[test]
    fn ids_uids_and_objects_are_told_apart() {
        assert_eq!(
            parse("4BF92F3577B34DA6A3CE929D0E0E4736").unwrap(),
            Subject::Trace("4bf92f3577b34da6a3ce929d0e0e4736".into())
        );
        assert_eq!(parse("77b34da6a3ce929d").unwrap(), Subject::Trace("000000000000000077b34da6a3ce929d".into()));
        let uid = "7c9e6679-7425-40de-944b-e07fc1f90ae7";
        assert_eq!(parse(uid).unwrap(), Subject::Uid(uid.into()));
        for line in ["deploy/web", "deployment web"] {
            assert_eq!(parse(line).unwrap().name(), "deployment/web", "{line}");
        }
        for line in ["pods", "nonsense", ""] {
            assert!(parse(line).is_err(), "{line:?}");
        }
    }

    #[test]
    fn a_span_is_about_an_object_by_name_and_namespace() {
        let mut about = span("t", "1", "", "kubelet", "sync pod", 0, 1);
        about.attributes.insert("k8s.pod.name".into(), "web".into());
        about.attributes.insert("k8s.namespace.name".into(), "default".into());
        assert!(parse("pod/web").unwrap().is_about(&about));
        assert!(!Subject::parse(&["pod/web".into()], "other").unwrap().is_about(&about));
        assert!(!parse("pod/web2").unwrap().is_about(&about));
        assert!(!parse("deployment/web").unwrap().is_about(&about));
    }
}
