//! A session of exec or attach: five channels of the runtime, two of ours.
//!
//! A task carries both directions and ends with the connection, or when nobody reads any more. What `exec` runs is then left to the
//! runtime: its input has ended, but CRI has no word to kill it.

use std::pin::pin;

use bytes::Bytes;
use serde::Deserialize;
use tokio::sync::mpsc;

use super::super::channels::{Receiving, Sending};
use crate::runtime::{Input, Output, SESSION_BUFFER, Session};

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
/// How the command ended, as a `Status` of the Kubernetes API.
const STATUS: u8 = 3;
const RESIZE: u8 = 4;

/// Exit code of a command that could not be run; the reason is told as its complaint. Shells use it for what they find but cannot run.
const NOT_RUN: i32 = 126;

/// A command: its reader is waited for, and the runtime says how it ended.
pub(super) fn of_command((sending, receiving): (Sending, Receiving)) -> Session {
    carry(sending, move |output| command_output(receiving, output))
}

/// A container's own streams: it never waits for a reader, and `ended` says how it ended.
pub(super) fn of_container(
    (sending, receiving): (Sending, Receiving),
    ended: impl Future<Output = Option<i32>> + Send + 'static,
) -> Session {
    carry(sending, move |output| container_output(receiving, output, ended))
}

fn carry<F>(sending: Sending, receive: impl FnOnce(mpsc::Sender<Output>) -> F + Send + 'static) -> Session
where
    F: Future<Output = ()> + Send + 'static,
{
    let (input, inputs) = mpsc::channel(SESSION_BUFFER);
    let (outputs, output) = mpsc::channel(SESSION_BUFFER);
    tokio::spawn(async move {
        let mut sending = sending;
        let nobody = outputs.clone();
        {
            let mut received = pin!(receive(outputs));
            let mut sent = pin!(send_input(&mut sending, inputs));
            let mut sending_on = true;
            loop {
                tokio::select! {
                    () = &mut received => break,
                    () = nobody.closed() => break,
                    () = &mut sent, if sending_on => sending_on = false,
                }
            }
        }
        sending.end().await;
    });
    Session { input, output }
}

async fn send_input(sending: &mut Sending, mut inputs: mpsc::Receiver<Input>) {
    while let Some(input) = inputs.recv().await {
        let there = match input {
            Input::Stdin(bytes) => sending.send(STDIN, bytes).await,
            Input::CloseStdin => break,
            Input::Resize { width, height } => {
                let size = format!("{{\"Width\":{width},\"Height\":{height}}}");
                sending.send(RESIZE, Bytes::from(size)).await
            }
        };
        if !there {
            return;
        }
    }
    sending.close(STDIN).await;
    // After the end of the input only sizes mean anything.
    while let Some(input) = inputs.recv().await {
        if let Input::Resize { width, height } = input {
            sending.send(RESIZE, Bytes::from(format!("{{\"Width\":{width},\"Height\":{height}}}"))).await;
        }
    }
}

async fn command_output(mut receiving: Receiving, output: mpsc::Sender<Output>) {
    while let Some((channel, bytes)) = receiving.next().await {
        let piece = match channel {
            // The server begins with an empty message, to say that it is there.
            STDOUT | STDERR if bytes.is_empty() => continue,
            STDOUT => Output::Stdout(bytes),
            STDERR => Output::Stderr(bytes),
            STATUS if !bytes.is_empty() => {
                let (code, complaint) = end_of(&bytes);
                if let Some(complaint) = complaint {
                    let _ = output.send(Output::Stderr(Bytes::from(complaint + "\n"))).await;
                }
                let _ = output.send(Output::Exited(code)).await;
                return;
            }
            _ => continue,
        };
        if output.send(piece).await.is_err() {
            return;
        }
    }
}

async fn container_output(
    mut receiving: Receiving,
    output: mpsc::Sender<Output>,
    ended: impl Future<Output = Option<i32>>,
) {
    while let Some((channel, bytes)) = receiving.next().await {
        // The runtime prints to all that are attached in turn: what is not taken at once is lost, or the container would wait.
        let _ = match channel {
            _ if bytes.is_empty() => continue,
            STDOUT => output.try_send(Output::Stdout(bytes)),
            STDERR => output.try_send(Output::Stderr(bytes)),
            STATUS => break,
            _ => continue,
        };
    }
    if let Some(code) = ended.await {
        let _ = output.send(Output::Exited(code)).await;
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    status: String,
    message: String,
    reason: String,
    details: Details,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Details {
    causes: Vec<Cause>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Cause {
    reason: String,
    message: String,
}

/// The exit code that a status tells, and what it says beyond that.
fn end_of(json: &[u8]) -> (i32, Option<String>) {
    let Ok(status) = serde_json::from_slice::<Status>(json) else {
        return (NOT_RUN, Some(String::from_utf8_lossy(json).into_owned()));
    };
    if status.status == "Success" {
        return (0, None);
    }
    let code = status.details.causes.iter().find(|cause| cause.reason == "ExitCode");
    match code.and_then(|code| code.message.parse().ok()) {
        Some(code) if status.reason == "NonZeroExitCode" => (code, None),
        _ => (NOT_RUN, Some(status.message)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_tells_the_exit_code_or_why_nothing_ran() {
        let failure = r#"{"metadata":{},"status":"Failure","message":"command terminated with non-zero exit code: 3","reason":"NonZeroExitCode","details":{"causes":[{"reason":"ExitCode","message":"3"}]}}"#;
        let error = r#"{"status":"Failure","message":"Internal error occurred: no such file","reason":"InternalError","details":{"causes":[{"message":"x"}]},"code":500}"#;
        for (json, code, complaint) in [
            (r#"{"metadata":{},"status":"Success"}"#, 0, None),
            (failure, 3, None),
            (error, NOT_RUN, Some("Internal error occurred: no such file")),
            ("not json", NOT_RUN, Some("not json")),
        ] {
            assert_eq!(end_of(json.as_bytes()), (code, complaint.map(str::to_owned)), "{json}");
        }
    }
}
