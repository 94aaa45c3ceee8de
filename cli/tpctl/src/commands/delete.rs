//! `tpctl delete`: asks for deletion, then waits until the objects are gone.

use super::dry_run::{DryRun, DryRunFlag};
use super::patience::{Status, with_progress, within};
use crate::duration::duration;
use crate::failure::Several;
use crate::manifest::{self, FileFlags};
use crate::objects::{Object, SelectorFlags, Targets, until};
use crate::print::{Format, OutputFormat, out, print_document};
use crate::session::Session;
use anyhow::{Result, anyhow, bail};
use api::KindInfo;
use api::meta::v1::DeleteOptions;
use clap::{ArgAction, Args, ValueEnum};
use std::time::Duration;

/// Flags of `tpctl delete`.
#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    /// TYPE NAME ..., or TYPE/NAME ...
    #[arg(value_name = "TYPE|NAME")]
    resources: Vec<String>,
    #[command(flatten)]
    selector: SelectorFlags,
    #[command(flatten)]
    files: FileFlags,
    /// All objects of the types, in the namespace.
    #[arg(long)]
    all: bool,
    /// Seconds that a pod gets to end; its own period by default.
    #[arg(long, value_name = "SECONDS", default_value_t = -1, allow_negative_numbers = true)]
    grace_period: i64,
    /// A grace period of one second.
    #[arg(long)]
    now: bool,
    /// Remove objects at once, without waiting for what runs to end. Implies --grace-period=0.
    #[arg(long)]
    force: bool,
    /// Whether to wait until the objects are gone.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", action = ArgAction::Set)]
    wait: Option<bool>,
    /// How long to wait; 0 is for ever.
    #[arg(long, value_name = "DURATION", default_value = "0", value_parser = duration)]
    timeout: Duration,
    /// What becomes of the objects that these own.
    #[arg(long, value_name = "HOW", default_value = "background", num_args = 0..=1, require_equals = true, default_missing_value = "background")]
    cascade: Cascade,
    /// Objects that do not exist are no error.
    #[arg(long)]
    ignore_not_found: bool,
    /// "name" prints TYPE/NAME.
    #[arg(short, long, value_name = "FORMAT")]
    output: Option<OutputFormat>,
    #[command(flatten)]
    dry_run: DryRunFlag,
}

/// What becomes of dependents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Cascade {
    /// They are deleted after the owner.
    Background,
    /// They are deleted before the owner.
    Foreground,
    /// They stay.
    Orphan,
}

impl Cascade {
    fn policy(self) -> &'static str {
        match self {
            Cascade::Background => "Background",
            Cascade::Foreground => "Foreground",
            Cascade::Orphan => "Orphan",
        }
    }
}

/// What is deleted: kind, namespace, name.
type Victim = (&'static KindInfo, String, String);

/// An object whose deletion was asked for.
struct Deleted {
    victim: Victim,
    /// Of the object that is to go; another one of the same name may come after it.
    uid: String,
}

/// `tpctl delete`.
pub(crate) async fn run(session: &Session, args: &DeleteArgs) -> Result<()> {
    let (options, wait) = options(args)?;
    let victims = victims(session, args).await?;
    if victims.is_empty() && args.files.files.is_empty() {
        eprintln!("No resources found");
    }
    if args.force {
        eprintln!(
            "Warning: Immediate deletion does not wait for confirmation that the running resource has been terminated. The resource \
             may continue to run on the cluster indefinitely."
        );
    }
    let (mut deleted, mut failures) = (Vec::new(), Vec::new());
    for victim in victims {
        match delete(session, args, &victim, options.clone()).await {
            Ok(object) => {
                say(args, &victim, object.as_ref())?;
                let uid = object.map(|object| object.metadata().uid.clone()).unwrap_or_default();
                deleted.push(Deleted { victim, uid });
            }
            Err(error) if error.is_not_found() && args.ignore_not_found => {}
            Err(error) => failures.push(error.into()),
        }
    }
    if wait && args.dry_run.dry_run == DryRun::None {
        let timeout = Some(args.timeout).filter(|timeout| !timeout.is_zero());
        if let Err(error) = with_progress(|status| gone(session, deleted, timeout, status)).await {
            failures.push(error);
        }
    }
    Several::of(failures)
}

/// The options of the requests, and whether to wait afterwards.
fn options(args: &DeleteArgs) -> Result<(DeleteOptions, bool)> {
    if args.now && args.grace_period >= 0 {
        bail!("--now and --grace-period cannot be specified together");
    }
    if args.force && args.grace_period > 0 {
        bail!("--force and --grace-period greater than 0 cannot be specified together");
    }
    let grace = match args.grace_period {
        _ if args.now => Some(1),
        _ if args.force => Some(0),
        // As kubectl does: nobody kills by accident.
        0 => Some(1),
        seconds => Some(seconds).filter(|seconds| *seconds >= 0),
    };
    let options = DeleteOptions {
        grace_period_seconds: grace,
        propagation_policy: Some(args.cascade.policy().to_owned()),
        dry_run: args.dry_run.dry_run.option(),
        ..DeleteOptions::default()
    };
    Ok((options, args.wait.unwrap_or(true)))
}

async fn victims(session: &Session, args: &DeleteArgs) -> Result<Vec<Victim>> {
    if !args.files.files.is_empty() {
        if !args.resources.is_empty() {
            bail!("name files or resources, not both");
        }
        let manifests = manifest::read(&args.files, session, "delete")?;
        let victim = |m: &manifest::Manifest| (m.info(), m.namespace().to_owned(), m.object.name().to_owned());
        return Ok(manifests.iter().map(victim).collect());
    }
    match Targets::parse(&args.resources)? {
        Targets::Named(_) if args.all || args.selector.selects() => {
            bail!("name cannot be provided when a selector or --all is specified")
        }
        Targets::Named(_) if args.selector.all_namespaces => {
            bail!("a resource cannot be retrieved by name across all namespaces")
        }
        Targets::Named(named) => {
            let victim =
                |(kind, name): (&'static KindInfo, String)| (kind, session.namespace_of(kind).to_owned(), name);
            Ok(named.into_iter().map(victim).collect())
        }
        Targets::Kinds(_) if !args.all && !args.selector.selects() => {
            bail!("resource(s) were provided, but no name was specified; --all deletes all of them")
        }
        Targets::Kinds(kinds) => {
            let mut found = Vec::new();
            for kind in kinds {
                let namespace = args.selector.namespace(kind, &session.namespace);
                let (objects, _) = session.api(kind).list(namespace, args.selector.list_options()).await?;
                found.extend(objects.iter().map(|o| (kind, o.metadata().namespace.clone(), o.name().to_owned())));
            }
            Ok(found)
        }
    }
}

/// Asks for the deletion; returns the object as it is then. `None` in a client's dry run.
async fn delete(
    session: &Session,
    args: &DeleteArgs,
    (kind, namespace, name): &Victim,
    options: DeleteOptions,
) -> Result<Option<Object>, api::Error> {
    if args.dry_run.dry_run == DryRun::Client {
        return session.api(kind).get(namespace, name).await.map(Some);
    }
    session.api(kind).delete(namespace, name, options).await.map(Some)
}

/// `pod "web" deleted`, `deployment.apps "web" force deleted`.
fn say(args: &DeleteArgs, (kind, _, name): &Victim, object: Option<&Object>) -> Result<()> {
    if let (Some(OutputFormat::Name), Some(object)) = (args.output, object) {
        return out(&print_document(object, Format::Name));
    }
    let dot = if kind.group.is_empty() { "" } else { "." };
    let done = args.dry_run.dry_run.done(if args.force { "force deleted" } else { "deleted" });
    out(&format!("{}{dot}{} \"{name}\" {done}\n", kind.singular, kind.group))
}

async fn gone(session: &Session, deleted: Vec<Deleted>, timeout: Option<Duration>, status: Status) -> Result<()> {
    let deadline = timeout.map(|timeout| tokio::time::Instant::now() + timeout);
    let mut failures = Vec::new();
    let mut left = deleted.len();
    for Deleted { victim: (kind, namespace, name), uid } in deleted {
        let others = if left > 1 { format!(" and {} more are", left - 1) } else { " is".to_owned() };
        status.send_replace(format!("Waiting until {}/{name}{others} gone", kind.singular));
        let api = session.api(kind);
        let is_gone = |object: Option<&Object>| Ok(object.is_none_or(|object| object.metadata().uid != uid));
        let rest = deadline.map(|deadline| deadline.saturating_duration_since(tokio::time::Instant::now()));
        let wait = within(rest, || format!("{}/{name}", kind.plural), until(&*api, &namespace, &name, is_gone));
        if let Err(error) = wait.await {
            failures.push(error);
        }
        left -= 1;
    }
    match failures.len() {
        0 | 1 => Several::of(failures),
        // The first one says it all when they all ran out of time.
        _ if deadline.is_some_and(|deadline| deadline <= tokio::time::Instant::now()) => {
            Err(anyhow!("{} (and {} more)", failures[0], failures.len() - 1))
        }
        _ => Several::of(failures),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: DeleteArgs,
    }

    fn parsed(line: &str) -> DeleteArgs {
        Line::try_parse_from(["delete"].into_iter().chain(line.split_whitespace())).unwrap().args
    }

    #[test]
    fn the_grace_period_follows_from_three_flags() {
        for (line, expected) in [
            ("pod web", None),
            ("pod web --grace-period=5", Some(5)),
            ("pod web --grace-period=0", Some(1)),
            ("pod web --grace-period=0 --force", Some(0)),
            ("pod web --force", Some(0)),
            ("pod web --now", Some(1)),
            ("pod web --grace-period=-1", None),
        ] {
            assert_eq!(options(&parsed(line)).unwrap().0.grace_period_seconds, expected, "{line}");
        }
        for line in ["pod web --now --grace-period=5", "pod web --force --grace-period=5"] {
            assert!(options(&parsed(line)).is_err(), "{line}");
        }
    }

    #[test]
    fn dependents_go_in_the_background_and_the_command_waits_unless_told_otherwise() {
        let (plain, waits) = options(&parsed("pod web")).unwrap();
        assert_eq!((plain.propagation_policy.as_deref(), waits), (Some("Background"), true));
        let (orphan, waits) = options(&parsed("deploy web --cascade=orphan --wait=false")).unwrap();
        assert_eq!((orphan.propagation_policy.as_deref(), waits), (Some("Orphan"), false));
    }
}
