//! Manifests: from files, folders or standard input to objects that may be sent.
//!
//! Everything is read and checked before anything is sent, and all faults are reported at once, each with its file and document: a typo in
//! the last document must not leave the first ones behind in the cluster.

use crate::failure::Several;
use crate::objects::Object;
use crate::session::Session;
use anyhow::{Context, Result, anyhow, bail};
use api::{KINDS, KindInfo};
use clap::Args;
use serde_json::Value;
use std::fmt;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Flags of commands that read manifests.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct FileFlags {
    /// File or folder with manifests in YAML or JSON, or - for standard input. May be given several times.
    #[arg(short = 'f', long = "filename", value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Read the folders inside of a folder too.
    #[arg(short = 'R', long, requires = "files")]
    recursive: bool,
}

/// An object as a manifest has it.
#[derive(Debug, Clone)]
pub(crate) struct Manifest {
    /// The object, in the namespace where it shall be.
    pub(crate) object: Object,
    /// The document, with that namespace: what the user wrote and nothing else.
    pub(crate) document: Value,
    /// Where it stands.
    pub(crate) origin: Origin,
}

/// Where a document stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    /// The file's name, or "STDIN".
    pub(crate) file: String,
    /// From 1; `None` if the file has only this one.
    document: Option<usize>,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.document {
            None => f.write_str(&self.file),
            Some(number) => write!(f, "{}, document {number}", self.file),
        }
    }
}

impl Origin {
    /// The only document of a file.
    #[cfg(test)]
    pub(crate) fn of(file: &str) -> Origin {
        Origin { file: file.to_owned(), document: None }
    }
}

impl Manifest {
    /// The kind.
    pub(crate) fn info(&self) -> &'static KindInfo {
        self.object.info()
    }

    /// The namespace it belongs to; empty for cluster-wide kinds.
    pub(crate) fn namespace(&self) -> &str {
        &self.object.metadata().namespace
    }
}

/// Reads and checks all manifests of the flags, for the command `verb`.
///
/// # Errors
/// Everything that is wrong, in the order of the files.
pub(crate) fn read(flags: &FileFlags, session: &Session, verb: &str) -> Result<Vec<Manifest>> {
    let (mut manifests, mut faults) = (Vec::new(), Vec::new());
    for source in sources(flags)? {
        let (file, text) = match &source {
            None => ("STDIN".to_owned(), stdin()?),
            Some(path) => {
                let name = path.display().to_string();
                let text = fs::read_to_string(path).with_context(|| format!("cannot read {name}"))?;
                (name, text)
            }
        };
        match parse(&file, &text, session) {
            Ok(found) => manifests.extend(found),
            Err(found) => faults.extend(found),
        }
    }
    Several::of(faults)?;
    if manifests.is_empty() {
        bail!("no objects passed to {verb}");
    }
    Ok(manifests)
}

/// The objects of one file, or all that is wrong with it.
fn parse(file: &str, text: &str, session: &Session) -> Result<Vec<Manifest>, Vec<anyhow::Error>> {
    let whole = |error: anyhow::Error| vec![error.context(file.to_owned())];
    let documents = api::json::documents(text).map_err(|e| whole(anyhow!(e.message)))?;
    let documents: Vec<Value> = documents.into_iter().flat_map(unfold).collect();
    let several = documents.len() > 1;
    let (mut manifests, mut faults) = (Vec::new(), Vec::new());
    for (index, document) in documents.into_iter().enumerate() {
        let origin = Origin { file: file.to_owned(), document: several.then_some(index + 1) };
        match manifest(document, origin.clone(), session) {
            Ok(manifest) => manifests.push(manifest),
            Err(error) => faults.push(error.context(origin.to_string())),
        }
    }
    if faults.is_empty() { Ok(manifests) } else { Err(faults) }
}

/// The members of a `List`, which kubectl writes when it prints several objects; anything else is itself.
fn unfold(document: Value) -> Vec<Value> {
    let is_list = document["kind"].as_str().is_some_and(|kind| kind.ends_with("List"));
    match document {
        Value::Object(mut members) if is_list && members.get("items").is_some_and(Value::is_array) => {
            match members.remove("items") {
                Some(Value::Array(items)) => items,
                _ => Vec::new(),
            }
        }
        other => vec![other],
    }
}

fn manifest(mut document: Value, origin: Origin, session: &Session) -> Result<Manifest> {
    let info = kind_of(&document)?;
    settle_namespace(&mut document, info, session)?;
    let object = session.api(info).decode(document.clone()).map_err(|e| anyhow!(e.message))?;
    let meta = object.metadata();
    if meta.name.is_empty() && meta.generate_name.is_empty() {
        bail!("metadata.name: Required value: name or generateName is required");
    }
    Ok(Manifest { object, document, origin })
}

/// The kind that a document names by `apiVersion` and `kind`.
fn kind_of(document: &Value) -> Result<&'static KindInfo> {
    if !document.is_object() {
        bail!("this is not an object with apiVersion, kind and metadata");
    }
    let member = |name: &str| document[name].as_str().unwrap_or_default();
    let (api_version, kind) = (member("apiVersion"), member("kind"));
    for (name, value) in [("apiVersion", api_version), ("kind", kind)] {
        if value.is_empty() {
            bail!("{name}: Required value: it must say which kind of object this is");
        }
    }
    if let Some(info) = KINDS.iter().copied().find(|info| info.kind == kind && info.api_version() == api_version) {
        return Ok(info);
    }
    if let Some(info) = KINDS.iter().find(|info| info.kind == kind) {
        bail!("no matches for kind {kind:?} in version {api_version:?}; it is served as {}", info.api_version());
    }
    let mut served: Vec<&str> = KINDS.iter().map(|info| info.kind).collect();
    served.sort_unstable();
    bail!("no matches for kind {kind:?} in version {api_version:?}; served are: {}", served.join(", "))
}

/// Puts the object into our namespace unless it names its own.
fn settle_namespace(document: &mut Value, info: &KindInfo, session: &Session) -> Result<()> {
    if !info.namespaced {
        return Ok(());
    }
    let Some(metadata) = document.get_mut("metadata").and_then(Value::as_object_mut) else {
        bail!("metadata: Required value: the object has no name");
    };
    let own = metadata.get("namespace").and_then(Value::as_str).unwrap_or_default().to_owned();
    if own.is_empty() {
        metadata.insert("namespace".to_owned(), Value::String(session.namespace.clone()));
    } else if session.namespace_is_explicit && own != session.namespace {
        bail!(
            "the namespace from the provided object {own:?} does not match the namespace {:?}. You must pass '--namespace={own}' to \
             perform this operation.",
            session.namespace
        );
    }
    Ok(())
}

/// The files in the order given, those of a folder by name; `None` is standard input.
fn sources(flags: &FileFlags) -> Result<Vec<Option<PathBuf>>> {
    let mut found = Vec::new();
    for file in &flags.files {
        let text = file.to_string_lossy();
        if text == "-" {
            found.push(None);
        } else if text.starts_with("http://") || text.starts_with("https://") {
            bail!("{text}: manifests are not fetched from the network; download it and name the file");
        } else if file.is_dir() {
            folder(file, flags.recursive, &mut found)?;
        } else if file.exists() {
            found.push(Some(file.clone()));
        } else {
            bail!("the path {text:?} does not exist");
        }
    }
    Ok(found)
}

fn folder(path: &Path, recursive: bool, found: &mut Vec<Option<PathBuf>>) -> Result<()> {
    let cannot = || format!("cannot read the folder {}", path.display());
    let mut entries: Vec<PathBuf> =
        fs::read_dir(path).with_context(cannot)?.map(|entry| entry.map(|e| e.path())).collect::<Result<_, _>>()?;
    entries.sort();
    for entry in entries {
        let is_manifest = entry.extension().is_some_and(|e| e == "yaml" || e == "yml" || e == "json");
        if entry.is_dir() {
            if recursive {
                folder(&entry, recursive, found)?;
            }
        } else if is_manifest {
            found.push(Some(entry));
        }
    }
    Ok(())
}

fn stdin() -> Result<String> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).context("cannot read standard input")?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure;

    fn faults(text: &str) -> String {
        let faults = parse("web.yaml", text, &Session::for_tests("default")).unwrap_err();
        faults.iter().flat_map(failure::lines).collect::<Vec<_>>().join("\n")
    }

    const DEPLOYMENT: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\n";

    #[tokio::test]
    async fn documents_become_objects_in_our_namespace() {
        let text = format!("{DEPLOYMENT}---\n# nothing\n---\napiVersion: v1\nkind: Namespace\nmetadata: {{name: n}}\n");
        let found = parse("web.yaml", &text, &Session::for_tests("team")).unwrap();
        let shown: Vec<_> = found.iter().map(|m| (m.object.full_name(), m.namespace(), m.origin.to_string())).collect();
        assert_eq!(
            shown,
            [
                ("deployment.apps/web".to_owned(), "team", "web.yaml, document 1".to_owned()),
                ("namespace/n".to_owned(), "", "web.yaml, document 2".to_owned())
            ]
        );
        assert_eq!(found[0].document["metadata"]["namespace"], "team");
    }

    #[tokio::test]
    async fn a_list_is_its_items() {
        let text = "kind: List\napiVersion: v1\nitems:\n- {apiVersion: v1, kind: Pod, metadata: {name: a}}\n\
                    - {apiVersion: v1, kind: Pod, metadata: {name: b}}\n";
        let found = parse("web.yaml", text, &Session::for_tests("default")).unwrap();
        assert_eq!(found.iter().map(|m| m.object.full_name()).collect::<Vec<_>>(), ["pod/a", "pod/b"]);
    }

    #[tokio::test]
    async fn a_fault_names_file_document_and_field() {
        let table = [
            ("a: [1\n", "error: web.yaml: not valid YAML: ", "line"),
            (
                &format!("{DEPLOYMENT}spec: {{replica: 3}}\n"),
                "error: web.yaml: Deployment in version \"v1\" cannot be handled as a Deployment: ",
                "unknown field \"spec.replica\"",
            ),
            (
                &format!("{DEPLOYMENT}spec: {{replicas: three}}\n"),
                "error: web.yaml: ",
                "cannot unmarshal string into field spec.replicas of type int32",
            ),
            ("kind: Pod\nmetadata: {name: a}\n", "error: web.yaml: apiVersion: Required value", ""),
            ("apiVersion: v1\nmetadata: {name: a}\n", "error: web.yaml: kind: Required value", ""),
            ("apiVersion: v1\nkind: Pod\nmetadata: {}\n", "error: web.yaml: metadata.name: Required value", ""),
            (
                "apiVersion: v1\nkind: Deployment\nmetadata: {name: a}\n",
                "error: web.yaml: no matches for kind \"Deployment\" in version \"v1\"",
                "served as apps/v1",
            ),
            ("apiVersion: v1\nkind: Foo\nmetadata: {name: a}\n", "error: web.yaml: no matches for kind", "Deployment"),
            ("just text\n", "error: web.yaml: this is not an object", ""),
        ];
        for (text, start, part) in table {
            let shown = faults(text);
            assert!(shown.starts_with(start) && shown.contains(part), "{text}: {shown}");
        }
    }

    #[tokio::test]
    async fn all_faults_of_all_documents_are_told_at_once() {
        let shown =
            faults("kind: Foo\napiVersion: v1\n---\nkind: Pod\napiVersion: v1\nmetadata: {name: a}\nspec: {x: 1}\n");
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines.len(), 2, "{shown}");
        assert!(lines[0].starts_with("error: web.yaml, document 1: no matches for kind \"Foo\""), "{shown}");
        assert!(lines[1].starts_with("error: web.yaml, document 2: "), "{shown}");
        assert!(lines[1].ends_with("unknown field \"spec.x\""), "{shown}");
    }

    #[tokio::test]
    async fn another_namespace_than_the_one_asked_for_is_refused() {
        let mut session = Session::for_tests("a");
        session.namespace_is_explicit = true;
        let text = "apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: b}\n";
        let faults = parse("web.yaml", text, &session).unwrap_err();
        assert!(failure::lines(&faults[0])[0].contains("does not match the namespace \"a\""));
    }
}
