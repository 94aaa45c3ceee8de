//! Colours: one per service, and a few meanings. Without colours the same text.

use crate::trace::journey::Journey;
use std::collections::BTreeMap;

/// What a text means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    Title,
    Dim,
    Error,
}

/// The services that we know, each always in its colour.
const KNOWN: [(&str, &str); 5] =
    [("tpctl", "96"), ("apiserver", "94"), ("scheduler", "95"), ("controller-manager", "93"), ("kubelet", "92")];
/// For all others, in turn.
const OTHERS: [&str; 4] = ["36", "35", "33", "32"];

/// Paints text for the terminal, or leaves it alone.
#[derive(Debug)]
pub(super) struct Paint {
    is_on: bool,
    services: BTreeMap<String, &'static str>,
}

impl Paint {
    /// With a colour for each service of the journey.
    pub(super) fn new(is_on: bool, journey: &Journey) -> Paint {
        let is_known = |service: &&str| KNOWN.iter().any(|(known, _)| known == service);
        let mut services: BTreeMap<String, &'static str> =
            KNOWN.iter().map(|(service, colour)| ((*service).to_owned(), *colour)).collect();
        let others = journey.services().into_iter().filter(|service| !is_known(service));
        services.extend(others.zip(OTHERS.iter().cycle()).map(|(service, colour)| (service.to_owned(), *colour)));
        Paint { is_on, services }
    }

    #[cfg(test)]
    pub(super) fn plain() -> Paint {
        Paint { is_on: false, services: BTreeMap::new() }
    }

    /// Whether there are colours.
    pub(super) fn is_on(&self) -> bool {
        self.is_on
    }

    /// Text of a meaning.
    pub(super) fn text(&self, style: Style, text: &str) -> String {
        match style {
            Style::Plain => text.to_owned(),
            Style::Title => self.painted("1", text),
            Style::Dim => self.painted("2", text),
            Style::Error => self.painted("91", text),
        }
    }

    /// Text that belongs to a service.
    pub(super) fn service(&self, service: &str, text: &str) -> String {
        self.painted(self.services.get(service).copied().unwrap_or("39"), text)
    }

    fn painted(&self, code: &str, text: &str) -> String {
        if self.is_on && !text.trim().is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}
