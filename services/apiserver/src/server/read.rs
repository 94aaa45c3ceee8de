//! The layer that reads a call's message and finds out what it is about.
//!
//! Every method of a kind takes one message, so reading it whole is no loss: the handler would do so next.

use axum::body::Body;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::{Buf, Bytes};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use std::sync::Arc;
use telemetry::SpanExt;

use super::authenticate::Authentication;
use super::limits::{MAX_BODY_BYTES, MAX_OBJECT_BYTES};
use super::{Refusal, Target};
use crate::request::{RequestContext, UserInfo};
use crate::rpc::{Call, Method, RequestInfo, is_kubelet};

/// What to do about too much.
const SPLIT: &str = "split the object, or keep large data elsewhere and refer to it";

/// Length of what stands before a message: whether it is compressed (one byte), and its length.
const PREFIX: usize = 5;

/// The layer.
pub(super) async fn read(request: Request, next: Next) -> Response {
    let Some(call) = Target::of(request.extensions()).call() else { return next.run(request).await };
    let (mut parts, body) = request.into_parts();
    let framed = match collect(body).await {
        Ok(framed) => framed,
        Err(error) => return Refusal::new(&parts.extensions, error).into_response(),
    };
    let info = match understand(call, &framed) {
        Ok(info) => info,
        Err(error) => return Refusal::new(&parts.extensions, error).into_response(),
    };
    let user: Arc<UserInfo> = parts.extensions.remove().expect("a call gets past authentication only with a user");
    let steps = info.steps(&user);
    if let Some(Authentication(span)) = parts.extensions.remove() {
        span.step(steps.authenticate);
    }
    let from_kubelet = is_kubelet(&user);
    parts.extensions.insert(RequestContext { user: Arc::unwrap_or_clone(user), steps, from_kubelet });
    parts.extensions.insert(info);
    next.run(Request::from_parts(parts, Body::from(framed))).await
}

fn understand(call: Call, framed: &Bytes) -> api::Result<RequestInfo> {
    let message = message(framed)?;
    let has_object = matches!(call.method, Method::Create | Method::Update | Method::UpdateStatus);
    if has_object && message.len() > MAX_OBJECT_BYTES {
        let size = message.len();
        return Err(api::Error::too_large(format!(
            "the object has {size} bytes, limit is {MAX_OBJECT_BYTES}; {SPLIT}"
        )));
    }
    RequestInfo::read(call, &message)
}

async fn collect(body: Body) -> api::Result<Bytes> {
    match Limited::new(body, MAX_BODY_BYTES).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(api::Error::too_large(format!("limit is {MAX_BODY_BYTES} bytes for a request; {SPLIT}")))
        }
        Err(error) => Err(api::Error::bad_request(format!("the request ended before its message did: {error}"))),
    }
}

/// The one message in a request's body.
fn message(framed: &Bytes) -> api::Result<Bytes> {
    let mut prefix = framed.clone();
    if prefix.len() < PREFIX {
        return Err(api::Error::bad_request("the request has no message"));
    }
    let compressed = prefix.get_u8() != 0;
    let length = prefix.get_u32() as usize;
    if compressed {
        return Err(api::Error::unsupported_media_type(
            "the message is compressed; send it as it is (grpc-encoding: identity)",
        ));
    }
    if prefix.len() != length {
        return Err(api::Error::bad_request("the request is not exactly one message"));
    }
    Ok(prefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_exactly_one_plain_message() {
        assert_eq!(message(&Bytes::from_static(b"\0\0\0\0\x02ab")).unwrap(), "ab");
        assert_eq!(message(&Bytes::from_static(b"\0\0\0\0\0")).unwrap(), "");
        for bad in [&b""[..], b"\0\0\0\0", b"\0\0\0\0\x02a", b"\0\0\0\0\x01ab", b"\x01\0\0\0\x02ab"] {
            assert!(message(&Bytes::from_static(bad)).is_err(), "{bad:?}");
        }
    }

    #[tokio::test]
    async fn a_body_over_the_limit_is_not_read_to_its_end() {
        let error = collect(Body::from(vec![0; MAX_BODY_BYTES + 1])).await.unwrap_err();
        assert_eq!(error.reason, api::Reason::RequestEntityTooLarge);
        assert!(collect(Body::from(vec![0; MAX_BODY_BYTES])).await.is_ok());
    }
}
