//! The query parameters of the HTTP gateway, read as Jaeger reads them. Pure.
//!
//! The names are camelCase; Jaeger's older snake_case names mean the same. Parameters that neither knows are ignored, so that a
//! reader of a newer Jaeger is answered; wrong values never are.

use std::collections::{BTreeMap, HashMap};

use jiff::{SignedDuration, Timestamp};

use super::{QueryError, check};
use crate::store::{AttributeMatch, TraceQuery};

/// The parameters of a request, by name.
pub(super) type Params = HashMap<String, String>;

/// How many traces are given when the query does not say (Jaeger's default).
pub(super) const DEFAULT_LIMIT: usize = 100;

/// Reads `query.*`, for a search.
pub(super) fn trace_query(params: &Params) -> Result<TraceQuery, QueryError> {
    let min = time(params, "query.startTimeMin", "query.start_time_min")?;
    let max = time(params, "query.startTimeMax", "query.start_time_max")?;
    let (Some(min), Some(max)) = (min, max) else {
        return Err(QueryError::Invalid("query.startTimeMin and query.startTimeMax are required".to_owned()));
    };
    if params.contains_key("query.filter") {
        return Err(QueryError::Invalid("query.filter is not supported; use query.attributes".to_owned()));
    }
    // Checked and without effect: spans are always given as they were received.
    raw_traces(params, "query.rawTraces", "query.raw_traces")?;
    check(TraceQuery {
        service: text(params, "query.serviceName", "query.service_name"),
        operation: text(params, "query.operationName", "query.operation_name"),
        attributes: attributes(params)?,
        duration_min: duration(params, "query.durationMin", "query.duration_min")?,
        duration_max: duration(params, "query.durationMax", "query.duration_max")?,
        limit: limit(params)?,
        ..TraceQuery::any(min, max)
    })
}

/// Checks the parameters of a request for one trace. All are hints that the console does not need.
pub(super) fn check_trace_hints(params: &Params) -> Result<(), QueryError> {
    time(params, "startTime", "start_time")?;
    time(params, "endTime", "end_time")?;
    raw_traces(params, "rawTraces", "raw_traces")
}

/// A parameter under its name or its older name; an empty one is none.
pub(super) fn find<'a>(params: &'a Params, name: &'static str, older: &'static str) -> Option<(&'static str, &'a str)> {
    [name, older].into_iter().find_map(|name| {
        let value = params.get(name).filter(|value| !value.is_empty())?;
        Some((name, value.as_str()))
    })
}

fn text(params: &Params, name: &'static str, older: &'static str) -> String {
    find(params, name, older).map_or_else(String::new, |(_, value)| value.to_owned())
}

fn time(params: &Params, name: &'static str, older: &'static str) -> Result<Option<u64>, QueryError> {
    parsed(params, name, older, |value| {
        let time: Timestamp = value.parse().map_err(|_| "takes a time such as 2025-01-31T12:00:00.5Z")?;
        // Before 1970 there are no spans, and after 2554 none that OTLP can express.
        Ok(u64::try_from(time.as_nanosecond().max(0)).unwrap_or(u64::MAX))
    })
}

fn duration(params: &Params, name: &'static str, older: &'static str) -> Result<Option<u64>, QueryError> {
    parsed(params, name, older, |value| {
        let duration: SignedDuration = value.parse().map_err(|_| TAKES_DURATION)?;
        u64::try_from(duration.as_nanos()).map_err(|_| TAKES_DURATION)
    })
}

const TAKES_DURATION: &str = "takes a duration such as 1.5s, 20ms or 1h10m";

fn raw_traces(params: &Params, name: &'static str, older: &'static str) -> Result<(), QueryError> {
    parsed(params, name, older, |value| match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(()),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(()),
        _ => Err("takes true or false"),
    })
    .map(|_| ())
}

fn limit(params: &Params) -> Result<usize, QueryError> {
    let read = |value: &str| match value.parse() {
        Ok(0) | Err(_) => Err("takes a number of traces, at least 1"),
        Ok(limit) => Ok(limit),
    };
    let limit = parsed(params, "query.searchDepth", "query.search_depth", read)?;
    let older = parsed(params, "query.numTraces", "query.num_traces", read)?;
    Ok(limit.or(older).unwrap_or(DEFAULT_LIMIT))
}

fn attributes(params: &Params) -> Result<Vec<AttributeMatch>, QueryError> {
    let name = "query.attributes";
    let json = parsed(params, name, name, |value| {
        serde_json::from_str::<BTreeMap<String, String>>(value)
            .map_err(|_| r#"takes a JSON object of texts such as {"k8s.pod.name":"web"}"#)
    })?;
    let entries = json.into_iter().flatten();
    entries.map(|(key, value)| AttributeMatch::parse(&key, &value).map_err(|error| invalid(name, &error))).collect()
}

fn parsed<T>(
    params: &Params,
    name: &'static str,
    older: &'static str,
    parse: impl FnOnce(&str) -> Result<T, &'static str>,
) -> Result<Option<T>, QueryError> {
    find(params, name, older)
        .map(|(name, value)| parse(value).map_err(|takes| invalid(name, &format!("{takes}, not {value:?}"))))
        .transpose()
}

fn invalid(name: &str, problem: &str) -> QueryError {
    QueryError::Invalid(format!("malformed parameter {name}: {problem}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIN: (&str, &str) = ("query.startTimeMin", "1970-01-01T00:00:01Z");
    const MAX: (&str, &str) = ("query.startTimeMax", "1970-01-01T00:00:02.5+00:00");

    fn read(params: &[(&str, &str)]) -> Result<TraceQuery, QueryError> {
        let pairs = params.iter().map(|(name, value)| (name.to_string(), value.to_string()));
        trace_query(&pairs.collect())
    }

    #[test]
    fn both_spellings_of_every_parameter_are_read() {
        let expected = TraceQuery {
            service: "apiserver".into(),
            operation: "etcd txn".into(),
            attributes: vec![
                AttributeMatch::Error(true),
                AttributeMatch::Anywhere("k8s.pod.name".into(), "web".into()),
            ],
            duration_min: Some(1_500_000_000),
            duration_max: Some(4_200_000_000_000),
            limit: 7,
            ..TraceQuery::any(1_000_000_000, 2_500_000_000)
        };
        let attributes = r#"{"k8s.pod.name":"web","error":"true"}"#;
        let camel = read(&[
            MIN,
            MAX,
            ("query.serviceName", "apiserver"),
            ("query.operationName", "etcd txn"),
            ("query.attributes", attributes),
            ("query.durationMin", "1.5s"),
            ("query.durationMax", "1h10m"),
            ("query.searchDepth", "7"),
            ("query.rawTraces", "true"),
            ("unknown", "ignored"),
        ]);
        assert_eq!(camel.as_ref(), Ok(&expected));
        let snake = read(&[
            ("query.start_time_min", MIN.1),
            ("query.start_time_max", MAX.1),
            ("query.service_name", "apiserver"),
            ("query.operation_name", "etcd txn"),
            ("query.attributes", attributes),
            ("query.duration_min", "1500ms"),
            ("query.duration_max", "70m"),
            ("query.num_traces", "7"),
            ("query.raw_traces", "0"),
        ]);
        assert_eq!(snake, camel);
    }

    #[test]
    fn what_is_not_said_asks_for_nothing() {
        let expected = TraceQuery::any(1_000_000_000, 2_500_000_000);
        assert_eq!(read(&[MIN, MAX, ("query.durationMin", "")]), Ok(expected));
    }

    #[test]
    fn a_wrong_value_is_refused_with_its_parameter() {
        let table = [
            ("query.startTimeMin", "yesterday"),
            ("query.startTimeMin", "1970-01-01T00:00:03Z"),
            ("query.startTimeMin", ""),
            ("query.durationMin", "10"),
            ("query.durationMax", "-1s"),
            ("query.searchDepth", "0"),
            ("query.num_traces", "-1"),
            ("query.attributes", r#"{"a":1}"#),
            ("query.attributes", r#"{"error":"maybe"}"#),
            ("query.rawTraces", "maybe"),
            ("query.filter", "{}"),
        ];
        for (name, value) in table {
            let mut params = vec![MIN, MAX];
            params.push((name, value));
            let Err(QueryError::Invalid(message)) = read(&params) else {
                panic!("{name}={value} was taken");
            };
            assert!(message.contains(name), "{message}");
        }
    }
}
