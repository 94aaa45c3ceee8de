//! Deployments: one replica, rolled out a quarter at a time.

use super::{pod_template, text};
use crate::apps::v1::{Deployment, RollingUpdateDeployment};

/// Sets the defaults of a Deployment.
pub fn deployment(deployment: &mut Deployment) {
    let spec = &mut deployment.spec;
    spec.replicas.get_or_insert(1);
    text(&mut spec.strategy.r#type, "RollingUpdate");
    if spec.strategy.r#type == "RollingUpdate" {
        let RollingUpdateDeployment { max_unavailable, max_surge } =
            spec.strategy.rolling_update.get_or_insert_default();
        max_unavailable.get_or_insert_with(|| "25%".into());
        max_surge.get_or_insert_with(|| "25%".into());
    }
    spec.revision_history_limit.get_or_insert(10);
    spec.progress_deadline_seconds.get_or_insert(600);
    pod_template(&mut spec.template);
}
