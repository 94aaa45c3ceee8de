//! What a user names on the command line: `pods`, `pods,svc`, `all`, `pod web db`, `pod/web deploy/api`.

use anyhow::{Result, bail};
use api::meta::v1::ListOptions;
use api::{KINDS, KindInfo};
use clap::Args;

/// Which objects a command is about.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Targets {
    /// All objects of these kinds, or those that selectors leave.
    Kinds(Vec<&'static KindInfo>),
    /// These objects.
    Named(Vec<(&'static KindInfo, String)>),
}

/// Flags that choose among the objects of a kind.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct SelectorFlags {
    /// Label selector: `app=web,tier in (a,b),!old`.
    #[arg(short = 'l', long = "selector", value_name = "SELECTOR")]
    pub(crate) labels: Option<String>,
    /// Field selector: `status.phase=Running,spec.nodeName=node-1`.
    #[arg(long = "field-selector", value_name = "SELECTOR")]
    pub(crate) fields: Option<String>,
    /// The objects of all namespaces.
    #[arg(short = 'A', long)]
    pub(crate) all_namespaces: bool,
}

impl SelectorFlags {
    /// The options of a list or watch.
    pub(crate) fn list_options(&self) -> ListOptions {
        ListOptions {
            label_selector: self.labels.clone().unwrap_or_default(),
            field_selector: self.fields.clone().unwrap_or_default(),
            ..ListOptions::default()
        }
    }

    /// Whether anything is left out.
    pub(crate) fn selects(&self) -> bool {
        self.labels.is_some() || self.fields.is_some()
    }

    /// The namespace to look in, empty for all.
    pub(crate) fn namespace<'a>(&self, kind: &KindInfo, namespace: &'a str) -> &'a str {
        if self.all_namespaces || !kind.namespaced { "" } else { namespace }
    }
}

/// The options that select one object by name.
pub(crate) fn select(name: &str) -> ListOptions {
    ListOptions { field_selector: format!("metadata.name={name}"), ..ListOptions::default() }
}

/// The kind of this name, or an error in kubectl's words.
pub(crate) fn kind_named(name: &str) -> Result<&'static KindInfo> {
    let Some(kind) = api::find_kind(name) else {
        bail!("the server doesn't have a resource type {name:?}; `tpctl api-resources` lists what it has");
    };
    Ok(kind)
}

impl Targets {
    /// Reads the arguments of a command.
    pub(crate) fn parse(args: &[String]) -> Result<Targets> {
        let Some(first) = args.first() else {
            bail!("you must specify the type of resource: pods, deployments, ...; `tpctl api-resources` lists them");
        };
        if args.iter().any(|arg| arg.contains('/')) {
            return args.iter().map(|arg| named(arg)).collect::<Result<_>>().map(Targets::Named);
        }
        let kinds = kinds(first)?;
        let names = &args[1..];
        if names.is_empty() {
            return Ok(Targets::Kinds(kinds));
        }
        Ok(Targets::Named(kinds.iter().flat_map(|kind| names.iter().map(|name| (*kind, name.clone()))).collect()))
    }

    /// Reads the arguments of a command that works on one object.
    pub(crate) fn one(args: &[String]) -> Result<(&'static KindInfo, String)> {
        match Targets::parse(args)? {
            Targets::Named(mut named) if named.len() == 1 => Ok(named.remove(0)),
            Targets::Named(_) => bail!("this works on one object at a time"),
            Targets::Kinds(_) => bail!("name one object: TYPE NAME or TYPE/NAME"),
        }
    }
}

fn named(arg: &str) -> Result<(&'static KindInfo, String)> {
    let Some((kind, name)) = arg.split_once('/') else {
        bail!(
            "there is no need to specify a resource type as a separate argument when passing arguments in resource/name form \
             (e.g. 'tpctl get resource/<resource_name>' instead of 'tpctl get resource resource/<resource_name>')"
        );
    };
    if kind.is_empty() || name.is_empty() || name.contains('/') {
        bail!("arguments in resource/name form must have a single resource and name, not {arg:?}");
    }
    Ok((kind_named(kind)?, name.to_owned()))
}

/// `pods,svc`, with categories such as `all` spread out. Each kind once.
fn kinds(list: &str) -> Result<Vec<&'static KindInfo>> {
    let mut found: Vec<&'static KindInfo> = Vec::new();
    for word in list.split(',').filter(|word| !word.is_empty()) {
        let category: Vec<_> = KINDS.iter().copied().filter(|kind| kind.categories.contains(&word)).collect();
        let kinds = if category.is_empty() { vec![kind_named(word)?] } else { in_order(category) };
        for kind in kinds {
            if !found.iter().any(|known| known.same_kind(kind)) {
                found.push(kind);
            }
        }
    }
    Ok(found)
}

/// As Kubernetes' discovery orders the members of `all`: the core group first, then by group; pods before services.
fn in_order(mut kinds: Vec<&'static KindInfo>) -> Vec<&'static KindInfo> {
    kinds.sort_by_key(|kind| (kind.group, kind.plural));
    kinds
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Targets> {
        Targets::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    fn plurals(line: &str) -> Vec<&'static str> {
        match parse(line).unwrap() {
            Targets::Kinds(kinds) => kinds.iter().map(|kind| kind.plural).collect(),
            Targets::Named(named) => panic!("{named:?}"),
        }
    }

    fn names(line: &str) -> Vec<String> {
        match parse(line).unwrap() {
            Targets::Named(named) => named.iter().map(|(kind, name)| format!("{}/{name}", kind.singular)).collect(),
            Targets::Kinds(kinds) => panic!("{kinds:?}"),
        }
    }

    #[test]
    fn kinds_go_by_every_name_they_have() {
        for line in ["pods", "pod", "po", "Pod"] {
            assert_eq!(plurals(line), ["pods"], "{line}");
        }
        assert_eq!(plurals("deploy,svc,deployments.apps"), ["deployments", "services"]);
        assert_eq!(plurals("all"), ["pods", "services", "deployments", "replicasets", "jobs"]);
    }

    #[test]
    fn objects_are_named_after_their_kind_or_with_it() {
        assert_eq!(names("pod web db"), ["pod/web", "pod/db"]);
        assert_eq!(names("pod/web deploy/api"), ["pod/web", "deployment/api"]);
        assert_eq!(names("pods,svc web"), ["pod/web", "service/web"]);
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for (line, part) in [
            ("", "you must specify the type"),
            ("foos", "doesn't have a resource type \"foos\""),
            ("pod pod/web", "there is no need to specify a resource type"),
            ("pod/", "must have a single resource and name"),
        ] {
            let message = parse(line).unwrap_err().to_string();
            assert!(message.contains(part), "{line}: {message}");
        }
    }
}
