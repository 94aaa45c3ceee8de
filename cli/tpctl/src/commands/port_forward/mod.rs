//! `tpctl port-forward`: local ports that lead into a pod, until Ctrl-C or until the pod is gone.
//!
//! Every local connection is a stream of its own on a connection of its own, so that one that is not read holds up no other.

mod listen;
mod ports;

use std::time::Duration;

use super::reach::{Purpose, pod_of, reached};
use crate::duration::duration;
use crate::objects::{Change, Follow, Next, Object, select};
use crate::print::out;
use crate::session::Session;
use anyhow::{Result, anyhow, bail};
use api::Resource;
use api::core::v1::{Pod, Service};
use api::rpc::{PortForwardInput, port_forward_input};
use bytes::BytesMut;
use clap::Args;
use client::Api;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use listen::{Accepted, listen};
use ports::Forward;

/// What `--help` shows at its end.
pub(crate) const EXAMPLES: &str = "Examples:
  tpctl port-forward pod/mypod 5000 6000                 these ports, here as there
  tpctl port-forward pod/mypod 8888:5000                 8888 here, 5000 in the pod
  tpctl port-forward pod/mypod :5000                     a free port here
  tpctl port-forward deployment/web 8080:80              of a pod of the Deployment
  tpctl port-forward service/web 8443:https              the Service's port of this name, in one of its pods
  tpctl port-forward --address 0.0.0.0 pod/mypod 8888:5000   reachable from elsewhere";

/// The most that is read at once.
const PIECE: usize = 32 << 10;
/// How many connections may wait to be served.
const WAITING: usize = 16;

/// Flags of `tpctl port-forward`.
#[derive(Debug, Args)]
pub(crate) struct PortForwardArgs {
    /// POD or TYPE/NAME, then [LOCAL:]REMOTE for each port.
    #[arg(value_name = "POD PORT")]
    words: Vec<String>,
    /// Addresses to listen on: IP addresses, or localhost for both of this machine's own.
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',', default_value = "localhost")]
    address: Vec<String>,
    /// How long to wait until there is a pod.
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = duration)]
    pod_running_timeout: Duration,
}

/// `tpctl port-forward`.
pub(crate) async fn run(session: &Session, args: &PortForwardArgs) -> Result<()> {
    let [target, wanted @ ..] = args.words.as_slice() else {
        bail!("TYPE/NAME and list of ports are required for port-forward");
    };
    if wanted.is_empty() {
        bail!("TYPE/NAME and list of ports are required for port-forward");
    }
    let addresses = listen::addresses(&args.address)?;
    let object = reached(session, std::slice::from_ref(target)).await?;
    let (pod, _) = pod_of(session, &object, Purpose::Streams, args.pod_running_timeout).await?;
    let forwards = ports::parse(wanted, &pod, object.typed::<Service>())?;
    if pod.status.phase != "Running" {
        bail!("unable to forward port because pod is not running. Current status={}", pod.status.phase);
    }
    // Bound before anything is awaited, so that whoever reads the first line can connect.
    let (accepted, connections) = mpsc::channel(WAITING);
    let listening = listen(&forwards, &addresses, &accepted).await?;
    drop(accepted);
    tokio::select! {
        ended = serve(session, &pod, connections) => ended,
        gone = gone(session, &pod) => gone,
        never = listening.run() => match never {},
    }
}

/// Serves connections until one finds that the pod cannot be reached.
async fn serve(session: &Session, pod: &Pod, mut connections: mpsc::Receiver<Accepted>) -> Result<()> {
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            Some(Accepted { stream, forward }) = connections.recv() => {
                out(&format!("Handling connection for {}\n", forward.local))?;
                let pods = Api::<Pod>::namespaced(session.another_client()?, &pod.metadata.namespace);
                let name = pod.metadata.name.clone();
                open.spawn(async move { (forward, carry(&pods, &name, forward, stream).await) });
            }
            Some(ended) = open.join_next() => {
                let (forward, carried) = ended?;
                if let Err(error) = carried {
                    let Forward { local, remote } = forward;
                    eprintln!("an error occurred forwarding {local} -> {remote}: {error}");
                    bail!("lost connection to pod");
                }
            }
        }
    }
}

/// Carries one connection, both ways, until the pod's side has closed.
async fn carry(pods: &Api<Pod>, name: &str, forward: Forward, stream: TcpStream) -> Result<(), api::Error> {
    let (sender, mut answers) = pods.port_forward(name, forward.remote).await?;
    let (from_here, mut to_here) = stream.into_split();
    let mut sending = JoinSet::new();
    sending.spawn(send(from_here, sender));
    while let Some(answer) = answers.next().await {
        // Whoever connected here may hang up at any time; that is no failure of the pod.
        if to_here.write_all(&answer?.data).await.is_err() {
            return Ok(());
        }
    }
    let _ = to_here.shutdown().await;
    Ok(())
}

/// Passes on what comes from here; its end ends our side of the stream.
async fn send(mut from_here: OwnedReadHalf, sender: client::Sender<PortForwardInput>) {
    let mut buffer = BytesMut::with_capacity(PIECE);
    while let Ok(1..) = from_here.read_buf(&mut buffer).await {
        let data = port_forward_input::Input::Data(buffer.split().freeze());
        if sender.send(PortForwardInput { input: Some(data) }).await.is_err() {
            return;
        }
        buffer.reserve(PIECE);
    }
}

/// Returns when this very pod has ended or is gone.
async fn gone(session: &Session, pod: &Pod) -> Result<()> {
    let lost = || Err(anyhow!("lost connection to pod"));
    let lives = |object: &Object| {
        let pod_now = object.typed::<Pod>();
        object.metadata().uid == pod.metadata.uid
            && pod_now.is_some_and(|pod| !matches!(pod.status.phase.as_str(), "Succeeded" | "Failed"))
    };
    let api = session.api(Pod::INFO);
    let (items, mut follow) = Follow::start(&*api, &pod.metadata.namespace, select(&pod.metadata.name)).await?;
    if !items.iter().any(lives) {
        return lost();
    }
    loop {
        match follow.next().await? {
            Next::Changed(Change::Added(pod) | Change::Modified(pod)) if !lives(&pod) => return lost(),
            Next::Changed(Change::Deleted(_)) => return lost(),
            Next::Anew(items) if !items.iter().any(lives) => return lost(),
            _ => {}
        }
    }
}
