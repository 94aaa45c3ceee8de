//! Giving up: the last steps of a process before it becomes a container's command.

use std::fs;
use std::io;

use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};

use super::{Confinement, capabilities};

/// The most files that a process may have open, as container runtimes have it.
const OPEN_FILES: u64 = 1 << 20;

pub(super) fn apply(confinement: &Confinement, uid: u32, gid: u32, groups: &[u32]) -> io::Result<()> {
    limit(confinement)?;
    let groups: Vec<Gid> = groups.iter().copied().map(Gid::from_raw).collect();
    setgroups(&groups)?;
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    setresgid(gid, gid, gid)?;
    // What can be had is bounded while we still may bound it: another user than root may nothing.
    capabilities::bound(confinement.capabilities)?;
    setresuid(uid, uid, uid)?;
    capabilities::hold(if uid.is_root() { confinement.capabilities } else { 0 })?;
    Ok(prctl::set_no_new_privs()?)
}

fn limit(confinement: &Confinement) -> io::Result<()> {
    let limits = &confinement.limits;
    lower(Resource::RLIMIT_NOFILE, OPEN_FILES)?;
    if confinement.control_group.is_none() {
        if limits.pids > 0 {
            lower(Resource::RLIMIT_NPROC, limits.pids)?;
        }
        if limits.memory > 0 {
            lower(Resource::RLIMIT_DATA, limits.memory)?;
        }
    }
    if limits.oom_score_adj != 0 {
        // Less than before takes a privilege that we may not have, and is a wish.
        let _ = fs::write("/proc/self/oom_score_adj", limits.oom_score_adj.to_string());
    }
    Ok(())
}

/// Sets a limit, which nobody may raise again; one that is lower already stays.
fn lower(resource: Resource, to: u64) -> io::Result<()> {
    let (_, most) = getrlimit(resource)?;
    let to = to.min(most);
    Ok(setrlimit(resource, to, to)?)
}
