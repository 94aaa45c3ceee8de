//! `tpctl create configmap` and `tpctl create secret generic`: keys with values, from the command line or from files.

use anyhow::{Context, Result, bail};
use api::core::v1::{ConfigMap, Secret};
use clap::Args;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Flags of `tpctl create configmap`.
#[derive(Debug, Args)]
pub(crate) struct ConfigMapArgs {
    /// Its name.
    name: String,
    #[command(flatten)]
    from: Sources,
}

/// Flags of `tpctl create secret generic`.
#[derive(Debug, Args)]
pub(crate) struct SecretArgs {
    /// Its name.
    name: String,
    #[command(flatten)]
    from: Sources,
    /// Its type; "Opaque" by default.
    #[arg(long, value_name = "TYPE", default_value = "")]
    r#type: String,
}

/// Where keys and values come from.
#[derive(Debug, Default, Args)]
struct Sources {
    /// A key and its value; may be given several times.
    #[arg(long, value_name = "KEY=VALUE")]
    from_literal: Vec<String>,
    /// A file whose content is the value; its name, or KEY, is the key. May be given several times.
    #[arg(long, value_name = "[KEY=]FILE")]
    from_file: Vec<String>,
}

impl Sources {
    fn read(&self) -> Result<BTreeMap<String, Vec<u8>>> {
        let mut found = BTreeMap::new();
        let mut add = |key: &str, value: Vec<u8>| match found.insert(key.to_owned(), value) {
            None => Ok(()),
            Some(_) => bail!("cannot add key {key:?}, another key by that name already exists"),
        };
        for literal in &self.from_literal {
            let Some((key, value)) = literal.split_once('=').filter(|(key, _)| !key.is_empty()) else {
                bail!("invalid literal source {literal:?}, expected key=value");
            };
            add(key, value.as_bytes().to_vec())?;
        }
        for source in &self.from_file {
            let (key, path) = source.split_once('=').unwrap_or(("", source));
            let name = Path::new(path).file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let content = fs::read(path).with_context(|| format!("cannot read {path}"))?;
            add(if key.is_empty() { &name } else { key }, content)?;
        }
        Ok(found)
    }
}

impl ConfigMapArgs {
    /// The object. What is not text goes to its binary part.
    pub(super) fn config_map(&self) -> Result<ConfigMap> {
        let mut made = ConfigMap::default();
        made.metadata.name.clone_from(&self.name);
        for (key, value) in self.from.read()? {
            match String::from_utf8(value) {
                Ok(text) => _ = made.data.insert(key, text),
                Err(other) => _ = made.binary_data.insert(key, other.into_bytes()),
            }
        }
        Ok(made)
    }
}

impl SecretArgs {
    /// The object.
    pub(super) fn secret(&self) -> Result<Secret> {
        let mut made = Secret { data: self.from.read()?, r#type: self.r#type.clone(), ..Secret::default() };
        made.metadata.name.clone_from(&self.name);
        Ok(made)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_from_literals_and_files_and_are_there_once() {
        let file = std::env::temp_dir().join(format!("tpctl-config-{}", std::process::id()));
        fs::write(&file, [0xff, 0x00]).unwrap();
        let from = Sources {
            from_literal: vec!["a=1".into(), "b=x=y".into()],
            from_file: vec![format!("bin={}", file.display())],
        };
        let made = ConfigMapArgs { name: "c".into(), from }.config_map().unwrap();
        fs::remove_file(&file).unwrap();
        assert_eq!(made.data, BTreeMap::from([("a".into(), "1".into()), ("b".into(), "x=y".into())]));
        assert_eq!(made.binary_data["bin"], [0xff, 0x00]);
        for literals in [vec!["a".to_owned()], vec!["=1".to_owned()], vec!["a=1".to_owned(), "a=2".to_owned()]] {
            assert!(Sources { from_literal: literals, ..Sources::default() }.read().is_err());
        }
    }
}
