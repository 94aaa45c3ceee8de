//! Objects as small as a test needs them.

use api::apps::v1::Deployment;
use api::core::v1::{Container, Pod};
use api::meta::v1::LabelSelector;

/// A pod of one container.
pub fn pod(name: &str, image: &str) -> Pod {
    let mut pod = Pod::default();
    pod.metadata.name = name.to_owned();
    pod.metadata.namespace = "default".to_owned();
    pod.metadata.labels.insert("app".to_owned(), name.to_owned());
    pod.spec.containers.push(Container { name: "main".to_owned(), image: image.to_owned(), ..Container::default() });
    pod
}

/// A deployment of such pods.
pub fn deployment(name: &str, image: &str, replicas: i32) -> Deployment {
    let pod = pod(name, image);
    let mut deployment = Deployment::default();
    deployment.metadata.name = name.to_owned();
    deployment.metadata.namespace = "default".to_owned();
    deployment.spec.replicas = Some(replicas);
    deployment.spec.selector =
        Some(LabelSelector { match_labels: pod.metadata.labels.clone(), ..LabelSelector::default() });
    deployment.spec.template.metadata.labels = pod.metadata.labels;
    deployment.spec.template.spec = pod.spec;
    deployment
}
