//! What the demo does, in order.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::time::{Instant, sleep};

use super::journey::{APPLY, DELETE, Expected, Journey};
use super::place::Place;
use super::pods::{self, Pod};
use crate::shell::heading;

const MANIFEST: &str = "examples/nginx-deployment.yaml";
const DEPLOYMENT: &str = "deployment/k8s-nginx";
const OF_DEPLOYMENT: [&str; 4] = ["get", "pods", "-l", "app=k8s-nginx"];

/// How long the cluster may take to get somewhere, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// Spans are exported shortly after the work that they describe.
const EXPORTED: Duration = Duration::from_secs(15);

/// Tells the whole story.
pub(super) async fn tell(place: &Place) -> Result<()> {
    heading("A cluster: etcd, and every service as its own process");
    place.up().await?;
    clean_up(place).await?;

    heading("A Deployment of three pods goes in");
    place.show(&["apply", "-f", MANIFEST]).await?;
    place.show(&["wait", "--for=condition=Available", DEPLOYMENT, "--timeout=60s"]).await?;
    let pods = wanted_pods(place, None).await?;
    place.show(&["get", "pods", "-o", "wide"]).await?;

    heading("Its journey: one trace, from the client to the containers");
    show_journey(place, DEPLOYMENT, &APPLY).await?;

    heading("One of the pods is deleted, and replaced");
    let victim = &pods[0].name;
    place.show(&["delete", "pod", victim]).await?;
    wanted_pods(place, Some(victim)).await?;
    place.show(&["get", "pods", "-o", "wide"]).await?;

    heading("The journey of the deletion, and of the replacement");
    show_journey(place, &format!("pod/{victim}"), &DELETE).await
}

/// Deletes what an earlier demo has left, if it did, and waits until it is gone.
pub(super) async fn clean_up(place: &Place) -> Result<()> {
    if place.ask(&["get", DEPLOYMENT]).await.is_err() {
        return Ok(());
    }
    place.show(&["delete", "-f", MANIFEST]).await?;
    let deadline = Instant::now() + PATIENCE;
    while !list(place).await?.is_empty() {
        if Instant::now() > deadline {
            bail!("the pods of an earlier demo do not go away");
        }
        sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

/// Waits until three pods serve on at least two nodes, and none of them is `gone`.
async fn wanted_pods(place: &Place, gone: Option<&str>) -> Result<Vec<Pod>> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let pods = list(place).await?;
        if pods::are_as_wanted(&pods) && pods.iter().all(|pod| Some(pod.name.as_str()) != gone) {
            return Ok(pods);
        }
        if Instant::now() > deadline {
            bail!("there should be 3 pods, Running and ready, on at least 2 nodes; there are {pods:#?}");
        }
        sleep(Duration::from_millis(50)).await;
    }
}

async fn list(place: &Place) -> Result<Vec<Pod>> {
    let json = place.ask(&[&OF_DEPLOYMENT[..], &["-o", "json"]].concat()).await?;
    pods::read(&json).context("the list of pods cannot be read")
}

/// Waits until all spans have arrived, prints the journey, and says that it is complete.
async fn show_journey(place: &Place, object: &str, expected: &Expected) -> Result<()> {
    let deadline = Instant::now() + EXPORTED;
    let (journey, mut faults) = loop {
        // Before the first span is there, the command fails.
        let (journey, faults) = match place.ask(&["trace", object, "--format", "json"]).await {
            Ok(json) => {
                let journey = Journey::read(&json)?;
                let faults = expected.faults(&journey);
                (journey, faults)
            }
            Err(error) => (Journey::default(), vec![format!("{error:#}")]),
        };
        if faults.is_empty() || Instant::now() > deadline {
            break (journey, faults);
        }
        sleep(Duration::from_millis(200)).await;
    };
    faults.extend(expected.not_shown(&place.ask(&["trace", object]).await.unwrap_or_default()));
    place.show(&["trace", object]).await?;
    if !faults.is_empty() {
        bail!("the journey of {object} is not complete: {}", faults.join("; "));
    }
    println!("\nComplete: {journey}, with every step that applies.\n({})", expected.absent);
    Ok(())
}
