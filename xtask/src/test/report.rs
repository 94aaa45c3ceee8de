//! What happened, added up. Reads the words of cargo's test harness; knows nothing of how tests are run.

use std::fmt;

/// The sum of all parts.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// The result lines of cargo test, as they were printed.
    results: Vec<String>,
    passed: usize,
    failures: Vec<String>,
    /// What was not run, with the reason.
    skips: Vec<String>,
    /// Tests of the running binary that said themselves that they were not run.
    skipped_inside: usize,
    /// The test binary that runs at the moment.
    binary: String,
}

impl Report {
    /// Tests of a part that is not cargo's.
    pub(crate) fn pass(&mut self, count: usize) {
        self.passed += count;
    }

    pub(crate) fn fail(&mut self, what: impl Into<String>) {
        self.failures.push(what.into());
    }

    pub(crate) fn skip(&mut self, what: &str, why: impl fmt::Display) {
        println!("skipped: {why}");
        self.skips.push(format!("{what}: {why}"));
    }

    pub(crate) fn failed(&self) -> bool {
        !self.failures.is_empty()
    }

    /// Takes in a line that cargo test printed.
    pub(crate) fn see(&mut self, line: &str) {
        let line = line.trim();
        if let Some(running) = line.strip_prefix("Running ").or_else(|| line.strip_prefix("Doc-tests ")) {
            self.binary = running.split(" (").next().unwrap_or(running).to_owned();
            if let Some(path) = running.split_once("deps/") {
                // target/debug/deps/traceplane_api-0123456789abcdef
                let name = path.1.trim_end_matches(')');
                self.binary = name.rsplit_once('-').map_or(name, |(name, _)| name).to_owned();
            }
        } else if let Some((test, reason)) = line.strip_prefix("skipped ").and_then(|rest| rest.split_once(": ")) {
            // testkit::skip: the harness counts such a test among those that passed.
            self.skips.push(format!("{} {test}: {reason}", self.binary));
            self.skipped_inside += 1;
        } else if line.starts_with("test result: ") {
            self.results.push(line.to_owned());
            self.passed += count(line, "passed").saturating_sub(std::mem::take(&mut self.skipped_inside));
        } else if let Some((test, outcome)) = line.strip_prefix("test ").and_then(|rest| rest.split_once(" ... ")) {
            let named = format!("{} {test}", self.binary);
            if outcome == "FAILED" {
                self.failures.push(named);
            } else if let Some(reason) = outcome.strip_prefix("ignored") {
                self.skips.push(format!("{named}: {}", reason.strip_prefix(", ").unwrap_or("marked as ignored")));
            }
        }
    }
}

/// The number before a word of a result line.
fn count(line: &str, word: &str) -> usize {
    let before = line.split(';').find_map(|part| part.trim().strip_suffix(word)).unwrap_or("");
    before.split_whitespace().next_back().and_then(|number| number.parse().ok()).unwrap_or(0)
}

impl fmt::Display for Report {
    /// cargo's result lines, what was skipped, what failed, and one line that says it all.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.results.iter().try_for_each(|line| writeln!(f, "{line}"))?;
        for (title, lines) in [("skipped", &self.skips), ("failed", &self.failures)] {
            lines.iter().try_for_each(|line| writeln!(f, "{title}: {line}"))?;
        }
        writeln!(f, "{} passed, {} failed, {} skipped", self.passed, self.failures.len(), self.skips.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargos_lines_are_added_up_and_names_kept() {
        let mut report = Report::default();
        for line in [
            "     Running unittests src/lib.rs (target/debug/deps/traceplane_api-0a1b2c3d4e5f6a7b)",
            "test names::a_label_is_short ... ok",
            "test slow::one ... ignored, takes an hour",
            "skipped root::three: it needs root",
            "test root::three ... ok",
            "test wrong::two ... FAILED",
            "test result: FAILED. 2 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s",
            "   Doc-tests api",
            "test crates/api/src/lib.rs - (line 3) ... ok",
            "test result: ok. 41 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.20s",
        ] {
            report.see(line);
        }
        report.pass(2);
        assert!(report.failed());
        let printed = report.to_string();
        let last: Vec<&str> = printed.lines().skip(2).collect();
        let expected = [
            "skipped: traceplane_api slow::one: takes an hour",
            "skipped: traceplane_api root::three: it needs root",
            "failed: traceplane_api wrong::two",
            "44 passed, 1 failed, 2 skipped",
        ];
        assert_eq!(last, expected, "{printed}");
    }

    #[test]
    fn nothing_failed_unless_something_did() {
        let mut report = Report::default();
        report.skip("Python client", "no python3");
        assert!(!report.failed());
        assert_eq!(report.to_string(), "skipped: Python client: no python3\n0 passed, 0 failed, 1 skipped\n");
    }
}
