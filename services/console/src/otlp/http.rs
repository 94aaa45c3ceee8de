//! OTLP over HTTP, by default on port 4318: `POST /v1/traces` with protobuf or JSON.

use axum::{
    Router,
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
    routing::post,
};
use http::{HeaderMap, StatusCode, header};

use super::{
    Receiver,
    body::{Format, Refusal, read},
};

impl Receiver {
    /// The HTTP routes.
    pub fn http(self) -> Router {
        Router::new().route("/v1/traces", post(export)).with_state(self)
    }

    async fn receive_http(self, format: Format, headers: &HeaderMap, body: Body) -> Result<Vec<u8>, Refusal> {
        let body = read(headers, body, self.max_request).await?;
        // A body of many megabytes takes a while to decode; other connections must not wait for it.
        let work = move || {
            let request = format.decode(&body)?;
            Ok(format.encode(&self.receive(request.resource_spans)))
        };
        tokio::task::spawn_blocking(work).await.expect("decoding does not panic")
    }
}

async fn export(State(receiver): State<Receiver>, headers: HeaderMap, body: Body) -> Response {
    let (format, outcome) = match Format::of(&headers) {
        Ok(format) => (format, receiver.receive_http(format, &headers, body).await),
        // The sender's own format is unknown, so the answer is one that people can read.
        Err(refusal) => (Format::Json, Err(refusal)),
    };
    let (status, body) = match outcome {
        Ok(body) => (StatusCode::OK, body),
        Err(Refusal(status, message)) => (status, format.encode_error(tonic::Code::InvalidArgument, message)),
    };
    (status, [(header::CONTENT_TYPE, format.content_type())], body).into_response()
}
