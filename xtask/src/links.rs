//! Do the links of the project's pages lead somewhere?
//!
//! Looks at links to files of the project, `[text](path)` and `[text](path#heading)`, in every page that git knows. Addresses of
//! the web are not tried: a check must not depend on somebody else's server.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::shell::{quiet, root};

/// The links that lead nowhere, as `page: target`.
pub(crate) fn broken() -> Result<Vec<String>> {
    let pages = quiet(Command::new("git").args(["ls-files", "--cached", "--others", "--exclude-standard", "*.md"]))?;
    let mut found = Vec::new();
    for page in pages.lines().filter(|page| root().join(page).is_file()) {
        let text = std::fs::read_to_string(root().join(page))?;
        let folder = root().join(page);
        let folder = folder.parent().expect("a page is in a folder");
        found.extend(targets(&text).filter(|to| !leads_somewhere(folder, &text, to)).map(|to| format!("{page}: {to}")));
    }
    Ok(found)
}

/// What the page links to, without the web.
fn targets(text: &str) -> impl Iterator<Item = &str> {
    prose(text).flat_map(|line| {
        let after = line.split("](").skip(1);
        after.filter_map(|rest| rest.split_once(')')).map(|(target, _)| target).filter(|to| !to.contains("://"))
    })
}

fn leads_somewhere(folder: &Path, page: &str, target: &str) -> bool {
    let (path, heading) = target.split_once('#').map_or((target, None), |(path, heading)| (path, Some(heading)));
    let file = folder.join(path);
    let has = |text: &str, wanted: &str| headings(text).any(|heading| heading == wanted);
    match heading {
        None => file.exists(),
        Some(wanted) if path.is_empty() => has(page, wanted),
        Some(wanted) => std::fs::read_to_string(file).is_ok_and(|text| has(&text, wanted)),
    }
}

/// The names that GitHub gives to headings: lower case, spaces to dashes, other punctuation dropped.
fn headings(text: &str) -> impl Iterator<Item = String> {
    prose(text).filter(|line| line.starts_with('#')).map(|line| {
        let title = line.trim_start_matches('#').trim().to_lowercase();
        title.replace(' ', "-").chars().filter(|c| c.is_alphanumeric() || "-_".contains(*c)).collect()
    })
}

/// The lines outside of code blocks.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut code = false;
    text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        code ^= fence;
        !code && !fence
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_link_of_the_pages_leads_somewhere() {
        assert_eq!(broken().unwrap(), Vec::<String>::new());
    }

    #[test]
    fn links_in_code_and_to_the_web_are_left_alone() {
        let page = "[a](one.md), [b](two.md#x)\n```\n[c](three.md)\n```\n[d](https://example.org/)";
        assert_eq!(targets(page).collect::<Vec<_>>(), ["one.md", "two.md#x"]);
    }

    #[test]
    fn a_link_needs_its_file_and_its_heading() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("other.md"), "# Life of a `pod`\n").unwrap();
        let page = "## Here & now\n";
        for (target, found) in [
            ("other.md", true),
            ("other.md#life-of-a-pod", true),
            ("#here--now", true),
            ("missing.md", false),
            ("other.md#death-of-a-pod", false),
            ("#there", false),
        ] {
            assert_eq!(leads_somewhere(folder.path(), page, target), found, "{target}");
        }
    }
}
