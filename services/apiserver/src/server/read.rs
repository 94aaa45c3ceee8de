//! The layer that reads a call's message and finds out what it is about.
//!
//! Most methods of a kind take one message, so reading it whole is no loss: the handler would do so next. Of a stream only the first
//! message is read; what follows stays where it is until the handler takes it.

use axum::body::Body;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::{Buf, Bytes, BytesMut};
use futures::{StreamExt, stream};
use http::Extensions;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use std::fmt::Display;
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
    let (info, body) = match open(call, body, &mut parts.extensions).await {
        Ok(opened) => opened,
        Err(error) => return Refusal::new(&parts.extensions, error).into_response(),
    };
    let user: Arc<UserInfo> = parts.extensions.remove().expect("a call gets past authentication only with a user");
    let steps = info.steps(&user, telemetry::span::journey::is_restart(&parts.headers));
    if let Some(Authentication(span)) = parts.extensions.remove() {
        span.step(steps.authenticate);
    }
    let from_kubelet = is_kubelet(&user);
    parts.extensions.insert(RequestContext { user: Arc::unwrap_or_clone(user), steps, from_kubelet });
    parts.extensions.insert(info);
    next.run(Request::from_parts(parts, body)).await
}

/// What the call is about, and the body for its handler: the whole of it again, or what comes after [`FirstMessage`].
async fn open(call: Call, body: Body, extensions: &mut Extensions) -> api::Result<(RequestInfo, Body)> {
    if call.method.is_pod_stream() {
        let (message, rest) = first_message(body).await?;
        let info = RequestInfo::read(call, &message)?;
        extensions.insert(FirstMessage(message));
        return Ok((info, rest));
    }
    let framed = collect(body).await?;
    Ok((understand(call, &framed)?, Body::from(framed)))
}

/// In the extensions of a stream's request: its first message, which is not in the body any more.
#[derive(Clone, Debug)]
pub(crate) struct FirstMessage(pub(crate) Bytes);

/// The first message of a stream, and what comes after it as it comes.
async fn first_message(body: Body) -> api::Result<(Bytes, Body)> {
    let mut data = body.into_data_stream();
    let mut read = BytesMut::new();
    let framed = loop {
        if let Some(length) = framed_length(&read)? {
            break read.split_to(length).freeze();
        }
        match data.next().await {
            Some(Ok(bytes)) => read.extend_from_slice(&bytes),
            Some(Err(error)) => return Err(unfinished(&error)),
            None => return Err(api::Error::bad_request("the stream ended before its first message did")),
        }
    };
    let rest = Body::from_stream(stream::iter([Ok(read.freeze())]).chain(data));
    Ok((message(&framed)?, rest))
}

/// How long the first message is with its prefix, once all of it has been read.
fn framed_length(read: &[u8]) -> api::Result<Option<usize>> {
    let Some(prefix) = read.first_chunk::<PREFIX>() else { return Ok(None) };
    let [_, length @ ..] = *prefix;
    let length = PREFIX + u32::from_be_bytes(length) as usize;
    if length > MAX_BODY_BYTES {
        return Err(api::Error::too_large(format!(
            "limit is {MAX_BODY_BYTES} bytes for the first message of a stream"
        )));
    }
    Ok((read.len() >= length).then_some(length))
}

fn unfinished(error: &dyn Display) -> api::Error {
    api::Error::bad_request(format!("the request ended before its message did: {error}"))
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
        Err(error) => Err(unfinished(&error)),
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
    async fn the_first_message_of_a_stream_is_taken_however_it_is_cut() {
        let frames = b"\0\0\0\0\x02ab\0\0\0\0\x01c";
        for size in 1..=frames.len() {
            let pieces = frames.chunks(size).map(|piece| Ok::<_, std::io::Error>(Bytes::copy_from_slice(piece)));
            let (first, rest) =
                first_message(Body::from_stream(stream::iter(pieces.collect::<Vec<_>>()))).await.unwrap();
            assert_eq!(first, "ab", "in pieces of {size}");
            assert_eq!(collect(rest).await.unwrap(), &b"\0\0\0\0\x01c"[..], "in pieces of {size}");
        }
        for bad in [&b""[..], b"\0\0\0\0\x02a", b"\0\xff\xff\xff\xffa", b"\x01\0\0\0\x01a"] {
            assert!(first_message(Body::from(bad)).await.is_err(), "{bad:?}");
        }
    }

    #[tokio::test]
    async fn a_body_over_the_limit_is_not_read_to_its_end() {
        let error = collect(Body::from(vec![0; MAX_BODY_BYTES + 1])).await.unwrap_err();
        assert_eq!(error.reason, api::Reason::RequestEntityTooLarge);
        assert!(collect(Body::from(vec![0; MAX_BODY_BYTES])).await.is_ok());
    }
}
