//! What `label` and `annotate` have in common: keys that are set (`key=value`) or removed (`key-`) on objects.

use crate::failure::Several;
use crate::objects::{Object, SelectorFlags, Targets};
use crate::print::{Format, OutputFormat, out, result_line};
use crate::session::Session;
use anyhow::{Result, bail};
use api::KindInfo;
use api::meta::v1::PatchOptions;
use clap::Args;
use client::Patch;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Flags of both commands.
#[derive(Debug, Args)]
pub(crate) struct KeyValueArgs {
    /// TYPE NAME ... or TYPE/NAME ..., then KEY=VALUE to set and KEY- to remove.
    #[arg(value_name = "TYPE|NAME|KEY=VALUE|KEY-", required = true)]
    words: Vec<String>,
    #[command(flatten)]
    selector: SelectorFlags,
    /// All objects of the types, in the namespace.
    #[arg(long)]
    all: bool,
    /// Allow keys that have another value to be changed.
    #[arg(long)]
    overwrite: bool,
    /// Print the objects instead of a line each.
    #[arg(short, long, value_name = "FORMAT")]
    output: Option<OutputFormat>,
}

/// The map that is changed, and how that is called.
pub(crate) struct Words {
    /// Member of `metadata`: "labels".
    pub(crate) member: &'static str,
    /// "label".
    pub(crate) one: &'static str,
    /// "labeled".
    pub(crate) done: &'static str,
    /// "unlabeled", for a call that only removes.
    pub(crate) undone: &'static str,
}

/// What to do with the keys.
#[derive(Debug, Default, PartialEq)]
struct Changes {
    set: BTreeMap<String, String>,
    remove: Vec<String>,
}

/// Runs the command.
pub(crate) async fn run(session: &Session, args: &KeyValueArgs, words: &Words) -> Result<()> {
    let (resources, changes) = split(&args.words, words)?;
    let mut failures = Vec::new();
    for (kind, namespace, name) in targets(session, args, &resources).await? {
        if let Err(error) = change(session, args, words, &changes, (kind, &namespace, &name)).await {
            failures.push(error);
        }
    }
    Several::of(failures)
}

fn split(all: &[String], words: &Words) -> Result<(Vec<String>, Changes)> {
    let is_change = |word: &String| word.contains('=') || word.ends_with('-');
    let first = all.iter().position(is_change).unwrap_or(all.len());
    let (resources, rest) = all.split_at(first);
    let mut changes = Changes::default();
    for word in rest {
        match (word.split_once('='), word.strip_suffix('-')) {
            (Some((key, value)), _) if !key.is_empty() => _ = changes.set.insert(key.to_owned(), value.to_owned()),
            (None, Some(key)) if !key.is_empty() => changes.remove.push(key.to_owned()),
            _ => bail!("unknown {} spec: {word}", words.one),
        }
    }
    if let Some(both) = changes.remove.iter().find(|key| changes.set.contains_key(*key)) {
        bail!("can not both modify and remove the {} {both:?} in the same command", words.one);
    }
    if changes == Changes::default() {
        bail!("at least one {} update is required", words.one);
    }
    Ok((resources.to_vec(), changes))
}

async fn targets(
    session: &Session,
    args: &KeyValueArgs,
    resources: &[String],
) -> Result<Vec<(&'static KindInfo, String, String)>> {
    match Targets::parse(resources)? {
        Targets::Named(named) => {
            Ok(named.into_iter().map(|(kind, name)| (kind, session.namespace_of(kind).to_owned(), name)).collect())
        }
        Targets::Kinds(_) if !args.all && !args.selector.selects() => {
            bail!("resource(s) were provided, but no name was specified; use --all or -l")
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

async fn change(
    session: &Session,
    args: &KeyValueArgs,
    words: &Words,
    changes: &Changes,
    (kind, namespace, name): (&'static KindInfo, &str, &str),
) -> Result<()> {
    let api = session.api(kind);
    let object = api.get(namespace, name).await?;
    let done = |object: &Object, done: &str| out(&result_line(object, done, Format::from(args.output)));
    let Some(patch) = patch(&object, words, changes, args.overwrite)? else {
        return done(&object, &format!("not {}", words.done));
    };
    let changed = api.patch(namespace, name, &Patch::Merge(patch), PatchOptions::default()).await?;
    done(&changed, if changes.set.is_empty() { words.undone } else { words.done })
}

/// The merge patch; `None` if everything is as it shall be.
fn patch(object: &Object, words: &Words, changes: &Changes, overwrite: bool) -> Result<Option<Value>> {
    let document = object.json();
    let current = &document["metadata"][words.member];
    let mut members = Map::new();
    for (key, value) in &changes.set {
        match current[key].as_str() {
            Some(known) if known == value => {}
            Some(known) if !overwrite => {
                bail!("'{key}' already has a value ({known}), and --overwrite is false");
            }
            _ => _ = members.insert(key.clone(), json!(value)),
        }
    }
    for key in &changes.remove {
        if current[key].is_string() {
            members.insert(key.clone(), Value::Null);
        } else {
            eprintln!("{} {key:?} not found.", words.one);
        }
    }
    Ok((!members.is_empty()).then(|| json!({ "metadata": { words.member: members } })))
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::core::v1::Pod;

    const LABEL: Words = Words { member: "labels", one: "label", done: "labeled", undone: "unlabeled" };

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn what_looks_like_a_change_ends_the_names() {
        let (resources, changes) = split(&words("pod web a=1 b- c="), &LABEL).unwrap();
        assert_eq!(resources, ["pod", "web"]);
        assert_eq!(changes.set, BTreeMap::from([("a".into(), "1".into()), ("c".into(), String::new())]));
        assert_eq!(changes.remove, ["b"]);
        for line in ["pod web", "pod web =1", "pod web a=1 a-", "pod web a=1 b"] {
            assert!(split(&words(line), &LABEL).is_err(), "{line}");
        }
    }

    #[test]
    fn flags_may_stand_after_the_keys() {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            args: KeyValueArgs,
        }
        let line: Line = clap::Parser::parse_from(["label", "pod", "web", "a=1", "b-", "--overwrite"]);
        assert_eq!((line.args.words, line.args.overwrite), (words("pod web a=1 b-"), true));
        let line: Line = clap::Parser::parse_from(["label", "pod", "--all", "a=1"]);
        assert_eq!((line.args.words, line.args.all), (words("pod a=1"), true));
    }

    #[test]
    fn a_value_is_changed_only_when_asked() {
        let mut pod = Pod::default();
        pod.metadata.labels.insert("a".into(), "1".into());
        let pod = Object::of(pod);
        let changes = |line: &str| split(&words(line), &LABEL).unwrap().1;
        assert_eq!(patch(&pod, &LABEL, &changes("pod p a=1"), false).unwrap(), None);
        assert!(patch(&pod, &LABEL, &changes("pod p a=2"), false).is_err());
        assert_eq!(
            patch(&pod, &LABEL, &changes("pod p a=2 b=3"), true).unwrap().unwrap(),
            json!({ "metadata": { "labels": { "a": "2", "b": "3" } } })
        );
        assert_eq!(
            patch(&pod, &LABEL, &changes("pod p a- x-"), false).unwrap().unwrap(),
            json!({ "metadata": { "labels": { "a": null } } })
        );
    }
}
