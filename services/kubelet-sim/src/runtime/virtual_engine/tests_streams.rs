//! Exec, attach, port-forward and logs of containers that do not run, as their users see them.

use std::fmt::Write;
use std::time::Duration;

use futures::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

use super::tests::*;
use super::*;
use crate::cri::ContainerState;
use crate::runtime::{
    ContainerLogs, Handler, Input, LogOptions, LogStream, Output, PodAccess, PodStreams, Purpose, RuntimeService,
    Session, Target, Terminal, Verdict,
};

const PLAIN: Terminal = Terminal { stdin: true, stdout: true, stderr: true, tty: false };
const TTY: Terminal = Terminal { stdin: true, stdout: true, stderr: false, tty: true };

fn argv(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

fn sh(script: &str) -> Vec<String> {
    argv(&["sh", "-c", script])
}

/// Everything that a session printed, complaints in brackets, and how it ended.
async fn rest(session: &mut Session) -> (String, Option<i32>) {
    let mut text = String::new();
    while let Some(output) = session.output.recv().await {
        match output {
            Output::Stdout(bytes) => text.push_str(&String::from_utf8_lossy(&bytes)),
            Output::Stderr(bytes) => write!(text, "[{}]", String::from_utf8_lossy(&bytes)).unwrap(),
            Output::Exited(code) => return (text, Some(code)),
        }
    }
    (text, None)
}

impl Fixture {
    async fn exec(&self, id: &str, command: Vec<String>) -> (String, Option<i32>) {
        let mut session = self.engine.exec(id, command, PLAIN).await.unwrap();
        rest(&mut session).await
    }

    /// The log so far, with the seconds since the container's start.
    async fn log(&self, id: &str, options: LogOptions) -> Vec<(i64, String)> {
        let started_at = self.status(id).await.started_at;
        let lines = self.engine.logs(id, options).await.unwrap();
        let lines: Vec<_> = lines.map(Result::unwrap).collect().await;
        let age = |line: &crate::runtime::LogLine| (line.time.as_nanosecond() - i128::from(started_at)) / 1_000_000_000;
        let text = |line: &crate::runtime::LogLine| String::from_utf8_lossy(&line.content).trim_end().to_owned();
        lines.iter().map(|line| (i64::try_from(age(line)).unwrap(), text(line))).collect()
    }

    async fn probe(&self, id: &str, handler: &Handler) -> Verdict {
        self.ask(id, handler, Purpose::Readiness).await
    }
}

#[tokio::test(start_paused = true)]
async fn commands_are_answered_as_a_small_container_would() {
    let it = Fixture::new(&[]).await;
    let id = it.running("nginx", &[]).await;
    /// A command, what it prints, and its exit code.
    type Case = (Vec<String>, &'static str, i32);
    let cases: [Case; 14] = [
        (argv(&["echo", "hi", "there"]), "hi there\n", 0),
        (argv(&["hostname"]), "web-host\n", 0),
        (sh("echo $HOSTNAME in $(pwd)"), "web-host in /\n", 0),
        (
            argv(&["cat", "/usr/share/message"]),
            "[cat: can't open '/usr/share/message': No such file or directory\n]",
            1,
        ),
        (sh("echo Hello > /usr/share/message"), "", 0),
        (
            sh("cat /usr/share/message && echo more >> /usr/share/message; wc -l /usr/share/message"),
            "Hello\n2 /usr/share/message\n",
            0,
        ),
        (argv(&["ls", "/usr/share"]), "message\nnginx\n", 0),
        (argv(&["rm", "/usr/share/message"]), "", 0),
        (argv(&["test", "-f", "/usr/share/message"]), "", 1),
        (sh("echo lost 2>/dev/null >&2; exit 3"), "", 3),
        (sh("for i in 1 2; do echo $((i * 10 + 1)); done"), "11\n21\n", 0),
        (argv(&["printenv", "NOTHING"]), "", 1),
        (
            argv(&["python", "-V"]),
            "[python: no process runs in a virtual container, and this command cannot be imitated; a kubelet with --engine process runs commands for real\n]",
            127,
        ),
        (
            sh("ls | wc -l"),
            "[sh: no process runs in a virtual container, and this command cannot be imitated; a kubelet with --engine process runs commands for real\n]",
            127,
        ),
    ];
    for (command, printed, code) in cases {
        assert_eq!(it.exec(&id, command.clone()).await, (printed.to_owned(), Some(code)), "{command:?}");
    }
    let start = Instant::now();
    assert_eq!(it.exec(&id, sh("sleep 3; echo late")).await, ("late\n".to_owned(), Some(0)));
    assert_eq!(start.elapsed().as_secs(), 3);
    assert!(it.engine.exec("nobody", argv(&["true"]), PLAIN).await.unwrap_err().is_not_found());
}

#[tokio::test(start_paused = true)]
async fn commands_read_what_is_sent_to_them() {
    let it = Fixture::new(&[]).await;
    let id = it.running("nginx", &[]).await;
    let cases = [
        (argv(&["cat"]), "b\na b\n"),
        (argv(&["cat", "-"]), "b\na b\n"),
        (argv(&["wc"]), "        2         3         6\n"),
        (argv(&["wc", "-l"]), "2\n"),
        (argv(&["head", "-n", "1"]), "b\n"),
        (argv(&["tail", "-1"]), "a b\n"),
        (argv(&["grep", "a"]), "a b\n"),
        (argv(&["tee", "/tmp/copy"]), "b\na b\n"),
        (sh("cat > /tmp/file; wc -l /tmp/file; cat"), "2 /tmp/file\n"),
        (sh("echo $(cat); cat /tmp/copy"), "\nb\na b\n"),
    ];
    for (command, expected) in cases {
        let mut session = self::send(&it, &id, &command, &["b\na", " b\n"]).await;
        session.input.send(Input::CloseStdin).await.unwrap();
        assert_eq!(rest(&mut session).await, (expected.to_owned(), Some(0)), "{command:?}");
    }
    let nothing = Terminal { stdin: false, ..PLAIN };
    let mut session = it.engine.exec(&id, argv(&["cat"]), nothing).await.unwrap();
    assert_eq!(rest(&mut session).await, (String::new(), Some(0)), "nobody types");
}

async fn send(it: &Fixture, id: &str, command: &[String], parts: &[&str]) -> Session {
    let session = it.engine.exec(id, command.to_vec(), PLAIN).await.unwrap();
    for part in parts {
        session.input.send(Input::Stdin(bytes::Bytes::copy_from_slice(part.as_bytes()))).await.unwrap();
    }
    session
}

#[tokio::test(start_paused = true)]
async fn cat_passes_on_what_it_reads_as_it_comes() {
    let it = Fixture::new(&[]).await;
    let id = it.running("nginx", &[]).await;
    let mut session = send(&it, &id, &argv(&["cat"]), &["one\n"]).await;
    assert_eq!(session.output.recv().await, Some(Output::Stdout("one\n".into())));
    let (first, second) = "\u{e4}".as_bytes().split_at(1);
    for part in [first, second] {
        session.input.send(Input::Stdin(bytes::Bytes::copy_from_slice(part))).await.unwrap();
    }
    assert_eq!(session.output.recv().await, Some(Output::Stdout("\u{e4}".into())), "a character in two parts");
    drop(session.input);

    let mut session = it.engine.exec(&id, argv(&["cat"]), TTY).await.unwrap();
    session.input.send(Input::Stdin("hi\r\u{4}".into())).await.unwrap();
    assert_eq!(rest(&mut session).await, ("hi\r\nhi\r\n".to_owned(), Some(0)), "its echo, and what cat says");
}

/// I6
#[tokio::test(start_paused = true)]
async fn i6_touching_its_file_lets_an_init_container_succeed() {
    let it = Fixture::new(&[]).await;
    let script = "until cat /root/myapp; do echo /root/myapp no such file or directory!; sleep 2; done";
    let id = it.running("busybox:v1", &["sh", "-c", script]).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(it.status(&id).await.state(), ContainerState::ContainerRunning);
    assert_eq!(it.exec(&id, argv(&["touch", "/root/myapp"])).await, (String::new(), Some(0)));
    tokio::time::sleep(Duration::from_secs(2)).await;
    let status = it.status(&id).await;
    assert_eq!((status.state(), status.exit_code), (ContainerState::ContainerExited, 0));
    assert_eq!((status.finished_at - status.started_at) / 1_000_000_000, 6);
    let log = it.log(&id, LogOptions::default()).await;
    let said: Vec<i64> =
        log.iter().filter(|(_, text)| text.starts_with("/root/myapp no such")).map(|(at, _)| *at).collect();
    assert_eq!(said, [0, 2, 4], "and the log of a container that is over stays");
    assert_eq!(log.len(), 6, "beside what cat complained");
}

/// H1
#[tokio::test(start_paused = true)]
async fn h1_what_a_post_start_hook_writes_is_there_to_read() {
    let it = Fixture::new(&[]).await;
    let id = it.running("nginx", &[]).await;
    let target = Target { container_id: id.clone(), pod_ip: String::new() };
    let hook = Handler::Exec(sh("echo Hello from the postStart handler > /usr/share/message"));
    assert_eq!(it.engine.run(&target, &hook, Purpose::PostStart, None).await.unwrap(), Verdict::Success);
    let read = it.exec(&id, argv(&["cat", "/usr/share/message"])).await;
    assert_eq!(read, ("Hello from the postStart handler\n".to_owned(), Some(0)));
    let unknown = Handler::Exec(argv(&["/opt/register-somewhere"]));
    assert_eq!(it.engine.run(&target, &unknown, Purpose::PostStart, None).await.unwrap(), Verdict::Success);
}

/// P3
#[tokio::test(start_paused = true)]
async fn p3_removing_the_page_makes_the_readiness_probe_fail() {
    let it = Fixture::new(&[]).await;
    let id = it.running("nginx", &[]).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let page = "/usr/share/nginx/html/index.html";
    let reads = Handler::Exec(argv(&["cat", page]));
    assert_eq!(it.probe(&id, &reads).await, Verdict::Success);
    assert_eq!(it.probe(&id, &get("/")).await, Verdict::Success);
    assert_eq!(
        it.probe(&id, &get("/nowhere")).await,
        Verdict::Failure("HTTP probe failed with statuscode: 404".to_owned())
    );
    it.exec(&id, argv(&["rm", page])).await;
    let missing = format!("cat: can't open '{page}': No such file or directory\n");
    let Verdict::Exited(failed) = it.probe(&id, &reads).await else { panic!("it reads") };
    assert_eq!((failed.code, failed.output, failed.stderr), (1, missing.clone(), missing));
    assert_eq!(it.probe(&id, &get("/")).await, Verdict::Failure("HTTP probe failed with statuscode: 403".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_shell_with_a_terminal_echoes_edits_and_interrupts() {
    let it = Fixture::new(&[]).await;
    let id = it.running("nginx", &[]).await;
    let mut session = it.engine.exec(&id, argv(&["sh"]), TTY).await.unwrap();
    let keys = b"cd /tmp\rcat x\x7f/etc/hostname\r\x1b[Asleep 1000\r";
    session.input.send(Input::Resize { width: 80, height: 24 }).await.unwrap();
    session.input.send(Input::Stdin(keys.to_vec().into())).await.unwrap();
    let mut text = String::new();
    while !text.ends_with("sleep 1000\r\n") {
        let Some(Output::Stdout(bytes)) = session.output.recv().await else { panic!("ended after {text}") };
        text.push_str(&String::from_utf8_lossy(&bytes));
    }
    assert_eq!(text, "/ # cd /tmp\r\n/ # cat x\u{8} \u{8}/etc/hostname\r\nweb-host\r\n/ # sleep 1000\r\n");
    session.input.send(Input::Stdin("\x03".into())).await.unwrap();
    session.input.send(Input::Stdin("exit 7\r".into())).await.unwrap();
    assert_eq!(rest(&mut session).await, ("^C\r\n/ # exit 7\r\n".to_owned(), Some(7)));
}

#[tokio::test(start_paused = true)]
async fn a_shell_without_a_terminal_reads_a_script() {
    let it = Fixture::new(&[]).await;
    let id = it.running("nginx", &[]).await;
    let mut session = it.engine.exec(&id, argv(&["sh"]), PLAIN).await.unwrap();
    for input in [Input::Stdin("x=5\necho $x\nfal".into()), Input::Stdin("se".into()), Input::CloseStdin] {
        session.input.send(input).await.unwrap();
    }
    assert_eq!(rest(&mut session).await, ("5\n".to_owned(), Some(1)));
}

#[tokio::test(start_paused = true)]
async fn a_session_dies_with_its_container_and_with_its_reader() {
    let it = Fixture::new(&[]).await;
    let id = it.running("nginx", &[]).await;
    let mut session = it.engine.exec(&id, argv(&["sleep", "1000"]), PLAIN).await.unwrap();
    let left = it.engine.exec(&id, argv(&["sh"]), TTY).await.unwrap();
    drop(left.output);
    left.input.closed().await;
    it.engine.stop_container(&id, 1).await.unwrap();
    assert_eq!(rest(&mut session).await, (String::new(), Some(137)));
    assert!(it.engine.exec(&id, argv(&["true"]), PLAIN).await.unwrap_err().message.contains("is not running"));
}

#[tokio::test(start_paused = true)]
async fn logs_follow_from_settings_and_time() {
    let it = Fixture::new(&[("log-start", "up"), ("log-line", "tick {n}\ntock {n}"), ("log-every", "10s")]).await;
    let id = it.running("example.com/app", &[]).await;
    tokio::time::sleep(Duration::from_secs(35)).await;
    let line = |at, text: &str| (at, text.to_owned());
    let all = [line(0, "up"), line(10, "tick 1"), line(20, "tock 2"), line(30, "tick 3")];
    assert_eq!(it.log(&id, LogOptions::default()).await, all);
    assert_eq!(it.log(&id, LogOptions { tail: Some(2), ..Default::default() }).await, all[2..]);
    let since = it.engine.clock.now() - jiff::SignedDuration::from_secs(15);
    assert_eq!(it.log(&id, LogOptions { since: Some(since), ..Default::default() }).await, all[2..]);

    let follow = LogOptions { follow: true, tail: Some(1), since: None };
    let mut lines = it.engine.logs(&id, follow).await.unwrap();
    let mut told = Vec::new();
    for _ in 0..3 {
        told.push(String::from_utf8_lossy(&lines.next().await.unwrap().unwrap().content).trim_end().to_owned());
    }
    assert_eq!(told, ["tick 3", "tock 4", "tick 5"]);
    it.engine.stop_container(&id, 0).await.unwrap();
    assert!(lines.next().await.is_none(), "a log ends with its container");
    assert_eq!(it.log(&id, LogOptions::default()).await.len(), 6, "and can be read until that is removed");
    it.engine.remove_container(&id).await.unwrap();
    assert!(it.engine.logs(&id, LogOptions::default()).await.is_err_and(|error| error.is_not_found()));
}

#[tokio::test(start_paused = true)]
async fn commands_print_into_the_log_when_they_come_to_it() {
    let it = Fixture::new(&[]).await;
    let id =
        it.running("busybox", &["sh", "-c", "i=0; while true; do echo $i; i=$((i+1)); cat /x; sleep 1; done"]).await;
    let mut lines = it.engine.logs(&id, LogOptions { follow: true, ..Default::default() }).await.unwrap();
    for expected in ["0", "cat: can't open '/x': No such file or directory", "1"] {
        let line = lines.next().await.unwrap().unwrap();
        assert_eq!(String::from_utf8_lossy(&line.content).trim_end(), expected);
        assert_eq!(line.stream == LogStream::Stderr, expected.starts_with("cat"));
    }
}

#[tokio::test(start_paused = true)]
async fn attach_shows_what_is_printed_from_now_on_and_how_it_ends() {
    let it = Fixture::new(&[("log-line", "tick {n}"), ("run-for", "25s"), ("exit-code", "4")]).await;
    let id = it.running("example.com/app", &[]).await;
    tokio::time::sleep(Duration::from_millis(22_500)).await;
    let mut session = it.engine.attach(&id, PLAIN).await.unwrap();
    assert_eq!(rest(&mut session).await, ("tick 23\ntick 24\ntick 25\n".to_owned(), Some(4)));
}

#[tokio::test(start_paused = true)]
async fn ports_that_are_open_answer_and_others_refuse() {
    let it = Fixture::new(&[]).await;
    let id = it.running("nginx", &[]).await;
    let sandbox = it.engine.list_containers(None).await.unwrap()[0].pod_sandbox_id.clone();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let fetch = async |request: &str| {
        let mut connection = it.engine.port_forward(&sandbox, 80).await.unwrap();
        connection.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let page = fetch("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(page.starts_with("HTTP/1.1 200 OK\r\n") && page.contains("Welcome to nginx!"), "{page}");
    assert!(fetch("GET /no HTTP/1.1\r\n\r\n").await.starts_with("HTTP/1.1 404 Not Found\r\n"));
    assert!(fetch("PING\r\n\r\n").await.starts_with("HTTP/1.1 400 Bad Request\r\n"));
    it.exec(&id, sh("echo new > /usr/share/nginx/html/index.html")).await;
    assert!(fetch("GET / HTTP/1.1\r\n\r\n").await.ends_with("\r\n\r\nnew\n"));
    let refused = it.engine.port_forward(&sandbox, 81).await.err().unwrap();
    assert!(refused.message.ends_with("dial tcp 127.0.0.1:81: connect: connection refused"), "{refused}");
    assert!(it.engine.port_forward("nobody", 80).await.err().unwrap().is_not_found());
}
