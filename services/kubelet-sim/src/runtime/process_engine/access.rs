//! Hooks and probes: a command runs in the container, everything else goes over the pod's network.

use std::time::Duration;

use async_trait::async_trait;
use tokio::time::timeout;
use tonic::Code;

use super::ProcessEngine;
use crate::cri;
use crate::runtime::{
    Exited, Handler, Output, PodAccess, PodStreams, Purpose, Result, RuntimeError, Target, Terminal, Verdict, reach,
};

/// How much of what a command prints is kept, as by Kubernetes for one run by a probe.
const OUTPUT_BYTES: usize = 16 * 1_024 * 1_024;

/// What a command left.
struct Ran {
    code: i32,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

#[async_trait]
impl PodAccess for ProcessEngine {
    async fn run(
        &self,
        target: &Target,
        handler: &Handler,
        purpose: Purpose,
        limit: Option<Duration>,
    ) -> Result<Verdict> {
        let Handler::Exec(argv) = handler else {
            let verdict = reach::over_network(handler, purpose, limit).await;
            return verdict.ok_or_else(|| RuntimeError::unknown("the handler is not known"));
        };
        let ran = self.run_command(&target.container_id, argv.clone());
        let Ok(ran) = timeout(limit.unwrap_or(Duration::MAX), ran).await else {
            let limit = limit.unwrap_or_default().as_secs();
            return Ok(Verdict::Failure(format!("command timed out: {:?} timed out after {limit}s", argv.join(" "))));
        };
        let Ran { code, stdout, stderr } = ran?;
        if code == 0 {
            return Ok(Verdict::Success);
        }
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(Verdict::Exited(Exited { code, stderr: text(&stderr), output: text(&[stdout, stderr].concat()) }))
    }
}

impl ProcessEngine {
    pub(super) async fn execute(&self, request: cri::ExecSyncRequest) -> Result<cri::ExecSyncResponse> {
        let limit = u64::try_from(request.timeout).ok().filter(|seconds| *seconds > 0);
        let ran = self.run_command(&request.container_id, request.cmd);
        let Ok(ran) = timeout(limit.map_or(Duration::MAX, Duration::from_secs), ran).await else {
            let message = format!(
                "failed to exec in container: timeout {}s exceeded: context deadline exceeded",
                request.timeout
            );
            return Err(RuntimeError { code: Code::DeadlineExceeded, message });
        };
        let Ran { code, stdout, stderr } = ran?;
        Ok(cri::ExecSyncResponse { stdout, stderr, exit_code: code })
    }

    /// Runs a command to its end. Dropped before, it kills the command.
    async fn run_command(&self, container: &str, argv: Vec<String>) -> Result<Ran> {
        let terminal = Terminal { stdout: true, stderr: true, ..Terminal::default() };
        let mut session = self.exec(container, argv, terminal).await?;
        let mut ran = Ran { code: 0, stdout: Vec::new(), stderr: Vec::new() };
        while let Some(output) = session.output.recv().await {
            let room = OUTPUT_BYTES.saturating_sub(ran.stdout.len() + ran.stderr.len());
            let (kept, bytes) = match output {
                Output::Stdout(bytes) => (&mut ran.stdout, bytes),
                Output::Stderr(bytes) => (&mut ran.stderr, bytes),
                Output::Exited(code) => return Ok(Ran { code, ..ran }),
            };
            // What is too much is read all the same, so that the command goes on.
            if bytes.len() <= room {
                kept.extend_from_slice(&bytes);
            }
        }
        Err(RuntimeError::unknown(format!("container {container} has ended while a command ran in it")))
    }
}
