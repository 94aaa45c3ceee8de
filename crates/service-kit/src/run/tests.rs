//! The frame alone under paused time, and whole processes: each process test starts this test binary again with one of
//! the services of [`child`].

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::time::sleep;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_service_that_ends_by_itself_takes_its_work_along() {
    let shutdown = Shutdown::new();
    let (start, seen) = (Instant::now(), shutdown.clone());
    let ended = to_end(
        |shutdown| async move {
            let stop = shutdown.clone();
            tokio::spawn(shutdown.track(async move {
                stop.triggered().await;
                sleep(SECOND).await;
            }));
            Ok::<(), &str>(())
        },
        shutdown,
        7 * SECOND,
    )
    .await;
    assert!(ended.is_ok() && seen.is_triggered());
    assert_eq!(start.elapsed(), SECOND);
}

#[tokio::test(start_paused = true)]
async fn stopping_is_bounded_from_the_signal_on() {
    let shutdown = Shutdown::new();
    let (start, signal) = (Instant::now(), shutdown.clone());
    tokio::spawn(async move {
        sleep(60 * SECOND).await;
        signal.trigger();
    });
    let stuck = |_| std::future::pending::<Result<(), &str>>();
    let failure = to_end(stuck, shutdown, 7 * SECOND).await.unwrap_err();
    assert_eq!(failure.to_string(), "the service did not stop within 7s: see its log for what it waited for");
    assert_eq!(start.elapsed(), 67 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn errors_and_panics_are_failures() {
    let failed = to_end(|_| async { Err("port 6443 is in use") }, Shutdown::new(), SECOND).await.unwrap_err();
    assert_eq!(failed.to_string(), "port 6443 is in use");
    let panicked = to_end(
        |_| async {
            assert_eq!(1, 2, "sums");
            Ok::<(), &str>(())
        },
        Shutdown::new(),
        SECOND,
    )
    .await
    .unwrap_err();
    assert!(matches!(panicked, Failure::Panic(message) if message.contains("sums")));
}

#[derive(Debug, thiserror::Error)]
#[error("cannot reach etcd at http://127.0.0.1:1")]
struct NoEtcd(#[source] std::io::Error);

/// No test: the process that the tests below start.
#[test]
#[ignore = "started by the process tests"]
fn child() {
    // libtest leaves the line that names the test unfinished.
    println!();
    let ready = || println!("ready");
    let telemetry = || TelemetryConfig::new("child");
    let refused = || std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
    let code = match std::env::var("SERVICE").as_deref() {
        Ok("obedient") => run_to_code(GRACE, "child", telemetry(), async |shutdown: Shutdown| {
            ready();
            shutdown.triggered().await;
            Ok::<(), TaskError>(())
        }),
        Ok("stubborn") => run_to_code(GRACE, "child", telemetry(), async |shutdown: Shutdown| {
            ready();
            shutdown.triggered().await;
            println!("stopping");
            std::future::pending::<Result<(), TaskError>>().await
        }),
        Ok("failing") => run_to_code(GRACE, "child", telemetry(), async |_| Err::<(), _>(NoEtcd(refused()))),
        other => panic!("{other:?} is no service"),
    };
    std::process::exit(code.into());
}

struct Process {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Process {
    fn start(service: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "run::tests::child", "--ignored", "--nocapture"])
            .env("SERVICE", service)
            .env("RUST_LOG", "info")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// Reads on until the process says so; the end of its output fails the test.
    fn wait_for(&mut self, word: &str) {
        let said = self.lines.any(|line| line.unwrap() == word);
        assert!(said, "the process ended without saying {word:?}");
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
    }

    fn end(mut self) -> (Option<i32>, String) {
        let mut stderr = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        (self.child.wait().unwrap().code(), stderr)
    }
}

#[test]
fn the_first_signal_stops_a_service_with_code_0() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut process = Process::start("obedient");
        process.wait_for("ready");
        process.signal(signal);
        let (code, stderr) = process.end();
        assert_eq!(code, Some(0), "{stderr}");
        assert!(!stderr.contains("error:"), "{stderr}");
    }
}

#[test]
fn the_second_signal_ends_the_process_at_once() {
    for (signal, expected) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143)] {
        let mut process = Process::start("stubborn");
        process.wait_for("ready");
        process.signal(Signal::SIGTERM);
        process.wait_for("stopping");
        process.signal(signal);
        let (code, stderr) = process.end();
        assert_eq!(code, Some(expected), "{stderr}");
    }
}

#[test]
fn a_failure_is_one_line_with_its_causes_and_code_1() {
    let (code, stderr) = Process::start("failing").end();
    assert_eq!(code, Some(1), "{stderr}");
    let errors: Vec<_> = stderr.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(errors, ["error: cannot reach etcd at http://127.0.0.1:1: connection refused"]);
}
