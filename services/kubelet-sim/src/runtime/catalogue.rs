//! The image catalogue: which image behaves how.
//!
//! A YAML file maps image patterns to settings ([`Behaviour`]). A pattern is a name as people write it, with or without a tag, where
//! `*` stands for anything. All patterns that match an image apply, in the order of the file, the later over the earlier; the user's
//! file (`--image-catalogue`) comes after the built-in one. An image that nothing matches is an ordinary server that runs until it is stopped.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use serde::Deserialize;
use serde_yaml_ng::{Mapping, Value};

use super::behaviour::{ANNOTATION_PREFIX, Behaviour, InvalidSetting, RuntimeBehaviour};
use super::image_name::ImageName;

const BUILT_IN: &str = include_str!("../../catalogue.yaml");

/// Patterns and settings in the order in which they apply.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    entries: Vec<Entry>,
    /// How the runtime itself behaves.
    pub runtime: RuntimeBehaviour,
    /// Behaviours in use: thousands of pods of a few kinds share a few of them.
    shared: Arc<Mutex<HashMap<String, Weak<Behaviour>>>>,
}

#[derive(Clone, Debug)]
struct Entry {
    pattern: String,
    /// Keys and values, both already known to be valid.
    settings: Vec<(String, String)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    images: Mapping,
}

/// Why a catalogue cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// Not YAML, or not of the catalogue's form.
    #[error("not an image catalogue: {0}")]
    Form(#[from] serde_yaml_ng::Error),
    /// An entry's pattern or settings are not of the right form.
    #[error("image {image:?}: {problem}")]
    Entry {
        /// The entry's pattern.
        image: String,
        /// What is wrong with it.
        problem: String,
    },
    /// An entry says something impossible.
    #[error("image {image:?}: {source}")]
    Setting {
        /// The entry's pattern.
        image: String,
        /// The setting that is wrong.
        source: InvalidSetting,
    },
}

impl Catalogue {
    /// The catalogue in the box.
    pub fn built_in() -> Self {
        Self::default().with(BUILT_IN).expect("the built-in catalogue is checked by a test")
    }

    /// This catalogue followed by the entries of a YAML text.
    pub fn with(mut self, yaml: &str) -> Result<Self, CatalogueError> {
        let file: File = serde_yaml_ng::from_str(yaml)?;
        for (pattern, settings) in file.images {
            self.entries.push(Entry::read(pattern, settings)?);
        }
        Ok(self)
    }

    /// How an image behaves in a container of a pod with these annotations.
    ///
    /// # Errors
    /// The annotation that cannot be.
    pub fn of_container(
        &self,
        image: &str,
        annotations: &BTreeMap<String, String>,
        container: &str,
    ) -> Result<Arc<Behaviour>, InvalidSetting> {
        let mut key = format!("{image}\n{container}");
        for (name, value) in annotations.iter().filter(|(name, _)| name.starts_with(ANNOTATION_PREFIX)) {
            key.extend(["\0", name, "\0", value]);
        }
        if let Some(known) = self.shared.lock().get(&key).and_then(Weak::upgrade) {
            return Ok(known);
        }
        let mut behaviour = ImageName::parse(image).map(|name| self.behaviour(&name)).unwrap_or_default();
        behaviour.annotate(annotations, container)?;
        let behaviour = Arc::new(behaviour);
        let mut shared = self.shared.lock();
        if shared.len().is_power_of_two() {
            shared.retain(|_, behaviour| behaviour.strong_count() > 0);
        }
        shared.insert(key, Arc::downgrade(&behaviour));
        Ok(behaviour)
    }

    /// How an image behaves, before a pod's annotations.
    pub fn behaviour(&self, image: &ImageName) -> Behaviour {
        let familiar = image.familiar();
        let tagged = format!("{familiar}:{}", image.tag.as_deref().unwrap_or_default());
        let mut behaviour = Behaviour::default();
        for entry in &self.entries {
            if matches(&entry.pattern, &familiar) || matches(&entry.pattern, &tagged) {
                for (key, value) in &entry.settings {
                    behaviour.set(key, value).expect("settings were checked when the catalogue was read");
                }
            }
        }
        behaviour
    }
}

impl Entry {
    fn read(pattern: Value, settings: Value) -> Result<Self, CatalogueError> {
        let image = scalar(&pattern).unwrap_or_default();
        let wrong = |problem: String| CatalogueError::Entry { image: image.clone(), problem };
        let settings = match settings {
            Value::Mapping(settings) => settings,
            Value::Null => Mapping::new(),
            _ => return Err(wrong("expected settings such as `pull-time: 1s`".to_owned())),
        };
        let mut entry = Self { pattern: image.clone(), settings: Vec::new() };
        for (key, value) in settings {
            let key = scalar(&key).ok_or_else(|| wrong("a setting's name must be text".to_owned()))?;
            let between = if Behaviour::is_lines(&key) { "\n" } else { "," };
            let value =
                joined(&value, between).ok_or_else(|| wrong(format!("{key}: expected a single value or a list")))?;
            Behaviour::default()
                .set(&key, &value)
                .map_err(|source| CatalogueError::Setting { image: image.clone(), source })?;
            entry.settings.push((key, value));
        }
        Ok(entry)
    }
}

/// A value as the text that a setting takes.
fn joined(value: &Value, between: &str) -> Option<String> {
    match value {
        Value::Sequence(items) => items.iter().map(scalar).collect::<Option<Vec<_>>>().map(|items| items.join(between)),
        single => scalar(single),
    }
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

/// Whether `name` fits `pattern`, where each `*` stands for any run of characters.
fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn behaviour(catalogue: &Catalogue, image: &str) -> Behaviour {
        catalogue.behaviour(&ImageName::parse(image).unwrap())
    }

    #[test]
    fn containers_that_behave_alike_share_one_description() {
        let catalogue = Catalogue::built_in();
        let of = |annotations: &[(&str, &str)]| {
            let annotations = annotations.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            catalogue.of_container("nginx", &annotations, "main").unwrap()
        };
        let plain = of(&[("example.com/other", "1")]);
        assert!(Arc::ptr_eq(&plain, &of(&[("example.com/other", "2")])));
        let brief = of(&[("sim.traceplane.dev/run-for", "1s")]);
        assert!(!Arc::ptr_eq(&plain, &brief) && brief.run_for.is_some());
        drop((plain, brief));
        for second in 0..100 {
            of(&[("sim.traceplane.dev/run-for", &format!("{second}s"))]);
        }
        assert!(catalogue.shared.lock().len() < 70, "what nobody uses any more goes");
    }

    #[test]
    fn the_built_in_catalogue_is_valid_and_knows_the_usual_images() {
        let catalogue = Catalogue::built_in();
        assert_eq!(behaviour(&catalogue, "nginx").ports, Some(vec![80]));
        assert_eq!(behaviour(&catalogue, "nginx:1.27-alpine").ports, Some(vec![80]));
        assert_eq!(behaviour(&catalogue, "busybox:v1").command, ["sh"]);
        assert!(
            behaviour(&catalogue, "registry.invalid/app").pull_error.is_some(),
            "RFC 2606: .invalid resolves nowhere"
        );
        assert_eq!(behaviour(&catalogue, "example.com/anything"), Behaviour::default());
    }

    #[test]
    fn later_entries_win_over_earlier_ones() {
        let catalogue = Catalogue::default()
            .with("images: {'*': {pull-time: 1s, size: 1Mi}, 'nginx': {pull-time: 2s}, 'nginx:1.*': {pull-time: 3s}}")
            .unwrap();
        let pull = |image| behaviour(&catalogue, image).pull_time;
        assert_eq!(pull("redis"), Duration::from_secs(1));
        assert_eq!(pull("nginx:2"), Duration::from_secs(2));
        assert_eq!(pull("nginx:1.27"), Duration::from_secs(3));
        assert_eq!(behaviour(&catalogue, "nginx:1.27").size, 1 << 20);
    }

    #[test]
    fn a_wrong_catalogue_names_the_image_and_the_setting() {
        let problem = |yaml| Catalogue::default().with(yaml).unwrap_err().to_string();
        assert!(
            problem("images: {nginx: {run-fro: 1s}}").starts_with("image \"nginx\": run-fro: there is no such setting")
        );
        assert!(problem("images: {nginx: [1]}").contains("expected settings"));
        assert!(problem("imagse: {}").contains("imagse"));
    }

    #[test]
    fn stars_stand_for_anything() {
        for (pattern, name, expected) in [
            ("nginx", "nginx", true),
            ("nginx", "nginx:1", false),
            ("*", "", true),
            ("*.invalid/*", "registry.invalid/a", true),
            ("*.invalid/*", "registry.valid/a", false),
            ("a*b*c", "aXbYc", true),
            ("a*b*c", "aXcYb", false),
            ("ab*ba", "aba", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }
}
