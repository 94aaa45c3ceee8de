//! A kubelet that is not root says what it lacks, and what to do instead.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

use testkit::pki::Authority;

/// Who is nobody on every machine.
const NOBODY: u32 = 65_534;

#[test]
fn without_root_the_engine_names_what_it_needs_and_the_other_engine() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let authority = Authority::new("test");
    let user = authority.sign("system:node:n1", "system:nodes", &[]);
    let kubeconfig = folder.path().join("kubeconfig");
    let read = authority.kubeconfig(folder.path(), "https://127.0.0.1:1", Some(&user));
    fs::write(&kubeconfig, read.to_yaml()).unwrap();
    // A copy, because the folder of the build need not be open to everybody.
    let program = folder.path().join("kubelet-sim");
    fs::copy(env!("CARGO_BIN_EXE_kubelet-sim"), &program).unwrap();
    for file in fs::read_dir(folder.path()).unwrap().flatten() {
        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let mut kubelet = Command::new(&program);
    kubelet.arg("--kubeconfig").arg(kubeconfig).args(["--engine", "process", "--node-name", "n1", "--port", "0"]);
    kubelet.arg("--root-dir").arg(folder.path().join("root"));
    if nix::unistd::geteuid().is_root() {
        kubelet.uid(NOBODY).gid(NOBODY);
    }
    let ended = kubelet.output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(!ended.status.success(), "{said}");
    let message = said.lines().find(|line| line.starts_with("error: ")).unwrap_or_else(|| panic!("no error in {said}"));
    for part in ["--engine process needs root", "namespaces", "--engine virtual"] {
        assert!(message.contains(part), "{message}");
    }
    assert!(!folder.path().join("root").exists(), "nothing is begun");
}
