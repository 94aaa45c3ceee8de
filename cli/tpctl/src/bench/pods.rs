//! Pods from create to Running, as a client sees it: the clock starts when the request is sent, and stops when the watch tells of the phase.

use super::Stats;
use anyhow::{Context, Result, bail};
use api::Resource;
use api::core::v1::{Container, Pod, PodSpec};
use api::meta::v1::{CreateOptions, ListOptions, ObjectMeta};
use client::{Api, WatchEvent};
use futures::StreamExt;
use prost::Message;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;
use telemetry::{TraceContext, self_started_span};
use tokio::time::Instant;
use tracing::Instrument;

/// What is asked of the cluster.
#[derive(Debug, Clone)]
pub(crate) struct PodLoad {
    /// Pods to create.
    pub(crate) count: usize,
    /// Create requests under way at any time.
    pub(crate) concurrency: usize,
    /// Their image.
    pub(crate) image: String,
}

/// What was measured.
#[derive(Debug, Clone)]
pub(crate) struct Measured {
    /// From sending a create to its answer.
    pub(crate) created: Stats,
    /// From sending a create to Running.
    pub(crate) running: Stats,
}

/// When each pod was asked for.
type Sent = Arc<Mutex<HashMap<String, Instant>>>;

/// Creates the pods and waits until all run. `tell` hears how many do.
///
/// # Errors
/// A request fails, or a pod fails. Pods stay; whoever called removes them.
pub(crate) async fn measure(pods: &Api<Pod>, load: &PodLoad, tell: impl Fn(usize)) -> Result<Measured> {
    let sent: Sent = Arc::default();
    // The watch stands before the first pod is created, so that nothing is missed.
    let revision = pods.list(ListOptions { limit: 1, ..ListOptions::default() }).await?.metadata.resource_version;
    let begin = Instant::now();
    let create = create_all(pods, load, &sent);
    let watch = all_running(pods, load.count, revision, &sent, tell);
    let (created, running) = tokio::try_join!(create, watch)?;
    let (created, created_in) = created;
    Ok(Measured {
        created: Stats::of(created, created_in).context("no pod was created")?,
        running: Stats::of(running, begin.elapsed()).context("no pod has run")?,
    })
}

/// How many bytes the server stores of one such pod when it is new.
pub(crate) async fn size_of_one(pods: &Api<Pod>, load: &PodLoad) -> Result<usize> {
    let options = CreateOptions { dry_run: vec!["All".to_owned()], ..CreateOptions::default() };
    let stored = pods.create_with(&pod(load, "size"), options).await?;
    Ok(stored.encoded_len())
}

fn pod(load: &PodLoad, name: &str) -> Pod {
    let container = Container { name: "main".to_owned(), image: load.image.clone(), ..Container::default() };
    let spec = PodSpec { containers: vec![container], termination_grace_period_seconds: Some(0), ..PodSpec::default() };
    Pod { metadata: ObjectMeta { name: name.to_owned(), ..ObjectMeta::default() }, spec, ..Pod::default() }
}

async fn create_all(pods: &Api<Pod>, load: &PodLoad, sent: &Sent) -> Result<(Vec<Duration>, Duration)> {
    let begin = Instant::now();
    let creates = (0..load.count).map(|number| {
        let name = format!("bench-{number}");
        let pod = pod(load, &name);
        let create = async move {
            let begin = Instant::now();
            sent.lock().expect("nobody panics with the lock").insert(name, begin);
            pods.create(&pod).await?;
            Ok::<_, api::Error>(begin.elapsed())
        };
        // Each pod is a journey of its own.
        create.instrument(self_started_span("tpctl bench", &TraceContext::NONE))
    });
    let mut answers = futures::stream::iter(creates).buffer_unordered(load.concurrency);
    let mut durations = Vec::with_capacity(load.count);
    while let Some(answer) = answers.next().await {
        durations.push(answer?);
    }
    Ok((durations, begin.elapsed()))
}

async fn all_running(
    pods: &Api<Pod>,
    count: usize,
    revision: String,
    sent: &Sent,
    tell: impl Fn(usize),
) -> Result<Vec<Duration>> {
    let options = ListOptions { resource_version: revision, ..ListOptions::default() };
    let mut events = pods.watch(options).await?;
    let mut running: HashMap<String, Duration> = HashMap::new();
    while running.len() < count {
        let Some(event) = events.next().await else { bail!("the server ended the watch before all pods ran") };
        let (WatchEvent::Added(pod, _) | WatchEvent::Modified(pod, _)) = event? else { continue };
        let name = &pod.metadata().name;
        match pod.status.phase.as_str() {
            "Running" if !running.contains_key(name) => {
                let begin = sent.lock().expect("nobody panics with the lock").get(name).copied();
                if let Some(begin) = begin {
                    running.insert(name.clone(), begin.elapsed());
                    tell(running.len());
                }
            }
            "Failed" | "Succeeded" => bail!("the pod {name} ended ({} {})", pod.status.reason, pod.status.message),
            _ => {}
        }
    }
    Ok(running.into_values().collect())
}
