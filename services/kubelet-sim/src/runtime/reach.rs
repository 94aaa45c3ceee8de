//! Handlers over the pod network: what hooks and probes do when the pod has a real address.
//!
//! Used by every runtime whose pods can be connected to. Verdicts and their texts are those of a real kubelet, whose clients are Go's: a
//! user who looks for an error text finds what others have written about it. Nothing here knows a container; commands inside one
//! go through the runtime.
//!
//! | handler | passes when | module |
//! |---|---|---|
//! | `httpGet` | the status is 200 to 399 | `get`, with `url` and `tls` |
//! | `tcpSocket` | the connection is accepted | `dial` |
//! | `grpc` | `grpc.health.v1.Health/Check` answers SERVING | `grpc` |

mod dial;
mod get;
mod grpc;
#[cfg(test)]
mod tests;
mod tls;
mod url;

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::{Handler, Purpose, Verdict};

/// The version of Kubernetes that probes name in their `User-Agent`.
const VERSION: &str = "1.35";

/// Runs a handler that needs the network alone, at most for `limit`; `None` for a command, which does not. Cancel-safe: a dropped call
/// closes its connection.
pub async fn over_network(handler: &Handler, purpose: Purpose, limit: Option<Duration>) -> Option<Verdict> {
    let deadline = Deadline::after(limit);
    Some(match handler {
        Handler::Exec(_) => return None,
        Handler::HttpGet { url, headers } => {
            let hook = matches!(purpose, Purpose::PostStart | Purpose::PreStop);
            let agent = format!("kube-{}/{VERSION}", if hook { "lifecycle" } else { "probe" });
            let get = get::Get { headers, agent: &agent, deadline };
            match get.of(url).await {
                // Hooks once ignored the scheme, so Kubernetes goes on to serve those who came to rely on it.
                Verdict::Failure(text) if hook && text.ends_with(tls::PLAIN_SERVER) => {
                    get.of(&url.replacen("https://", "http://", 1)).await
                }
                verdict => verdict,
            }
        }
        Handler::TcpSocket(address) => match deadline.bound(dial::dial(address)).await {
            Some(Ok(_)) => Verdict::Success,
            Some(Err(error)) => Verdict::Failure(error),
            None => Verdict::Failure(format!("dial tcp {address}: i/o timeout")),
        },
        Handler::Grpc { address, service } => grpc::check(address, service, deadline).await,
    })
}

/// When a handler must have answered.
#[derive(Clone, Copy)]
struct Deadline {
    /// What was given, for messages.
    limit: Duration,
    at: Option<Instant>,
}

impl Deadline {
    fn after(limit: Option<Duration>) -> Self {
        Self { limit: limit.unwrap_or_default(), at: limit.and_then(|limit| Instant::now().checked_add(limit)) }
    }

    /// Awaits `work`; `None` when the time is over.
    async fn bound<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        match self.at {
            Some(at) => timeout_at(at, work).await.ok(),
            None => Some(work.await),
        }
    }
}

/// A duration as Go prints it: `1s`, `1m30s`, `250ms`.
fn in_go(time: Duration) -> String {
    let (seconds, millis) = (time.as_secs(), time.subsec_millis());
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let fraction = if millis == 0 { String::new() } else { format!(".{millis:03}").trim_end_matches('0').to_owned() };
    match (hours, minutes) {
        (0, 0) if seconds == 0 && millis > 0 => format!("{millis}ms"),
        (0, 0) => format!("{rest}{fraction}s"),
        (0, _) => format!("{minutes}m{rest}{fraction}s"),
        _ => format!("{hours}h{minutes}m{rest}{fraction}s"),
    }
}
