//! `make demo`: a Deployment goes in, pods run, one is deleted and replaced, and two traces show every step of it.
//!
//! The demo types the commands that a person would type, shows what they print, and looks at it: if a pod does not run or a
//! step is missing from a journey, it fails and says which. Whatever it started is stopped again, also after Ctrl-C.

mod compose;
mod journey;
mod place;
mod pods;
mod story;

pub(crate) use compose::Compose;

use std::time::Instant;

use anyhow::{Result, bail};
use clap::builder::FalseyValueParser;
use clap::{Args, ValueEnum};

use place::Place;

/// How the demo is run.
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Where the cluster runs.
    #[arg(long, value_enum, env = "DEMO_TARGET", default_value_t)]
    target: Target,
    /// Leave the cluster and the nginx pods running.
    #[arg(long, env = "KEEP", value_parser = FalseyValueParser::new())]
    keep: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Target {
    /// As processes of this machine.
    #[default]
    Machine,
    /// In the containers of docker-compose.yml.
    Compose,
}

/// What becomes of the cluster when the demo is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Afterwards {
    /// It is stopped, or, if it ran before the demo, left as it was.
    Restore,
    /// It stays, unless the demo failed.
    Keep,
    /// Whoever asked for the demo takes care of it.
    Leave,
}

/// The demo as `make demo` runs it.
pub(crate) fn run(args: &DemoArgs) -> Result<()> {
    let place = match args.target {
        Target::Machine => Place::machine()?,
        Target::Compose => Place::compose(Compose::find()?)?,
    };
    block_on(show(&place, if args.keep { Afterwards::Keep } else { Afterwards::Restore }))
}

/// The demo against containers, for the compose test, which cleans up itself.
pub(crate) fn show_on_compose(compose: &Compose) -> Result<()> {
    block_on(show(&Place::compose(compose.clone())?, Afterwards::Leave))
}

async fn show(place: &Place, afterwards: Afterwards) -> Result<()> {
    let begin = Instant::now();
    let found_running = place.is_running().await;
    let outcome = tokio::select! {
        // Listened for before anything is started, so that no moment is left in which Ctrl-C would leave something behind.
        biased;
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
        outcome = story::tell(place) => outcome,
    };
    let took = begin.elapsed().as_secs_f64();
    match afterwards {
        Afterwards::Keep if outcome.is_ok() => println!("\nThe cluster stays. {}", place.how_to_go_on()),
        Afterwards::Leave => {}
        _ if found_running => story::clean_up(place).await?,
        _ => place.down().await?,
    }
    outcome?;
    println!("\nThe demo is complete: every pod ran, every step is in its journey. It took {took:.0} s.");
    Ok(())
}

fn block_on(work: impl Future<Output = Result<()>>) -> Result<()> {
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(work),
        Err(error) => bail!("no runtime: {error}"),
    }
}
