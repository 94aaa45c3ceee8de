//! Log files as a runtime writes them and a kubelet reads them.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};

use futures::StreamExt;
use tokio::sync::oneshot;

use super::*;
use crate::runtime::{Lines, LogOptions};

fn second(n: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + n).unwrap()
}

fn append(path: &Path, at: i64, complete: bool, text: &str) {
    let mut record = Vec::new();
    encode(&mut record, second(at), LogStream::Stdout, complete, text.as_bytes());
    OpenOptions::new().create(true).append(true).open(path).unwrap().write_all(&record).unwrap();
}

fn log(lines: i64) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("0.log");
    for line in 0..lines {
        append(&path, line, true, &format!("line {line}"));
    }
    (folder, path)
}

async fn texts(lines: Lines) -> Vec<String> {
    lines.map(|line| String::from_utf8(line.unwrap().content.to_vec()).unwrap()).collect().await
}

async fn next(lines: &mut Lines) -> String {
    String::from_utf8(lines.next().await.unwrap().unwrap().content.to_vec()).unwrap()
}

#[test]
fn records_are_written_and_read_as_cri_says() {
    let mut out = Vec::new();
    encode(&mut out, "2026-01-02T03:04:05.6Z".parse().unwrap(), LogStream::Stderr, true, b"a  b");
    assert_eq!(String::from_utf8(out).unwrap(), "2026-01-02T03:04:05.600000000Z stderr F a  b\n");

    let line = decode(b"2016-10-06T00:17:09.669794202Z stdout P:other text").unwrap();
    assert_eq!((line.stream, &line.content[..]), (LogStream::Stdout, &b"text"[..]), "a part has no newline");
    assert_eq!(&decode(b"2016-10-06T00:17:09Z stdout F ").unwrap().content[..], b"\n");
    for broken in ["", "x stdout F a", "2016-10-06T00:17:09Z stdin F a", "2016-10-06T00:17:09Z stdout"] {
        assert_eq!(decode(broken.as_bytes()), None, "{broken}");
    }
}

#[test]
fn lines_are_cut_into_records_however_they_arrive() {
    /// What is printed, piece by piece, and the records that it becomes.
    type Case<'a> = (&'a [&'a str], &'a [(bool, &'a str)]);
    let long = "x".repeat(RECORD_BYTES);
    let cases: [Case<'_>; 6] = [
        (&["a\nb\n"], &[(true, "a"), (true, "b")]),
        (&["a", "b", "\n\n"], &[(true, "ab"), (true, "")]),
        (&["no newline"], &[(false, "no newline")]),
        (&[&long, "\n"], &[(true, &long)]),
        (&[&long, "y\n"], &[(false, &long), (true, "y")]),
        (&[&format!("{long}{long}z\n")], &[(false, &long), (false, &long), (true, "z")]),
    ];
    for (pieces, expected) in cases {
        let mut splitter = Splitter::default();
        let mut records = Vec::new();
        let mut record = |complete, text: &[u8]| records.push((complete, String::from_utf8(text.to_vec()).unwrap()));
        pieces.iter().for_each(|piece| splitter.take(piece.as_bytes(), &mut record));
        splitter.finish(&mut record);
        let expected: Vec<_> = expected.iter().map(|(complete, text)| (*complete, (*text).to_owned())).collect();
        assert!(records == expected, "{} pieces", pieces.len());
    }
}

#[tokio::test]
async fn a_tail_is_found_from_the_end_and_since_by_time() {
    let (_folder, path) = log(10_000);
    let read = async |options| texts(read(path.clone(), options, std::future::ready(())).await.unwrap()).await;
    let options = LogOptions::default();
    assert_eq!(read(options).await.len(), 10_000);
    for (tail, count) in [(0, 0), (1, 1), (2_500, 2_500), (10_000, 10_000), (20_000, 10_000)] {
        let lines = read(LogOptions { tail: Some(tail), ..options }).await;
        assert_eq!(lines.len(), count, "tail {tail}");
        assert_eq!(lines.last().map(String::as_str), (count > 0).then_some("line 9999\n"));
    }
    assert_eq!(read(LogOptions { since: Some(second(9_998)), ..options }).await, ["line 9998\n", "line 9999\n"]);
    assert_eq!(read(LogOptions { since: Some(second(9_998)), tail: Some(1), ..options }).await, ["line 9999\n"]);
    let missing = super::read(path.with_extension("none"), options, std::future::ready(())).await;
    assert!(missing.err().unwrap().is_not_found());
}

#[tokio::test]
async fn a_follower_sees_what_is_added_across_a_rotation_and_ends_with_the_container() {
    let (_folder, path) = log(3);
    let (end, ended) = oneshot::channel::<()>();
    let options = LogOptions { tail: Some(1), follow: true, since: None };
    let ended = async move { drop(ended.await) };
    let mut lines = read(path.clone(), options, ended).await.unwrap();
    assert_eq!(next(&mut lines).await, "line 2\n");
    append(&path, 3, true, "more");
    assert_eq!(next(&mut lines).await, "more\n");

    let rotated = path.with_extension("log.20260102-030405");
    fs::rename(&path, &rotated).unwrap();
    append(&rotated, 4, true, "still to the old one");
    append(&path, 5, false, "to the ");
    append(&path, 6, true, "new one");
    assert_eq!(next(&mut lines).await, "still to the old one\n");
    assert_eq!(next(&mut lines).await + &next(&mut lines).await, "to the new one\n");

    append(&path, 7, true, "last words");
    end.send(()).unwrap();
    assert_eq!(texts(lines).await, ["last words\n"]);
}

#[tokio::test]
async fn last_lines_are_limited_by_lines_and_by_bytes() {
    let (_folder, path) = log(100);
    assert_eq!(last_lines(&path, 2, 100).await.unwrap(), "line 98\nline 99\n");
    assert_eq!(last_lines(&path, 80, 10).await.unwrap(), "8\nline 99\n");
}
