//! The wiring: health and metrics at once, the controllers while we lead.

use crate::config::Settings;
use crate::context::Context;
use crate::controllers;
use crate::informers::Informers;
use client::{Api, Client};
use controller::elect;
use service_kit::ops::Ops;
use service_kit::supervisor::TaskError;
use service_kit::{Clock, Health, Metrics, OnFailure, STOP_WITHIN, Shutdown, Supervisor};
use tracing::{info, warn};

/// Runs until `shutdown`, or until leadership is lost.
pub(crate) async fn run(settings: Settings, shutdown: Shutdown) -> Result<(), TaskError> {
    let client = Client::new(&settings.session)?;
    let health = Health::new();
    health.not_ready_after(&shutdown);
    let ops = Ops::bind(settings.address, settings.tls.clone(), &health, &Metrics::new("controller-manager")).await?;
    info!(
        address = %ops.local_addr(),
        apiserver = client.server(),
        controllers = settings.controllers.names().join(","),
        "serving"
    );
    let tasks = Supervisor::new(&shutdown);
    tasks.spawn("health and metrics", OnFailure::StopService, ops.serve(shutdown.clone()));
    let work = |leading: Shutdown| lead(&settings, client.clone(), tasks.clone(), leading);
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
    tasks.wait(STOP_WITHIN).await?;
    Ok(led?)
}

/// Runs the controllers until `leading` ends.
async fn lead(settings: &Settings, client: Client, tasks: Supervisor, leading: Shutdown) {
    let mut context = Context {
        informers: Informers::new(client.clone()),
        client,
        supervisor: tasks,
        shutdown: leading,
        mode: settings.mode,
        clock: Clock::system(),
    };
    let starts = controllers::register(&mut context, settings);
    let Context { informers, supervisor, shutdown, .. } = context;
    info!(kinds = informers.kinds().join(","), "filling the caches");
    if informers.start(&supervisor, &shutdown).await {
        info!("all caches are filled, the controllers start");
        starts.into_iter().for_each(|start| start());
    } else if !shutdown.is_triggered() {
        warn!("an informer ended before its cache was filled");
    }
    shutdown.triggered().await;
}
