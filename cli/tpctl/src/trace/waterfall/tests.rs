use super::*;
use crate::trace::fixture::{self, span};
use crate::trace::span::Span;
use std::collections::BTreeSet;

fn shown(subject: &Subject, width: usize, colours: bool, all: bool) -> String {
    waterfall(&fixture::apply(), subject, Look { width, colours, all })
}

fn last() -> Subject {
    Subject::Last(None)
}

/// Without the first two lines, which are in the time zone of whoever looks.
fn body(text: &str) -> String {
    text.lines().skip(2).map(|line| format!("{line}\n")).collect()
}

#[test]
fn a_recorded_journey_looks_like_this() {
    let text = body(&shown(&last(), 132, false, false));
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/src/trace/fixture/apply.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(golden, &text).unwrap();
    }
    let expected = std::fs::read_to_string(golden).unwrap_or_default();
    assert!(text == expected, "it looks like this now (UPDATE_GOLDEN=1 accepts it):\n{text}");
}

#[test]
fn every_line_fits_whatever_the_width_and_no_colour_is_used_unasked() {
    for width in [60, 80, 100, 132, 200] {
        let text = shown(&last(), width, false, false);
        let longest = text.lines().skip(4).map(|line| line.chars().count()).max().unwrap();
        assert!(longest <= width || width == 60, "{longest} > {width}:\n{text}");
        assert!(!text.contains('\x1b'));
    }
    assert!(shown(&last(), 132, true, false).contains("\x1b[96mtpctl"));
}

#[test]
fn every_step_has_a_row_although_branches_are_folded() {
    let journey = fixture::apply();
    // Whichever branch is open.
    for subject in std::iter::once(last()).chain(pods(&journey)) {
        let text = shown(&subject, 132, false, false);
        let steps: BTreeSet<&str> = journey.spans().iter().filter_map(Span::step).collect();
        for step in steps {
            assert!(text.lines().any(|line| line.split(' ').next() == Some(step)), "{step} is missing in\n{text}");
        }
    }
}

/// The three pods of the journey.
fn pods(journey: &Journey) -> Vec<Subject> {
    let named: BTreeSet<String> = journey.spans().iter().filter_map(Span::object).collect();
    // A create request names the generated name's beginning only.
    let pods = named.into_iter().filter(|object| object.starts_with("pod/") && !object.ends_with('-'));
    pods.map(|pod| Subject::parse(&[pod], "default").unwrap()).collect()
}

#[test]
fn all_spans_have_a_row_if_asked_for() {
    let text = shown(&last(), 132, false, true);
    // Three lines of title, an empty one, the headings.
    assert_eq!(text.lines().count(), 5 + fixture::apply().spans().len());
}

#[test]
fn the_branch_that_was_asked_for_is_the_one_that_is_open() {
    let pods = pods(&fixture::apply());
    assert_eq!(pods.len(), 3);
    for pod in pods {
        let text = shown(&pod, 200, false, false);
        let name = pod.name().trim_start_matches("pod/").to_owned();
        assert!(text.contains(&format!("SchedulePod {name}")), "{name}:\n{text}");
        assert_eq!(text.matches("SchedulePod").count(), 1, "{text}");
    }
}

#[test]
fn what_failed_says_why_and_what_is_missing_is_said() {
    let mut failed = span("t", "2", "1", "apiserver", "etcd txn", 5, 10);
    failed.error = Some("ServiceUnavailable: etcd is away".into());
    let journey = Journey::all(vec![failed, span("t", "4", "3", "kubelet", "sync pod", 20, 10)]).remove(0);
    let text = waterfall(&journey, &last(), Look { width: 120, colours: false, all: false });
    assert!(text.contains("1 error\n") && text.contains("etcd txn · ServiceUnavailable: etcd is away"), "{text}");
    assert!(text.contains("The root has not arrived yet"), "{text}");
    assert!(text.contains("2 spans have a parent that has not arrived yet"), "{text}");
}

#[test]
fn times_take_at_most_seven_characters() {
    const US: i64 = 1_000;
    const MS: i64 = 1_000_000;
    const S: i64 = 1_000_000_000;
    for (nanoseconds, expected) in [
        (0, "0"),
        (400, "0µs"),
        (20 * US, "20µs"),
        (150 * US, "0.15ms"),
        (9_340 * US, "9.3ms"),
        (912 * MS, "912ms"),
        (1_840 * MS, "1.84s"),
        (23_400 * MS, "23.4s"),
        (125 * S, "2m05s"),
        (3_725 * S, "1h02m"),
    ] {
        assert_eq!(time(nanoseconds), expected);
    }
}
