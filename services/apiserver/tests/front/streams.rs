//! Logs, exec, attach and port-forward: from a client through the apiserver to a kubelet that the test plays.

use std::time::Duration;

use api::Reason;
use api::core::v1::{Binding, Node, NodeAddress, Pod};
use api::rpc::{
    BindPodRequest, BindPodResponse, CreateRequest, LogChunk, LogsRequest, PodTarget, SessionInput, SessionOutput,
    SessionStart, UpdateRequest, session_input, session_output,
};
use axum::Router;
use axum::extract::{Request, State};
use axum::routing::post;
use bytes::Bytes;
use futures::stream;
use prost::Message;
use service_kit::rpc_status::to_status;
use service_kit::tls::{CaBundle, ClientAuth, Identity, server_config};
use service_kit::{Listener, Shutdown};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::time::timeout;
use tonic::server::Grpc;
use tonic::{Code, Status, Streaming};
use tonic_prost::ProstCodec;
use tower::service_fn;

use crate::harness::{Client, PATIENCE, Server, error, pod};

const EXEC: &str = "/traceplane.v1.Pods/Exec";
const LOGS: &str = "/traceplane.v1.Pods/Logs";

/// A stream as it arrived at the kubelet: what was asked, what follows, and where to answer.
struct Arrived<Q, A> {
    messages: Streaming<Q>,
    answers: mpsc::Sender<Result<A, Status>>,
}

/// A kubelet whose side of every stream the test has.
struct Kubelet {
    port: u16,
    sessions: Mutex<mpsc::Receiver<Arrived<SessionInput, SessionOutput>>>,
    logs: Mutex<mpsc::Receiver<Arrived<LogsRequest, LogChunk>>>,
    /// Triggers its end without a word.
    killed: Option<oneshot::Sender<()>>,
}

#[derive(Clone)]
struct Told {
    sessions: mpsc::Sender<Arrived<SessionInput, SessionOutput>>,
    logs: mpsc::Sender<Arrived<LogsRequest, LogChunk>>,
}

impl Kubelet {
    /// Serves with a certificate for this user and group, and demands one of its clients.
    async fn start(server: &Server, user: &str, group: &str) -> Self {
        let (certificate, key) = server.authority.sign_for(user, group, &["somewhere-else"]);
        let identity = Identity::from_pem(certificate.as_bytes(), key.as_bytes(), "kubelet").unwrap();
        let ca = CaBundle::from_pem(server.authority.pem.as_bytes(), "ca").unwrap();
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), "--port").await.unwrap();
        let listener = listener.with_tls(server_config(&identity, ClientAuth::Required(&ca)));
        let port = listener.local_addr().port();
        let ((told_sessions, sessions), (told_logs, logs)) = (mpsc::channel(4), mpsc::channel(4));
        let router = Router::new()
            .route("/traceplane.v1.Kubelet/Exec", post(session))
            .route("/traceplane.v1.Kubelet/Logs", post(log))
            .with_state(Told { sessions: told_sessions, logs: told_logs });
        let (killed, kill) = oneshot::channel();
        // On a runtime of its own, which takes its connections with it: a process that is killed says nothing.
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
            let _entered = runtime.enter();
            runtime.spawn(listener.serve(router, Shutdown::new()));
            let _ = kill.blocking_recv();
            runtime.shutdown_background();
        });
        Self { port, sessions: Mutex::new(sessions), logs: Mutex::new(logs), killed: Some(killed) }
    }

    async fn session(&self) -> Arrived<SessionInput, SessionOutput> {
        timeout(PATIENCE, async { self.sessions.lock().await.recv().await }).await.unwrap().unwrap()
    }

    async fn log(&self) -> Arrived<LogsRequest, LogChunk> {
        timeout(PATIENCE, async { self.logs.lock().await.recv().await }).await.unwrap().unwrap()
    }
}

async fn session(State(told): State<Told>, request: Request) -> http::Response<tonic::body::Body> {
    arrive(request, told.sessions).await
}

async fn log(State(told): State<Told>, request: Request) -> http::Response<tonic::body::Body> {
    arrive(request, told.logs).await
}

async fn arrive<Q, A>(request: Request, tell: mpsc::Sender<Arrived<Q, A>>) -> http::Response<tonic::body::Body>
where
    Q: Message + Default + 'static,
    A: Message + 'static,
{
    let service = service_fn(|messages: tonic::Request<Streaming<Q>>| {
        let tell = tell.clone();
        async move {
            let (answers, mut answered) = mpsc::channel(1);
            tell.send(Arrived { messages: messages.into_inner(), answers })
                .await
                .map_err(|_| Status::aborted("over"))?;
            let answers = stream::poll_fn(move |cx| answered.poll_recv(cx));
            Ok::<_, Status>(tonic::Response::new(Box::pin(answers)))
        }
    });
    Grpc::new(ProstCodec::<A, Q>::default()).streaming(service, request).await
}

/// Node `n1` with its kubelet at `port`, and the pod `web` on it.
async fn cluster(admin: &Client, port: u16) {
    let mut node = Node::default();
    node.metadata.name = "n1".to_owned();
    let request = CreateRequest { namespace: String::new(), object: node, options: None };
    let mut node: Node = Box::pin(admin.call("/traceplane.v1.Nodes/Create", request)).await.unwrap();
    node.status.addresses = vec![NodeAddress { r#type: "InternalIP".to_owned(), address: "127.0.0.1".to_owned() }];
    node.status.daemon_endpoints.kubelet_endpoint.port = port.into();
    let request = UpdateRequest { namespace: String::new(), object: node, options: None };
    let _: Node = Box::pin(admin.call("/traceplane.v1.Nodes/UpdateStatus", request)).await.unwrap();
    Box::pin(admin.create_pod(pod("web"))).await.unwrap();
    let mut binding = Binding::default();
    binding.metadata.name = "web".to_owned();
    binding.target.name = "n1".to_owned();
    let request = BindPodRequest { namespace: "default".to_owned(), binding: Some(binding) };
    let _: BindPodResponse = admin.call("/traceplane.v1.Pods/Bind", request).await.unwrap();
}

fn target(name: &str) -> Option<PodTarget> {
    Some(PodTarget { namespace: "default".to_owned(), name: name.to_owned(), ..PodTarget::default() })
}

fn start(name: &str) -> SessionInput {
    let start = SessionStart {
        pod: target(name),
        command: vec!["sh".to_owned()],
        stdin: true,
        stdout: true,
        ..SessionStart::default()
    };
    SessionInput { input: Some(session_input::Input::Start(start)) }
}

fn typed(text: &'static str) -> SessionInput {
    SessionInput { input: Some(session_input::Input::Stdin(Bytes::from_static(text.as_bytes()))) }
}

fn printed(text: &'static str) -> SessionOutput {
    SessionOutput { output: Some(session_output::Output::Stdout(Bytes::from_static(text.as_bytes()))) }
}

/// A session under way: what the client types, and what it reads.
async fn exec(client: &Client) -> Result<(mpsc::Sender<SessionInput>, Streaming<SessionOutput>), Status> {
    let (typing, mut messages) = mpsc::channel(4);
    typing.send(start("web")).await.unwrap();
    let answers = client.both_ways(EXEC, stream::poll_fn(move |cx| messages.poll_recv(cx))).await?;
    Ok((typing, answers))
}

/// The same, with the kubelet's side of it. The answer begins only when the kubelet has taken the stream.
async fn opened(
    client: &Client,
    kubelet: &Kubelet,
) -> (mpsc::Sender<SessionInput>, Streaming<SessionOutput>, Arrived<SessionInput, SessionOutput>) {
    let (opened, arrived) = tokio::join!(exec(client), kubelet.session());
    let (typing, answers) = opened.unwrap();
    (typing, answers, arrived)
}

async fn next<M>(messages: &mut Streaming<M>) -> Result<Option<M>, Status> {
    timeout(PATIENCE, messages.message()).await.expect("a message in time")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_relayed_both_ways_to_the_pods_kubelet() {
    let server = Server::start().await;
    let admin = server.admin().await;
    let kubelet = Kubelet::start(&server, "system:node:n1", "system:nodes").await;
    cluster(&admin, kubelet.port).await;
    let uid = admin.get_pod("web").await.unwrap().metadata.uid;

    let (typing, mut answers, mut there) = opened(&admin, &kubelet).await;
    let Some(SessionInput { input: Some(session_input::Input::Start(start)) }) =
        next(&mut there.messages).await.unwrap()
    else {
        panic!("a start")
    };
    let whole = PodTarget { namespace: "default".into(), name: "web".into(), uid, node: "n1".into() };
    assert_eq!((start.pod, start.container.as_str()), (Some(whole), "web"), "completed by the apiserver");
    typing.send(typed("ls\n")).await.unwrap();
    assert_eq!(next(&mut there.messages).await.unwrap(), Some(typed("ls\n")));
    drop(typing);
    assert_eq!(next(&mut there.messages).await.unwrap(), None, "the client's half is closed, the other goes on");
    there.answers.send(Ok(printed("bin\n"))).await.unwrap();
    assert_eq!(next(&mut answers).await.unwrap(), Some(printed("bin\n")));
    there.answers.send(Err(to_status(&api::Error::internal("as the kubelet says")))).await.unwrap();
    let status = next(&mut answers).await.unwrap_err();
    assert_eq!(error(&status), api::Error::internal("as the kubelet says"), "the kubelet's status, word for word");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_vanishes_takes_the_kubelets_stream_with_it() {
    let server = Server::start().await;
    let admin = server.admin().await;
    let kubelet = Kubelet::start(&server, "system:node-simulator", "system:node-simulators").await;
    cluster(&admin, kubelet.port).await;
    let (typing, answers, there) = opened(&admin, &kubelet).await;
    drop((typing, answers));
    timeout(PATIENCE, there.answers.closed()).await.expect("the kubelet's stream is dropped");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kubelet_that_is_lost_and_an_apiserver_that_stops_end_streams_with_the_reason() {
    let server = Server::start().await;
    let admin = server.admin().await;
    let mut kubelet = Kubelet::start(&server, "system:node:n1", "system:nodes").await;
    cluster(&admin, kubelet.port).await;
    let (_typing, mut answers, there) = opened(&admin, &kubelet).await;
    there.answers.send(Ok(printed("a"))).await.unwrap();
    assert_eq!(next(&mut answers).await.unwrap(), Some(printed("a")));
    drop(kubelet.killed.take());
    let status = next(&mut answers).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Unavailable, "lost connection to the kubelet of node \"n1\""));
    let status = exec(&admin).await.unwrap_err();
    let expected = format!("error dialing backend: dial tcp 127.0.0.1:{}: connect: connection refused", kubelet.port);
    assert_eq!((error(&status).reason, status.message()), (Reason::Unknown, expected.as_str()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_apiserver_that_stops_ends_streams_and_says_so() {
    let server = Server::start().await;
    let admin = server.admin().await;
    let kubelet = Kubelet::start(&server, "system:node:n1", "system:nodes").await;
    cluster(&admin, kubelet.port).await;
    let (_typing, mut answers, there) = opened(&admin, &kubelet).await;
    server.shutdown.trigger();
    let status = next(&mut answers).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().starts_with("the apiserver is stopping"), "{status}");
    timeout(PATIENCE, there.answers.closed()).await.expect("the kubelet's stream is dropped");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_the_nodes_kubelet_is_told_nothing() {
    let server = Server::start().await;
    let admin = server.admin().await;
    let impostor = Kubelet::start(&server, "system:node:n2", "system:nodes").await;
    cluster(&admin, impostor.port).await;
    let status = exec(&admin).await.unwrap_err();
    assert!(status.message().starts_with("error dialing backend: "), "{status}");
    assert!(impostor.sessions.lock().await.try_recv().is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_need_their_own_rights_and_take_no_place_among_requests() {
    let server = Server::start_with(&["--max-requests-inflight=1", "--max-mutating-requests-inflight=1"]).await;
    let admin = server.admin().await;
    let kubelet = Kubelet::start(&server, "system:node:n1", "system:nodes").await;
    cluster(&admin, kubelet.port).await;
    let alice = server.client("alice", "dev").await;
    let refused = exec(&alice).await.unwrap_err();
    assert_eq!(
        (error(&refused).reason, refused.message()),
        (
            Reason::Forbidden,
            "pods \"web\" is forbidden: User \"alice\" cannot create resource \"pods/exec\" in API group \"\" in the namespace \"default\""
        )
    );
    let request = LogsRequest { pod: target("web"), follow: true, ..LogsRequest::default() };
    let refused = alice.stream::<LogChunk, _>(LOGS, request.clone()).await.unwrap_err();
    assert!(refused.message().contains("cannot get resource \"pods/log\""), "{refused}");

    let mut open = Vec::new();
    for _ in 0..3 {
        open.push(opened(&admin, &kubelet).await);
        let (following, there) = tokio::join!(admin.stream::<LogChunk, _>(LOGS, request.clone()), kubelet.log());
        let mut following = following.unwrap();
        there.answers.send(Ok(LogChunk { data: "line\n".into() })).await.unwrap();
        assert_eq!(next(&mut following).await.unwrap().unwrap().data, "line\n");
        open.last_mut().unwrap().0.send(typed("x")).await.unwrap();
    }
    timeout(Duration::from_secs(5), admin.get_pod("web")).await.expect("there is a place").unwrap();
    admin.create_pod(pod("other")).await.expect("here, too");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_reached_is_told_in_kubernetes_words() {
    let server = Server::start().await;
    let admin = server.admin().await;
    let unscheduled: Pod = pod("waiting");
    admin.create_pod(unscheduled).await.unwrap();
    let message = async |name: &str| {
        let answer = admin.both_ways::<SessionOutput, _>(EXEC, stream::iter([start(name)])).await;
        error(&answer.unwrap_err())
    };
    assert_eq!(message("nobody").await, api::Error::not_found("", "pods", "nobody"));
    assert_eq!(message("waiting").await.message, "pod waiting does not have a host assigned");
    let request = LogsRequest { pod: target("waiting"), ..LogsRequest::default() };
    let mut nothing = admin.stream::<LogChunk, _>(LOGS, request).await.unwrap();
    assert_eq!(next(&mut nothing).await.unwrap(), None, "a pod without a node has printed nothing");
    let late = admin.both_ways::<SessionOutput, _>(EXEC, stream::iter([typed("x")])).await.unwrap_err();
    assert_eq!(late.message(), "the first message of Exec must be its start");
    let none = admin.both_ways::<SessionOutput, _>(EXEC, stream::iter::<[SessionInput; 0]>([])).await.unwrap_err();
    assert_eq!(none.message(), "the stream ended before its first message did");
}
