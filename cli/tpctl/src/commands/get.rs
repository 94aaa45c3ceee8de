//! `tpctl get`: objects in tables, YAML or JSON; once, or whenever they change.

use crate::failure::Several;
use crate::manifest::{self, FileFlags};
use crate::objects::{Change, Follow, Next, Object, ObjectApi, Path, SelectorFlags, Targets, select};
use crate::print::{Format, OutputFormat, Table, View, out, print_document, print_list};
use crate::session::Session;
use anyhow::{Result, bail};
use api::KindInfo;
use api::meta::v1::ListOptions;
use clap::Args;
use jiff::Timestamp;

/// Flags of `tpctl get`.
#[derive(Debug, Args)]
pub(crate) struct GetArgs {
    /// TYPE[,TYPE...] [NAME...], or TYPE/NAME ...; "all" is the usual workload types.
    #[arg(value_name = "TYPE|NAME")]
    resources: Vec<String>,
    #[command(flatten)]
    selector: SelectorFlags,
    #[command(flatten)]
    files: FileFlags,
    /// Print something else than a table.
    #[arg(short, long, value_name = "FORMAT")]
    output: Option<OutputFormat>,
    /// Keep printing what changes.
    #[arg(short, long)]
    watch: bool,
    /// As --watch, without what exists already.
    #[arg(long)]
    watch_only: bool,
    /// Leave the header out.
    #[arg(long)]
    no_headers: bool,
    /// Add a column with all labels.
    #[arg(long)]
    show_labels: bool,
    /// Add a column for these labels.
    #[arg(short = 'L', long, value_name = "LABEL", value_delimiter = ',')]
    label_columns: Vec<String>,
    /// Sort by the value at this path, such as .metadata.creationTimestamp.
    #[arg(long, value_name = "PATH")]
    sort_by: Option<Path>,
    /// Say nothing about objects that do not exist.
    #[arg(long)]
    ignore_not_found: bool,
}

/// Objects of one kind.
type Group = (&'static KindInfo, Vec<Object>);

/// `tpctl get`.
pub(crate) async fn run(session: &Session, args: &GetArgs) -> Result<()> {
    let targets = targets(session, args)?;
    if args.watch || args.watch_only {
        return watch(session, args, targets).await;
    }
    let mut failures = Vec::new();
    let mut groups = match &targets {
        Targets::Kinds(kinds) => lists(session, args, kinds, &mut failures).await,
        Targets::Named(named) => objects(session, args, named, &mut failures).await?,
    };
    if let Some(path) = &args.sort_by {
        groups.iter_mut().for_each(|(_, objects)| sort(objects, path));
    }
    print(session, args, &targets, &groups, failures.is_empty())?;
    Several::of(failures)
}

fn targets(session: &Session, args: &GetArgs) -> Result<Targets> {
    if args.files.files.is_empty() {
        return Targets::parse(&args.resources);
    }
    if !args.resources.is_empty() {
        bail!("name files or resources, not both");
    }
    let manifests = manifest::read(&args.files, session, "get")?;
    Ok(Targets::Named(manifests.iter().map(|m| (m.info(), m.object.name().to_owned())).collect()))
}

async fn lists(
    session: &Session,
    args: &GetArgs,
    kinds: &[&'static KindInfo],
    failures: &mut Vec<anyhow::Error>,
) -> Vec<Group> {
    let mut groups = Vec::new();
    for kind in kinds {
        let namespace = args.selector.namespace(kind, &session.namespace);
        match session.api(kind).list(namespace, args.selector.list_options()).await {
            Ok((objects, _)) => groups.push((*kind, objects)),
            Err(error) => failures.push(error.into()),
        }
    }
    groups
}

async fn objects(
    session: &Session,
    args: &GetArgs,
    named: &[(&'static KindInfo, String)],
    failures: &mut Vec<anyhow::Error>,
) -> Result<Vec<Group>> {
    if args.selector.selects() {
        bail!("name cannot be provided when a selector is specified");
    }
    if args.selector.all_namespaces {
        bail!("a resource cannot be retrieved by name across all namespaces");
    }
    let mut groups: Vec<Group> = Vec::new();
    for (kind, name) in named {
        match session.api(kind).get(session.namespace_of(kind), name).await {
            Ok(object) => match groups.iter_mut().find(|(known, _)| known.same_kind(kind)) {
                Some((_, objects)) => objects.push(object),
                None => groups.push((*kind, vec![object])),
            },
            Err(error) if error.is_not_found() && args.ignore_not_found => {}
            Err(error) => failures.push(error.into()),
        }
    }
    Ok(groups)
}

fn sort(objects: &mut [Object], path: &Path) {
    objects.sort_by_cached_key(|object| {
        let text = path.text(&object.json());
        // Numbers by value, everything else (times too) by text.
        let number = text.parse::<f64>().ok().map(|number| (number * 1000.0) as i64);
        (number.is_none(), number, text)
    });
}

fn print(session: &Session, args: &GetArgs, targets: &Targets, groups: &[Group], complete: bool) -> Result<()> {
    let format = Format::from(args.output);
    let all: Vec<Object> = groups.iter().flat_map(|(_, objects)| objects.clone()).collect();
    let single = matches!(targets, Targets::Named(named) if named.len() == 1);
    match format {
        Format::Table | Format::Wide if all.is_empty() => {
            if complete && !args.ignore_not_found {
                eprintln!("{}", nothing_found(session, args, targets));
            }
            Ok(())
        }
        Format::Table | Format::Wide => out(&tables(args, targets, groups)),
        _ if single && all.is_empty() => Ok(()),
        format if single => out(&print_document(&all[0], format)),
        format => out(&print_list(&all, format)),
    }
}

fn nothing_found(session: &Session, args: &GetArgs, targets: &Targets) -> String {
    let namespaced = match targets {
        Targets::Kinds(kinds) => kinds.iter().any(|kind| kind.namespaced),
        Targets::Named(named) => named.iter().any(|(kind, _)| kind.namespaced),
    };
    if namespaced && !args.selector.all_namespaces {
        format!("No resources found in {} namespace.", session.namespace)
    } else {
        "No resources found".to_owned()
    }
}

/// A table per kind, with an empty line between two.
fn tables(args: &GetArgs, targets: &Targets, groups: &[Group]) -> String {
    let several = match targets {
        Targets::Kinds(kinds) => kinds.len() > 1,
        Targets::Named(_) => groups.len() > 1,
    };
    let (view, now) = (view(args, several), Timestamp::now());
    let filled = groups.iter().filter(|(_, objects)| !objects.is_empty());
    let tables = filled.map(|(kind, objects)| {
        let mut table = Table::new();
        if !args.no_headers {
            table.push(view.header(kind));
        }
        objects.iter().for_each(|object| table.push(view.row(object, now)));
        table.flush()
    });
    tables.collect::<Vec<_>>().join("\n")
}

fn view(args: &GetArgs, several: bool) -> View {
    View {
        wide: args.output == Some(OutputFormat::Wide),
        namespace: args.selector.all_namespaces,
        kind: several,
        labels: args.show_labels,
        label_columns: args.label_columns.clone(),
    }
}

async fn watch(session: &Session, args: &GetArgs, targets: Targets) -> Result<()> {
    let (kind, options) = match targets {
        Targets::Kinds(kinds) if kinds.len() == 1 => (kinds[0], args.selector.list_options()),
        Targets::Named(named) if named.len() == 1 => {
            let (kind, name) = &named[0];
            // Answers with NotFound where a watch would wait for ever.
            session.api(kind).get(session.namespace_of(kind), name).await?;
            (*kind, ListOptions { label_selector: args.selector.labels.clone().unwrap_or_default(), ..select(name) })
        }
        Targets::Kinds(_) => bail!("you may only specify a single resource type"),
        Targets::Named(_) => bail!("watch is only supported on individual resources and resource collections"),
    };
    let namespace = args.selector.namespace(kind, &session.namespace);
    let api: Box<dyn ObjectApi> = session.api(kind);
    let (items, mut follow) = Follow::start(&*api, namespace, options).await?;
    let mut printer = Printer::new(args, kind);
    if !args.watch_only {
        printer.print(&items)?;
    }
    loop {
        match follow.next().await? {
            Next::Changed(Change::Added(object) | Change::Modified(object) | Change::Deleted(object)) => {
                printer.print(&[object])?;
            }
            Next::Changed(Change::Bookmark(_)) => {}
            Next::Anew(items) => printer.print(&items)?,
        }
    }
}

/// Prints rows as they come, aligned with those before.
struct Printer {
    view: View,
    format: Format,
    table: Table,
    header: Option<Vec<String>>,
}

impl Printer {
    fn new(args: &GetArgs, kind: &KindInfo) -> Printer {
        let view = view(args, false);
        let header = (!args.no_headers).then(|| view.header(kind));
        Printer { view, format: Format::from(args.output), table: Table::new(), header }
    }

    fn print(&mut self, objects: &[Object]) -> Result<()> {
        if objects.is_empty() {
            return Ok(());
        }
        match self.format {
            Format::Table | Format::Wide => {
                if let Some(header) = self.header.take() {
                    self.table.push(header);
                }
                let now = Timestamp::now();
                objects.iter().for_each(|object| self.table.push(self.view.row(object, now)));
                out(&self.table.flush())
            }
            format => {
                let separator = if format == Format::Yaml { "---\n" } else { "" };
                objects.iter().try_for_each(|object| out(&format!("{}{separator}", print_document(object, format))))
            }
        }
    }
}
