//! The controllers that there are, and which of them shall run.

use crate::config::Settings;
use crate::context::{Context, Start};
use crate::nodelifecycle::plan::Patience;
use crate::{
    deployment, endpoints, endpointslice, garbagecollector, nodeipam, nodelifecycle, podeviction, podgc, replicaset,
    tainteviction,
};

/// A controller by its Kubernetes name, and how it is registered.
struct Entry {
    name: &'static str,
    register: fn(&mut Context, &Settings) -> Start,
}

/// All of them, in no particular order: they meet only through the apiserver.
const ALL: &[Entry] = &[
    Entry {
        name: "deployment-controller",
        register: |context, settings| {
            deployment::controller::register(context, settings.concurrency.concurrent_deployment_syncs)
        },
    },
    Entry {
        name: "replicaset-controller",
        register: |context, settings| {
            replicaset::controller::register(context, settings.concurrency.concurrent_replicaset_syncs)
        },
    },
    Entry {
        name: "garbage-collector-controller",
        register: |context, settings| {
            garbagecollector::controller::register(context, settings.concurrency.concurrent_gc_syncs)
        },
    },
    Entry {
        name: "endpointslice-controller",
        register: |context, settings| {
            endpointslice::controller::register(context, settings.concurrency.concurrent_service_endpoint_syncs)
        },
    },
    Entry {
        name: "endpoints-controller",
        register: |context, settings| {
            endpoints::controller::register(context, settings.concurrency.concurrent_endpoint_syncs)
        },
    },
    Entry {
        name: "node-lifecycle-controller",
        register: |context, settings| {
            let patience = Patience {
                silent: settings.nodes.node_monitor_grace_period,
                starting: settings.nodes.node_startup_grace_period,
                period: settings.nodes.node_monitor_period,
            };
            nodelifecycle::controller::register(context, settings.concurrency.concurrent_node_syncs, patience)
        },
    },
    Entry {
        name: "node-ipam-controller",
        register: |context, settings| match settings.ipam.ranges() {
            Ok(Some(ranges)) => {
                nodeipam::controller::register(context, settings.concurrency.concurrent_node_syncs, ranges)
            }
            // Somebody else hands out ranges; flags that contradict each other were refused before.
            Ok(None) | Err(_) => Box::new(|| ()),
        },
    },
    Entry {
        name: "taint-eviction-controller",
        register: |context, settings| {
            let workers = settings.concurrency.concurrent_node_syncs;
            if settings.nodes.enable_taint_manager {
                tainteviction::controller::register(context, workers)
            } else {
                podeviction::controller::register(context, workers, settings.nodes.pod_eviction_timeout)
            }
        },
    },
    Entry {
        name: "pod-garbage-collector-controller",
        register: |context, settings| podgc::controller::register(context, settings.finished_pods),
    },
];

/// The names, for `--help`.
pub fn help() -> String {
    let names: Vec<_> = ALL.iter().map(|entry| entry.name).collect();
    format!(
        "Controllers to run: `*` is all, `name` adds one, `-name` takes one away; a name wins over `*`. The names are: {}.",
        names.join(", ")
    )
}

/// There is no controller of that name.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("--controllers: there is no controller {name:?}; there are: {}", known())]
pub struct UnknownController {
    name: String,
}

fn known() -> String {
    ALL.iter().map(|entry| entry.name).collect::<Vec<_>>().join(", ")
}

/// Which controllers shall run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    names: Vec<&'static str>,
}

impl Selection {
    /// Reads the words of `--controllers`.
    ///
    /// # Errors
    /// A word names no controller.
    pub fn of(words: &[String]) -> Result<Selection, UnknownController> {
        let words: Vec<&str> = words.iter().map(|word| word.trim()).collect();
        for word in &words {
            let name = word.strip_prefix('-').unwrap_or(word);
            if *word != "*" && ALL.iter().all(|entry| entry.name != name) {
                return Err(UnknownController { name: name.to_owned() });
            }
        }
        let is_on = |name: &str| {
            let off = words.iter().any(|word| word.strip_prefix('-') == Some(name));
            !off && words.iter().any(|word| *word == name || *word == "*")
        };
        Ok(Selection { names: ALL.iter().map(|entry| entry.name).filter(|name| is_on(name)).collect() })
    }

    /// Their names.
    pub fn names(&self) -> &[&'static str] {
        &self.names
    }
}

/// Registers the selected controllers.
pub fn register(context: &mut Context, settings: &Settings) -> Vec<Start> {
    let selected = ALL.iter().filter(|entry| settings.controllers.names.contains(&entry.name));
    selected.map(|entry| (entry.register)(context, settings)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selection_reads_as_in_kubernetes() {
        let of = |words: &str| Selection::of(&words.split(',').map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(of("*").unwrap().names().len(), ALL.len());
        assert_eq!(of("*,-deployment-controller").unwrap().names().len(), ALL.len() - 1);
        assert_eq!(of("-deployment-controller,*").unwrap().names().len(), ALL.len() - 1);
        assert_eq!(of("replicaset-controller").unwrap().names(), ["replicaset-controller"]);
        let error = of("*,-job").unwrap_err().to_string();
        assert!(error.starts_with("--controllers: there is no controller \"job\"; there are: "), "{error}");
    }
}
