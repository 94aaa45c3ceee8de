//! `tpctl create deployment`.

use anyhow::Result;
use api::apps::v1::{Deployment, DeploymentSpec};
use api::core::v1::{Container, ContainerPort, PodTemplateSpec};
use api::meta::v1::{LabelSelector, ObjectMeta};
use clap::Args;
use std::collections::BTreeMap;

/// Flags of `tpctl create deployment`.
#[derive(Debug, Args)]
pub(crate) struct DeploymentArgs {
    /// Its name.
    name: String,
    /// Image of a container; may be given several times.
    #[arg(long, value_name = "IMAGE", required = true)]
    image: Vec<String>,
    /// Number of pods.
    #[arg(short, long, value_name = "COUNT", default_value_t = 1, allow_negative_numbers = true)]
    replicas: i32,
    /// Port that the container listens on.
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// What the container runs instead of its image's own command; with one image only.
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

impl DeploymentArgs {
    /// The object, labelled `app=<name>`.
    pub(super) fn deployment(&self) -> Result<Deployment> {
        if self.image.len() > 1 && !self.command.is_empty() {
            anyhow::bail!("cannot specify multiple --image options and command");
        }
        let labels = BTreeMap::from([("app".to_owned(), self.name.clone())]);
        let mut template = PodTemplateSpec::default();
        template.metadata.labels.clone_from(&labels);
        for image in &self.image {
            template.spec.containers.push(self.container(image, &template.spec.containers));
        }
        let metadata = ObjectMeta { name: self.name.clone(), labels: labels.clone(), ..ObjectMeta::default() };
        let selector = LabelSelector { match_labels: labels, ..LabelSelector::default() };
        let spec = DeploymentSpec {
            replicas: Some(self.replicas),
            selector: Some(selector),
            template,
            ..DeploymentSpec::default()
        };
        Ok(Deployment { metadata, spec, ..Deployment::default() })
    }

    fn container(&self, image: &str, others: &[Container]) -> Container {
        let name = container_name(image);
        let taken = |name: &str| others.iter().any(|other| other.name == name);
        let numbered = (1..).map(|number| format!("{name}-{number}"));
        let name = std::iter::once(name.clone()).chain(numbered).find(|n| !taken(n)).unwrap_or(name);
        let port = |port: u16| ContainerPort { container_port: port.into(), ..ContainerPort::default() };
        Container {
            name,
            image: image.to_owned(),
            command: self.command.clone(),
            ports: self.port.map(port).into_iter().collect(),
            ..Container::default()
        }
    }
}

/// The last part of an image's path, without tag and digest, made fit for a name: `registry/team/My_App:1.2` is `my-app`.
fn container_name(image: &str) -> String {
    let path = image.split('@').next().unwrap_or_default();
    let last = path.rsplit('/').next().unwrap_or_default();
    let name = last.split(':').next().unwrap_or_default().to_ascii_lowercase();
    name.chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect::<String>()
        .trim_matches('-')
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_named_after_its_image() {
        for (image, name) in [
            ("nginx", "nginx"),
            ("nginx:1.27", "nginx"),
            ("localhost:5000/team/My_App:1.2", "my-app"),
            ("nginx@sha256:0123", "nginx"),
        ] {
            assert_eq!(container_name(image), name);
        }
    }

    #[test]
    fn the_deployment_selects_its_own_pods() {
        let args = DeploymentArgs {
            name: "web".into(),
            image: vec!["nginx".into(), "nginx:2".into()],
            replicas: 3,
            port: Some(80),
            command: Vec::new(),
        };
        let made = args.deployment().unwrap();
        assert_eq!(made.spec.replicas, Some(3));
        assert_eq!(made.spec.selector.unwrap().match_labels, made.spec.template.metadata.labels);
        let names: Vec<_> = made.spec.template.spec.containers.iter().map(|c| c.name.as_str()).collect();
        assert_eq!(names, ["nginx", "nginx-1"]);
        assert_eq!(made.spec.template.spec.containers[0].ports[0].container_port, 80);
    }
}
