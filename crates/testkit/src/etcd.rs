//! A real etcd for one test: its own process, ports and directory, gone when the test is.
//!
//! It can be killed, frozen and started again on the same ports and data. It knows nothing of what is stored in it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

/// How long etcd may take to become healthy, on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running etcd. Dropping it kills the process and removes its data.
pub struct EtcdProcess {
    process: Child,
    ports: Ports,
    scheme: &'static str,
    args: Vec<String>,
    // Removed when dropped, after the process has been told to die.
    directory: tempfile::TempDir,
}

/// Ports that nobody else is given, whether etcd runs just now or not: they are bound, though nobody listens, as long as this lives.
struct Ports {
    client: u16,
    peer: u16,
    /// Serves /health without TLS, whatever the client port speaks.
    health: u16,
    _bound: [TcpSocket; 3],
}

impl EtcdProcess {
    /// Starts etcd and waits until it is healthy.
    ///
    /// # Panics
    /// If there is no etcd on the PATH, or it does not become healthy; the message ends with its log.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// The same with more flags, for example `--max-request-bytes=...`.
    pub async fn start_with(args: &[&str]) -> Self {
        Self::start_speaking("http", args).await
    }

    /// The same with TLS on the client port; `args` name the certificates.
    pub async fn start_with_tls(args: &[&str]) -> Self {
        Self::start_speaking("https", args).await
    }

    async fn start_speaking(scheme: &'static str, args: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let ports = Ports::reserve().expect("the machine has free ports");
        let mut process = launch(&ports, scheme, &args, directory.path());
        if let Err(reason) = healthy(&ports, &mut process).await {
            panic!("etcd {reason}\n{}", log(directory.path()));
        }
        Self { process, ports, scheme, args, directory }
    }

    /// The client URL.
    pub fn endpoint(&self) -> String {
        format!("{}://127.0.0.1:{}", self.scheme, self.ports.client)
    }

    /// Kills the process as a power cut would, and waits until it is gone. What it had promised is on disk.
    pub async fn kill(&mut self) {
        // It may be gone already, which is what was wanted.
        let _ = self.process.kill().await;
    }

    /// Starts it again on the same ports and data, and waits until it is healthy.
    ///
    /// # Panics
    /// If it does not become healthy.
    pub async fn restart(&mut self) {
        self.kill().await;
        self.process = launch(&self.ports, self.scheme, &self.args, self.directory.path());
        if let Err(reason) = healthy(&self.ports, &mut self.process).await {
            panic!("etcd {reason}\n{}", log(self.directory.path()));
        }
    }

    /// Restarts it with nothing of what it had stored.
    pub async fn wipe(&mut self) {
        self.kill().await;
        std::fs::remove_dir_all(self.directory.path().join("data")).expect("etcd has a data directory");
        self.restart().await;
    }

    /// Runs `etcdctl` against it, as an operator would, and returns what it prints.
    ///
    /// # Panics
    /// If the command fails.
    pub async fn ctl(&self, args: &[&str]) -> String {
        let output = Command::new("etcdctl")
            .env("ETCDCTL_API", "3")
            .args(["--endpoints", &self.endpoint()])
            .args(args)
            .output()
            .await
            .expect("etcdctl can be started (apt-get install etcd-client)");
        assert!(output.status.success(), "etcdctl {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Stops the process without ending it: connections stay open and nobody answers.
    pub fn freeze(&self) {
        self.signal(Signal::SIGSTOP);
    }

    /// Lets a frozen process go on.
    pub fn thaw(&self) {
        self.signal(Signal::SIGCONT);
    }

    fn signal(&self, signal: Signal) {
        let id = self.process.id().expect("the process has not been waited for");
        let id = i32::try_from(id).expect("process ids are small");
        kill(Pid::from_raw(id), signal).expect("our own child can be signalled");
    }
}

impl Ports {
    fn reserve() -> io::Result<Self> {
        let bind = || {
            let socket = TcpSocket::new_v4()?;
            // Lets etcd, which says the same, listen where this socket does not. No port is chosen twice for that.
            socket.set_reuseaddr(true)?;
            socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
            Ok::<_, io::Error>((socket.local_addr()?.port(), socket))
        };
        let ((client, first), (peer, second), (health, third)) = (bind()?, bind()?, bind()?);
        Ok(Self { client, peer, health, _bound: [first, second, third] })
    }
}

fn launch(ports: &Ports, scheme: &str, args: &[String], directory: &Path) -> Child {
    let client = format!("{scheme}://127.0.0.1:{}", ports.client);
    let peer = format!("http://127.0.0.1:{}", ports.peer);
    let log =
        std::fs::File::options().create(true).append(true).open(log_path(directory)).expect("a log can be opened");
    Command::new("etcd")
        .arg("--name=test")
        .arg("--data-dir")
        .arg(directory.join("data"))
        .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
        .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
        .args(["--initial-cluster", &format!("test={peer}")])
        .args(["--listen-metrics-urls", &format!("http://127.0.0.1:{}", ports.health)])
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|error| {
            panic!("etcd cannot be started ({error}): is it installed? (apt-get install etcd-server)")
        })
}

/// Waits until etcd says that it has a leader. `Err` says what happened instead.
async fn healthy(ports: &Ports, process: &mut Child) -> Result<(), String> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Ok(Some(status)) = process.try_wait() {
            return Err(format!("has ended: {status}"));
        }
        let answer = timeout(Duration::from_secs(1), ask_health(ports.health)).await;
        if matches!(&answer, Ok(Ok(text)) if text.contains(r#""health":"true""#)) {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(format!("is not healthy after {} s; it last said {answer:?}", PATIENCE.as_secs()));
        }
        sleep(Duration::from_millis(20)).await;
    }
}

async fn ask_health(port: u16) -> io::Result<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    stream.write_all(b"GET /health HTTP/1.0\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

fn log_path(directory: &Path) -> PathBuf {
    directory.join("etcd.log")
}

/// The end of etcd's log.
fn log(directory: &Path) -> String {
    let log = std::fs::read_to_string(log_path(directory)).unwrap_or_default();
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn reserved_ports_are_given_to_nobody_else_and_can_be_listened_on_again_and_again() {
        let reserved: Vec<Ports> = (0..100).map(|_| Ports::reserve().unwrap()).collect();
        let ports: BTreeSet<u16> = reserved.iter().flat_map(|it| [it.client, it.peer, it.health]).collect();
        assert_eq!(ports.len(), 300);
        let listen = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        for port in &ports {
            drop(listen(*port));
        }
        // Neither a connection nor a listener that takes any port gets one of these.
        let listener = listen(reserved[0].client);
        let connections: Vec<TcpStream> =
            (0..100).map(|_| TcpStream::connect(listener.local_addr().unwrap()).unwrap()).collect();
        let of_connections = connections.iter().map(|connection| connection.local_addr().unwrap().port());
        let listeners: Vec<TcpListener> = (0..100).map(|_| listen(0)).collect();
        let of_listeners = listeners.iter().map(|listener| listener.local_addr().unwrap().port());
        assert_eq!(of_connections.chain(of_listeners).find(|port| ports.contains(port)), None);
    }
}
