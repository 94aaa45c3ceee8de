//! Hooks and probes: commands through the runtime, everything else over the pod's network.

use std::time::Duration;

use async_trait::async_trait;
use tonic::Code;

use super::RemoteRuntime;
use crate::cri;
use crate::runtime::{Exited, Handler, PodAccess, Purpose, Result, RuntimeService, Target, Verdict, reach};

#[async_trait]
impl PodAccess for RemoteRuntime {
    async fn run(
        &self,
        target: &Target,
        handler: &Handler,
        purpose: Purpose,
        timeout: Option<Duration>,
    ) -> Result<Verdict> {
        match handler {
            Handler::Exec(command) => self.run_command(target, command, timeout).await,
            _ => Ok(reach::over_network(handler, purpose, timeout).await.unwrap_or(Verdict::Success)),
        }
    }
}

impl RemoteRuntime {
    async fn run_command(&self, target: &Target, command: &[String], timeout: Option<Duration>) -> Result<Verdict> {
        // CRI counts whole seconds, and 0 is no limit.
        let seconds = timeout.map_or(0, |limit| i64::try_from(limit.as_secs().max(1)).unwrap_or(i64::MAX));
        let container_id = target.container_id.clone();
        let request = cri::ExecSyncRequest { container_id, cmd: command.to_vec(), timeout: seconds };
        match self.exec_sync(request).await {
            Ok(answer) if answer.exit_code == 0 => Ok(Verdict::Success),
            Ok(answer) => {
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                let (stderr, output) = (text(&answer.stderr), text(&[answer.stdout, answer.stderr].concat()));
                Ok(Verdict::Exited(Exited { code: answer.exit_code, output, stderr }))
            }
            Err(late) if is_late(&late) => {
                let command = command.join(" ");
                Ok(Verdict::Failure(format!("command timed out: {command:?} timed out after {seconds}s")))
            }
            Err(error) => Err(error),
        }
    }
}

/// containerd gives no code to a command that took too long, only these words.
fn is_late(error: &crate::runtime::RuntimeError) -> bool {
    error.code == Code::DeadlineExceeded
        || (error.message.contains("timeout") && error.message.ends_with("context deadline exceeded"))
}
