//! What must be found in a printed journey (docs/steps.md has the whole catalogue).

/// The parts of a journey that this demo's objects must leave.
#[derive(Debug)]
pub(super) struct Expected {
    /// Programs that must have taken part.
    services: &'static [&'static str],
    /// Steps, by the name of their journey and their ids.
    steps: &'static [(&'static str, &'static [&'static str])],
}

const POD_CREATE: (&str, &[&str]) = (
    "pod.create",
    &[
        "1", "2a", "2b", "2c", "2d", "2e", "2f", "3a", "3b", "3c", "3d", "3e", "4a", "4b", "5a", "5b", "5c", "5d",
        "5f[0]", "5i[0]", "6a", "6b", "7a",
    ],
);

/// Applying the Deployment: it, its ReplicaSet, and all of its pods up to Ready and into the Service.
pub(super) const APPLY: Expected = Expected {
    services: &["tpctl", "apiserver", "scheduler", "controller-manager", "kubelet"],
    steps: &[
        ("workload.apply", &["1", "1a", "1b", "1c", "1d", "1e", "1f", "2a", "2b", "2c", "3a", "3b", "3c", "4a", "4b"]),
        POD_CREATE,
    ],
};

/// Deleting one pod, and its replacement. Steps 6 and 8 are missing for a reason: nginx has no preStop hook here, and it ends when
/// it is told to, so that nothing needs to be killed. 5b and 5c are kube-proxy's and the DNS server's, which do not exist yet.
pub(super) const DELETE: Expected = Expected {
    services: &["tpctl", "apiserver", "scheduler", "controller-manager", "kubelet"],
    steps: &[("pod.delete", &["1", "2", "3", "4", "5a", "7[0]", "9a", "9b", "10"]), POD_CREATE],
};

impl Expected {
    /// Everything that the printed journey lacks.
    pub(super) fn missing_in(&self, printed: &str) -> Vec<String> {
        let is_part_of_name = |c: char| c.is_ascii_alphanumeric() || ".-[]".contains(c);
        let words: std::collections::BTreeSet<&str> = printed.split(|c| !is_part_of_name(c)).collect();
        let steps = self.steps.iter().flat_map(|(journey, ids)| ids.iter().map(move |id| format!("{journey}.{id}")));
        let services = self.services.iter().map(|service| (*service).to_owned());
        services.chain(steps).filter(|wanted| !words.contains(wanted.as_str())).collect()
    }

    /// How many steps there are to find.
    pub(super) fn step_count(&self) -> usize {
        self.steps.iter().map(|(_, ids)| ids.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Expected =
        Expected { services: &["tpctl", "kubelet"], steps: &[("pod.delete", &["1", "7[0]", "10"])] };

    #[test]
    fn whole_names_are_looked_for() {
        let printed = "tpctl   DELETE (pod.delete.1)\nkubelet-node-1 pod.delete.7[0]\n pod.delete.10,";
        assert_eq!(SMALL.missing_in(printed), ["kubelet"]);
        assert_eq!(SMALL.missing_in("tpctl kubelet pod.delete.10 pod.delete.7"), ["pod.delete.1", "pod.delete.7[0]"]);
        assert_eq!(SMALL.step_count(), 3);
    }
}
