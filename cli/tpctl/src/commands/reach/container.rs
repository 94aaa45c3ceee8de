//! Which container of a pod is meant, in kubectl's words.

use anyhow::{Result, bail};
use api::core::v1::{Container, Pod};

/// The annotation that names the container to take where the user names none.
pub(in crate::commands) const DEFAULT: &str = "kubectl.kubernetes.io/default-container";

/// The container of this name and whether it has a terminal.
pub(in crate::commands) fn find(pod: &Pod, name: &str) -> Option<Chosen> {
    let spec = &pod.spec;
    let own = spec.containers.iter().chain(&spec.init_containers).map(Chosen::of);
    let ephemeral = spec.ephemeral_containers.iter().map(|container| {
        let common = &container.ephemeral_container_common;
        Chosen { name: common.name.clone(), tty: common.tty }
    });
    own.chain(ephemeral).find(|container| container.name == name)
}

/// A container to reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::commands) struct Chosen {
    /// Its name.
    pub(in crate::commands) name: String,
    /// Whether its own process has a terminal.
    pub(in crate::commands) tty: bool,
}

impl Chosen {
    fn of(container: &Container) -> Chosen {
        Chosen { name: container.name.clone(), tty: container.tty }
    }
}

/// The named container, the pod's default one, or its first; the last is said unless `quiet`.
pub(in crate::commands) fn find_or_default(pod: &Pod, name: Option<&str>, quiet: bool) -> Result<Chosen> {
    let (chosen, said) = choose(pod, name)?;
    if let Some(said) = said.filter(|_| !quiet) {
        eprintln!("{said}");
    }
    Ok(chosen)
}

fn choose(pod: &Pod, name: Option<&str>) -> Result<(Chosen, Option<String>)> {
    let meta = &pod.metadata;
    if let Some(name) = name.filter(|name| !name.is_empty()) {
        return match find(pod, name) {
            Some(container) => Ok((container, None)),
            None => bail!("container {name} not found in pod {}", meta.name),
        };
    }
    if let Some(container) = meta.annotations.get(DEFAULT).and_then(|name| find(pod, name)) {
        return Ok((container, None));
    }
    let Some(first) = pod.spec.containers.first() else {
        bail!("pod {}/{} does not have any containers", meta.namespace, meta.name);
    };
    Ok((Chosen::of(first), defaulted(pod)))
}

/// What is said when the first container is taken and there are others.
pub(in crate::commands) fn defaulted(pod: &Pod) -> Option<String> {
    let spec = &pod.spec;
    let count = spec.containers.len() + spec.init_containers.len() + spec.ephemeral_containers.len();
    let first = spec.containers.first().filter(|_| count > 1)?;
    Some(format!("Defaulted container {:?} out of: {}", first.name, all_names(pod)))
}

/// `a, b, c (ephem), d (init)`.
pub(in crate::commands) fn all_names(pod: &Pod) -> String {
    let own = pod.spec.containers.iter().map(|container| container.name.clone());
    let ephemeral = pod.spec.ephemeral_containers.iter();
    let ephemeral = ephemeral.map(|container| format!("{} (ephem)", container.ephemeral_container_common.name));
    let init = pod.spec.init_containers.iter().map(|container| format!("{} (init)", container.name));
    own.chain(ephemeral).chain(init).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(containers: &[&str], init: &[&str], default: Option<&str>) -> Pod {
        let named = |name: &&str| Container { name: (*name).to_owned(), ..Container::default() };
        let mut pod = Pod::default();
        pod.metadata.name = "web".to_owned();
        pod.spec.containers = containers.iter().map(named).collect();
        pod.spec.init_containers = init.iter().map(named).collect();
        pod.metadata.annotations.extend(default.map(|name| (DEFAULT.to_owned(), name.to_owned())));
        pod
    }

    #[test]
    fn the_container_is_chosen_as_kubectl_chooses_it() {
        let said = "Defaulted container \"a\" out of: a, b, i (init)";
        let table = [
            ("the only one", pod(&["a"], &[], None), None, "a", None),
            ("the first of several", pod(&["a", "b"], &["i"], None), None, "a", Some(said)),
            ("the default one", pod(&["a", "b"], &["i"], Some("b")), None, "b", None),
            ("a default that there is not", pod(&["a", "b"], &["i"], Some("x")), None, "a", Some(said)),
            ("the one that is named", pod(&["a", "b"], &["i"], Some("b")), Some("i"), "i", None),
        ];
        for (case, pod, name, expected, said) in table {
            let (chosen, what) = choose(&pod, name).unwrap();
            assert_eq!((chosen.name.as_str(), what.as_deref()), (expected, said), "{case}");
        }
        let error = choose(&pod(&["a"], &[], None), Some("x")).unwrap_err();
        assert_eq!(error.to_string(), "container x not found in pod web");
    }
}
