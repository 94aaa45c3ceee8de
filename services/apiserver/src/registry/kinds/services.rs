//! Services: each gets a cluster IP that no other has.
//!
//! Node ports are not allocated: a port that a client names is kept as it is, and none is chosen.

use api::core::v1::Service;
use api::field::{ErrorList, FieldError, Json, Path};
use api::{Error, Resource, defaults, validation};
use async_trait::async_trait;

use crate::registry::cluster_ips::{ClusterIps, NotAllocated};
use crate::registry::strategy::{Reservation, Strategy};

/// The rules of Services.
pub(crate) struct Services {
    addresses: ClusterIps,
}

/// In place of an address: the Service has none, its name stands for the pods themselves.
const HEADLESS: &str = "None";

impl Services {
    pub(crate) fn new(addresses: ClusterIps) -> Self {
        Self { addresses }
    }
}

#[async_trait]
impl Strategy<Service> for Services {
    fn path(&self) -> &'static str {
        "services/specs"
    }

    fn field_names(&self) -> &'static [&'static str] {
        &["spec.clusterIP", "spec.type"]
    }

    fn fields(&self, service: &Service) -> Vec<(&'static str, String)> {
        vec![("spec.clusterIP", service.spec.cluster_ip.clone()), ("spec.type", service.spec.r#type.clone())]
    }

    fn set_defaults(&self, service: &mut Service) {
        defaults::service(service);
    }

    fn copy_status(&self, from: &Service, to: &mut Service) {
        to.status = from.status.clone();
    }

    fn prepare_for_create(&self, service: &mut Service) {
        align_addresses(service);
        set_families(service);
    }

    fn prepare_for_update(&self, new: &mut Service, old: &Service) {
        if has_address(new) && has_address(old) {
            // Allocated values need not be repeated.
            if new.spec.cluster_ip.is_empty() && new.spec.cluster_ips.is_empty() {
                new.spec.cluster_ip.clone_from(&old.spec.cluster_ip);
                new.spec.cluster_ips.clone_from(&old.spec.cluster_ips);
            }
        } else if !has_address(new) && new.spec.cluster_ip == old.spec.cluster_ip {
            // Left over from the type that it had.
            new.spec.cluster_ip.clear();
            new.spec.cluster_ips.clear();
            new.spec.ip_families.clear();
            new.spec.ip_family_policy = None;
        }
        align_addresses(new);
        set_families(new);
    }

    fn validate(&self, service: &Service) -> ErrorList {
        validation::service::create(service)
    }

    fn validate_update(&self, new: &Service, old: &Service) -> ErrorList {
        validation::service::update(new, old)
    }

    fn validate_status_update(&self, new: &Service, old: &Service) -> ErrorList {
        validation::service::status_update(new, old)
    }

    async fn reserve(&self, new: &mut Service, old: Option<&Service>) -> Result<Reservation, Error> {
        let held = old.and_then(address);
        let mut reservation = Reservation::default();
        if has_address(new) && new.spec.cluster_ip != HEADLESS {
            let wanted = Some(new.spec.cluster_ip.as_str()).filter(|wanted| !wanted.is_empty());
            if wanted.is_none() || wanted != held {
                let claimed = self.addresses.claim(wanted, &new.metadata).await;
                let claim = claimed.map_err(|error| not_allocated(new, error))?;
                new.spec.cluster_ips = vec![claim.address.to_string()];
                new.spec.cluster_ip = claim.address.to_string();
                reservation.taken.push(claim.key);
            }
        }
        if let Some(held) = held.filter(|held| *held != new.spec.cluster_ip) {
            reservation.given_up.push(self.addresses.key(held));
        }
        Ok(reservation)
    }

    async fn release(&self, reservation: Reservation) {
        for key in reservation.taken {
            self.addresses.release(&key).await;
        }
    }

    async fn removed(&self, service: &Service) {
        if let Some(held) = address(service) {
            self.addresses.release(&self.addresses.key(held)).await;
        }
    }
}

/// Whether services of this type have an address, be it `None`.
fn has_address(service: &Service) -> bool {
    service.spec.r#type != "ExternalName"
}

/// The address that a service holds.
pub(crate) fn address(service: &Service) -> Option<&str> {
    let address = service.spec.cluster_ip.as_str();
    (has_address(service) && !address.is_empty() && address != HEADLESS).then_some(address)
}

/// `clusterIP` and the first of `clusterIPs` are one value; older clients know only the former.
fn align_addresses(service: &mut Service) {
    let spec = &mut service.spec;
    match spec.cluster_ips.first() {
        None if !spec.cluster_ip.is_empty() => spec.cluster_ips = vec![spec.cluster_ip.clone()],
        Some(first) if spec.cluster_ip.is_empty() => spec.cluster_ip.clone_from(first),
        _ => {}
    }
}

/// The cluster has one IP family.
fn set_families(service: &mut Service) {
    if has_address(service) {
        let spec = &mut service.spec;
        spec.ip_family_policy.get_or_insert_with(|| "SingleStack".to_owned());
        if spec.ip_families.is_empty() {
            spec.ip_families.push("IPv4".to_owned());
        }
    }
}

fn not_allocated(service: &Service, error: NotAllocated) -> Error {
    let faulty = |detail: String| {
        let field = Path::new("spec").child("clusterIPs");
        let wanted = [&service.spec.cluster_ip];
        let mut errors = ErrorList::new();
        errors.push(FieldError::invalid(
            &field,
            Json(&wanted),
            format!("failed to allocate IP {}: {detail}", wanted[0]),
        ));
        Error::invalid(Service::INFO.group, Service::INFO.kind, &service.metadata.name, &errors)
    };
    match error {
        NotAllocated::Taken => faulty("provided IP is already allocated".to_owned()),
        NotAllocated::NotInRange(range) => faulty(format!(
            "the provided IP ({}) is not in the valid range. The range of valid IPs is {range}",
            service.spec.cluster_ip
        )),
        NotAllocated::Full => Error::internal("failed to allocate a serviceIP: range is full"),
        NotAllocated::Failed(error) => error,
    }
}
