//! `tpctl apply`: makes objects what files say, and leaves alone what files say nothing about.
//!
//! Three states are compared: what was applied last (kept in an annotation), what the file says now, and what is there. A field that was
//! applied and is gone from the file is removed; a field that others have set stays.
//! <https://kubernetes.io/docs/tasks/manage-kubernetes-objects/declarative-config/>

mod diff;

use crate::commands::dry_run::{DryRun, DryRunFlag};
use crate::failure::Several;
use crate::manifest::{self, FileFlags, Manifest};
use crate::objects::{Object, ObjectApi};
use crate::print::{Format, OutputFormat, out, result_line};
use crate::session::Session;
use anyhow::{Context, Result, bail};
use api::json::schema::Message;
use api::meta::v1::{CreateOptions, PatchOptions};
use api::{KindInfo, KindVisitor, Resource};
use clap::Args;
use client::Patch;
use serde_json::{Value, json};

/// The annotation that keeps what was applied last. kubectl's, so that both tools can work on one object.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// Who the server is told to have made a change.
const FIELD_MANAGER: &str = "tpctl-client-side-apply";

/// Flags of `tpctl apply`.
#[derive(Debug, Args)]
pub(crate) struct ApplyArgs {
    #[command(flatten)]
    files: FileFlags,
    /// Print the objects instead of a line each.
    #[arg(short, long, value_name = "FORMAT")]
    output: Option<OutputFormat>,
    #[command(flatten)]
    dry_run: DryRunFlag,
}

impl ApplyArgs {
    /// Whether the command only shows what it would do.
    pub(crate) fn sends_nothing(&self) -> bool {
        self.dry_run.dry_run == DryRun::Client
    }
}

/// `tpctl apply`.
pub(crate) async fn run(session: &Session, args: &ApplyArgs) -> Result<()> {
    if args.files.files.is_empty() {
        bail!("must specify -f: the files to apply");
    }
    let manifests = manifest::read(&args.files, session, "apply")?;
    let mut failures = Vec::new();
    for manifest in &manifests {
        match apply(session, args, manifest).await {
            Ok((object, done)) => {
                let done = args.dry_run.dry_run.done(done);
                out(&result_line(&object, &done, Format::from(args.output)))?;
            }
            Err(error) => failures.push(error),
        }
    }
    Several::of(failures)
}

/// Applies one object; returns it and what was done to it.
async fn apply(session: &Session, args: &ApplyArgs, manifest: &Manifest) -> Result<(Object, &'static str)> {
    let (origin, name, namespace) = (&manifest.origin, manifest.object.name(), manifest.namespace());
    if name.is_empty() {
        bail!("from \"{origin}\": cannot use generateName with apply: an object without a name cannot be found again");
    }
    let (api, dry_run) = (session.api(manifest.info()), args.dry_run.dry_run);
    let live = match api.get(namespace, name).await {
        Ok(live) => live,
        Err(error) if error.is_not_found() => {
            let object = api.decode(annotated(&manifest.document)?)?;
            if dry_run == DryRun::Client {
                return Ok((object, "created"));
            }
            let options = CreateOptions {
                dry_run: dry_run.option(),
                field_manager: FIELD_MANAGER.to_owned(),
                ..CreateOptions::default()
            };
            let created = api.create(namespace, &object, options).await;
            return Ok((created.with_context(|| format!("error when creating \"{origin}\""))?, "created"));
        }
        Err(error) => {
            let what = format!("error when retrieving current configuration of \"{origin}\"");
            return Err(anyhow::Error::from(error).context(what));
        }
    };
    let Some(patch) = patch(manifest, &live)? else { return Ok((live, "unchanged")) };
    if dry_run == DryRun::Client {
        return Ok((live, "configured"));
    }
    let patched = send(&*api, manifest, patch, dry_run).await;
    Ok((patched.with_context(|| format!("error when patching \"{origin}\""))?, "configured"))
}

async fn send(api: &dyn ObjectApi, manifest: &Manifest, patch: Value, dry_run: DryRun) -> Result<Object, api::Error> {
    let options =
        PatchOptions { dry_run: dry_run.option(), field_manager: FIELD_MANAGER.to_owned(), ..PatchOptions::default() };
    api.patch(manifest.namespace(), manifest.object.name(), &Patch::Strategic(patch), options).await
}

/// The strategic merge patch that makes `live` what the manifest says; `None` if it is that already.
fn patch(manifest: &Manifest, live: &Object) -> Result<Option<Value>> {
    let last_applied = match live.metadata().annotations.get(LAST_APPLIED) {
        Some(text) => serde_json::from_str(text).with_context(|| {
            format!("the annotation {LAST_APPLIED} of {} is not JSON; remove it and apply again", live.full_name())
        })?,
        None => {
            eprintln!(
                "Warning: resource {}/{} is missing the {LAST_APPLIED} annotation which is required by tpctl apply. tpctl apply \
                 should only be used on resources created declaratively by tpctl apply. The missing annotation will be patched \
                 automatically.",
                live.info().plural,
                live.name()
            );
            Value::Null
        }
    };
    let wanted = annotated(&manifest.document)?;
    Ok(diff::three_way(schema(manifest.info()), &last_applied, &wanted, &live.json()))
}

/// The manifest with itself in the annotation.
fn annotated(document: &Value) -> Result<Value> {
    let mut bare = document.clone();
    let Some(metadata) = bare.get_mut("metadata").and_then(Value::as_object_mut) else {
        bail!("metadata: Required value: the object has no name");
    };
    // As kubectl keeps it: with annotations even if there are none, without itself.
    let annotations = metadata.entry("annotations").or_insert_with(|| json!({}));
    if annotations.is_null() {
        *annotations = json!({});
    }
    if let Some(annotations) = annotations.as_object_mut() {
        annotations.remove(LAST_APPLIED);
    }
    let mut annotated = bare.clone();
    annotated["metadata"]["annotations"][LAST_APPLIED] = Value::String(format!("{bare}\n"));
    Ok(annotated)
}

fn schema(info: &KindInfo) -> &'static Message {
    struct Schema;
    impl KindVisitor for Schema {
        type Output = &'static Message;
        fn visit<K: Resource>(self) -> Self::Output {
            K::SCHEMA
        }
    }
    api::visit_kind(info, Schema).expect("every KindInfo belongs to a served kind")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Origin;
    use api::apps::v1::Deployment;

    fn manifest(document: Value) -> Manifest {
        let object: Deployment = serde_json::from_value(document.clone()).unwrap();
        Manifest { object: Object::of(object), document, origin: Origin::of("web.yaml") }
    }

    fn document(image: &str) -> Value {
        json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web", "namespace": "default" },
            "spec": { "replicas": 3, "template": { "spec": { "containers": [{ "name": "c", "image": image }] } } } })
    }

    /// The document as the server has it once it was applied: with defaults and a status.
    fn live(image: &str) -> Object {
        let mut document = annotated(&document(image)).unwrap();
        document["metadata"]["uid"] = json!("u");
        document["spec"]["template"]["spec"]["restartPolicy"] = json!("Always");
        document["spec"]["template"]["spec"]["containers"][0]["imagePullPolicy"] = json!("Always");
        document["status"] = json!({ "replicas": 3 });
        Object::of(serde_json::from_value::<Deployment>(document).unwrap())
    }

    #[test]
    fn the_annotation_holds_the_manifest_without_itself() {
        let annotated = annotated(&document("nginx")).unwrap();
        let text = annotated["metadata"]["annotations"][LAST_APPLIED].as_str().unwrap();
        assert!(text.ends_with("}\n"));
        let mut expected = document("nginx");
        expected["metadata"]["annotations"] = json!({});
        assert_eq!(serde_json::from_str::<Value>(text).unwrap(), expected);
        assert_eq!(super::annotated(&annotated).unwrap(), annotated, "applying an exported object changes nothing");
    }

    #[test]
    fn what_was_applied_already_is_unchanged_and_the_rest_is_patched() {
        assert_eq!(patch(&manifest(document("nginx")), &live("nginx")).unwrap(), None);
        let patch = patch(&manifest(document("nginx:2")), &live("nginx")).unwrap().unwrap();
        assert!(patch["metadata"]["annotations"][LAST_APPLIED].as_str().unwrap().contains("nginx:2"));
        let template = &patch["spec"]["template"]["spec"];
        assert_eq!(template["containers"], json!([{ "name": "c", "image": "nginx:2" }]));
        assert_eq!(patch["spec"].as_object().unwrap().len(), 1, "{patch}");
    }
}
