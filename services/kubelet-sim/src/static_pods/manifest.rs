//! From a file to the pod that a node runs from it.
//!
//! Pure. The rules are the kubelet's (`pkg/kubelet/config`): the name gets the node's, the uid follows from place and content, so that a changed
//! file is another pod; the pod stays on a node in trouble; it may need nothing of the API.

use std::path::Path;

use api::core::v1::{Pod, Toleration};
use api::field::ErrorList;
use api::json::{FieldValidation, decode, documents};
use api::pod_references::first_kind;
use api::{defaults, validation};

use super::{HASH, SOURCE};

/// Reads the pod of a file. The error names the field, or the place in the text.
pub(super) fn read(text: &str, file: &Path, node: &str) -> Result<Pod, String> {
    let mut documents = documents(text).map_err(|error| error.message)?.into_iter();
    let document = documents.next().ok_or("the file is empty; write a Pod, or remove it")?;
    if documents.next().is_some() {
        return Err("the file has several documents; write each pod to a file of its own".to_owned());
    }
    for (field, expected) in [("apiVersion", "v1"), ("kind", "Pod")] {
        match document.get(field).and_then(serde_json::Value::as_str) {
            Some(found) if found == expected => {}
            found => return Err(format!("{field}: {:?}: must be {expected:?}", found.unwrap_or_default())),
        }
    }
    let (mut pod, _) = decode::<Pod>(document, FieldValidation::Strict).map_err(|error| error.message)?;
    complete(&mut pod, file, node);
    let errors = validation::pod::create(&pod);
    if !errors.is_empty() {
        return Err(format!("invalid pod: {}", listed(&errors)));
    }
    match first_kind(&pod) {
        None => Ok(pod),
        Some(kind) => Err(format!("static pods may not reference {kind}")),
    }
}

fn complete(pod: &mut Pod, file: &Path, node: &str) {
    // What a user cannot say of a pod, a file cannot say either.
    pod.status = Default::default();
    pod.metadata.resource_version = String::new();
    pod.metadata.owner_references.clear();
    if pod.metadata.uid.is_empty() {
        pod.metadata.uid = uid(pod, file, node);
    }
    let meta = &mut pod.metadata;
    meta.name = format!("{}-{}", meta.name, node.to_lowercase());
    if meta.namespace.is_empty() {
        "default".clone_into(&mut meta.namespace);
    }
    meta.annotations.insert(HASH.to_owned(), meta.uid.clone());
    meta.annotations.insert(SOURCE.to_owned(), "file".to_owned());
    node.clone_into(&mut pod.spec.node_name);
    let everything = |known: &Toleration| {
        known.key.is_empty() && known.operator == "Exists" && ["", "NoExecute"].contains(&known.effect.as_str())
    };
    if !pod.spec.tolerations.iter().any(everything) {
        let (operator, effect) = ("Exists".to_owned(), "NoExecute".to_owned());
        pod.spec.tolerations.push(Toleration { operator, effect, ..Toleration::default() });
    }
    "Pending".clone_into(&mut pod.status.phase);
    defaults::pod(pod);
}

/// 32 hexadecimal digits, as the kubelet's; the same for the same content in the same place.
fn uid(pod: &Pod, file: &Path, node: &str) -> String {
    let content = serde_json::to_vec(pod).unwrap_or_default();
    let parts = [b"host:", node.as_bytes(), b"file:", file.as_os_str().as_encoded_bytes(), &content];
    // FNV-1a with 128 bits: nobody is kept out by it, it only tells versions apart.
    let hash = parts.into_iter().flatten().fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d_u128, |hash, byte| {
        (hash ^ u128::from(*byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b)
    });
    format!("{hash:032x}")
}

fn listed(errors: &ErrorList) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEB: &str =
        "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec: {containers: [{name: web, image: nginx}]}";

    fn of(text: &str) -> Result<Pod, String> {
        read(text, Path::new("/manifests/web.yaml"), "node-1")
    }

    #[test]
    fn a_file_is_a_pod_of_its_node() {
        let pod = of(WEB).unwrap();
        assert_eq!((pod.metadata.name.as_str(), pod.metadata.namespace.as_str()), ("web-node-1", "default"));
        assert_eq!((pod.spec.node_name.as_str(), pod.metadata.uid.len()), ("node-1", 32));
        assert_eq!(pod.metadata.annotations[HASH], pod.metadata.uid);
        assert_eq!(pod.metadata.annotations[SOURCE], "file");
        assert_eq!(pod.spec.tolerations.len(), 1);
        assert_eq!(pod.spec.containers[0].termination_message_path, "/dev/termination-log", "defaults are set");
    }

    #[test]
    fn the_uid_follows_from_content_node_and_place() {
        let uid = |text: &str, file: &str, node: &str| read(text, Path::new(file), node).unwrap().metadata.uid;
        let known = uid(WEB, "/a", "n");
        assert_eq!(
            uid(&WEB.replace("metadata: {name: web}", "metadata:\n  name: web"), "/a", "n"),
            known,
            "layout is no content"
        );
        for (text, file, node) in
            [(WEB.replace("nginx", "httpd"), "/a", "n"), (WEB.to_owned(), "/b", "n"), (WEB.to_owned(), "/a", "m")]
        {
            assert_ne!(uid(&text, file, node), known, "{text} {file} {node}");
        }
        let own = WEB
            .replace("{name: web}}", "{name: web}")
            .replace("metadata: {name: web}", "metadata: {name: web, uid: mine}");
        assert_eq!(of(&own).unwrap().metadata.uid, "mine");
    }

    #[test]
    fn what_is_wrong_with_a_file_is_named() {
        let table = [
            (String::new(), "the file is empty"),
            ("a: [".to_owned(), "not valid YAML"),
            (format!("{WEB}\n---\n{WEB}"), "several documents"),
            (WEB.replace("kind: Pod", "kind: Deployment"), "kind: \"Deployment\": must be \"Pod\""),
            (WEB.replace("apiVersion: v1\n", ""), "apiVersion: \"\": must be \"v1\""),
            (WEB.replace("image: nginx", "imagee: nginx"), "unknown field \"spec.containers[0].imagee\""),
            (WEB.replace(", image: nginx", ""), "invalid pod: spec.containers[0].image: Required value"),
            (WEB.replace("{name: web}", "{name: Web}"), "metadata.name: Invalid value"),
            (
                WEB.replace("spec: {", "spec: {serviceAccountName: robot, "),
                "static pods may not reference serviceaccounts",
            ),
            (
                WEB.replace("spec: {", "spec: {volumes: [{name: v, configMap: {name: c}}], "),
                "static pods may not reference configmaps",
            ),
            (WEB.replace("spec: {", "spec: {imagePullSecrets: [{name: s}], "), "static pods may not reference secrets"),
        ];
        for (text, expected) in table {
            let error = of(&text).unwrap_err();
            assert!(error.contains(expected), "{error}\n{text}");
        }
    }

    #[test]
    fn json_is_as_good() {
        let json = r#"{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "kube-system"}, "spec": {"containers": [{"name": "web", "image": "nginx"}]}}"#;
        assert_eq!(of(json).unwrap().metadata.namespace, "kube-system");
    }
}
