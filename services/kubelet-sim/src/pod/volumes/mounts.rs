//! What a container mounts: its volumes, `/etc/hosts`, and the file for its last words.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path};
use std::sync::Arc;

use api::core::v1::{Container, Pod, Volume, VolumeMount};
use tracing::warn;

use super::{blocking, sub_path};
use crate::cri;
use crate::pod::NodeContext;
use crate::pod::env::{expand, value_of};
use crate::pod::names::hosts_file;

const HOSTS: &str = "/etc/hosts";
/// Where the kubelet's files would be, for a runtime that has none.
const NOWHERE: &str = "/var/lib/kubelet";

/// The mounts of one attempt at a container. The error is what `CreateContainerConfigError` shows.
pub(in crate::pod) async fn mounts(
    context: &NodeContext,
    pod: &Arc<Pod>,
    container: &Container,
    attempt: u32,
    env: &[(String, String)],
    pod_ip: &str,
) -> Result<Vec<cri::Mount>, String> {
    let mut mounts = Vec::new();
    for (index, mount) in container.volume_mounts.iter().enumerate() {
        mounts.push(volume_mount(context, pod, container, index, mount, env).await?);
    }
    let Some(files) = context.volumes.files.clone() else { return Ok(mounts) };
    let taken = |path: &str| container.volume_mounts.iter().any(|mount| mount.mount_path == path);
    let hosts = (!taken(HOSTS) && (!pod_ip.is_empty() || pod.spec.host_network))
        .then(|| hosts_file(pod, pod_ip, &context.dns.cluster_domain));
    let (owner, uid) = (files.owner(pod), pod.metadata.uid.clone());
    let inside = container.termination_message_path.clone();
    let last_words = files.last_words(&uid, &container.name, attempt);
    let guard = context.volumes.folder_of(&pod.metadata.uid).lock_owned().await;
    let own = blocking(move || {
        let _guard = guard;
        let mut own = Vec::new();
        if let Some(hosts) = hosts {
            let at = files.pod(&uid).join("etc-hosts");
            let text = hosts.complete(|| fs::read_to_string(HOSTS))?;
            replace(&at, &text)?;
            owner.apply(&at, 0o644, false)?;
            own.push(bind(HOSTS, &at));
        }
        if !inside.is_empty() {
            super::files::folder(last_words.parent().unwrap_or(Path::new("/")))?;
            fs::File::create(&last_words)?;
            // The container may run as anybody.
            fs::set_permissions(&last_words, fs::Permissions::from_mode(0o666))?;
            own.push(bind(&inside, &last_words));
        }
        Ok(own)
    });
    mounts.extend(own.await?);
    Ok(mounts)
}

fn bind(inside: &str, at: &Path) -> cri::Mount {
    cri::Mount { container_path: inside.to_owned(), host_path: at.display().to_string(), ..Default::default() }
}

/// Writes in place: containers that run have the file itself mounted.
fn replace(at: &Path, text: &str) -> io::Result<()> {
    if fs::read_to_string(at).is_ok_and(|known| known == text) {
        return Ok(());
    }
    super::files::folder(at.parent().unwrap_or(Path::new("/")))?;
    fs::write(at, text)
}

async fn volume_mount(
    context: &NodeContext,
    pod: &Arc<Pod>,
    container: &Container,
    index: usize,
    mount: &VolumeMount,
    env: &[(String, String)],
) -> Result<cri::Mount, String> {
    let volume = pod.spec.volumes.iter().find(|volume| volume.name == mount.name);
    let volume = volume
        .ok_or_else(|| format!("cannot find volume {:?} to mount into container {:?}", mount.name, container.name))?;
    let path = sub_path_of(mount, env)?;
    let mut made = cri::Mount {
        container_path: absolute(&mount.mount_path),
        readonly: mount.read_only || is_read_only(volume),
        propagation: propagation(mount)?.into(),
        recursive_read_only: recursive_read_only(mount)?,
        ..Default::default()
    };
    if let Some(image) = &volume.volume_source.image {
        made.image = Some(cri::ImageSpec { image: image.reference.clone(), ..Default::default() });
        made.image_sub_path = path;
        return Ok(made);
    }
    let uid = &pod.metadata.uid;
    let Some(files) = &context.volumes.files else {
        made.host_path = match &volume.volume_source.host_path {
            Some(host) => host.path.clone(),
            None => format!("{NOWHERE}/pods/{uid}/volumes/{}", mount.name),
        };
        return Ok(made);
    };
    let at = files.volume(uid, &volume.name, &volume.volume_source);
    let at =
        at.ok_or_else(|| format!("cannot find volume {:?} to mount into container {:?}", mount.name, container.name))?;
    if path.is_empty() {
        made.host_path = at.display().to_string();
        return Ok(made);
    }
    let place = files.pod(uid).join("volume-subpaths").join(&mount.name).join(&container.name).join(index.to_string());
    made.host_path = place.display().to_string();
    let (shown, host) = (at.display().to_string(), pod.metadata.name.clone());
    let guard = context.volumes.folder_of(uid).lock_owned().await;
    let prepared = blocking(move || {
        let _guard = guard;
        let found =
            sub_path::open(&at, &path).map_err(|error| io::Error::new(error.kind(), format!("create: {error}")))?;
        sub_path::bind(&found, &place)
    });
    prepared.await.map_err(|error| {
        // Users are not told more, because that could be about this machine's own files.
        warn!(pod = host, volume = shown, %error, "the subPath of a mount cannot be prepared");
        let what = if error.starts_with("create: ") { "create subPath directory" } else { "prepare subPath" };
        format!("failed to {what} for volumeMount {:?} of container {:?}", mount.name, container.name)
    })?;
    Ok(made)
}

/// The part of the volume that is mounted; empty for all of it.
fn sub_path_of(mount: &VolumeMount, env: &[(String, String)]) -> Result<String, String> {
    let path = if mount.sub_path_expr.is_empty() {
        mount.sub_path.clone()
    } else {
        let mut missing = BTreeSet::new();
        let expanded = expand(&mount.sub_path_expr, |name| {
            let value = value_of(env, name).filter(|value| !value.is_empty());
            if value.is_none() {
                missing.insert(name.to_owned());
            }
            value
        });
        if !missing.is_empty() {
            return Err(format!("missing value for {}", Vec::from_iter(missing).join(", ")));
        }
        expanded
    };
    if path.starts_with('/') {
        return Err(format!("error SubPath `{path}` must not be an absolute path"));
    }
    if Path::new(&path).components().any(|part| part == Component::ParentDir) {
        return Err(format!("unable to provision SubPath `{path}`: must not contain '..'"));
    }
    Ok(path)
}

/// What is made from objects of the API is theirs to change, not the container's.
fn is_read_only(volume: &Volume) -> bool {
    let source = &volume.volume_source;
    source.config_map.is_some()
        || source.secret.is_some()
        || source.projected.is_some()
        || source.downward_api.is_some()
        || source.image.is_some()
}

fn propagation(mount: &VolumeMount) -> Result<cri::MountPropagation, String> {
    match mount.mount_propagation.as_deref() {
        None | Some("None" | "") => Ok(cri::MountPropagation::PropagationPrivate),
        Some("HostToContainer") => Ok(cri::MountPropagation::PropagationHostToContainer),
        Some("Bidirectional") => Ok(cri::MountPropagation::PropagationBidirectional),
        Some(other) => Err(format!("invalid MountPropagation mode: {other:?}")),
    }
}

/// No runtime of ours says that it can do this, so it is refused where it is required.
fn recursive_read_only(mount: &VolumeMount) -> Result<bool, String> {
    let mode = mount.recursive_read_only.as_deref().unwrap_or("Disabled");
    let refused = |why: &str| {
        let name = &mount.name;
        Err(format!(
            "failed to resolve recursive read-only mode: volume {name:?} requested recursive read-only mode, but it is {why}"
        ))
    };
    match (mode, mount.mount_propagation.as_deref()) {
        ("Disabled" | "", _) => Ok(false),
        _ if !mount.read_only => refused("not read-only"),
        (_, Some(mode)) if mode != "None" => refused(&format!("not compatible with propagation {mode:?}")),
        ("IfPossible", _) => Ok(false),
        ("Enabled", _) => refused("not supported by the runtime"),
        (other, _) => {
            Err(format!("failed to resolve recursive read-only mode: unknown recursive read-only mode {other:?}"))
        }
    }
}

fn absolute(path: &str) -> String {
    if path.starts_with('/') { path.to_owned() } else { format!("/{path}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(json: serde_json::Value) -> VolumeMount {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_sub_path_is_expanded_and_never_steps_back() {
        let env = [
            ("POD".to_owned(), "web-0".to_owned()),
            ("EMPTY".to_owned(), String::new()),
            ("UP".to_owned(), "..".to_owned()),
        ];
        for (json, expected) in [
            (serde_json::json!({}), Ok("")),
            (serde_json::json!({"subPath": "a/b"}), Ok("a/b")),
            (serde_json::json!({"subPathExpr": "$(POD)/logs"}), Ok("web-0/logs")),
            (serde_json::json!({"subPathExpr": "$(NONE)/$(EMPTY)"}), Err("missing value for EMPTY, NONE")),
            (
                serde_json::json!({"subPathExpr": "$(UP)/x"}),
                Err("unable to provision SubPath `../x`: must not contain '..'"),
            ),
            (serde_json::json!({"subPathExpr": "/$(POD)"}), Err("error SubPath `/web-0` must not be an absolute path")),
        ] {
            let answer = sub_path_of(&mount(json.clone()), &env);
            assert_eq!(answer.as_deref().map_err(String::as_str), expected, "{json}");
        }
    }

    #[test]
    fn what_no_runtime_can_do_is_refused_where_it_is_required() {
        for (mode, read_only, propagation, expected) in [
            ("Disabled", false, "None", Ok(false)),
            ("IfPossible", true, "None", Ok(false)),
            ("IfPossible", false, "None", Err("not read-only")),
            ("Enabled", true, "None", Err("not supported by the runtime")),
            ("Enabled", true, "Bidirectional", Err("not compatible with propagation \"Bidirectional\"")),
        ] {
            let json = serde_json::json!({"name": "v", "recursiveReadOnly": mode, "readOnly": read_only, "mountPropagation": propagation});
            let expected = expected.map_err(|why| {
                format!("failed to resolve recursive read-only mode: volume \"v\" requested recursive read-only mode, but it is {why}")
            });
            assert_eq!(recursive_read_only(&mount(json)), expected, "{mode} {read_only} {propagation}");
        }
    }

    #[test]
    fn the_propagation_is_the_runtimes_word_for_it() {
        for (mode, expected) in [
            (serde_json::json!({}), "PropagationPrivate"),
            (serde_json::json!({"mountPropagation": "HostToContainer"}), "PropagationHostToContainer"),
            (serde_json::json!({"mountPropagation": "Bidirectional"}), "PropagationBidirectional"),
        ] {
            assert_eq!(format!("{:?}", propagation(&mount(mode)).unwrap()), expected);
        }
        assert!(propagation(&mount(serde_json::json!({"mountPropagation": "Odd"}))).is_err());
    }
}
