//! Names of images: `[registry/]repository[:tag][@digest]`, as container registries and Kubernetes understand them.

/// A parsed image name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ImageName {
    /// The registry's host, `docker.io` when the name has none.
    pub registry: String,
    /// The path in the registry; on Docker Hub a bare name is below `library/`.
    pub repository: String,
    /// `latest` when there is neither tag nor digest.
    pub tag: Option<String>,
    /// `sha256:` and 64 hexadecimal digits.
    pub digest: Option<String>,
}

const DEFAULT_REGISTRY: &str = "docker.io";

impl ImageName {
    /// Parses a name. The error is the reason alone, as Kubernetes puts it after "couldn't parse image name ...".
    pub fn parse(name: &str) -> Result<Self, String> {
        let invalid = || Err("invalid reference format".to_owned());
        let (rest, digest) = match name.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (name, None),
        };
        // A colon after the last slash starts a tag; one before it belongs to the registry's port.
        let (path, tag) = match rest.rfind(':') {
            Some(colon) if !rest[colon..].contains('/') => (&rest[..colon], Some(&rest[colon + 1..])),
            _ => (rest, None),
        };
        let (registry, repository) = match path.split_once('/') {
            // Only a host has capitals before a slash.
            Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" || has_capitals(first) => {
                (first, rest.to_owned())
            }
            Some(_) => (DEFAULT_REGISTRY, path.to_owned()),
            None => (DEFAULT_REGISTRY, format!("library/{path}")),
        };
        if has_capitals(&repository) {
            return Err(format!("invalid reference format: repository name ({repository}) must be lowercase"));
        }
        if path.is_empty() || !repository.split('/').all(valid_component) || !valid_registry(registry) {
            return invalid();
        }
        if !tag.is_none_or(valid_tag) || !digest.is_none_or(valid_digest) {
            return invalid();
        }
        let tag = match (tag, digest) {
            (None, None) => Some("latest".to_owned()),
            (tag, _) => tag.map(str::to_owned),
        };
        Ok(Self { registry: registry.to_owned(), repository, tag, digest: digest.map(str::to_owned) })
    }

    /// The name in full: `docker.io/library/nginx:latest`. This is how runtimes report it.
    pub fn canonical(&self) -> String {
        let mut name = format!("{}/{}", self.registry, self.repository);
        if let Some(tag) = &self.tag {
            name.push(':');
            name.push_str(tag);
        }
        if let Some(digest) = &self.digest {
            name.push('@');
            name.push_str(digest);
        }
        name
    }

    /// The name as people write it, without tag and digest: `nginx`, `grafana/grafana`, `registry.k8s.io/pause`.
    pub fn familiar(&self) -> String {
        if self.registry != DEFAULT_REGISTRY {
            return format!("{}/{}", self.registry, self.repository);
        }
        self.repository.strip_prefix("library/").unwrap_or(&self.repository).to_owned()
    }
}

fn has_capitals(name: &str) -> bool {
    name.chars().any(|c| c.is_ascii_uppercase())
}

/// Lower-case letters and digits, joined by `.`, `_`, `__` or any number of `-`.
fn valid_component(component: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    component.starts_with(alphanumeric)
        && component.ends_with(alphanumeric)
        && component.chars().all(|c| alphanumeric(c) || matches!(c, '.' | '_' | '-'))
        && !["..", "._", "_.", ".-", "-.", "_-", "-_", "___"].iter().any(|joint| component.contains(joint))
}

fn valid_registry(registry: &str) -> bool {
    let (host, port) = match registry.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (registry, None),
    };
    let label = |l: &str| {
        !l.is_empty()
            && !l.starts_with('-')
            && !l.ends_with('-')
            && l.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    host.split('.').all(label) && port.is_none_or(|p| !p.is_empty() && p.chars().all(|c| c.is_ascii_digit()))
}

fn valid_tag(tag: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    (1..=128).contains(&tag.len()) && tag.starts_with(word) && tag.chars().all(|c| word(c) || matches!(c, '.' | '-'))
}

fn valid_digest(digest: &str) -> bool {
    digest
        .strip_prefix("sha256:")
        .is_some_and(|hex| hex.len() == 64 && hex.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_completed_as_a_registry_would() {
        let digest = format!("sha256:{}", "0a".repeat(32));
        let cases = [
            ("nginx", "docker.io/library/nginx:latest", "nginx"),
            ("nginx:1.27", "docker.io/library/nginx:1.27", "nginx"),
            ("grafana/grafana", "docker.io/grafana/grafana:latest", "grafana/grafana"),
            ("registry.k8s.io/pause:3.10", "registry.k8s.io/pause:3.10", "registry.k8s.io/pause"),
            ("localhost:5000/app", "localhost:5000/app:latest", "localhost:5000/app"),
            ("Registry/app", "Registry/app:latest", "Registry/app"),
            (
                "gcr.io/google_containers/goproxy:0.1",
                "gcr.io/google_containers/goproxy:0.1",
                "gcr.io/google_containers/goproxy",
            ),
            (&format!("nginx@{digest}"), &format!("docker.io/library/nginx@{digest}"), "nginx"),
            (&format!("nginx:1@{digest}"), &format!("docker.io/library/nginx:1@{digest}"), "nginx"),
        ];
        for (name, canonical, familiar) in cases {
            let parsed = ImageName::parse(name).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert_eq!((parsed.canonical().as_str(), parsed.familiar().as_str()), (canonical, familiar), "{name}");
        }
    }

    #[test]
    fn what_no_registry_could_hold_is_refused() {
        for name in [
            "",
            ":tag",
            "nginx:",
            "nginx:a b",
            "Nginx",
            "a//b",
            "-x",
            "x-",
            "nginx@sha256:12",
            "a..b",
            "host:port/x",
            "/x",
            "invalid name",
        ] {
            assert!(ImageName::parse(name).is_err(), "{name:?} should be refused");
        }
        assert_eq!(
            ImageName::parse("Nginx:Latest"),
            Err("invalid reference format: repository name (library/Nginx) must be lowercase".to_owned())
        );
    }
}
