//! Finds the programs.

use anyhow::{Result, bail};
use std::env;
use std::path::PathBuf;

/// Path of a service's binary: beside tpctl, or on PATH.
pub(crate) fn service(name: &str) -> Result<PathBuf> {
    let beside = env::current_exe().ok().and_then(|exe| Some(exe.parent()?.join(name))).filter(|path| path.is_file());
    match beside.or_else(|| on_path(name)) {
        Some(path) => Ok(path),
        None => bail!("there is no {name} beside tpctl or on PATH; `cargo build --workspace` makes it"),
    }
}

/// Path of etcd.
pub(crate) fn etcd() -> Result<PathBuf> {
    // Debian keeps some servers out of a user's PATH.
    let found = on_path("etcd")
        .or_else(|| ["/usr/sbin/etcd", "/usr/local/bin/etcd"].map(PathBuf::from).into_iter().find(|p| p.is_file()));
    match found {
        Some(path) => Ok(path),
        None => bail!(
            "etcd is not installed; `make install-etcd` installs it (Debian and Ubuntu: apt-get install etcd-server)"
        ),
    }
}

fn on_path(name: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).map(|folder| folder.join(name)).find(|path| path.is_file())
}
