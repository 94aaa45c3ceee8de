//! A gRPC call's deadline (`grpc-timeout`): nobody waits for an answer after it, so nothing goes on for it here either.
//!
//! A write that is cut off may have been committed; the client cannot know, and is told so by the code.

use std::time::Duration;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use tokio::time::{Instant, timeout_at};

use super::Refusal;

/// In a request's extensions: when its caller gives up. Streams end then.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(pub(crate) Instant);

/// The layer.
pub(super) async fn deadline(mut request: Request, next: Next) -> Response {
    let Some(deadline) = grpc_timeout(request.headers()).and_then(|timeout| Instant::now().checked_add(timeout)) else {
        return next.run(request).await;
    };
    request.extensions_mut().insert(Deadline(deadline));
    let extensions = request.extensions().clone();
    match timeout_at(deadline, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Refusal::new(&extensions, api::Error::timeout("the deadline of the call has passed")).into_response(),
    }
}

/// Up to eight digits and a unit; anything else is no deadline, as gRPC asks of servers.
fn grpc_timeout(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get("grpc-timeout")?.to_str().ok()?;
    let (number, unit) = value.split_at_checked(value.len().checked_sub(1)?)?;
    if number.is_empty() || number.len() > 8 || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: u64 = number.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use axum::body::Body;
    use axum::middleware::from_fn;
    use tokio::time::sleep;
    use tower::ServiceExt;

    use crate::server::Target;

    #[tokio::test(start_paused = true)]
    async fn a_call_ends_with_its_deadline() {
        let slow = Router::new().fallback(async || sleep(Duration::from_secs(3600)).await).layer(from_fn(deadline));
        for (timeout, code, took) in [("250m", Some("4"), 250), ("2H", None, 3_600_000)] {
            let mut request = Request::new(Body::empty());
            request.headers_mut().insert("grpc-timeout", timeout.parse().unwrap());
            request.extensions_mut().insert(Target::Grpc);
            let start = Instant::now();
            let response = slow.clone().oneshot(request).await.unwrap();
            assert_eq!(response.headers().get("grpc-status").map(|code| code.to_str().unwrap()), code);
            assert_eq!(start.elapsed().as_millis(), took);
        }
    }

    #[test]
    fn timeouts_are_read_as_grpc_writes_them() {
        let read = |value: &str| {
            let value = http::HeaderValue::from_str(value).unwrap();
            grpc_timeout(&HeaderMap::from_iter([(http::HeaderName::from_static("grpc-timeout"), value)]))
        };
        for (value, expected) in [
            ("5S", Some(Duration::from_secs(5))),
            ("2H", Some(Duration::from_secs(7200))),
            ("1M", Some(Duration::from_secs(60))),
            ("1500m", Some(Duration::from_millis(1500))),
            ("10u", Some(Duration::from_micros(10))),
            ("99999999n", Some(Duration::from_nanos(99_999_999))),
            ("", None),
            ("S", None),
            ("-1S", None),
            ("123456789S", None),
            ("5s", None),
            ("5", None),
        ] {
            assert_eq!(read(value), expected, "{value:?}");
        }
        assert_eq!(grpc_timeout(&HeaderMap::new()), None);
    }
}
