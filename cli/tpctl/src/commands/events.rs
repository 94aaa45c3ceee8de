//! `tpctl events`: what happened, oldest first; or as it happens.

use crate::objects::{Change, Follow, Next, Object, Targets};
use crate::print::columns::event;
use crate::print::{Table, out};
use crate::session::Session;
use anyhow::Result;
use api::Resource;
use api::core::v1::Event;
use api::meta::v1::ListOptions;
use clap::Args;
use jiff::Timestamp;

/// Flags of `tpctl events`.
#[derive(Debug, Args)]
pub(crate) struct EventsArgs {
    /// Only those about this object: TYPE/NAME.
    #[arg(long = "for", value_name = "TYPE/NAME")]
    about: Option<String>,
    /// Only those of these types: Normal, Warning.
    #[arg(long, value_name = "TYPE", value_delimiter = ',')]
    types: Vec<String>,
    /// The events of all namespaces.
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Keep printing what happens.
    #[arg(short, long)]
    watch: bool,
    /// Leave the header out.
    #[arg(long)]
    no_headers: bool,
}

/// `tpctl events`.
pub(crate) async fn run(session: &Session, args: &EventsArgs) -> Result<()> {
    let options = ListOptions { field_selector: fields(args)?, ..ListOptions::default() };
    let namespace = if args.all_namespaces { "" } else { &session.namespace };
    let api = session.api(Event::INFO);
    let (items, mut follow) = Follow::start(&*api, namespace, options).await?;
    let mut printer = Printer { table: Table::new(), header: !args.no_headers, args };
    let mut events: Vec<Event> = items.iter().filter_map(Object::typed::<Event>).cloned().collect();
    event::sort(&mut events);
    let shown = printer.print(&events)?;
    if !args.watch {
        if shown == 0 {
            let place = if namespace.is_empty() { String::new() } else { format!(" in {namespace} namespace") };
            eprintln!("No events found{place}.");
        }
        return Ok(());
    }
    loop {
        if let Next::Changed(Change::Added(object) | Change::Modified(object)) = follow.next().await?
            && let Some(event) = object.typed::<Event>()
        {
            printer.print(std::slice::from_ref(event))?;
        }
    }
}

fn fields(args: &EventsArgs) -> Result<String> {
    let Some(about) = &args.about else { return Ok(String::new()) };
    let (kind, name) = Targets::one(std::slice::from_ref(about))?;
    Ok(format!("involvedObject.kind={},involvedObject.name={name}", kind.kind))
}

struct Printer<'a> {
    table: Table,
    header: bool,
    args: &'a EventsArgs,
}

impl Printer<'_> {
    /// Returns how many events were of the types that are wanted.
    fn print(&mut self, events: &[Event]) -> Result<usize> {
        let wanted = |event: &&Event| {
            self.args.types.is_empty() || self.args.types.iter().any(|t| t.eq_ignore_ascii_case(&event.r#type))
        };
        let wanted: Vec<&Event> = events.iter().filter(wanted).collect();
        if wanted.is_empty() {
            return Ok(0);
        }
        if std::mem::take(&mut self.header) {
            let namespace = self.args.all_namespaces.then_some("NAMESPACE");
            self.table.push(namespace.into_iter().chain(["LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"]));
        }
        let now = Timestamp::now();
        for event in &wanted {
            let namespace = self.args.all_namespaces.then(|| event.metadata.namespace.clone());
            let cells = [
                event::interval(event, now),
                event.r#type.clone(),
                event.reason.clone(),
                object(event),
                event.message.trim().to_owned(),
            ];
            self.table.push(namespace.into_iter().chain(cells));
        }
        out(&self.table.flush())?;
        Ok(wanted.len())
    }
}

/// `Pod/web`, as kubectl's `events` writes it.
fn object(event: &Event) -> String {
    format!("{}/{}", event.involved_object.kind, event.involved_object.name)
}
