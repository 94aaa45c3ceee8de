//! The console: takes OpenTelemetry traces in and answers Jaeger's query API.
pub mod store;
