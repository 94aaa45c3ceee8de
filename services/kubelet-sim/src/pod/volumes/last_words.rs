//! What a container has said at its end: the file at its `terminationMessagePath`, or, if the spec wants it so and the container failed
//! without a word there, the end of its log. <https://kubernetes.io/docs/tasks/debug/debug-application/determine-reason-pod-failure/>.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use crate::cri;

/// How much of the file is shown, in bytes.
const MESSAGE: u64 = 4_096;
/// How much of the log is shown.
const LOG_BYTES: usize = 2_048;
const LOG_LINES: usize = 80;
/// How much of the log's end is read to find that: its records have a time each, and long lines are cut into several.
const LOG_READ: u64 = 64 * 1_024;

/// Completes the status of a container that has exited, if the file of its last words is on this machine. Reads little, and only of files
/// that were just written.
pub(in crate::pod) fn complete(status: &mut cri::ContainerStatus, file: &Path) {
    let policy = status.annotations.get("io.kubernetes.container.terminationMessagePolicy").map(String::as_str);
    let from_log = policy == Some("FallbackToLogsOnError") && status.exit_code != 0;
    let mut words = read_at_most(file).unwrap_or_default();
    if words.is_empty() && from_log && !status.log_path.is_empty() {
        words = log_end(Path::new(&status.log_path)).unwrap_or_default();
    }
    if !words.is_empty() {
        let separator = if status.message.is_empty() { "" } else { ": " };
        status.message.push_str(&format!("{separator}{words}"));
    }
}

fn read_at_most(file: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    let mut file = File::open(file)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(MESSAGE)))?;
    file.take(MESSAGE).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn log_end(file: &Path) -> io::Result<String> {
    let mut file = File::open(file)?;
    let length = file.metadata()?.len();
    let start = length.saturating_sub(LOG_READ);
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(LOG_READ).read_to_end(&mut bytes)?;
    let mut text = String::from_utf8_lossy(&bytes).into_owned();
    if start > 0 {
        text.drain(..=text.find('\n').unwrap_or(text.len().saturating_sub(1)));
    }
    let mut shown = String::new();
    for record in text.lines() {
        // <time> <stream> <P or F> <what was printed>
        let mut fields = record.splitn(4, ' ');
        let (Some(_), Some(_), Some(tag)) = (fields.next(), fields.next(), fields.next()) else { continue };
        shown.push_str(fields.next().unwrap_or_default());
        if tag.starts_with('F') {
            shown.push('\n');
        }
    }
    let lines = shown.lines().count();
    let mut shown: String = shown.split_inclusive('\n').skip(lines.saturating_sub(LOG_LINES)).collect();
    let mut from = shown.len().saturating_sub(LOG_BYTES);
    while !shown.is_char_boundary(from) {
        from += 1;
    }
    Ok(shown.split_off(from))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exited(code: i32, policy: &str, log: &Path) -> cri::ContainerStatus {
        let policy = ("io.kubernetes.container.terminationMessagePolicy".to_owned(), policy.to_owned());
        cri::ContainerStatus {
            exit_code: code,
            annotations: [policy].into(),
            log_path: log.display().to_string(),
            ..Default::default()
        }
    }

    #[test]
    fn the_file_counts_and_the_log_only_for_a_silent_failure() {
        let folder = tempfile::tempdir().unwrap();
        let (file, empty, log) = (folder.path().join("f"), folder.path().join("e"), folder.path().join("l"));
        std::fs::write(&file, "out of cheese").unwrap();
        std::fs::write(&empty, "").unwrap();
        let record =
            "2026-01-01T00:00:00Z stdout F one\n2026-01-01T00:00:00Z stderr P tw\n2026-01-01T00:00:00Z stderr F o\n";
        std::fs::write(&log, record).unwrap();
        for (code, policy, words, expected) in [
            (1, "File", &file, "out of cheese"),
            (1, "FallbackToLogsOnError", &file, "out of cheese"),
            (1, "File", &empty, ""),
            (0, "FallbackToLogsOnError", &empty, ""),
            (1, "FallbackToLogsOnError", &empty, "one\ntwo\n"),
        ] {
            let mut status = exited(code, policy, &log);
            complete(&mut status, words);
            assert_eq!(status.message, expected, "{code} {policy}");
        }
    }

    #[test]
    fn long_words_are_cut_at_their_beginning() {
        let folder = tempfile::tempdir().unwrap();
        let (file, log) = (folder.path().join("f"), folder.path().join("l"));
        std::fs::write(&file, format!("{}end", "x".repeat(5_000))).unwrap();
        let words = read_at_most(&file).unwrap();
        assert!(words.len() == 4_096 && words.ends_with("end"));
        let records: String = (0..5_000).map(|n| format!("2026-01-01T00:00:00Z stdout F line {n}\n")).collect();
        std::fs::write(&log, records).unwrap();
        let shown = log_end(&log).unwrap();
        assert!(
            shown.lines().count() == 80 && shown.ends_with("line 4999\n") && shown.starts_with("line 4920\n"),
            "{shown}"
        );
    }
}
