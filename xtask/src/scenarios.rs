//! Which tests prove which scenarios of a pod's life on its node.
//!
//! A test proves a scenario by naming its id: at the beginning of its own name (`d6_d8_a_hook_that ...`) or in its documentation (`/// D6, D8.`).
//! Ids elsewhere (comments, messages) prove nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// What a kubelet must show: creating (C), deleting (D), init containers (I), hooks (H), probes (P), states (S), nodes (N).
pub(crate) fn ids() -> impl Iterator<Item = String> {
    let ranges = [("C", 5..=6), ("D", 1..=13), ("I", 1..=8), ("H", 1..=5), ("P", 1..=4), ("S", 1..=4), ("N", 1..=1)];
    ranges.into_iter().flat_map(|(letter, numbers)| numbers.map(move |number| format!("{letter}{number}")))
}

/// The names of tests by the ids that they prove.
pub(crate) fn proofs(root: &Path) -> anyhow::Result<BTreeMap<String, BTreeSet<String>>> {
    let mut found = BTreeMap::new();
    for folder in ["cli", "crates", "services", "tests"] {
        read_folder(&root.join(folder), &mut found)?;
    }
    Ok(found)
}

fn read_folder(folder: &Path, found: &mut BTreeMap<String, BTreeSet<String>>) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "target") {
                read_folder(&path, found)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            for (id, test) in read(&std::fs::read_to_string(&path)?) {
                found.entry(id).or_default().insert(test);
            }
        }
    }
    Ok(())
}

/// The ids that the tests of a source file name, each with the test.
fn read(source: &str) -> Vec<(String, String)> {
    let (mut told, mut is_test) = (Vec::new(), false);
    let mut found = Vec::new();
    for line in source.lines().map(str::trim) {
        if let Some(doc) = line.strip_prefix("///") {
            told.extend(doc.split(|c: char| !c.is_alphanumeric()).filter(|word| is_id(word)).map(str::to_owned));
        } else if line.starts_with("#[") {
            is_test |= line.contains("test");
        } else {
            let name =
                line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ").and_then(|rest| rest.split('(').next());
            if let Some(name) = name.filter(|_| is_test) {
                told.extend(name.split('_').map(str::to_uppercase).take_while(|word| is_id(word)));
                found.extend(told.drain(..).map(|id| (id, name.to_owned())));
            }
            (told, is_test) = (Vec::new(), false);
        }
    }
    found
}

fn is_id(word: &str) -> bool {
    let mut letters = word.chars();
    letters.next().is_some_and(|first| first.is_ascii_uppercase())
        && !letters.as_str().is_empty()
        && letters.all(|letter| letter.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_of_a_pods_life_on_its_node_has_a_test_that_names_it() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace");
        let proofs = proofs(root).expect("the sources can be read");
        let missing: Vec<String> = ids().filter(|id| !proofs.contains_key(id)).collect();
        assert!(missing.is_empty(), "no test names {missing:?}; what there is: {proofs:#?}");
    }

    #[test]
    fn a_test_names_ids_in_its_name_or_its_documentation() {
        let source = "/// D6: and D8.\n#[tokio::test]\nasync fn a_hook() {\n // H4\n}\n#[test]\nfn i1_i2_in_order() {}\n\
                      /// P1\nfn helper() {}\n#[test]\nfn plain() {}\n";
        let found = read(source);
        let found: Vec<(&str, &str)> = found.iter().map(|(id, test)| (id.as_str(), test.as_str())).collect();
        assert_eq!(found, [("D6", "a_hook"), ("D8", "a_hook"), ("I1", "i1_i2_in_order"), ("I2", "i1_i2_in_order")]);
    }
}
