//! Cluster IPs: who has which, safe over any number of apiservers.
//!
//! As in Kubernetes since 1.33, an address is taken by creating an object that is named after it (`IPAddress` of `networking.k8s.io/v1`),
//! so the store itself sees to it that nobody else gets it: there is no bitmap and no leader. An address is taken before its Service is
//! stored and given back after the Service is gone; what a crash leaves in between, [`repair`](ClusterIps::repair) puts right.
//!
//! `IPAddress` is not served as a kind of its own yet.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use api::Error;
use api::core::v1::Service;
use api::meta::v1::ObjectMeta;
use jiff::{SignedDuration, Timestamp};
use prost::Message;
use store::envelope::Envelope;
use store::{Entry, ListOptions, Store, WriteContext};
use tracing::{info, warn};

use super::errors;
use super::kinds::address_of_service;
use super::service_range::ServiceRange;
use super::storage::Lookup;
use super::write::log_left_behind;

/// How many random addresses are tried before all are tried in turn.
const RANDOM_ATTEMPTS: u32 = 64;

/// How long a Service may take from taking its address to being stored.
const IN_FLIGHT: SignedDuration = SignedDuration::from_mins(1);

/// How often addresses and Services are compared, as in Kubernetes.
pub(super) const REPAIR_EVERY: Duration = Duration::from_secs(3 * 60);

/// Hands out addresses of one range.
#[derive(Clone)]
pub(crate) struct ClusterIps {
    store: Arc<dyn Store>,
    range: ServiceRange,
    prefix: String,
}

/// An address that was taken.
pub(crate) struct Claim {
    pub(crate) address: Ipv4Addr,
    /// The key that holds it.
    pub(crate) key: String,
}

/// Why there is no address.
pub(crate) enum NotAllocated {
    /// Somebody has the address that was asked for.
    Taken,
    /// It is not one of this range.
    NotInRange(String),
    /// All addresses are taken.
    Full,
    /// The store failed.
    Failed(Error),
}

impl ClusterIps {
    pub(crate) fn new(store: Arc<dyn Store>, range: ServiceRange) -> Self {
        let prefix = format!("{}ipaddresses/", store.root());
        Self { store, range, prefix }
    }

    /// The key that holds an address.
    pub(crate) fn key(&self, address: &str) -> String {
        format!("{}{address}", self.prefix)
    }

    /// Takes the wanted address, or any, for a Service.
    pub(crate) async fn claim(&self, wanted: Option<&str>, service: &ObjectMeta) -> Result<Claim, NotAllocated> {
        if let Some(wanted) = wanted {
            let address = wanted.parse().ok().filter(|address| self.range.contains(*address));
            let address = address.ok_or_else(|| NotAllocated::NotInRange(self.range.to_string()))?;
            return self.take(address, service).await?.ok_or(NotAllocated::Taken);
        }
        for _ in 0..RANDOM_ATTEMPTS {
            if let Some(claim) = self.take(self.range.random(), service).await? {
                return Ok(claim);
            }
        }
        for address in self.range.all() {
            if let Some(claim) = self.take(address, service).await? {
                return Ok(claim);
            }
        }
        Err(NotAllocated::Full)
    }

    /// `None`: somebody else has it.
    async fn take(&self, address: Ipv4Addr, service: &ObjectMeta) -> Result<Option<Claim>, NotAllocated> {
        let key = self.key(&address.to_string());
        let value = record(address, &service.namespace, &service.name);
        match self.store.create(&key, value.encode(), &WriteContext::default()).await {
            Ok(_) => Ok(Some(Claim { address, key })),
            Err(store::Error::AlreadyExists { .. }) => Ok(None),
            Err(error) => Err(NotAllocated::Failed(errors::general(error))),
        }
    }

    /// Gives an address back. A failure is logged: the address stays taken until the next repair.
    pub(crate) async fn release(&self, key: &str) {
        let released = match self.store.get(key).await {
            Ok(Some(entry)) => self.store.delete(key, entry.revision, &WriteContext::default()).await.map(drop),
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = released {
            log_left_behind("a cluster IP", &error);
        }
    }

    /// Gives back what no Service holds, and takes what one holds without its record.
    pub(crate) async fn repair(&self, services: &Lookup<Service>, now: Timestamp) -> Result<(), Error> {
        let records = self.records().await?;
        for entry in &records {
            let fresh = entry.cause.committed_at.is_some_and(|taken| now.duration_since(taken) < IN_FLIGHT);
            if !fresh && !self.is_held(entry, services).await? {
                info!(key = %entry.key, "a cluster IP that no Service holds is given back");
                self.release(&entry.key).await;
            }
        }
        for service in services.list("") {
            let Some(address) = address_of_service(&service) else { continue };
            let key = self.key(address);
            let recorded = records.iter().any(|entry| *entry.key == *key);
            if let Some(address) = address.parse().ok().filter(|_| !recorded) {
                warn!(%address, service = service.metadata.name, "a Service's cluster IP had no record");
                // Somebody may be faster; then it has one.
                let _ = self.take(address, &service.metadata).await;
            }
        }
        Ok(())
    }

    async fn records(&self) -> Result<Vec<Entry>, Error> {
        let mut records: Vec<Entry> = Vec::new();
        loop {
            let start_after = records.last().map(|entry| entry.key.clone());
            let options = ListOptions { limit: Some(500), start_after, ..ListOptions::default() };
            let page = self.store.list(&self.prefix, options).await.map_err(errors::general)?;
            records.extend(page.entries);
            if !page.more {
                return Ok(records);
            }
        }
    }

    async fn is_held(&self, entry: &Entry, services: &Lookup<Service>) -> Result<bool, Error> {
        let address = entry.key.strip_prefix(&self.prefix).unwrap_or_default();
        let parent = Envelope::decode(&entry.value).ok().and_then(|envelope| IpAddress::decode(envelope.raw).ok());
        let parent = parent.and_then(|record| record.spec?.parent_ref).unwrap_or_default();
        let holds = |service: &Service| address_of_service(service) == Some(address);
        if services.get(&parent.namespace, &parent.name).as_ref().is_some_and(holds) {
            return Ok(true);
        }
        Ok(services.get_live(&parent.namespace, &parent.name).await?.as_ref().is_some_and(holds))
    }
}

fn record(address: Ipv4Addr, namespace: &str, name: &str) -> Envelope {
    let labels =
        [("ipaddress.kubernetes.io/ip-family", "IPv4"), ("ipaddress.kubernetes.io/managed-by", "ipallocator.k8s.io")];
    let metadata = ObjectMeta {
        name: address.to_string(),
        labels: labels.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
        ..ObjectMeta::default()
    };
    let parent =
        ParentReference { resource: "services".to_owned(), namespace: namespace.to_owned(), name: name.to_owned() };
    let spec = IpAddressSpec { parent_ref: Some(parent) };
    let record = IpAddress { metadata: Some(metadata), spec: Some(spec) };
    Envelope {
        api_version: "networking.k8s.io/v1".to_owned(),
        kind: "IPAddress".to_owned(),
        raw: record.encode_to_vec().into(),
    }
}

/// `k8s.io.api.networking.v1.IPAddress`, as far as it is needed here.
#[derive(Clone, PartialEq, Message)]
struct IpAddress {
    #[prost(message, optional, tag = "1")]
    metadata: Option<ObjectMeta>,
    #[prost(message, optional, tag = "2")]
    spec: Option<IpAddressSpec>,
}

#[derive(Clone, PartialEq, Message)]
struct IpAddressSpec {
    #[prost(message, optional, tag = "1")]
    parent_ref: Option<ParentReference>,
}

#[derive(Clone, PartialEq, Message)]
struct ParentReference {
    #[prost(string, tag = "2")]
    resource: String,
    #[prost(string, tag = "3")]
    namespace: String,
    #[prost(string, tag = "4")]
    name: String,
}
