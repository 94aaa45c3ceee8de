//! An apiserver whose every answer the test gives, over connections in memory.
//!
//! Each call of the client under test arrives as a [`ScriptedCall`] (or, for a watch, a [`ScriptedWatch`]) and waits for what the test
//! says. No socket is involved, so it works with paused time: whatever waits for a timer waits not at all.
//!
//! It keeps no objects and knows no rules; a test that needs some keeps them itself.

mod call;
mod codec;
mod watch;

pub use call::ScriptedCall;
pub use watch::{ScriptedWatch, traceparent};

use api::Resource;
use call::Answers;
use client::Client;
use codec::RawCodec;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use parking_lot::Mutex;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::DuplexStream;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::timeout;

/// What the client says that it is connected to.
pub const ADDRESS: &str = "https://scripted:6443";

/// Longer than anything a client waits for, so that with paused time only a call that never comes is missed.
const PATIENCE: Duration = Duration::from_secs(3600);

/// The server's end of the script.
#[derive(Debug)]
pub struct ScriptedApiserver {
    calls: mpsc::UnboundedReceiver<ScriptedCall>,
    network: Network,
}

/// The connections between a client and its [`ScriptedApiserver`]. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Network {
    shared: Arc<Mutex<Connections>>,
}

#[derive(Debug)]
struct Connections {
    is_down: bool,
    open: Vec<AbortHandle>,
    calls: mpsc::UnboundedSender<ScriptedCall>,
}

impl ScriptedApiserver {
    /// A server and its only client.
    pub fn start() -> (Client, ScriptedApiserver) {
        let (sender, calls) = mpsc::unbounded_channel();
        let connections = Connections { is_down: false, open: Vec::new(), calls: sender };
        let network = Network { shared: Arc::new(Mutex::new(connections)) };
        let connect = network.clone();
        let client = Client::over(ADDRESS, move || std::future::ready(connect.connect()));
        (client, ScriptedApiserver { calls, network })
    }

    /// The connections, to break them.
    pub fn network(&self) -> Network {
        self.network.clone()
    }

    /// The next call, whatever it is.
    ///
    /// # Panics
    /// None comes for an hour of the client's time.
    pub async fn call(&mut self) -> ScriptedCall {
        let call = timeout(PATIENCE, self.calls.recv()).await.expect("the client makes a call");
        call.expect("the network keeps the sender")
    }

    /// The next call, which must be this method of this kind.
    ///
    /// # Panics
    /// It is another one.
    pub async fn expect<K: Resource>(&mut self, method: &str) -> ScriptedCall {
        let call = self.call().await;
        assert_eq!((call.service(), call.method()), (K::INFO.service, method), "another call came first");
        call
    }

    /// The next call, which must be a watch of this kind; it is accepted.
    ///
    /// # Panics
    /// It is another one.
    pub async fn watch<K: Resource>(&mut self) -> ScriptedWatch<K> {
        ScriptedWatch::accept(self.expect::<K>("Watch").await)
    }

    /// Whether no call comes for this long.
    pub async fn is_quiet_for(&mut self, time: Duration) -> bool {
        timeout(time, self.calls.recv()).await.is_err()
    }
}

impl Network {
    /// Breaks every open connection. New ones can be made.
    pub fn cut(&self) {
        self.shared.lock().open.drain(..).for_each(|connection| connection.abort());
    }

    /// Breaks every open connection and refuses new ones until [`Network::up`].
    pub fn down(&self) {
        self.shared.lock().is_down = true;
        self.cut();
    }

    /// Lets connections be made again.
    pub fn up(&self) {
        self.shared.lock().is_down = false;
    }

    fn connect(&self) -> io::Result<DuplexStream> {
        let mut connections = self.shared.lock();
        if connections.is_down {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        let serving = tokio::spawn(serve(ours, connections.calls.clone()));
        connections.open.push(serving.abort_handle());
        Ok(theirs)
    }
}

async fn serve(connection: DuplexStream, calls: mpsc::UnboundedSender<ScriptedCall>) {
    let service = hyper::service::service_fn(move |request: http::Request<hyper::body::Incoming>| {
        let script = Answers::new(&request, calls.clone());
        async move { Ok::<_, std::convert::Infallible>(tonic::server::Grpc::new(RawCodec).streaming(script, request).await) }
    });
    let http = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(connection), service);
    // Its end is the client's affair.
    let _ = http.await;
}
