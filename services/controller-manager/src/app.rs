//! The wiring: health and metrics at once, the controllers while we lead.

use crate::config::{LEASE, Settings};
use crate::context::Context;
use crate::controllers;
use crate::informers::Informers;
use crate::metrics::ManagerMetrics;
use client::{Api, Client};
use controller::elect;
use service_kit::ops::Ops;
use service_kit::supervisor::{SupervisorError, TaskError};
use service_kit::{Clock, Health, Metrics, OnFailure, STOP_WITHIN, Shutdown, Supervisor};
use std::time::Duration;
use tracing::info;

/// How long the controllers may take to stop: less than the election gives them before it keeps the lease from a successor.
const CONTROLLERS_STOP_WITHIN: Duration = Duration::from_millis(4500);

/// Runs until `shutdown`, or until leadership is lost.
pub(crate) async fn run(settings: Settings, shutdown: Shutdown) -> Result<(), TaskError> {
    let client = Client::new(&settings.session)?;
    let (health, metrics) = (Health::new(), Metrics::new("controller-manager"));
    health.not_ready_after(&shutdown);
    let ours = ManagerMetrics::register(&metrics, LEASE);
    let ops = Ops::bind(settings.address, settings.tls.clone(), &health, &metrics).await?;
    info!(
        address = %ops.local_addr(),
        apiserver = client.server(),
        controllers = settings.controllers.names().join(","),
        "serving"
    );
    let tasks = Supervisor::new(&shutdown);
    tasks.spawn("health and metrics", OnFailure::StopService, ops.serve(shutdown.clone()));
    let mut worked = Ok(());
    let mut work = async |leading: Shutdown| {
        ours.set_leading(true);
        worked = lead(&settings, client.clone(), ours.clone(), leading).await;
        ours.set_leading(false);
    };
    let led = match settings.election.clone() {
        None => {
            work(shutdown.child()).await;
            Ok(())
        }
        Some((namespace, election)) => {
            let leases = Api::namespaced(client.clone(), &namespace);
            Box::pin(elect(leases, election, shutdown.clone(), work)).await
        }
    };
    // Whatever ended the work ends the process: another replica may lead now, and a fresh start forgets everything that may be stale.
    shutdown.trigger();
    let stopped = tasks.wait(STOP_WITHIN).await;
    worked?;
    led?;
    Ok(stopped?)
}

/// Runs the controllers until `leading` ends, and ends no sooner than they do: a successor must not meet their last writes.
async fn lead(
    settings: &Settings,
    client: Client,
    metrics: ManagerMetrics,
    leading: Shutdown,
) -> Result<(), SupervisorError> {
    let mut context = Context {
        informers: Informers::new(client.clone()),
        client,
        supervisor: Supervisor::new(&leading),
        shutdown: leading,
        mode: settings.mode,
        clock: Clock::system(),
        metrics,
    };
    let starts = controllers::register(&mut context, settings);
    let Context { informers, supervisor, shutdown, .. } = context;
    info!(kinds = informers.kinds().join(","), "filling the caches");
    if informers.start(&supervisor, &shutdown).await {
        info!("all caches are filled, the controllers start");
        starts.into_iter().for_each(|start| start());
    }
    supervisor.wait(CONTROLLERS_STOP_WITHIN).await
}
