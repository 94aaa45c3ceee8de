//! Somebody outside of the cluster to whom processes inside report what they do: what a status says can be held against it.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};

use api::core::v1::Pod;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

type Reports = Arc<Mutex<BTreeMap<(String, String), i32>>>;

/// Counts reports of the form `GET /<pod>/<what>`.
pub(crate) struct Witness {
    address: SocketAddr,
    reports: Reports,
    server: JoinHandle<()>,
}

impl Witness {
    /// Listens on every address of this machine, and is known by one that pods have a route to.
    pub(crate) async fn start() -> Witness {
        let listener = TcpListener::bind("0.0.0.0:0").await.expect("a port is free");
        let port = listener.local_addr().expect("a bound socket has an address").port();
        let address = SocketAddr::new(own_address(), port);
        let reports = Reports::default();
        let taken = Arc::clone(&reports);
        let server = tokio::spawn(async move {
            while let Ok((mut connection, _)) = listener.accept().await {
                let taken = Arc::clone(&taken);
                tokio::spawn(async move {
                    let mut line = String::new();
                    let _ = BufReader::new(&mut connection).read_line(&mut line).await;
                    let path = line.split(' ').nth(1).and_then(|path| path.strip_prefix('/')?.split_once('/'));
                    if let Some((pod, what)) = path {
                        *taken.lock().expect("not poisoned").entry((pod.to_owned(), what.to_owned())).or_default() += 1;
                    }
                    let _ = connection.write_all(b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n").await;
                });
            }
        });
        Witness { address, reports, server }
    }

    /// How often something was reported of a pod.
    pub(crate) fn count(&self, pod: &str, what: &str) -> i32 {
        let key = (pod.to_owned(), what.to_owned());
        self.reports.lock().expect("not poisoned").get(&key).copied().unwrap_or_default()
    }

    /// The processes of this machine that would report here, as `id command`.
    pub(crate) fn reporters(&self) -> Vec<String> {
        let mark = format!("WITNESS_PORT={}", self.address.port());
        let processes = std::fs::read_dir("/proc").expect("there is /proc").flatten();
        let reports = |folder: &std::path::Path| {
            let environment = std::fs::read(folder.join("environ")).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
        };
        let ours = processes.map(|process| process.path()).filter(|folder| reports(folder));
        let shown = |folder: std::path::PathBuf| {
            let command = std::fs::read(folder.join("cmdline")).unwrap_or_default();
            format!("{} {}", folder.display(), String::from_utf8_lossy(&command).replace('\0', " "))
        };
        ours.map(shown).collect()
    }

    /// A pod that spends some time in every phase, and reports each.
    pub(crate) fn reporting(&self, name: &str) -> Pod {
        let env = serde_json::json!([
            { "name": "WITNESS_PORT", "value": self.address.port().to_string() },
            { "name": "WITNESS", "value": self.address.ip().to_string() },
            { "name": "POD", "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } },
        ]);
        let report = |what: &str| format!("wget -q -O - http://$WITNESS:$WITNESS_PORT/$POD/{what}");
        let shell = |script: String| serde_json::json!(["sh", "-c", script]);
        let hook = |script: String| serde_json::json!({ "exec": { "command": shell(script) } });
        // What a shell waits for in `wait` is interrupted by a signal that it traps; a `sleep` before it is not.
        let main =
            format!("trap '{}; exit 0' TERM; {}; while :; do sleep 1 & wait $!; done", report("TERM"), report("main"));
        let value = serde_json::json!({
            "metadata": {
                "name": name, "namespace": "default", "labels": { "app": "slow" },
            },
            "spec": {
                "terminationGracePeriodSeconds": 3,
                "initContainers": [
                    {
                        "name": "init", "image": "busybox:1", "env": env,
                        "command": shell(format!("{}; sleep 0.4", report("init"))),
                    },
                    {
                        "name": "side", "image": "busybox:1", "env": env, "restartPolicy": "Always",
                        "command": ["sleep", "3600"],
                    },
                ],
                "containers": [{
                    "name": "main", "image": "busybox:1", "env": env, "command": shell(main),
                    "lifecycle": {
                        "postStart": hook(format!("{}; sleep 0.4", report("postStart"))),
                        "preStop": hook(format!("{}; sleep 0.5", report("preStop"))),
                    },
                    "readinessProbe": { "exec": { "command": ["true"] }, "initialDelaySeconds": 1, "periodSeconds": 1 },
                }],
            },
        });
        serde_json::from_value(value).expect("a pod")
    }
}

/// The address with which this machine speaks to others. Nothing is sent: connecting a datagram socket only asks for the route.
fn own_address() -> IpAddr {
    let socket = UdpSocket::bind("0.0.0.0:0").expect("a port is free");
    socket.connect("192.0.2.1:9").expect("this machine has a route to others");
    socket.local_addr().expect("a bound socket has an address").ip()
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.server.abort();
    }
}
