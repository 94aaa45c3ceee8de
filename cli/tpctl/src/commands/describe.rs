//! `tpctl describe`: an object, what it consists of, and what happened to it.

use crate::failure::Several;
use crate::manifest::{self, FileFlags};
use crate::objects::{Object, SelectorFlags, Targets};
use crate::print::{describe, out};
use crate::session::Session;
use anyhow::{Result, bail};
use api::apps::v1::{Deployment, ReplicaSet};
use api::coordination::v1::Lease;
use api::core::v1::{Event, Node, Pod, Service};
use api::discovery::v1::EndpointSlice;
use api::meta::v1::ListOptions;
use api::selector::label::Selector;
use api::{KindInfo, Resource};
use clap::Args;
use client::Api;
use jiff::Timestamp;

/// The namespace with the nodes' leases.
const NODE_LEASES: &str = "kube-node-lease";
/// The label by which EndpointSlices name their Service.
const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// Flags of `tpctl describe`.
#[derive(Debug, Args)]
pub(crate) struct DescribeArgs {
    /// TYPE [NAME or its beginning ...], or TYPE/NAME ...
    #[arg(value_name = "TYPE|NAME")]
    resources: Vec<String>,
    #[command(flatten)]
    selector: SelectorFlags,
    #[command(flatten)]
    files: FileFlags,
    /// Whether to show events.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    show_events: Option<bool>,
}

/// `tpctl describe`.
pub(crate) async fn run(session: &Session, args: &DescribeArgs) -> Result<()> {
    let targets = if args.files.files.is_empty() {
        Targets::parse(&args.resources)?
    } else {
        let manifests = manifest::read(&args.files, session, "describe")?;
        Targets::Named(manifests.iter().map(|m| (m.info(), m.object.name().to_owned())).collect())
    };
    let (mut objects, mut failures) = (Vec::new(), Vec::new());
    match targets {
        Targets::Kinds(kinds) => {
            for kind in kinds {
                let namespace = args.selector.namespace(kind, &session.namespace);
                objects.extend(session.api(kind).list(namespace, args.selector.list_options()).await?.0);
            }
        }
        Targets::Named(_) if args.selector.selects() => bail!("name cannot be provided when a selector is specified"),
        Targets::Named(named) => {
            for (kind, name) in named {
                match found(session, kind, &name).await {
                    Ok(found) => objects.extend(found),
                    Err(error) => failures.push(error.into()),
                }
            }
        }
    }
    if objects.is_empty() && failures.is_empty() {
        eprintln!("No resources found in {} namespace.", session.namespace);
    }
    let mut separator = "";
    for object in objects {
        match describe(session, args, &object).await {
            Ok(text) => out(&format!("{separator}{text}"))?,
            Err(error) => failures.push(error.into()),
        }
        separator = "\n\n";
    }
    Several::of(failures)
}

/// The object of this name, or all whose names begin with it.
async fn found(session: &Session, kind: &'static KindInfo, name: &str) -> Result<Vec<Object>, api::Error> {
    let (api, namespace) = (session.api(kind), session.namespace_of(kind));
    let missing = match api.get(namespace, name).await {
        Ok(object) => return Ok(vec![object]),
        Err(error) if error.is_not_found() => error,
        Err(error) => return Err(error),
    };
    let (all, _) = api.list(namespace, ListOptions::default()).await?;
    let similar: Vec<Object> = all.into_iter().filter(|object| object.name().starts_with(name)).collect();
    if similar.is_empty() { Err(missing) } else { Ok(similar) }
}

async fn describe(session: &Session, args: &DescribeArgs, object: &Object) -> Result<String, api::Error> {
    let happened = if args.show_events == Some(false) { Vec::new() } else { events(session, object).await? };
    let now = Timestamp::now();
    let namespace = &object.metadata().namespace;
    if let Some(pod) = object.typed::<Pod>() {
        return Ok(describe::pod(pod, &happened, now));
    }
    if let Some(deployment) = object.typed::<Deployment>() {
        let labels = Selector::of(deployment.spec.selector.as_ref())?.to_string();
        let sets = list::<ReplicaSet>(session, namespace, ListOptions { label_selector: labels, ..Default::default() });
        return Ok(describe::deployment(deployment, &sets.await?, &happened, now));
    }
    if let Some(set) = object.typed::<ReplicaSet>() {
        let labels = Selector::of(set.spec.selector.as_ref())?.to_string();
        let pods = list::<Pod>(session, namespace, ListOptions { label_selector: labels, ..Default::default() });
        return Ok(describe::replica_set(set, &pods.await?, &happened, now));
    }
    if let Some(node) = object.typed::<Node>() {
        let name = object.name();
        let lease = Api::<Lease>::namespaced(session.client.clone(), NODE_LEASES).get(name).await.ok();
        let fields = format!("spec.nodeName={name}");
        let pods = list::<Pod>(session, "", ListOptions { field_selector: fields, ..Default::default() }).await?;
        return Ok(describe::node(node, lease.as_ref(), &pods, &happened, now));
    }
    if let Some(service) = object.typed::<Service>() {
        let labels = format!("{SERVICE_NAME}={}", object.name());
        let options = ListOptions { label_selector: labels, ..Default::default() };
        let slices = list::<EndpointSlice>(session, namespace, options).await?;
        return Ok(describe::service(service, &slices, &happened, now));
    }
    Ok(describe::generic(object, &happened, now))
}

async fn list<K: Resource>(session: &Session, namespace: &str, options: ListOptions) -> Result<Vec<K>, api::Error> {
    Ok(Api::<K>::namespaced(session.client.clone(), namespace).list(options).await?.items)
}

/// The events about an object. Those about a cluster-wide object lie in the namespace "default", and a kubelet that does not know its node's
/// uid names the node instead.
async fn events(session: &Session, object: &Object) -> Result<Vec<Event>, api::Error> {
    let (meta, info) = (object.metadata(), object.info());
    let namespace = if info.namespaced { meta.namespace.as_str() } else { "" };
    let fields = format!("involvedObject.kind={},involvedObject.name={}", info.kind, meta.name);
    let all = list::<Event>(session, namespace, ListOptions { field_selector: fields, ..Default::default() }).await?;
    // What happens to a pod that a kubelet runs from a file is told about that pod, not about its mirror.
    let mirrored = meta.annotations.get("kubernetes.io/config.mirror");
    let is_about_it = |event: &Event| {
        let uid = &event.involved_object.uid;
        uid.is_empty() || *uid == meta.uid || (!info.namespaced && *uid == meta.name) || mirrored == Some(uid)
    };
    Ok(all.into_iter().filter(is_about_it).collect())
}
