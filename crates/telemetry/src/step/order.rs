//! The causal order of the steps: which must have started before which.

use super::Step;

impl Step {
    /// The steps right before this one, indexed ones for every index. It starts no earlier than any of them, as far as they
    /// apply; for one that does not apply, its own predecessors count. Empty for the step that starts a journey.
    ///
    /// The order is partial where the system is free: a kubelet may mount volumes before or after it creates the sandbox, an
    /// answer may reach its client after the next component has begun.
    pub fn after(self) -> &'static [Self] {
        match self {
            Self::PodCreate1 | Self::WorkloadApply1 | Self::PodDelete1 | Self::PodRestart1 => &[],

            Self::PodCreate2a => &[Self::PodCreate1],
            Self::PodCreate2b => &[Self::PodCreate2a],
            Self::PodCreate2c => &[Self::PodCreate2b],
            Self::PodCreate2d => &[Self::PodCreate2c],
            Self::PodCreate2e => &[Self::PodCreate2d],
            Self::PodCreate2f | Self::PodCreate3a => &[Self::PodCreate2e],
            Self::PodCreate3b => &[Self::PodCreate3a],
            Self::PodCreate3c => &[Self::PodCreate3b],
            Self::PodCreate3d => &[Self::PodCreate3c],
            Self::PodCreate3e => &[Self::PodCreate3d],
            Self::PodCreate4a => &[Self::PodCreate3e],
            Self::PodCreate4b | Self::PodCreate5a => &[Self::PodCreate4a],
            Self::PodCreate5b => &[Self::PodCreate5a],
            Self::PodCreate5c | Self::PodCreate5d | Self::PodCreate6a => &[Self::PodCreate5b],
            Self::PodCreate5e(_) => &[Self::PodCreate5c, Self::PodCreate5d],
            Self::PodCreate5f(_) => &[Self::PodCreate5c, Self::PodCreate5d, Self::PodCreate5e(0)],
            Self::PodCreate5g(_) | Self::PodCreate5h(_) => &[Self::PodCreate5f(0)],
            Self::PodCreate5i(_) => &[Self::PodCreate5f(0), Self::PodCreate5h(0)],
            Self::PodCreate6b => &[Self::PodCreate6a],
            Self::PodCreate7a => &[Self::PodCreate6b],
            Self::PodCreate7b | Self::PodCreate7c => &[Self::PodCreate7a],

            Self::WorkloadApply1a => &[Self::WorkloadApply1],
            Self::WorkloadApply1b => &[Self::WorkloadApply1a],
            Self::WorkloadApply1c => &[Self::WorkloadApply1b],
            Self::WorkloadApply1d => &[Self::WorkloadApply1c],
            Self::WorkloadApply1e => &[Self::WorkloadApply1d],
            Self::WorkloadApply1f | Self::WorkloadApply2a => &[Self::WorkloadApply1e],
            Self::WorkloadApply2b => &[Self::WorkloadApply2a],
            Self::WorkloadApply2c => &[Self::WorkloadApply2b],
            Self::WorkloadApply3a => &[Self::WorkloadApply2c],
            Self::WorkloadApply3b => &[Self::WorkloadApply3a],
            Self::WorkloadApply3c => &[Self::WorkloadApply3b],
            // A Deployment reports that it progresses before its ReplicaSet has made a pod.
            Self::WorkloadApply4a => &[Self::WorkloadApply2c],
            Self::WorkloadApply4b => &[Self::WorkloadApply4a],

            Self::PodDelete2 => &[Self::PodDelete1],
            // The owner replaces a pod as soon as it terminates, not when it is gone.
            Self::PodDelete3 | Self::PodDelete4 | Self::PodDelete5a | Self::PodDelete10 => &[Self::PodDelete2],
            Self::PodDelete5b | Self::PodDelete5c => &[Self::PodDelete5a],
            Self::PodDelete6a => &[Self::PodDelete4],
            Self::PodDelete6b => &[Self::PodDelete6a],
            Self::PodDelete7(_) => &[Self::PodDelete4, Self::PodDelete6a, Self::PodDelete6b],
            Self::PodDelete8(_) => &[Self::PodDelete7(0)],
            Self::PodDelete9a => &[Self::PodDelete4, Self::PodDelete7(0), Self::PodDelete8(0)],
            Self::PodDelete9b => &[Self::PodDelete9a],

            Self::PodRestart2 | Self::PodRestart3 => &[Self::PodRestart1],
            Self::PodRestart4(_) => &[Self::PodRestart3],
            Self::PodRestart5(_) => &[Self::PodRestart4(0)],
            Self::PodRestart6(_) => &[Self::PodRestart2, Self::PodRestart3, Self::PodRestart4(0), Self::PodRestart5(0)],
            Self::PodRestart7(_) | Self::PodRestart8(_) => &[Self::PodRestart6(0)],
            Self::PodRestart9(_) => &[Self::PodRestart6(0), Self::PodRestart8(0)],
            Self::PodRestart10a => &[Self::PodRestart3],
            Self::PodRestart10b => &[Self::PodRestart10a],
        }
    }
}
