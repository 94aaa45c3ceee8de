//! Exec, attach, port-forward and logs.

use std::fs;
use std::time::Duration;

use service_kit::Clock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use traceplane_kubelet_sim::runtime::log_files::Rotation;
use traceplane_kubelet_sim::runtime::{Input, LogOptions, Output, PodStreams, RuntimeService, Terminal};

use crate::pod::{Node, Spec, enter, finish, script, until};

const ALL: Terminal = Terminal { stdin: true, stdout: true, stderr: true, tty: false };
const TTY: Terminal = Terminal { stdin: true, stdout: true, stderr: false, tty: true };

#[tokio::test]
async fn a_command_in_a_container_has_its_streams_and_its_exit_code() {
    let Some(it) = Node::new().await else { return };
    let id = it.run(&script("sleep 3600")).await;
    let session = it.exec(&id, "cat; echo oops >&2; exit 9", ALL).await;
    enter(&session, "typed\n").await;
    session.input.send(Input::CloseStdin).await.unwrap();
    assert_eq!(finish(session).await, ("typed\n".to_owned(), "oops\n".to_owned(), 9));
    let session = it.exec(&id, "kill -9 $$", ALL).await;
    assert_eq!(finish(session).await.2, 137);
    // What it leaves behind holds the pipe open; nobody waits for that.
    let session = it.exec(&id, "sleep 3600 & echo started", ALL).await;
    assert_eq!(finish(session).await, ("started\n".to_owned(), String::new(), 0));

    let error = it.engine.exec(&id, vec!["nonsense".to_owned()], ALL).await.unwrap_err().message;
    let (begin, end) = (
        "failed to exec in container: failed to start exec \"",
        "exec: \"nonsense\": executable file not found in $PATH: unknown",
    );
    assert!(error.starts_with(begin) && error.ends_with(end), "{error}");
    it.end().await;
}

#[tokio::test]
async fn exec_with_a_terminal_is_a_working_shell() {
    let Some(it) = Node::new().await else { return };
    let id = it.run(&script("sleep 3600")).await;
    let mut session = it.exec(&id, "exec sh", TTY).await;
    session.input.send(Input::Resize { width: 123, height: 45 }).await.unwrap();
    enter(&session, "stty size; tty_is=$(test -t 0 && echo yes); echo terminal: $tty_is $TERM\n").await;
    assert!(until(&mut session, "terminal: yes xterm").await.contains("45 123"));
    enter(&session, "sleep 3601; echo not reached\n").await;
    // Typed before, it would interrupt the shell, which is used to that.
    testkit::eventually("the command is in the foreground", Duration::from_secs(30), || async {
        let (processes, _) = it.ask(&id, "ps").await;
        if processes.contains("sleep 3601") { Ok(()) } else { Err(processes) }
    })
    .await;
    enter(&session, "\u{3}").await;
    enter(&session, "echo \"after\"wards\n").await;
    until(&mut session, "afterwards").await;
    enter(&session, "exit 4\n").await;
    assert_eq!(finish(session).await.2, 4);
    it.end().await;
}

#[tokio::test]
async fn a_session_that_nobody_wants_any_more_ends_its_command() {
    let Some(it) = Node::new().await else { return };
    let id = it.run(&script("sleep 3600")).await;
    let mut session = it.exec(&id, "echo up; exec sleep 7777", ALL).await;
    until(&mut session, "up").await;
    drop(session);
    testkit::eventually("the command is gone", Duration::from_secs(30), || async {
        let (processes, _) = it.ask(&id, "ps").await;
        if processes.contains("sleep 7777") { Err(processes) } else { Ok(()) }
    })
    .await;
    it.end().await;
}

#[tokio::test]
async fn a_slow_reader_never_blocks_the_container() {
    let Some(it) = Node::new().await else { return };
    let spec =
        script("while ! [ -e /go ]; do sleep 0.1; done; yes 0123456789 | head -c 3000000; echo; echo done; sleep 3600");
    let id = it.run(&spec).await;
    // It never reads.
    let attached = it.engine.attach(&id, Terminal { stdin: false, ..ALL }).await.unwrap();
    it.ask(&id, "touch /go").await;
    it.has_printed(&id, "done").await;
    drop(attached);
    // A command whose output is not read waits, and goes on when it is.
    let session = it.exec(&id, "yes 0123456789 | head -c 3000000; touch /written", ALL).await;
    assert_eq!(it.ask(&id, "ls /go").await.1, 0, "the container is not disturbed");
    assert_ne!(it.ask(&id, "ls /written").await.1, 0, "the command waits");
    let (out, _, code) = finish(session).await;
    assert_eq!((out.len(), code), (3_000_000, 0), "nothing of it is lost");
    it.end().await;
}

#[tokio::test]
async fn attaching_joins_the_streams_of_the_container_itself() {
    let Some(it) = Node::new().await else { return };
    let sandbox = it.sandbox().await;
    let spec = Spec { stdin: true, stdin_once: true, ..script("echo up; cat; echo end of input; exit 6") };
    let id = it.start(&sandbox, &spec).await;
    it.has_printed(&id, "up").await;
    let mut session = it.engine.attach(&id, ALL).await.unwrap();
    enter(&session, "hello\n").await;
    until(&mut session, "hello").await;
    session.input.send(Input::CloseStdin).await.unwrap();
    assert_eq!(finish(session).await, ("end of input\n".to_owned(), String::new(), 6));
    assert_eq!(it.printed(&id).await, "up\nhello\nend of input\n", "the log has it all the same");

    let shell = Spec { stdin: true, tty: true, command: vec!["sh".to_owned()], ..Spec::default() };
    let id = it.start(&sandbox, &shell).await;
    let mut session = it.engine.attach(&id, TTY).await.unwrap();
    session.input.send(Input::Resize { width: 90, height: 30 }).await.unwrap();
    enter(&session, "stty size\n").await;
    until(&mut session, "30 90").await;
    enter(&session, "exit 2\n").await;
    assert_eq!(finish(session).await.2, 2);
    it.end().await;
}

#[tokio::test]
async fn ports_are_reached_in_the_pods_own_network() {
    let Some(it) = Node::new().await else { return };
    let sandbox = it.sandbox().await;
    let id = it.start(&sandbox, &script("echo up; while :; do nc -l -p 8080 -e cat; done")).await;
    it.has_printed(&id, "up").await;
    let mut connection = testkit::eventually("the server listens", Duration::from_secs(30), || async {
        it.engine.port_forward(&sandbox, 8_080).await
    })
    .await;
    connection.write_all(b"there and back").await.unwrap();
    let mut back = [0; 14];
    connection.read_exact(&mut back).await.unwrap();
    assert_eq!(&back, b"there and back");
    let refused = it.engine.port_forward(&sandbox, 81).await.err().unwrap().message;
    assert!(refused.contains("failed to connect to localhost:81 inside namespace"), "{refused}");
    assert!(refused.contains("IPv4: dial tcp4 127.0.0.1:81: connect: connection refused"), "{refused}");
    it.end().await;
}

#[tokio::test]
async fn logs_are_rotated_by_size_and_followed_across() {
    let Some(it) = Node::new().await else { return };
    let id = it.run(&script("i=0; while ! [ -e /stop ]; do i=$((i+1)); echo line $i; sleep 0.01; done")).await;
    let (engine, follower) = (it.engine.clone(), id.clone());
    let follower = tokio::spawn(async move {
        use futures::StreamExt;
        use traceplane_kubelet_sim::runtime::ContainerLogs;
        let lines = engine.logs(&follower, LogOptions { follow: true, ..LogOptions::default() }).await.unwrap();
        lines.map(|line| String::from_utf8(line.unwrap().content.to_vec()).unwrap()).collect::<Vec<_>>().await
    });
    it.has_printed(&id, "line 1").await;
    let folder = it.root.path().join("logs/main");
    let rotation = Rotation { max_size: 100, max_files: 3 };
    for round in 0..4 {
        // Another file has another second in its name.
        tokio::time::sleep(Duration::from_millis(1_100)).await;
        rotation.rotate_all(it.engine.as_ref(), &Clock::system()).await;
        assert!(fs::metadata(folder.join("0.log")).unwrap().is_file(), "round {round}");
    }
    let mut files: Vec<_> =
        fs::read_dir(&folder).unwrap().map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
    files.sort();
    assert_eq!(files.len(), 3, "{files:?}");
    assert!(files[0] == "0.log" && files[1].ends_with(".gz") && !files[2].ends_with(".gz"), "{files:?}");

    it.ask(&id, "touch /stop").await;
    assert_eq!(it.end_of(&id).await.exit_code, 0);
    let seen = follower.await.unwrap();
    let expected: Vec<String> = (1..=seen.len()).map(|number| format!("line {number}\n")).collect();
    assert!(seen == expected, "no line is lost or told twice");
    it.end().await;
}

#[tokio::test]
async fn a_log_is_read_by_tail_and_by_time() {
    let Some(it) = Node::new().await else { return };
    let id = it.run(&script("for i in 1 2 3 4 5; do echo $i; done")).await;
    it.end_of(&id).await;
    assert_eq!(it.log(&id, LogOptions { tail: Some(2), ..LogOptions::default() }).await, "4\n5\n");
    let later = it.status(&id).await.finished_at + 1_000_000_000;
    let since = Some(jiff::Timestamp::from_nanosecond(later.into()).unwrap());
    assert_eq!(it.log(&id, LogOptions { since, ..LogOptions::default() }).await, "");
    it.engine.remove_container(&id).await.unwrap();
    it.end().await;
}

#[tokio::test]
async fn output_of_a_session_ends_with_its_container() {
    let Some(it) = Node::new().await else { return };
    let id = it.run(&script("sleep 3600")).await;
    let mut session = it.exec(&id, "echo up; sleep 3600", ALL).await;
    until(&mut session, "up").await;
    it.engine.stop_container(&id, 0).await.unwrap();
    let last = tokio::time::timeout(Duration::from_secs(30), session.output.recv()).await.unwrap();
    assert_eq!(last, Some(Output::Exited(137)));
    it.end().await;
}
