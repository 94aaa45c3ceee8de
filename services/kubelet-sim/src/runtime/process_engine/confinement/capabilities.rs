//! Which of root's privileges a container can have at all: a bit for each, as the kernel numbers them.

use std::io;
use std::str::FromStr;

use caps::{CapSet, Capability, CapsHashSet};

use super::refusal;
use crate::runtime::{Result, RuntimeError};

/// What container runtimes leave to every container.
const USUAL: [Capability; 14] = [
    Capability::CAP_AUDIT_WRITE,
    Capability::CAP_CHOWN,
    Capability::CAP_DAC_OVERRIDE,
    Capability::CAP_FOWNER,
    Capability::CAP_FSETID,
    Capability::CAP_KILL,
    Capability::CAP_MKNOD,
    Capability::CAP_NET_BIND_SERVICE,
    Capability::CAP_NET_RAW,
    Capability::CAP_SETFCAP,
    Capability::CAP_SETGID,
    Capability::CAP_SETPCAP,
    Capability::CAP_SETUID,
    Capability::CAP_SYS_CHROOT,
];

/// All that there are.
pub fn all() -> u64 {
    bits(caps::all())
}

/// The usual ones, with what the pod adds and without what it drops. Names may lack `CAP_`; `ALL` is all. More than the usual ones takes the
/// operator's permission.
pub fn of(add: &[String], drop: &[String], allow_more: bool) -> Result<u64> {
    let usual = bits(USUAL);
    let is_all = |name: &&String| name.eq_ignore_ascii_case("ALL");
    let mut set = if add.iter().any(|name| is_all(&name)) { all() } else { usual };
    if drop.iter().any(|name| is_all(&name)) {
        set = 0;
    }
    for name in add.iter().filter(|name| !is_all(name)) {
        set |= named(name)?;
    }
    for name in drop.iter().filter(|name| !is_all(name)) {
        set &= !named(name)?;
    }
    if set & !usual != 0 && !allow_more {
        let beyond: Vec<String> = hashed(set & !usual).iter().map(|one| one.to_string()[4..].to_owned()).collect();
        let named = add.iter().find(|name| is_all(name) || beyond.iter().any(|one| name.to_uppercase().ends_with(one)));
        return Err(refusal(&format!("securityContext.capabilities.add: {}", named.map_or("", String::as_str))));
    }
    Ok(set)
}

/// Takes all others out of what this process, and what it becomes, can ever have.
pub(super) fn bound(set: u64) -> io::Result<()> {
    // A kernel may know fewer than we do, and refuses to drop what it does not know.
    for one in caps::read(None, CapSet::Bounding).map_err(failed)? {
        if one.bitmask() & set == 0 {
            caps::drop(None, CapSet::Bounding, one).map_err(failed)?;
        }
    }
    Ok(())
}

/// Has exactly these from now on. They are not handed down to what runs as another user than root.
pub(super) fn hold(set: u64) -> io::Result<()> {
    let known = caps::runtime::thread_all_supported();
    let set: CapsHashSet = hashed(set).intersection(&known).copied().collect();
    caps::clear(None, CapSet::Ambient).map_err(failed)?;
    caps::set(None, CapSet::Inheritable, &CapsHashSet::new()).map_err(failed)?;
    caps::set(None, CapSet::Effective, &set).map_err(failed)?;
    caps::set(None, CapSet::Permitted, &set).map_err(failed)
}

fn named(name: &str) -> Result<u64> {
    let upper = name.to_uppercase();
    let full = if upper.starts_with("CAP_") { upper } else { format!("CAP_{upper}") };
    Capability::from_str(&full)
        .map(|one| one.bitmask())
        .map_err(|_| RuntimeError::unknown(format!("unknown capability {name:?}")))
}

fn bits(set: impl IntoIterator<Item = Capability>) -> u64 {
    set.into_iter().fold(0, |bits, one| bits | one.bitmask())
}

fn hashed(bits: u64) -> CapsHashSet {
    caps::all().into_iter().filter(|one| one.bitmask() & bits != 0).collect()
}

fn failed(error: caps::errors::CapsError) -> io::Error {
    io::Error::other(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(add: &[&str], drop: &[&str], allow_more: bool) -> std::result::Result<u64, String> {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        super::of(&owned(add), &owned(drop), allow_more).map_err(|error| error.message)
    }

    #[test]
    fn pods_add_and_drop_within_the_usual_set() {
        let usual = bits(USUAL);
        let bit = |one: Capability| one.bitmask();
        assert_eq!(of(&[], &[], false), Ok(usual));
        assert_eq!(of(&["CHOWN"], &["ALL"], false), Ok(bit(Capability::CAP_CHOWN)));
        assert_eq!(
            of(&[], &["cap_net_raw", "MKNOD"], false),
            Ok(usual & !bit(Capability::CAP_NET_RAW) & !bit(Capability::CAP_MKNOD))
        );
        assert_eq!(of(&["NET_ADMIN"], &[], true), Ok(usual | bit(Capability::CAP_NET_ADMIN)));
        assert_eq!(of(&["ALL"], &["SYS_ADMIN"], true), Ok(all() & !bit(Capability::CAP_SYS_ADMIN)));
    }

    #[test]
    fn more_takes_permission_and_nonsense_is_named() {
        let refused = of(&["CHOWN", "NET_ADMIN"], &[], false).unwrap_err();
        assert!(refused.starts_with("securityContext.capabilities.add: NET_ADMIN is not allowed"), "{refused}");
        assert!(refused.contains("--allow-privileged"), "{refused}");
        assert!(of(&["ALL"], &[], false).unwrap_err().contains("add: ALL"));
        assert_eq!(of(&["FLY"], &[], true), Err("unknown capability \"FLY\"".to_owned()));
    }
}
