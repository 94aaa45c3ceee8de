//! Several journeys as a table.

use super::journey::Journey;
use super::waterfall::{short_name, time};
use crate::print::Table;
use jiff::Timestamp;

/// A row per journey, in their order.
pub(crate) fn list(journeys: &[Journey]) -> String {
    let mut table = Table::new();
    table.push(["START", "TOOK", "SPANS", "JOURNEY", "TRACE"]);
    for journey in journeys {
        let start = Timestamp::from_nanosecond(i128::from(journey.start())).unwrap_or_default();
        table.push([
            format!("{start:.3}"),
            time(journey.end() - journey.start()),
            journey.spans().len().to_string(),
            short_name(journey.title()).to_owned(),
            journey.trace_id().to_owned(),
        ]);
    }
    table.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::fixture::span;

    #[test]
    fn journeys_are_listed_newest_first_by_what_they_began_with() {
        let journeys = Journey::all(vec![
            span("a", "1", "", "tpctl", "tpctl apply", 1_000_000, 200_000_000),
            span("a", "2", "1", "kubelet", "sync pod", 2_000_000, 1_200_000_000),
            span("b", "3", "", "kubelet", "container failed", 7_000_000_000, 1_000_000),
        ]);
        let expected = "\
START                      TOOK    SPANS   JOURNEY            TRACE
1970-01-01T00:00:07.000Z   1.0ms   1       container failed   b
1970-01-01T00:00:00.001Z   1.20s   2       tpctl apply        a
";
        assert_eq!(list(&journeys), expected);
    }
}
