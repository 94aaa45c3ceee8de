//! Events.

use super::{Column, Columns, column, wide};
use crate::print::age;
use api::core::v1::Event;
use jiff::Timestamp;

impl Columns for Event {
    const COLUMNS: &'static [Column] = &[
        column("LAST SEEN"),
        column("TYPE"),
        column("REASON"),
        column("OBJECT"),
        wide("SUBOBJECT"),
        wide("SOURCE"),
        column("MESSAGE"),
        wide("FIRST SEEN"),
        wide("COUNT"),
        wide("NAME"),
    ];

    fn cells(&self, now: Timestamp) -> Vec<String> {
        let ago = |time: Option<Timestamp>| {
            time.map_or(age::UNKNOWN.to_owned(), |time| age::duration(now.duration_since(time)))
        };
        vec![
            ago(last_seen(self)),
            self.r#type.clone(),
            self.reason.clone(),
            object(self),
            self.involved_object.field_path.clone(),
            source(self),
            self.message.trim().to_owned(),
            ago(first_seen(self)),
            count(self).to_string(),
            self.metadata.name.clone(),
        ]
    }
}

/// When it happened first.
pub(crate) fn first_seen(event: &Event) -> Option<Timestamp> {
    let first = event.first_timestamp.as_ref().and_then(|time| time.timestamp());
    first.or_else(|| event.event_time.as_ref().and_then(|time| time.timestamp()))
}

/// When it happened last.
pub(crate) fn last_seen(event: &Event) -> Option<Timestamp> {
    let series = event.series.as_ref().and_then(|series| series.last_observed_time?.timestamp());
    let last = event.last_timestamp.as_ref().and_then(|time| time.timestamp());
    series.or(last).or_else(|| first_seen(event))
}

/// How often it happened.
pub(crate) fn count(event: &Event) -> i32 {
    event.series.as_ref().map_or(event.count, |series| series.count).max(1)
}

/// `pod/web`.
pub(crate) fn object(event: &Event) -> String {
    format!("{}/{}", event.involved_object.kind.to_ascii_lowercase(), event.involved_object.name)
}

/// `kubelet, node-1`.
fn source(event: &Event) -> String {
    let component =
        if event.source.component.is_empty() { &event.reporting_component } else { &event.source.component };
    let host = if event.source.host.is_empty() { &event.reporting_instance } else { &event.source.host };
    if host.is_empty() { component.clone() } else { format!("{component}, {host}") }
}

/// By the time of the last occurrence. Times are whole seconds, so within one those that happened once follow the nanosecond that their
/// names end in, for several components write side by side; then come repetitions, in the order in which they were written.
pub(crate) fn sort(events: &mut [Event]) {
    events.sort_by_key(|event| {
        let revision: u64 = event.metadata.resource_version.parse().unwrap_or_default();
        (last_seen(event).map(Timestamp::as_second), happened_once(event).unwrap_or(i128::MAX), revision)
    });
}

/// The nanosecond of an event that has not been repeated, as client-go (and our recorder) puts it into the name.
fn happened_once(event: &Event) -> Option<i128> {
    let (_, hex) = event.metadata.name.rsplit_once('.').filter(|_| count(event) == 1)?;
    let nanos = i128::from_str_radix(hex, 16).ok()?;
    let second = Timestamp::from_nanosecond(nanos).ok()?.as_second();
    (first_seen(event)?.as_second() == second).then_some(nanos)
}

/// `5s`, `5s (x3 over 2m)`.
pub(crate) fn interval(event: &Event, now: Timestamp) -> String {
    let ago = |time: Option<Timestamp>| time.map_or(age::UNKNOWN.to_owned(), |t| age::duration(now.duration_since(t)));
    match count(event) {
        1 => ago(first_seen(event).or_else(|| last_seen(event))),
        count => format!("{} (x{count} over {})", ago(last_seen(event)), ago(first_seen(event))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_row_says_who_saw_what_and_when() {
        let event: Event = serde_json::from_value(json!({
            "metadata": { "name": "web.1" },
            "involvedObject": { "kind": "Pod", "name": "web", "fieldPath": "spec.containers{main}" },
            "type": "Normal", "reason": "Started", "message": "Started container main\n", "count": 2,
            "source": { "component": "kubelet", "host": "node-1" },
            "firstTimestamp": "1970-01-01T00:00:10Z", "lastTimestamp": "1970-01-01T00:01:07Z",
        }))
        .unwrap();
        assert_eq!(
            event.cells(Timestamp::from_second(70).unwrap()),
            [
                "3s",
                "Normal",
                "Started",
                "pod/web",
                "spec.containers{main}",
                "kubelet, node-1",
                "Started container main",
                "60s",
                "2",
                "web.1"
            ]
        );
    }

    fn event(name: &str, revision: &str, first: i64, last: i64, count: i32) -> Event {
        let at = |second: i64| Timestamp::from_second(second).unwrap().to_string();
        serde_json::from_value(json!({ "metadata": { "name": name, "resourceVersion": revision }, "count": count,
            "firstTimestamp": at(first), "lastTimestamp": at(last) }))
        .unwrap()
    }

    #[test]
    fn events_are_in_the_order_in_which_they_happened() {
        let mut events = vec![event("c", "12", 5, 5, 1), event("b", "9", 5, 5, 1), event("a", "20", 1, 2, 3)];
        sort(&mut events);
        assert_eq!(events.iter().map(|e| e.metadata.name.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
    }

    #[test]
    fn h5_events_of_one_second_are_in_the_order_in_which_they_happened_whoever_wrote_first() {
        let named = |nanos: i128| format!("web.{:x}", nanos);
        let second = 5_000_000_000;
        let mut events = vec![
            event("web.x", "3", 1, 5, 2),
            event(&named(second + 900), "9", 5, 5, 1),
            event(&named(second + 20), "10", 5, 5, 1),
            event(&named(second + 100), "8", 5, 5, 1),
            event("web.y", "2", 1, 5, 7),
            event(&named(second * 3), "1", 4, 4, 1),
        ];
        sort(&mut events);
        let revisions: Vec<_> = events.iter().map(|event| event.metadata.resource_version.as_str()).collect();
        assert_eq!(revisions, ["1", "10", "8", "9", "2", "3"]);
    }

    #[test]
    fn repetitions_say_how_often_and_since_when() {
        let now = Timestamp::from_second(60).unwrap();
        assert_eq!(interval(&event("a", "1", 55, 55, 1), now), "5s");
        assert_eq!(interval(&event("a", "1", 10, 55, 4), now), "5s (x4 over 50s)");
    }
}
