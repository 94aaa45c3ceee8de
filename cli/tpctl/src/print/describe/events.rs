//! The table of events at the end of a description.

use super::writer::Writer;
use crate::print::columns::{NONE, event};
use api::core::v1::Event;
use jiff::Timestamp;

/// Adds the events, oldest first. Those about a part of the object, such as a container, name it in a column of their own.
pub(super) fn events(writer: &mut Writer, events: &[Event], now: Timestamp) {
    if events.is_empty() {
        writer.line(0, format!("Events:\t{NONE}"));
        return;
    }
    let mut sorted = events.to_vec();
    event::sort(&mut sorted);
    let with_parts = sorted.iter().any(|event| !event.involved_object.field_path.is_empty());
    let row = |cells: [&str; 5], part: &str| {
        let [kind, reason, age, from, message] = cells;
        if with_parts {
            format!("{kind}\t{reason}\t{age}\t{from}\t{part}\t{message}")
        } else {
            format!("{kind}\t{reason}\t{age}\t{from}\t{message}")
        }
    };
    writer.line(0, "Events:");
    writer.line(1, row(["Type", "Reason", "Age", "From", "Message"], "SubObject"));
    writer.line(1, row(["----", "------", "----", "----", "-------"], "---------"));
    for event in &sorted {
        let from = if event.source.component.is_empty() { &event.reporting_component } else { &event.source.component };
        let age = event::interval(event, now);
        let cells = [event.r#type.as_str(), &event.reason, &age, from, event.message.trim()];
        writer.line(1, row(cells, &event.involved_object.field_path));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn event(name: &str, second: i64, count: i32, field: &str) -> Event {
        let at = |second: i64| Timestamp::from_second(second).unwrap().to_string();
        serde_json::from_value(json!({
            "metadata": { "name": name }, "type": "Normal", "reason": name, "message": format!("{name} it\n"), "count": count,
            "source": { "component": "kubelet", "host": "node-1" }, "involvedObject": { "fieldPath": field },
            "firstTimestamp": at(second), "lastTimestamp": at(second + i64::from(count) - 1) }))
        .unwrap()
    }

    #[test]
    fn events_are_told_in_order_with_their_repetitions_and_the_part_they_are_about() {
        let mut writer = Writer::default();
        let all = [event("Started", 20, 4, "spec.containers{web}"), event("Scheduled", 10, 1, "")];
        events(&mut writer, &all, Timestamp::from_second(30).unwrap());
        assert_eq!(
            writer.finish(),
            "Events:\n\
             \x20 Type    Reason     Age               From     SubObject             Message\n\
             \x20 ----    ------     ----              ----     ---------             -------\n\
             \x20 Normal  Scheduled  20s               kubelet                        Scheduled it\n\
             \x20 Normal  Started    7s (x4 over 10s)  kubelet  spec.containers{web}  Started it\n"
        );
    }

    #[test]
    fn without_parts_there_is_no_column_for_them() {
        let mut writer = Writer::default();
        events(&mut writer, &[event("Scheduled", 10, 1, "")], Timestamp::from_second(30).unwrap());
        assert!(writer.finish().contains("Type    Reason     Age   From     Message\n"));
        let mut writer = Writer::default();
        events(&mut writer, &[], Timestamp::UNIX_EPOCH);
        assert_eq!(writer.finish(), "Events:  <none>\n");
    }
}
