//! The addresses of a Service: one per IP family, the first of them for good.

use crate::core::v1::Service;
use crate::field::{ErrorList, FieldError, Json, Path};
use crate::validation::{ip, one_of};

use super::is_headless;

const FIXED: &str = "may not change once set";

/// Checks addresses and families by themselves and against each other.
pub(super) fn all(service: &Service, path: &Path, errors: &mut ErrorList) {
    let spec = &service.spec;
    if spec.r#type == "ExternalName" {
        return;
    }
    let ips = &spec.cluster_ips;
    let ips_path = path.child("clusterIPs");
    match (spec.cluster_ip.as_str(), ips.first()) {
        ("", None) => {}
        ("", Some(_)) => {
            let detail = "must be empty when `clusterIP` is not specified";
            errors.push(FieldError::invalid(&ips_path, Json(ips), detail));
        }
        (_, None) => errors.push(FieldError::required(&ips_path, "")),
        (single, Some(first)) if single != first => {
            errors.push(FieldError::invalid(&ips_path, Json(ips), "first value must match `clusterIP`"));
        }
        _ => {}
    }
    for (index, family) in spec.ip_families.iter().enumerate() {
        let path = path.child("ipFamilies").index(index);
        one_of(family, &["IPv4", "IPv6"], &path, errors);
        if spec.ip_families[..index].contains(family) {
            errors.push(FieldError::duplicate(&path, family));
        }
    }
    if let Some(policy) = &spec.ip_family_policy {
        let policies = ["PreferDualStack", "RequireDualStack", "SingleStack"];
        one_of(policy, &policies, &path.child("ipFamilyPolicy"), errors);
    }
    addresses(service, &ips_path, errors);
}

fn addresses(service: &Service, path: &Path, errors: &mut ErrorList) {
    let ips = &service.spec.cluster_ips;
    if is_headless(service) {
        return;
    }
    let before = errors.len();
    let mut families = Vec::new();
    for (index, text) in ips.iter().enumerate() {
        if index == 0 && text == "None" {
            let detail = "'None' must be the first and only value";
            errors.push(FieldError::invalid(path, Json(ips), detail));
        } else {
            families.extend(ip::address(text, &path.index(index), errors).map(|ip| ip.is_ipv6()));
        }
    }
    let all_good = errors.len() == before;
    if ips.len() > 2 {
        errors.push(FieldError::invalid(path, Json(ips), "may only hold up to 2 values"));
    }
    if !all_good {
        return;
    }
    if families.len() > 1 && families.iter().all(|family| *family == families[0]) {
        let detail = "may specify no more than one IP for each IP family";
        errors.push(FieldError::invalid(path, Json(ips), detail));
    }
    for (index, (is_ipv6, family)) in families.iter().zip(&service.spec.ip_families).enumerate() {
        if *is_ipv6 != (family == "IPv6") {
            let detail = format!("expected an {family} value as indicated by `ipFamilies[{index}]`");
            errors.push(FieldError::invalid(&path.index(index), &ips[index], detail));
        }
    }
}

/// Checks that a change keeps the first address and family. The second one may come, and go if that is asked for.
pub(super) fn update(new: &Service, old: &Service, errors: &mut ErrorList) {
    if [new, old].iter().any(|service| service.spec.r#type == "ExternalName") {
        return;
    }
    let headless = (is_headless(new), is_headless(old));
    if headless != (true, true) {
        let (new_ips, old_ips) = (&new.spec.cluster_ips, &old.spec.cluster_ips);
        kept(new_ips, old_ips, &Path::new("spec.clusterIPs"), "primary clusterIP can not be unset", errors);
        if new_ips.len() == 1 && old_ips.len() > 1 {
            released(new, "clusterIP", errors);
        }
    }
    if headless == (false, false) {
        let (new_families, old_families) = (&new.spec.ip_families, &old.spec.ip_families);
        let path = Path::new("spec.ipFamilies");
        kept(new_families, old_families, &path, "primary ipFamily can not be unset", errors);
        if new_families.len() == 1 && old_families.len() > 1 {
            released(new, "ipFamily", errors);
        }
    }
}

fn kept(new: &[String], old: &[String], path: &Path, unset: &str, errors: &mut ErrorList) {
    if new.is_empty() && !old.is_empty() {
        return errors.push(FieldError::invalid(&path.index(0), Json(new), unset));
    }
    // Among equally many, each stands for itself; otherwise only the first is there to compare.
    let compared = if new.len() == old.len() { new.len() } else { new.len().min(old.len()).min(1) };
    for index in (0..compared).filter(|index| new[*index] != old[*index]) {
        errors.push(FieldError::invalid(&path.index(index), Json(new), FIXED));
    }
}

fn released(new: &Service, what: &str, errors: &mut ErrorList) {
    if new.spec.ip_family_policy.as_deref() != Some("SingleStack") {
        let detail = format!("must be set to 'SingleStack' when releasing the secondary {what}");
        let path = Path::new("spec.ipFamilyPolicy");
        errors.push(FieldError::invalid(&path, Json(&new.spec.ip_family_policy), detail));
    }
}
