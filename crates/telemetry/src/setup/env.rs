//! The standard variables of OpenTelemetry that the SDK does not read for us, read once.
//!
//! The SDK itself reads the sampler (`OTEL_TRACES_SAMPLER`, `_ARG`) and the span limits; the exporter reads headers, timeout and
//! compression (`OTEL_EXPORTER_OTLP_*`).

use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use opentelemetry::{Key, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::{EnvResourceDetector, ResourceDetector, TelemetryResourceDetector};

use super::{InitError, TelemetryConfig};
use crate::attr;

const DEFAULT_ENDPOINT: &str = "http://localhost:4317";

/// How the queue collects spans: `OTEL_BSP_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Batch {
    /// Spans that wait at most; more are dropped. 1,000 pods created at once make some 40,000 in one process.
    pub(super) queue: usize,
    /// Spans in one export.
    pub(super) size: usize,
    /// How long a span waits for company. Short: people look at the trace right after the command.
    pub(super) delay: Duration,
    /// How long one export may take.
    pub(super) timeout: Duration,
}

impl Default for Batch {
    fn default() -> Self {
        Self { queue: 65_536, size: 512, delay: Duration::from_millis(200), timeout: Duration::from_secs(30) }
    }
}

/// The variables, validated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Environment {
    disabled: bool,
    endpoint: Option<String>,
    service_name: Option<String>,
    pub(super) batch: Batch,
}

impl Environment {
    /// Reads through `lookup`. An empty value counts as unset, as the specification says.
    pub(super) fn read(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, InitError> {
        let get = |name| lookup(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        let exporter = get("OTEL_TRACES_EXPORTER");
        let none = match exporter.as_deref() {
            None | Some("otlp") => false,
            Some("none") => true,
            Some(other) => return Err(setting("OTEL_TRACES_EXPORTER", other, "use otlp or none")),
        };
        for name in ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"] {
            if let Some(protocol) = get(name).filter(|protocol| protocol != "grpc") {
                return Err(setting(name, &protocol, "traces are exported by grpc only"));
            }
        }
        let defaults = Batch::default();
        let queue = number(&get, "OTEL_BSP_MAX_QUEUE_SIZE", defaults.queue)?.max(1);
        Ok(Self {
            disabled: none || get("OTEL_SDK_DISABLED").is_some_and(|it| it.eq_ignore_ascii_case("true")),
            endpoint: get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
                .or_else(|| get("OTEL_EXPORTER_OTLP_ENDPOINT"))
                .or_else(|| exporter.map(|_| DEFAULT_ENDPOINT.to_owned())),
            service_name: get("OTEL_SERVICE_NAME"),
            batch: Batch {
                queue,
                size: number(&get, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", defaults.size)?.clamp(1, queue),
                delay: millis(&get, "OTEL_BSP_SCHEDULE_DELAY", defaults.delay)?,
                timeout: millis(&get, "OTEL_BSP_EXPORT_TIMEOUT", defaults.timeout)?,
            },
        })
    }

    /// Where to export to, unless the SDK is disabled; `configured` wins over the variables.
    pub(super) fn endpoint(&self, configured: Option<&str>) -> Option<String> {
        (!self.disabled).then(|| configured.map(str::to_owned).or_else(|| self.endpoint.clone())).flatten()
    }

    /// What every span of the process says about its origin.
    pub(super) fn resource(&self, config: &TelemetryConfig) -> Resource {
        let from_env = EnvResourceDetector::new().detect();
        let unless_set = |key: &'static str, value: String| {
            from_env.get(&Key::new(key)).is_none().then(|| KeyValue::new(key, value))
        };
        let instance = config.instance.clone().unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
        let service = match &self.service_name {
            Some(name) => Some(KeyValue::new(attr::SERVICE_NAME, name.clone())),
            None => unless_set(attr::SERVICE_NAME, config.service.clone()),
        };
        let own = [
            service,
            unless_set(attr::SERVICE_INSTANCE_ID, instance),
            unless_set(attr::SERVICE_VERSION, config.version.to_owned()),
        ];
        Resource::builder_empty()
            .with_detectors(&[Box::new(TelemetryResourceDetector), Box::new(EnvResourceDetector::new())])
            .with_attributes(own.into_iter().flatten())
            .build()
    }
}

fn number<T>(get: &impl Fn(&'static str) -> Option<String>, name: &'static str, default: T) -> Result<T, InitError>
where
    T: FromStr<Err: Display>,
{
    match get(name) {
        None => Ok(default),
        Some(value) => value.parse().map_err(|error| setting(name, &value, &format!("{error}"))),
    }
}

fn millis(
    get: &impl Fn(&'static str) -> Option<String>,
    name: &'static str,
    default: Duration,
) -> Result<Duration, InitError> {
    let default = u64::try_from(default.as_millis()).unwrap_or(u64::MAX);
    number(get, name, default).map(Duration::from_millis)
}

fn setting(name: &'static str, value: &str, problem: &str) -> InitError {
    InitError::Setting { name, value: value.to_owned(), problem: problem.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Variables<'a> = &'a [(&'a str, &'a str)];

    fn read(variables: Variables<'_>) -> Result<Environment, InitError> {
        Environment::read(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn nothing_is_exported_unless_somebody_says_where_to() {
        let table: [(Variables<'_>, Option<&str>); 7] = [
            (&[], None),
            (&[("OTEL_EXPORTER_OTLP_ENDPOINT", "")], None),
            (&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a:1")], Some("http://a:1")),
            (
                &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a:1"), ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://b:2")],
                Some("http://b:2"),
            ),
            (&[("OTEL_TRACES_EXPORTER", "otlp")], Some(DEFAULT_ENDPOINT)),
            (&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a:1"), ("OTEL_SDK_DISABLED", "TRUE")], None),
            (&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a:1"), ("OTEL_TRACES_EXPORTER", "none")], None),
        ];
        for (variables, endpoint) in table {
            let environment = read(variables).expect("valid");
            assert_eq!(environment.endpoint(None).as_deref(), endpoint, "{variables:?}");
        }
    }

    #[test]
    fn the_batch_follows_the_standard_variables() {
        assert_eq!(read(&[]).expect("valid").batch, Batch::default());
        let batch = read(&[
            ("OTEL_BSP_MAX_QUEUE_SIZE", "100"),
            ("OTEL_BSP_SCHEDULE_DELAY", "5000"),
            ("OTEL_BSP_EXPORT_TIMEOUT", "1000"),
        ]);
        let expected = Batch { queue: 100, size: 100, delay: Duration::from_secs(5), timeout: Duration::from_secs(1) };
        assert_eq!(batch.expect("valid").batch, expected);
    }

    #[test]
    fn a_value_that_cannot_be_used_is_named() {
        let cases = [
            ("OTEL_BSP_MAX_QUEUE_SIZE", "many"),
            ("OTEL_TRACES_EXPORTER", "zipkin"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
        ];
        for (name, value) in cases {
            let message = read(&[(name, value)]).expect_err("refused").to_string();
            assert!(message.contains(name) && message.contains(value), "{message}");
        }
    }

    #[test]
    fn a_service_says_who_it_is_and_the_environment_may_rename_it() {
        let config = TelemetryConfig { instance: Some("node-1".into()), ..TelemetryConfig::new("kubelet") };
        let get = |environment: &Environment, key| environment.resource(&config).get(&Key::new(key));
        let plain = read(&[]).expect("valid");
        assert_eq!(get(&plain, attr::SERVICE_NAME), Some("kubelet".into()));
        assert_eq!(get(&plain, attr::SERVICE_INSTANCE_ID), Some("node-1".into()));
        let renamed = read(&[("OTEL_SERVICE_NAME", "mine")]).expect("valid");
        assert_eq!(get(&renamed, attr::SERVICE_NAME), Some("mine".into()));
    }
}
