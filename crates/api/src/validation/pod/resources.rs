//! Requests and limits: known resources, sensible amounts, and requests within limits.

use std::collections::{BTreeMap, BTreeSet};

use crate::core::v1::{Container, PodSpec, ResourceClaim, ResourceRequirements};
use crate::field::{ErrorList, FieldError, Path};
use crate::names;
use crate::pod_resources::{self, is_pod_level_resource};
use crate::quantity::Amount;
use crate::resource::Quantity;
use crate::validation::named;

/// What containers can ask for by a name without a prefix, besides huge pages.
const OF_CONTAINERS: &[&str] = &["cpu", "memory", "ephemeral-storage"];
/// What quotas and volumes know by such a name.
const OF_OTHERS: &[&str] = &[
    "configmaps",
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "persistentvolumeclaims",
    "pods",
    "replicationcontrollers",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
    "requests.storage",
    "resourcequotas",
    "secrets",
    "services",
    "services.loadbalancers",
    "services.nodeports",
    "storage",
];

/// Whose requirements they are, which decides the names.
#[derive(Clone, Copy, PartialEq)]
enum Owner {
    Container,
    Pod,
}

pub(super) fn of_container(container: &Container, spec: &PodSpec, path: &Path, errors: &mut ErrorList) {
    let resources = &container.resources;
    requirements(&resources.requests, &resources.limits, Owner::Container, path, errors);
    claims(&resources.claims, spec, &path.child("claims"), errors);
}

/// Checks a list that only limits something: a pod's overhead.
pub(in crate::validation) fn limits_only(list: &BTreeMap<String, Quantity>, path: &Path, errors: &mut ErrorList) {
    if !list.is_empty() {
        requirements(&BTreeMap::new(), list, Owner::Container, path, errors);
    }
}

/// Checks what the pod asks for as a whole, and that its containers fit in.
pub(super) fn of_pod(spec: &PodSpec, path: &Path, errors: &mut ErrorList) {
    let Some(own) = &spec.resources else { return };
    if !own.claims.is_empty() {
        let detail = "claims cannot be set for Resources at pod-level";
        errors.push(FieldError::forbidden(&path.child("claims"), detail));
    }
    requirements(&own.requests, &own.limits, Owner::Pod, path, errors);
    let of_containers = PodSpec {
        containers: spec.containers.clone(),
        init_containers: spec.init_containers.clone(),
        ..PodSpec::default()
    };
    for (name, needed) in pod_resources::requests(&of_containers) {
        let requested = own.requests.get(&name).map(Quantity::amount_or_zero).unwrap_or_default();
        if needed > requested {
            let detail = format!("must be greater than or equal to aggregate container requests of {needed}");
            errors.push(FieldError::invalid(&path.child("requests").key(&name), requested.to_string(), detail));
        }
    }
    for (index, container) in spec.containers.iter().enumerate() {
        limits_within(&container.resources, own, &path.child("containers").index(index), errors);
    }
}

fn limits_within(of: &ResourceRequirements, pod: &ResourceRequirements, path: &Path, errors: &mut ErrorList) {
    for (name, limit) in &of.limits {
        let Some(most) = pod.limits.get(name) else { continue };
        if limit.amount_or_zero() > most.amount_or_zero() {
            let detail = format!("must be less than or equal to pod limits of {}", most.string);
            errors.push(FieldError::invalid(&path.key(name).child("limits"), &limit.string, detail));
        }
    }
}

fn requirements(
    requests: &BTreeMap<String, Quantity>,
    limits: &BTreeMap<String, Quantity>,
    owner: Owner,
    path: &Path,
    errors: &mut ErrorList,
) {
    let requests_path = path.child("requests");
    for (name, limit) in limits {
        resource(name, limit, owner, &path.child("limits").key(name), errors);
    }
    for (name, request) in requests {
        resource(name, request, owner, &requests_path.key(name), errors);
        let Some(limit) = limits.get(name) else {
            if !can_be_overcommitted(name) {
                let detail = "Limit must be set for non overcommitable resources";
                errors.push(FieldError::required(&path.child("limits"), detail));
            }
            continue;
        };
        let (asked, most) = (request.amount_or_zero(), limit.amount_or_zero());
        let relation = match can_be_overcommitted(name) {
            true if asked > most => "less than or equal",
            false if asked != most => "equal",
            _ => continue,
        };
        let detail = format!("must be {relation} to {name} limit of {}", limit.string);
        errors.push(FieldError::invalid(&requests_path, &request.string, detail));
    }
    let mut names = limits.keys().chain(requests.keys());
    if names.clone().any(|name| is_hugepages(name)) && !names.any(|name| ["cpu", "memory"].contains(&name.as_str())) {
        errors.push(FieldError::forbidden(path, "HugePages require cpu or memory"));
    }
}

fn resource(name: &str, value: &Quantity, owner: Owner, path: &Path, errors: &mut ErrorList) {
    resource_name(name, owner, path, errors);
    quantity(name, value, path, errors);
    if let Some(page) = name.strip_prefix("hugepages-") {
        let page = Amount::parse(page).map_or(0, Amount::value);
        if page <= 0 || value.amount_or_zero().value() % page != 0 {
            let detail = format!("{} is not positive integer multiple of {name}", value.string);
            errors.push(FieldError::invalid(path, &value.string, detail));
        }
    }
}

fn resource_name(name: &str, owner: Owner, path: &Path, errors: &mut ErrorList) {
    let faults = names::qualified_name(name);
    let well_formed = faults.is_empty();
    errors.push_invalid(path, name, faults);
    let simple = !name.contains('/');
    let of_containers = OF_CONTAINERS.contains(&name) || is_hugepages(name);
    if well_formed && simple && !of_containers && !OF_OTHERS.contains(&name) {
        let detail = "must be a standard resource type or fully qualified";
        errors.push(FieldError::invalid(path, name, detail));
    }
    match owner {
        Owner::Container if simple && !of_containers => {
            errors.push(FieldError::invalid(path, name, "must be a standard resource for containers"));
        }
        Owner::Container if !simple && !is_native(name) && name.starts_with("requests.") => {
            errors.push(FieldError::invalid(path, name, "doesn't follow extended resource name standard"));
        }
        Owner::Pod if well_formed && !is_pod_level_resource(name) => {
            errors.push(FieldError::not_supported(path, name, &["cpu", "hugepages-", "memory"]));
        }
        _ => {}
    }
}

/// Checks an amount of a resource: a quantity, not negative, and whole where halves make no sense.
pub(in crate::validation) fn quantity(name: &str, value: &Quantity, path: &Path, errors: &mut ErrorList) {
    let amount = match value.amount() {
        Ok(amount) => amount,
        Err(error) => return errors.push(FieldError::invalid(path, &value.string, error.to_string())),
    };
    if amount.is_negative() {
        let detail = "must be greater than or equal to 0";
        errors.push(FieldError::invalid(path, &value.string, detail));
    }
    let counted = !is_native(name) || (OF_OTHERS.contains(&name) && !name.contains('.') && name != "storage");
    if counted && amount.milli_value() % 1000 != 0 {
        errors.push(FieldError::invalid(path, &value.string, "must be an integer"));
    }
}

/// True for Kubernetes' own resources; others come from device plugins.
fn is_native(name: &str) -> bool {
    !name.contains('/') || name.contains("kubernetes.io/")
}

fn is_hugepages(name: &str) -> bool {
    name.starts_with("hugepages-")
}

/// CPU and memory can be promised twice, devices and huge pages cannot.
fn can_be_overcommitted(name: &str) -> bool {
    is_native(name) && !is_hugepages(name)
}

fn claims(claims: &[ResourceClaim], spec: &PodSpec, path: &Path, errors: &mut ErrorList) {
    let mut seen = BTreeSet::new();
    for (index, claim) in claims.iter().enumerate() {
        let path = path.index(index);
        if claim.name.is_empty() {
            errors.push(FieldError::required(&path, ""));
            continue;
        }
        let key = match claim.request.as_str() {
            "" => claim.name.clone(),
            request => {
                named(request, names::dns1123_label, &path.child("request"), errors);
                format!("{}/{request}", claim.name)
            }
        };
        if seen.contains(&claim.name) || !seen.insert(key.clone()) {
            errors.push(FieldError::duplicate(&path, key.as_str()));
        }
        let mut known: Vec<&str> = spec.resource_claims.iter().map(|claim| claim.name.as_str()).collect();
        known.sort_unstable();
        if !known.contains(&claim.name.as_str()) {
            let list = if known.is_empty() { " which is empty".to_owned() } else { format!(": {}", known.join(", ")) };
            let detail = format!("must be one of the names in pod.spec.resourceClaims{list}");
            errors.push(FieldError::not_found(&path, &claim.name).with_detail(detail));
        }
    }
}
