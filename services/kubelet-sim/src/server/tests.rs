//! The service over real connections, on containers of the virtual engine; what runs in them is scripted by the test.

use std::time::Duration;

use api::core::v1::{ContainerState, ContainerStateWaiting, ContainerStatus, Pod};
use api::rpc::{PodTarget, PortForwardStart, SessionStart, TerminalSize};
use async_trait::async_trait;
use axum::middleware::Next;
use bytes::Bytes;
use controller::Cache;
use futures::stream;
use http::uri::PathAndQuery;
use service_kit::tls::PeerIdentity;
use service_kit::{Clock, Connection as Peer, Listener};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::{Mutex, mpsc};
use tokio::time::timeout;
use tonic::Code;
use tonic::client;
use tonic::transport::{Channel, Endpoint};

use super::*;
use crate::cri;
use crate::runtime::catalogue::Catalogue;
use crate::runtime::virtual_engine::VirtualEngine;
use crate::runtime::{
    Connection, ContainerLogs, ImageService, Input, Lines, LogLine, LogOptions, LogStream, Output, PodStreams, Result,
    Runtime, RuntimeError, RuntimeService, SESSION_BUFFER, Session, Terminal,
};

const PATIENCE: Duration = Duration::from_secs(30);

/// What the kubelet asked of the runtime, and the runtime's side of it.
enum Opened {
    Session { command: Vec<String>, terminal: Terminal, input: mpsc::Receiver<Input>, output: mpsc::Sender<Output> },
    Log { options: LogOptions, lines: mpsc::Sender<Result<LogLine>> },
    Port { port: u16, stream: DuplexStream },
}

/// Streams whose other side the test has.
struct Scripted(mpsc::UnboundedSender<Opened>);

impl Scripted {
    fn session(&self, command: Vec<String>, terminal: Terminal) -> Session {
        let ((input, typed), (printed, output)) = (mpsc::channel(SESSION_BUFFER), mpsc::channel(SESSION_BUFFER));
        let _ = self.0.send(Opened::Session { command, terminal, input: typed, output: printed });
        Session { input, output }
    }
}

#[async_trait]
impl PodStreams for Scripted {
    async fn exec(&self, _: &str, command: Vec<String>, terminal: Terminal) -> Result<Session> {
        if command == ["missing"] {
            return Err(RuntimeError::unknown("exec: \"missing\": executable file not found in $PATH"));
        }
        Ok(self.session(command, terminal))
    }

    async fn attach(&self, _: &str, terminal: Terminal) -> Result<Session> {
        Ok(self.session(Vec::new(), terminal))
    }

    async fn port_forward(&self, _: &str, port: u16) -> Result<Box<dyn Connection>> {
        if port == 81 {
            return Err(RuntimeError::unknown("dial tcp4 127.0.0.1:81: connect: connection refused"));
        }
        let (here, stream) = duplex(1024);
        let _ = self.0.send(Opened::Port { port, stream });
        Ok(Box::new(here))
    }
}

#[async_trait]
impl ContainerLogs for Scripted {
    async fn logs(&self, _: &str, options: LogOptions) -> Result<Lines> {
        let (lines, mut printed) = mpsc::channel(1);
        let _ = self.0.send(Opened::Log { options, lines });
        Ok(stream::poll_fn(move |cx| printed.poll_recv(cx)).boxed())
    }
}

/// A kubelet of node `n1` with the pod `default/web`: `app` runs, `late` waits for its start.
struct Kubelet {
    channel: Channel,
    shutdown: Shutdown,
    opened: Mutex<mpsc::UnboundedReceiver<Opened>>,
}

impl Kubelet {
    async fn start() -> Self {
        Self::serving(Some("kube-apiserver-kubelet-client")).await
    }

    /// All callers are `user`.
    async fn serving(user: Option<&str>) -> Self {
        let engine = VirtualEngine::new("n1", Arc::new(Catalogue::built_in()), Clock::system(), None);
        run_app(&engine).await;
        let (tell, opened) = mpsc::unbounded_channel();
        let scripted = Arc::new(Scripted(tell));
        let runtime = Runtime { streams: scripted.clone(), logs: scripted, ..Runtime::of(engine) };
        let lookup = Lookup { nodes: [("n1".to_owned(), runtime)].into(), pods: Cache::of([pod()], Vec::new()) };
        let shutdown = Shutdown::new();
        let peer = user.map(|user| Arc::new(PeerIdentity { common_name: user.to_owned(), organizations: Vec::new() }));
        let router = routes(lookup, shutdown.clone()).layer(from_fn(move |mut request: Request, next: Next| {
            if let Some(connection) = request.extensions_mut().get_mut::<Peer>() {
                connection.peer.clone_from(&peer);
            }
            next.run(request)
        }));
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), "--secure-port").await.unwrap();
        let address = listener.local_addr();
        tokio::spawn(listener.serve(router, shutdown.clone()));
        let channel = Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
        Self { channel, shutdown, opened: Mutex::new(opened) }
    }

    async fn opened(&self) -> Opened {
        timeout(PATIENCE, async { self.opened.lock().await.recv().await }).await.unwrap().unwrap()
    }

    async fn call<Q, A>(
        &self,
        path: &'static str,
        messages: impl futures::Stream<Item = Q> + Send + 'static,
    ) -> std::result::Result<Streaming<A>, Status>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let mut grpc = client::Grpc::new(self.channel.clone());
        grpc.ready().await.unwrap();
        let path = PathAndQuery::from_static(path);
        let answer = grpc.streaming(tonic::Request::new(messages), path, ProstCodec::<Q, A>::default()).await?;
        Ok(answer.into_inner())
    }

    async fn exec(&self, start: SessionStart) -> std::result::Result<(Typing, Streaming<SessionOutput>), Status> {
        let (typing, mut typed) = mpsc::channel(4);
        typing.send(SessionInput { input: Some(session_input::Input::Start(start)) }).await.unwrap();
        let typed = stream::poll_fn(move |cx| typed.poll_recv(cx));
        Ok((typing, self.call("/traceplane.v1.Kubelet/Exec", typed).await?))
    }

    async fn logs(&self, request: LogsRequest) -> std::result::Result<Streaming<LogChunk>, Status> {
        self.call("/traceplane.v1.Kubelet/Logs", stream::iter([request])).await
    }
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        self.shutdown.trigger();
    }
}

type Typing = mpsc::Sender<SessionInput>;

async fn run_app(engine: &Arc<VirtualEngine>) {
    let network_config = Some(cri::NetworkConfig { pod_cidr: "10.244.3.0/24".to_owned() });
    let runtime_config = Some(cri::RuntimeConfig { network_config });
    engine.update_runtime_config(cri::UpdateRuntimeConfigRequest { runtime_config }).await.unwrap();
    let metadata =
        cri::PodSandboxMetadata { name: "web".into(), uid: "u1".into(), namespace: "default".into(), attempt: 0 };
    let labels = [("io.kubernetes.pod.uid".to_owned(), "u1".to_owned())].into();
    let config = cri::PodSandboxConfig { metadata: Some(metadata), labels, ..Default::default() };
    let request = cri::RunPodSandboxRequest { config: Some(config.clone()), runtime_handler: String::new() };
    let sandbox = engine.run_pod_sandbox(request).await.unwrap();
    let image = Some(cri::ImageSpec { image: "nginx".to_owned(), ..Default::default() });
    let pull = cri::PullImageRequest { image: image.clone(), auth: None, sandbox_config: Some(config.clone()) };
    engine.pull_image(pull).await.unwrap();
    let container = cri::ContainerConfig {
        metadata: Some(cri::ContainerMetadata { name: "app".into(), attempt: 0 }),
        image,
        ..Default::default()
    };
    let request =
        cri::CreateContainerRequest { pod_sandbox_id: sandbox, config: Some(container), sandbox_config: Some(config) };
    let id = engine.create_container(request).await.unwrap();
    engine.start_container(&id).await.unwrap();
}

fn pod() -> Pod {
    let mut pod = Pod::default();
    pod.metadata.namespace = "default".to_owned();
    pod.metadata.name = "web".to_owned();
    pod.metadata.uid = "u1".to_owned();
    pod.spec.node_name = "n1".to_owned();
    let waiting = Some(ContainerStateWaiting { reason: "ContainerCreating".to_owned(), ..Default::default() });
    pod.status.container_statuses.push(ContainerStatus {
        name: "late".to_owned(),
        state: ContainerState { waiting, ..Default::default() },
        ..Default::default()
    });
    pod
}

fn target() -> Option<PodTarget> {
    Some(PodTarget { namespace: "default".into(), name: "web".into(), uid: "u1".into(), node: "n1".into() })
}

fn sh() -> SessionStart {
    SessionStart {
        pod: target(),
        container: "app".to_owned(),
        command: vec!["sh".to_owned()],
        stdin: true,
        stdout: true,
        stderr: true,
        tty: false,
    }
}

fn typed(text: &'static str) -> SessionInput {
    SessionInput { input: Some(session_input::Input::Stdin(Bytes::from_static(text.as_bytes()))) }
}

async fn next<A>(answers: &mut Streaming<A>) -> std::result::Result<Option<A>, Status> {
    timeout(PATIENCE, answers.message()).await.expect("an answer in time")
}

fn line(text: &str) -> Result<LogLine> {
    let time = "2026-01-02T03:04:05.5Z".parse().unwrap();
    Ok(LogLine { time, stream: LogStream::Stdout, content: Bytes::copy_from_slice(text.as_bytes()) })
}

#[tokio::test]
async fn a_session_carries_input_sizes_output_and_the_exit_code() {
    let kubelet = Kubelet::start().await;
    let (typing, mut answers) = kubelet.exec(SessionStart { tty: true, stderr: false, ..sh() }).await.unwrap();
    let Opened::Session { command, terminal, mut input, output } = kubelet.opened().await else { panic!("a session") };
    assert_eq!(command, ["sh"]);
    assert_eq!(terminal, Terminal { stdin: true, stdout: true, stderr: false, tty: true });
    let size = TerminalSize { width: 100_000, height: 24 };
    typing.send(SessionInput { input: Some(session_input::Input::Resize(size)) }).await.unwrap();
    typing.send(typed("ls\n")).await.unwrap();
    drop(typing);
    assert_eq!(input.recv().await, Some(Input::Resize { width: u16::MAX, height: 24 }));
    assert_eq!(input.recv().await, Some(Input::Stdin("ls\n".into())));
    assert_eq!(input.recv().await, Some(Input::CloseStdin), "the client's half is closed, the other goes on");
    for piece in [Output::Stdout("a".into()), Output::Stderr("b".into()), Output::Exited(3)] {
        output.send(piece.clone()).await.unwrap();
        assert_eq!(next(&mut answers).await.unwrap(), Some(session_message(piece)));
    }
    assert_eq!(next(&mut answers).await.unwrap(), None);
}

fn session_message(piece: Output) -> SessionOutput {
    use api::rpc::session_output::Output as Sent;
    SessionOutput {
        output: Some(match piece {
            Output::Stdout(bytes) => Sent::Stdout(bytes),
            Output::Stderr(bytes) => Sent::Stderr(bytes),
            Output::Exited(code) => Sent::ExitCode(code),
        }),
    }
}

#[tokio::test]
async fn a_client_that_vanishes_ends_its_session() {
    let kubelet = Kubelet::start().await;
    for half_closed in [false, true] {
        let (typing, answers) = kubelet.exec(sh()).await.unwrap();
        let Opened::Session { mut input, output, .. } = kubelet.opened().await else { panic!("a session") };
        let typing = (!half_closed).then_some(typing);
        if half_closed {
            assert_eq!(input.recv().await, Some(Input::CloseStdin));
        }
        drop((typing, answers));
        timeout(PATIENCE, output.closed()).await.expect("the session is dropped, which kills its command");
    }
}

#[tokio::test]
async fn without_stdin_the_containers_own_stays_open() {
    let kubelet = Kubelet::start().await;
    let (typing, mut answers) = kubelet.exec(SessionStart { stdin: false, ..sh() }).await.unwrap();
    drop(typing);
    let Opened::Session { mut input, output, .. } = kubelet.opened().await else { panic!("a session") };
    output.send(Output::Stdout("x".into())).await.unwrap();
    assert!(next(&mut answers).await.unwrap().is_some());
    assert_eq!(input.try_recv(), Err(mpsc::error::TryRecvError::Empty), "neither closed nor told to close");
    drop(output);
    let lost = next(&mut answers).await.unwrap_err();
    assert_eq!((lost.code(), lost.message()), (Code::Unavailable, "lost connection to container \"app\""));
}

#[tokio::test]
async fn a_slow_reader_stops_its_own_command_and_nobody_else() {
    const PIECE: usize = 32 << 10;
    let kubelet = Kubelet::start().await;
    let (_typing, mut slow) = kubelet.exec(sh()).await.unwrap();
    let Opened::Session { output, input: _input, .. } = kubelet.opened().await else { panic!("a session") };
    // 64 MiB: what is not bounded takes it all.
    let total = 2048;
    let printing = tokio::spawn(async move {
        for _ in 0..total {
            output.send(Output::Stdout(Bytes::from(vec![b'x'; PIECE]))).await.unwrap();
        }
        output.send(Output::Exited(0)).await.unwrap();
    });
    // Another one is served while that one stands still.
    let (_typing2, mut other) = kubelet.exec(sh()).await.unwrap();
    let Opened::Session { output, input: _input2, .. } = kubelet.opened().await else { panic!("a session") };
    output.send(Output::Exited(7)).await.unwrap();
    assert_eq!(next(&mut other).await.unwrap(), Some(session_message(Output::Exited(7))));
    assert!(!printing.is_finished(), "the command is held up by its reader");

    let mut bytes = 0;
    loop {
        match next(&mut slow).await.unwrap().unwrap().output.unwrap() {
            api::rpc::session_output::Output::Stdout(piece) => bytes += piece.len(),
            end => break assert_eq!(end, api::rpc::session_output::Output::ExitCode(0)),
        }
    }
    assert_eq!(bytes, total * PIECE, "nothing is lost");
    printing.await.unwrap();
}

#[tokio::test]
async fn lines_are_followed_formatted_and_cut() {
    let kubelet = Kubelet::start().await;
    let request = LogsRequest {
        pod: target(),
        container: "app".to_owned(),
        follow: true,
        timestamps: true,
        tail_lines: Some(5),
        limit_bytes: Some(40),
        ..Default::default()
    };
    let mut answers = kubelet.logs(request).await.unwrap();
    let Opened::Log { options, lines } = kubelet.opened().await else { panic!("a log") };
    assert_eq!(options, LogOptions { since: None, tail: Some(5), follow: true });
    lines.send(line("one\n")).await.unwrap();
    let chunk = next(&mut answers).await.unwrap().unwrap();
    assert_eq!(chunk.data, "2026-01-02T03:04:05.500000000Z one\n");
    lines.send(line("two\n")).await.unwrap();
    assert_eq!(next(&mut answers).await.unwrap().unwrap().data, "2026-", "up to the limit");
    assert_eq!(next(&mut answers).await.unwrap(), None);
    timeout(PATIENCE, lines.closed()).await.expect("nobody reads on");
}

#[tokio::test]
async fn a_log_that_breaks_is_told_to_the_end() {
    let kubelet = Kubelet::start().await;
    let request = LogsRequest { pod: target(), container: "app".to_owned(), ..Default::default() };
    let mut answers = kubelet.logs(request).await.unwrap();
    let Opened::Log { lines, .. } = kubelet.opened().await else { panic!("a log") };
    lines.send(line("one\n")).await.unwrap();
    lines.send(Err(RuntimeError::unknown("the disk is gone"))).await.unwrap();
    assert_eq!(next(&mut answers).await.unwrap().unwrap().data, "one\n");
    let broken = next(&mut answers).await.unwrap_err();
    assert_eq!(broken.message(), "Internal error occurred: the disk is gone");
}

#[tokio::test]
async fn connections_to_ports_are_carried_side_by_side() {
    let kubelet = Kubelet::start().await;
    let mut open = Vec::new();
    for port in [80, 8080, 80] {
        let (sending, mut messages) = mpsc::channel(4);
        let start = PortForwardStart { pod: target(), port };
        let start = PortForwardInput { input: Some(port_forward_input::Input::Start(start)) };
        sending.send(start).await.unwrap();
        let messages = stream::poll_fn(move |cx| messages.poll_recv(cx));
        let answers: Streaming<PortForwardOutput> =
            kubelet.call("/traceplane.v1.Kubelet/PortForward", messages).await.unwrap();
        let Opened::Port { port: asked, stream } = kubelet.opened().await else { panic!("a port") };
        assert_eq!(u32::from(asked), port);
        open.push((sending, answers, stream));
    }
    for (number, (sending, mut answers, mut pod)) in open.into_iter().enumerate() {
        let text = Bytes::from(format!("hello {number}"));
        let data = port_forward_input::Input::Data(text.clone());
        sending.send(PortForwardInput { input: Some(data) }).await.unwrap();
        drop(sending);
        let mut heard = Vec::new();
        timeout(PATIENCE, pod.read_to_end(&mut heard)).await.expect("our end is the pod's end of input").unwrap();
        assert_eq!(heard, text);
        pod.write_all(b"answer").await.unwrap();
        drop(pod);
        assert_eq!(next(&mut answers).await.unwrap().unwrap().data, "answer");
        assert_eq!(next(&mut answers).await.unwrap(), None, "its end is the end of the stream");
    }
    let start = PortForwardStart { pod: target(), port: 81 };
    let start = PortForwardInput { input: Some(port_forward_input::Input::Start(start)) };
    let refused =
        kubelet.call::<_, PortForwardOutput>("/traceplane.v1.Kubelet/PortForward", stream::iter([start])).await;
    assert_eq!(
        refused.unwrap_err().message(),
        "error forwarding port 81 to pod web_default, uid u1: dial tcp4 127.0.0.1:81: connect: connection refused"
    );
}

#[tokio::test]
async fn what_is_not_there_is_told_in_kubernetes_words() {
    let kubelet = Kubelet::start().await;
    let elsewhere = |change: fn(&mut PodTarget)| {
        let mut target = target().unwrap();
        change(&mut target);
        Some(target)
    };
    let exec = async |start: SessionStart| {
        let status = kubelet.exec(start).await.unwrap_err();
        (status.code(), status.message().to_owned())
    };
    let not_found = |message: &str| (Code::NotFound, message.to_owned());
    assert_eq!(
        exec(SessionStart { container: "late".into(), ..sh() }).await,
        not_found("container not found (\"late\")")
    );
    assert_eq!(
        exec(SessionStart { pod: elsewhere(|t| t.uid = "u0".into()), ..sh() }).await,
        not_found("pod does not exist")
    );
    let (code, message) = exec(SessionStart { pod: elsewhere(|t| t.node = "n2".into()), ..sh() }).await;
    assert_eq!((code, message.as_str()), (Code::NotFound, "this kubelet does not host the node \"n2\""));
    let (code, message) = exec(SessionStart { command: vec!["missing".into()], ..sh() }).await;
    assert_eq!(code, Code::Internal);
    assert_eq!(
        message,
        "Internal error occurred: error executing command in container: exec: \"missing\": executable file not found in $PATH"
    );
    let logs = async |request: LogsRequest| kubelet.logs(request).await.unwrap_err().message().to_owned();
    let late = LogsRequest { pod: target(), container: "late".to_owned(), ..Default::default() };
    assert_eq!(logs(late.clone()).await, "container \"late\" in pod \"web\" is waiting to start: ContainerCreating");
    let previous = LogsRequest { container: "app".to_owned(), previous: true, ..late.clone() };
    assert_eq!(logs(previous).await, "previous terminated container \"app\" in pod \"web\" not found");
    let gone = LogsRequest { pod: elsewhere(|t| t.name = "db".into()), ..late };
    assert_eq!(logs(gone).await, "pod \"db\" does not exist");
}

#[tokio::test]
async fn a_kubelet_that_stops_ends_its_streams_and_says_so() {
    let kubelet = Kubelet::start().await;
    let request = LogsRequest { pod: target(), container: "app".to_owned(), follow: true, ..Default::default() };
    let mut following = kubelet.logs(request).await.unwrap();
    let Opened::Log { lines, .. } = kubelet.opened().await else { panic!("a log") };
    let (_typing, mut session) = kubelet.exec(sh()).await.unwrap();
    let Opened::Session { output, input: _input, .. } = kubelet.opened().await else { panic!("a session") };
    kubelet.shutdown.trigger();
    for status in [next(&mut following).await.unwrap_err(), next(&mut session).await.unwrap_err()] {
        assert_eq!(status.code(), Code::Unavailable, "{status}");
        assert_eq!(status.message(), "the kubelet is stopping: the stream has ended, open it again");
    }
    timeout(PATIENCE, async { tokio::join!(lines.closed(), output.closed()) }).await.expect("both are dropped");
}

#[tokio::test]
async fn strangers_do_not_reach_into_pods() {
    for (user, code) in [(None, Code::Unauthenticated), (Some("system:node:n1"), Code::PermissionDenied)] {
        let kubelet = Kubelet::serving(user).await;
        assert_eq!(kubelet.exec(sh()).await.unwrap_err().code(), code, "{user:?}");
        assert!(kubelet.opened.lock().await.try_recv().is_err(), "nothing was asked of the runtime");
    }
}

#[tokio::test]
async fn input_that_was_not_announced_ends_the_session() {
    let kubelet = Kubelet::start().await;
    let (typing, mut answers) = kubelet.exec(SessionStart { stdin: false, ..sh() }).await.unwrap();
    let Opened::Session { output, input: _input, .. } = kubelet.opened().await else { panic!("a session") };
    typing.send(typed("x")).await.unwrap();
    assert_eq!(next(&mut answers).await.unwrap_err().code(), Code::InvalidArgument);
    timeout(PATIENCE, output.closed()).await.expect("the session is dropped");
}
