//! How much the watch caches hold and serve, read from them at each scrape.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::cache::Cache;
use crate::registry::Storage;

/// The gauges of all resources.
pub struct StorageMetrics(pub Storage);

impl fmt::Debug for StorageMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StorageMetrics")
    }
}

impl Collector for StorageMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        self.gauge(&mut encoder, "apiserver_storage_objects", "Objects by resource", Cache::len)?;
        self.gauge(&mut encoder, "apiserver_storage_watchers", "Watches being served by resource", Cache::watchers)
    }
}

impl StorageMetrics {
    fn gauge(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        name: &str,
        help: &str,
        value: fn(&Cache) -> usize,
    ) -> Result<(), fmt::Error> {
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for cache in self.0.caches() {
            let labels = [("resource", cache.layout().kind.group_resource())];
            let value = i64::try_from(value(cache)).unwrap_or(i64::MAX);
            ConstGauge::new(value).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
