//! What answers on the ports of simulated containers: HTTP, from their few files or in a word.

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::VirtualEngine;
use super::containers::no_such;
use super::state::{Container, nanos};
use crate::runtime::{Connection, Result, RuntimeError};

/// How much of a request is read before it counts as too long.
const LONGEST_REQUEST: usize = 16 << 10;

/// How much may be on its way in a connection.
const BUFFER: usize = 64 << 10;

/// An answer to an HTTP request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) status: u16,
    pub(super) body: String,
}

impl Container {
    /// Whether something in the container listens on a port.
    pub(super) fn listens(&self, port: Option<u16>) -> bool {
        self.behaviour.ports.as_ref().is_none_or(|ports| port.is_some_and(|port| ports.contains(&port)))
    }

    /// Whether its process has come up.
    fn is_up(&self, now: i64) -> bool {
        let since = self.running_since();
        since.zip(self.behaviour.ready_after).is_some_and(|(since, after)| now - since >= nanos(after))
    }

    /// The answer to GET.
    pub(super) fn page(&mut self, path: &str, now: i64) -> Page {
        let Some(root) = self.behaviour.document_root.clone() else {
            let name = self.config.open().metadata.unwrap_or_default().name;
            let body = format!("{name} on {} answers; it is a virtual container, nothing runs here.\n", self.hostname);
            return Page { status: 200, body };
        };
        let path = path.split(['?', '#']).next().unwrap_or_default();
        let files = self.inside(now).process.files();
        let mut file = format!("{root}/{path}");
        let folder = files.is_folder(&file);
        if folder {
            file.push_str("/index.html");
        }
        match files.read(&file).map(str::to_owned) {
            Some(body) => Page { status: 200, body },
            None if folder => Page { status: 403, body: "403 Forbidden\n".to_owned() },
            None => Page { status: 404, body: "404 Not Found\n".to_owned() },
        }
    }
}

impl VirtualEngine {
    /// A connection to the container of a sandbox that listens on a port.
    pub(super) fn connect(&self, sandbox_id: &str, port: u16) -> Result<Box<dyn Connection>> {
        let state = self.state.lock();
        let sandbox = state.sandboxes.get(sandbox_id).ok_or_else(|| no_such("sandbox", sandbox_id))?;
        let now = self.now();
        let mut containers = sandbox.containers.iter().filter_map(|id| state.containers.get(id));
        let Some(container) = containers.find(|container| container.listens(Some(port)) && container.is_up(now)) else {
            return Err(RuntimeError::unknown(format!(
                "failed to connect to localhost:{port} inside the network of sandbox {sandbox_id}: dial tcp 127.0.0.1:{port}: connect: connection refused"
            )));
        };
        let (ours, theirs) = tokio::io::duplex(BUFFER);
        if let Some(engine) = self.me.upgrade() {
            let id = container.id.clone();
            tokio::spawn(async move {
                // Whoever hangs up early wants no answer.
                let _ = answer(&engine, &id, ours).await;
            });
        }
        Ok(Box::new(theirs))
    }
}

/// Answers one request, and hangs up.
async fn answer(engine: &VirtualEngine, id: &str, mut connection: DuplexStream) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !request.windows(4).any(|end| end == b"\r\n\r\n") && request.len() < LONGEST_REQUEST {
        if connection.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    let text = String::from_utf8_lossy(&request);
    let mut words = text.lines().next().unwrap_or_default().split(' ');
    let page = match (words.next(), words.next(), words.next()) {
        (Some(method @ ("GET" | "HEAD")), Some(path), Some(version)) if version.starts_with("HTTP/1.") => {
            match engine.inside(id, |container, now| container.page(path, now)) {
                Ok(page) if method == "HEAD" => Page { body: String::new(), ..page },
                Ok(page) => page,
                // The container is gone, and with it whoever would answer.
                Err(_) => return Ok(()),
            }
        }
        (Some(_), Some(_), Some(version)) if version.starts_with("HTTP/") => {
            Page { status: 405, body: "405 Method Not Allowed\n".to_owned() }
        }
        _ => Page { status: 400, body: "400 Bad Request: a virtual container speaks HTTP/1.1 only\n".to_owned() },
    };
    let reason = match page.status {
        200 => "OK",
        400 => "Bad Request",
        403 => "Forbidden",
        405 => "Method Not Allowed",
        _ => "Not Found",
    };
    let kind = if page.body.trim_start().starts_with('<') { "text/html" } else { "text/plain" };
    let head = format!(
        "HTTP/1.1 {} {reason}\r\nServer: virtual\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        page.status,
        page.body.len()
    );
    connection.write_all(head.as_bytes()).await?;
    connection.write_all(page.body.as_bytes()).await?;
    connection.shutdown().await
}
