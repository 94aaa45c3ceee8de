//! Events: reports that expire, selected by what they are about.

use api::core::v1::Event;
use api::field::ErrorList;
use api::validation;

use crate::registry::strategy::Strategy;

/// The rules of Events.
pub(crate) struct Events;

impl Strategy<Event> for Events {
    fn field_names(&self) -> &'static [&'static str] {
        &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        ]
    }

    fn fields(&self, event: &Event) -> Vec<(&'static str, String)> {
        let about = &event.involved_object;
        let source = match event.source.component.as_str() {
            "" => &event.reporting_component,
            component => component,
        };
        vec![
            ("involvedObject.kind", about.kind.clone()),
            ("involvedObject.namespace", about.namespace.clone()),
            ("involvedObject.name", about.name.clone()),
            ("involvedObject.uid", about.uid.clone()),
            ("involvedObject.apiVersion", about.api_version.clone()),
            ("involvedObject.resourceVersion", about.resource_version.clone()),
            ("involvedObject.fieldPath", about.field_path.clone()),
            ("reason", event.reason.clone()),
            ("reportingComponent", event.reporting_component.clone()),
            ("source", source.to_owned()),
            ("type", event.r#type.clone()),
        ]
    }

    fn records_trace(&self) -> bool {
        false
    }

    fn has_dependents(&self) -> bool {
        false
    }

    fn validate(&self, event: &Event) -> ErrorList {
        validation::event::create(event)
    }

    fn validate_update(&self, new: &Event, old: &Event) -> ErrorList {
        validation::event::update(new, old)
    }
}
