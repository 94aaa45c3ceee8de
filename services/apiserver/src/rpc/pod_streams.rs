//! Logs, exec, attach and port-forward: calls that the pod's kubelet answers.
//!
//! Here is decided which container and which node; whether the user may was decided before, and what happens then is the kubelet's.

use api::core::v1::{Node, Pod};
use api::meta::v1::GetOptions;
use service_kit::rpc_status::to_status;
use telemetry::span::server::Failure;
use tonic::body::Body;

use super::answer::{Answer, Response};
use super::kind_service::Authorized;
use crate::kubelet::{Ending, Kubelets, Place, complete};
use crate::registry::Registry;
use crate::server::FirstMessage;

/// Opens the streams of pods.
pub(super) struct PodStreams {
    pub(super) pods: Registry<Pod>,
    pub(super) nodes: Registry<Node>,
    pub(super) kubelets: Kubelets,
    pub(super) ending: Ending,
}

impl PodStreams {
    /// Serves one call.
    pub(super) async fn serve(&self, call: Authorized) -> Response {
        // The call's span learns here which object it is about.
        let _ = Answer::new(&call.request, &call.info, &call.ctx);
        match Box::pin(self.open(call)).await {
            Ok(answer) => answer,
            Err(error) => {
                let mut response: Response = to_status(&error).into_http();
                response.extensions_mut().insert(Failure { reason: error.reason.as_str(), message: error.message });
                response
            }
        }
    }

    async fn open(&self, call: Authorized) -> api::Result<Response> {
        let Authorized { mut request, info, ctx } = call;
        let first = request.extensions_mut().remove::<FirstMessage>().expect("the layer that reads puts it there");
        let pod = self.pods.get(&ctx, &info.namespace, &info.name, &GetOptions::default()).await?.decode();
        let (node, path, first) = match complete(info.method, first.0, &pod)? {
            Place::Node { name, path, first } => (name, path, first),
            Place::Nowhere => return Ok(nothing()),
        };
        let node = self.nodes.get(&ctx, "", &node, &GetOptions::default()).await?.decode();
        self.kubelets.relay(&node, path, &first, request, &self.ending).await
    }
}

/// A stream that has ended well without a message.
fn nothing() -> Response {
    tonic::Status::ok("").into_http::<Body>()
}
