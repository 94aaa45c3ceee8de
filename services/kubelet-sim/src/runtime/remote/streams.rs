//! Exec, attach and port-forward: the runtime answers an address on its streaming server, the stream is spoken there.

mod forward;
mod session;

use async_trait::async_trait;

use super::connection::REQUEST;
use super::{RemoteRuntime, channels};
use crate::cri;
use crate::runtime::{Connection, PodStreams, Result, Session, Terminal};

#[async_trait]
impl PodStreams for RemoteRuntime {
    async fn exec(&self, container_id: &str, command: Vec<String>, terminal: Terminal) -> Result<Session> {
        let request = cri::ExecRequest {
            container_id: container_id.to_owned(),
            cmd: command,
            tty: terminal.tty,
            stdin: terminal.stdin,
            stdout: terminal.stdout,
            // A terminal has one output; the runtime refuses the other.
            stderr: terminal.stderr && !terminal.tty,
        };
        let answer = self.socket.within(REQUEST, self.containers.clone().exec(request)).await?;
        Ok(session::of_command(channels::open(&answer.url).await?))
    }

    async fn attach(&self, container_id: &str, terminal: Terminal) -> Result<Session> {
        let request = cri::AttachRequest {
            container_id: container_id.to_owned(),
            stdin: terminal.stdin,
            tty: terminal.tty,
            stdout: terminal.stdout,
            stderr: terminal.stderr && !terminal.tty,
        };
        let answer = self.socket.within(REQUEST, self.containers.clone().attach(request)).await?;
        let open = channels::open(&answer.url).await?;
        let (runtime, id) = (self.clone(), container_id.to_owned());
        Ok(session::of_container(open, async move { runtime.ended(&id).await }))
    }

    async fn port_forward(&self, sandbox_id: &str, port: u16) -> Result<Box<dyn Connection>> {
        let request = cri::PortForwardRequest { pod_sandbox_id: sandbox_id.to_owned(), port: vec![port.into()] };
        let answer = self.socket.within(REQUEST, self.containers.clone().port_forward(request)).await?;
        Ok(Box::new(forward::Forwarded::over(channels::open(&answer.url).await?)))
    }
}
