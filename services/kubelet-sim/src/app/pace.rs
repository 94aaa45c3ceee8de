//! The pace at which simulated containers live.

use service_kit::supervisor::TaskError;
use service_kit::{Clock, OnFailure, Shutdown, Stepper, Supervisor};
use tokio::signal::unix::{SignalKind, signal};
use tracing::info;

use crate::Config;
use crate::config::Engine;

/// The clock of the pods, and what steps it if it stands still. The error says what cannot be simulated.
pub(super) fn clock(config: &Config) -> Result<(Clock, Option<Stepper>), TaskError> {
    let scale = config.time_scale.0;
    if scale == 1.0 {
        return Ok((Clock::system(), None));
    }
    if config.engine != Engine::Virtual || config.container_runtime_endpoint.is_some() {
        return Err("--time-scale: only simulated containers can live at another pace; use --engine virtual".into());
    }
    if scale > 0.0 {
        return Ok((Clock::scaled(scale), None));
    }
    let (clock, stepper) = Clock::stepped();
    Ok((clock, Some(stepper)))
}

/// Steps the pods' time by `--time-step` whenever the process gets SIGUSR1.
pub(super) fn step_on_signal(
    stepper: Stepper,
    config: &Config,
    supervisor: &Supervisor,
    shutdown: &Shutdown,
) -> Result<(), TaskError> {
    let mut signals = signal(SignalKind::user_defined1())?;
    let (by, shutdown) = (config.time_step, shutdown.clone());
    supervisor.spawn("time steps", OnFailure::StopService, async move {
        let steps = async {
            while signals.recv().await.is_some() {
                stepper.step(by);
                info!(?by, "time was stepped");
            }
        };
        shutdown.run_until_triggered(steps).await;
    });
    Ok(())
}
