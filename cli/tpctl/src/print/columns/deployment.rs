//! Deployments.

use super::{Column, Columns, age_of, column, containers, selector, wide};
use api::apps::v1::Deployment;
use jiff::Timestamp;

impl Columns for Deployment {
    const COLUMNS: &'static [Column] = &[
        column("NAME"),
        column("READY"),
        column("UP-TO-DATE"),
        column("AVAILABLE"),
        column("AGE"),
        wide("CONTAINERS"),
        wide("IMAGES"),
        wide("SELECTOR"),
    ];

    fn cells(&self, now: Timestamp) -> Vec<String> {
        let [names, images] = containers(&self.spec.template.spec.containers);
        vec![
            self.metadata.name.clone(),
            format!("{}/{}", self.status.ready_replicas, self.spec.replicas.unwrap_or_default()),
            self.status.updated_replicas.to_string(),
            self.status.available_replicas.to_string(),
            age_of(self, now),
            names,
            images,
            selector(self.spec.selector.as_ref()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_row_counts_replicas() {
        let deployment: Deployment = serde_json::from_value(json!({
            "metadata": { "name": "k8s-nginx", "creationTimestamp": "1970-01-01T00:00:10Z" },
            "spec": {
                "replicas": 3,
                "selector": { "matchLabels": { "app": "k8s-nginx" } },
                "template": { "spec": { "containers": [{ "name": "nginx", "image": "nginx" }, { "name": "b", "image": "c" }] } },
            },
            "status": { "readyReplicas": 2, "updatedReplicas": 3, "availableReplicas": 1 },
        }))
        .unwrap();
        assert_eq!(
            deployment.cells(Timestamp::from_second(310).unwrap()),
            ["k8s-nginx", "2/3", "3", "1", "5m", "nginx,b", "nginx,c", "app=k8s-nginx"]
        );
    }
}
