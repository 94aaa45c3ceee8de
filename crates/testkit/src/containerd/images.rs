//! Images from this machine's busybox, as archives that `ctr images import` takes. No registry is needed.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

/// A web server under nginx's name: it serves `/usr/share/nginx/html` and ends at `nginx -s quit`.
const NGINX: &str = r#"#!/bin/sh
if [ "$1" = -s ]; then kill -QUIT 1; exit; fi
trap 'exit 0' QUIT TERM
httpd -f -p 80 -h /usr/share/nginx/html & wait
"#;

/// Builds all images under `folder` and answers the archives.
pub(super) fn build(folder: &Path) -> Vec<PathBuf> {
    let busybox = root(&folder.join("busybox"));
    let nginx = root(&folder.join("nginx"));
    fs::create_dir_all(nginx.join("usr/share/nginx/html")).expect("a folder can be made");
    fs::create_dir_all(nginx.join("usr/sbin")).expect("a folder can be made");
    fs::write(nginx.join("usr/share/nginx/html/index.html"), "Welcome to nginx!\n").expect("a file can be written");
    fs::write(nginx.join("usr/sbin/nginx"), NGINX).expect("a file can be written");
    executable(&nginx.join("usr/sbin/nginx"));
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    vec![
        archive(
            folder,
            "pause",
            "registry.k8s.io/pause:3.9",
            &busybox,
            &json!({"Entrypoint": ["/bin/sleep", "2147483647"]}),
        ),
        archive(folder, "busybox", "docker.io/library/busybox:v1", &busybox, &json!({"Cmd": ["sh"], "Env": [path]})),
        archive(
            folder,
            "nginx",
            "docker.io/library/nginx:latest",
            &nginx,
            &json!({"Cmd": ["nginx"], "Env": [path], "StopSignal": "SIGQUIT"}),
        ),
    ]
}

/// A root file system with busybox and a link for each of its commands.
fn root(folder: &Path) -> PathBuf {
    for name in ["bin", "etc", "root", "tmp", "usr/bin", "var"] {
        fs::create_dir_all(folder.join(name)).expect("a folder can be made");
    }
    let found = output(Command::new("sh").args(["-c", "command -v busybox"]));
    fs::copy(found.trim(), folder.join("bin/busybox")).expect("busybox can be copied");
    executable(&folder.join("bin/busybox"));
    for command in output(Command::new("busybox").arg("--list")).lines().filter(|command| *command != "busybox") {
        symlink("busybox", folder.join("bin").join(command)).expect("a link can be made");
    }
    fs::write(folder.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n").expect("a file can be written");
    fs::write(folder.join("etc/group"), "root:x:0:\n").expect("a file can be written");
    folder.to_owned()
}

fn executable(file: &Path) {
    fs::set_permissions(file, fs::Permissions::from_mode(0o755)).expect("a file's mode can be set");
}

/// One layer, its configuration and a manifest, in the layout of `docker save`.
fn archive(folder: &Path, short: &str, name: &str, root: &Path, config: &Value) -> PathBuf {
    let parts = folder.join(format!("{short}.parts"));
    fs::create_dir_all(&parts).expect("a folder can be made");
    let layer = parts.join("layer.tar");
    output(Command::new("tar").args(["--owner=0", "--group=0", "-cf"]).arg(&layer).arg("-C").arg(root).arg("."));
    let sum = output(Command::new("sha256sum").arg(&layer));
    let sum = sum.split_whitespace().next().expect("sha256sum answers a sum");
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let config = json!({
        "architecture": architecture, "os": "linux", "config": config,
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{sum}")]},
    });
    let manifest = json!([{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]);
    fs::write(parts.join("config.json"), config.to_string()).expect("a file can be written");
    fs::write(parts.join("manifest.json"), manifest.to_string()).expect("a file can be written");
    let archive = folder.join(format!("{short}.tar"));
    output(Command::new("tar").arg("-cf").arg(&archive).arg("-C").arg(&parts).arg("."));
    archive
}

fn output(command: &mut Command) -> String {
    let ran = command.output().unwrap_or_else(|error| panic!("{command:?} cannot be started: {error}"));
    assert!(ran.status.success(), "{command:?}: {}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8_lossy(&ran.stdout).into_owned()
}
