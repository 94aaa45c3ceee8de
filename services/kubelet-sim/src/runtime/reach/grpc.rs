//! Asking `grpc.health.v1.Health`.
//!
//! As in Kubernetes, a connection that is refused is tried again until the time is over: a server that is coming up within the timeout
//! passes, and one that is not there always shows as a timeout.

use std::error::Error;
use std::time::Duration;

use tokio::time::sleep;
use tonic::Code;
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::{Deadline, VERSION, in_go};
use crate::runtime::{RuntimeError, Verdict};

/// Between two attempts to connect.
const PAUSE: Duration = Duration::from_millis(100);

/// Asks the server at `address` about a service; an empty one is the server as a whole.
pub(super) async fn check(address: &str, service: &str, deadline: Deadline) -> Verdict {
    let limit = in_go(deadline.limit);
    let endpoint = Endpoint::from_shared(format!("http://{address}"))
        .and_then(|endpoint| endpoint.user_agent(format!("kube-probe/{VERSION}")));
    let endpoint = match endpoint {
        Ok(endpoint) => endpoint,
        Err(error) => {
            return Verdict::Failure(format!("error: failed to connect service at {address:?}: {error}"));
        }
    };
    let mut connected = false;
    let answer = deadline.bound(ask(&endpoint, service, &mut connected)).await;
    match answer {
        None if connected => Verdict::Failure(format!("timeout: health rpc did not complete within {limit}")),
        None => Verdict::Failure(format!(
            "timeout: failed to connect service {address:?} within {limit}: context deadline exceeded"
        )),
        Some(Ok(ServingStatus::Serving)) => Verdict::Success,
        Some(Ok(status)) => Verdict::Failure(format!("service unhealthy (responded with {:?})", status.as_str_name())),
        Some(Err(status)) if status.code() == Code::Unimplemented => Verdict::Failure(format!(
            "error: this server does not implement the grpc health protocol (grpc.health.v1.Health): {}",
            status.message()
        )),
        Some(Err(status)) => {
            Verdict::Failure(format!("error: health rpc probe failed: {}", RuntimeError::from(status)))
        }
    }
}

/// Asks until there is an answer. `connected` tells one who gives up how far it came.
async fn ask(endpoint: &Endpoint, service: &str, connected: &mut bool) -> Result<ServingStatus, tonic::Status> {
    loop {
        *connected = false;
        if let Ok(channel) = endpoint.connect().await {
            *connected = true;
            let request = HealthCheckRequest { service: service.to_owned() };
            match HealthClient::new(channel).check(request).await {
                Ok(answer) => return Ok(answer.into_inner().status()),
                // What accepts connections and then does not speak gRPC is not connected to, either.
                Err(status) if status.source().is_some() => *connected = false,
                Err(status) => return Err(status),
            }
        }
        sleep(PAUSE).await;
    }
}
