//! Which crate may depend on which.
//!
//! ```text
//! api, telemetry  ->  service-kit  ->  store, client  ->  controller  ->  services, tpctl  ->  tests
//! ```
//!
//! A crate uses only what stands to its left. Crates of one rank do not know each other, so services meet only through the
//! apiserver's API. Three rules are sharper than the ranks: only the apiserver uses `store`, `testkit` never becomes part of a
//! program, and etcd is spoken to without its client crate (docs/adr/0003). It does not look at what is used of a crate.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use cargo_metadata::{DependencyKind, MetadataCommand};

/// The crates of a workspace with what they depend on.
pub(crate) type Graph = Vec<Crate>;

/// One crate; names without the project's prefix.
#[derive(Debug)]
pub(crate) struct Crate {
    name: String,
    /// What its programs are made of, build scripts included.
    uses: BTreeSet<String>,
    /// What only its tests use.
    tests_use: BTreeSet<String>,
}

const RANKS: [&[&str]; 6] = [
    &["api", "telemetry"],
    &["service-kit"],
    &["store", "client"],
    &["controller"],
    &["apiserver", "scheduler", "controller-manager", "kubelet-sim", "console", "tpctl"],
    &["e2e"],
];

/// Crates beside the ranks: what tests are written with, and the chores.
const TESTKIT: &str = "testkit";
const XTASK: &str = "xtask";

/// Reads the graph of this workspace.
pub(crate) fn of_workspace() -> Result<Graph> {
    let metadata = MetadataCommand::new().current_dir(crate::shell::root()).no_deps().exec();
    let metadata = metadata.context("cargo cannot describe the workspace")?;
    let short = |name: &str| name.strip_prefix("traceplane-").unwrap_or(name).to_owned();
    let named = |package: &cargo_metadata::Package, tests: bool| {
        let of_tests = |kind| kind == DependencyKind::Development;
        package.dependencies.iter().filter(|d| of_tests(d.kind) == tests).map(|d| short(&d.name)).collect()
    };
    let packages = metadata.workspace_packages();
    Ok(packages
        .into_iter()
        .map(|p| Crate { name: short(&p.name), uses: named(p, false), tests_use: named(p, true) })
        .collect())
}

/// What breaks the rules, in words; empty if nothing does.
pub(crate) fn violations(graph: &Graph) -> Vec<String> {
    let members: BTreeSet<&str> = graph.iter().map(|c| c.name.as_str()).collect();
    let mut found = Vec::new();
    for Crate { name, uses, tests_use } in graph {
        if rank(name).is_none() && name != TESTKIT && name != XTASK {
            found.push(format!("{name} has no rank: say in {} where it belongs", file!()));
            continue;
        }
        for used in uses.iter().chain(tests_use) {
            if used == "etcd-client" {
                found.push(format!("{name} uses etcd-client: etcd's API is spoken by `store` itself"));
            }
        }
        let ours = |used: &&String| members.contains(used.as_str());
        let in_programs = uses.iter().filter(ours).filter_map(|used| refusal(name, used));
        let in_tests = tests_use
            .iter()
            .filter(ours)
            .filter(|used| *used != name && *used != TESTKIT)
            .filter_map(|u| refusal(name, u));
        found.extend(in_programs.chain(in_tests));
    }
    found
}

fn refusal(name: &str, used: &str) -> Option<String> {
    let because = match (name, used) {
        (XTASK, _) => "chores use the built programs, not their code".to_owned(),
        (name, TESTKIT) if name != "e2e" => "testkit is for tests only".to_owned(),
        (name, "store") if name != "apiserver" => "only the apiserver uses the store".to_owned(),
        // It stands beside the services: their tests use it, and it uses what they are made of.
        (TESTKIT, used) if rank(used) < rank("apiserver") => return None,
        (name, used) if rank(used) < rank(name) => return None,
        (name, used) if rank(used) == rank(name) => format!("{name} and {used} have the same rank"),
        (name, used) => format!("{name} stands below {used}"),
    };
    Some(format!("{name} uses {used}: {because}"))
}

fn rank(name: &str) -> Option<usize> {
    RANKS.iter().position(|names| names.contains(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_workspace_keeps_its_directions() {
        let graph = of_workspace().unwrap();
        assert!(graph.len() > 10, "the workspace was read: {graph:?}");
        assert_eq!(violations(&graph), Vec::<String>::new());
    }

    /// `name: uses... / tests use...`, one crate per line.
    fn graph(text: &str) -> Graph {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect();
        text.lines()
            .map(|line| {
                let (name, rest) = line.split_once(':').unwrap();
                let (uses, tests_use) = rest.split_once('/').unwrap_or((rest, ""));
                Crate { name: name.trim().to_owned(), uses: words(uses), tests_use: words(tests_use) }
            })
            .collect()
    }

    #[test]
    fn what_follows_the_arrows_is_allowed() {
        let allowed = graph(
            "api: serde
             telemetry: tracing
             service-kit: api telemetry
             store: service-kit / store testkit
             client: service-kit api
             controller: client
             testkit: client api
             apiserver: store service-kit / testkit
             scheduler: controller client
             tpctl: client
             e2e: client testkit
             xtask: anyhow",
        );
        assert_eq!(violations(&allowed), Vec::<String>::new());
    }

    #[test]
    fn what_does_not_is_refused_with_the_reason() {
        let table = [
            ("api: telemetry\ntelemetry:", "api uses telemetry: api and telemetry have the same rank"),
            ("api: client\nclient:", "api uses client: api stands below client"),
            ("store: client\nclient:", "store uses client: store and client have the same rank"),
            ("client: store\nstore:", "client uses store: only the apiserver uses the store"),
            ("scheduler: store\nstore:", "scheduler uses store: only the apiserver uses the store"),
            ("tpctl: / store\nstore:", "tpctl uses store: only the apiserver uses the store"),
            (
                "scheduler: apiserver\napiserver:",
                "scheduler uses apiserver: scheduler and apiserver have the same rank",
            ),
            (
                "kubelet-sim: / apiserver\napiserver:",
                "kubelet-sim uses apiserver: kubelet-sim and apiserver have the same rank",
            ),
            ("controller: scheduler\nscheduler:", "controller uses scheduler: controller stands below scheduler"),
            ("client: testkit\ntestkit:", "client uses testkit: testkit is for tests only"),
            ("testkit: apiserver\napiserver:", "testkit uses apiserver: testkit stands below apiserver"),
            ("xtask: api\napi:", "xtask uses api: chores use the built programs, not their code"),
            ("store: etcd-client", "store uses etcd-client: etcd's API is spoken by `store` itself"),
            ("store: / etcd-client", "store uses etcd-client: etcd's API is spoken by `store` itself"),
        ];
        for (text, expected) in table {
            assert_eq!(violations(&graph(text)), [expected], "{text}");
        }
    }

    #[test]
    fn a_new_crate_must_be_given_a_rank() {
        let found = violations(&graph("helpers: api\napi:"));
        assert!(found[0].starts_with("helpers has no rank"), "{found:?}");
    }
}
