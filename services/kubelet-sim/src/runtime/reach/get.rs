//! GET as a kubelet does it: a new connection each time, redirects only to the same host, no certificate verified, no body kept.

use std::error::Error as _;
use std::io;

use bytes::Bytes;
use http::header::{ACCEPT, HOST, LOCATION, REFERER, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::task::JoinSet;

use super::url::{Url, is_absolute};
use super::{Deadline, dial, tls};
use crate::runtime::{Connection, Verdict};

/// How many bytes of an answer are read.
const MOST_BODY: usize = 10 << 10;
/// How many requests one probe makes.
const MOST_REQUESTS: usize = 10;

/// A request to be made.
#[derive(Clone, Copy)]
pub(super) struct Get<'a> {
    /// As the pod gives them; `Host` takes the place of the address.
    pub(super) headers: &'a [(String, String)],
    /// Who asks, unless a header says so.
    pub(super) agent: &'a str,
    /// For all of it, redirects and body too.
    pub(super) deadline: Deadline,
}

/// Redirects that a GET follows.
const REDIRECTS: [StatusCode; 5] = [
    StatusCode::MOVED_PERMANENTLY,
    StatusCode::FOUND,
    StatusCode::SEE_OTHER,
    StatusCode::TEMPORARY_REDIRECT,
    StatusCode::PERMANENT_REDIRECT,
];

impl Get<'_> {
    /// Gets `url`.
    pub(super) async fn of(&self, url: &str) -> Verdict {
        let Some(first) = Url::parse(url) else {
            return Verdict::Failure(format!("Get {url:?}: unsupported protocol scheme"));
        };
        let failed = |url: &Url, why: String| Verdict::Failure(format!("Get {:?}: {why}", url.to_string()));
        let mut headers = match self.header_map() {
            Ok(headers) => headers,
            Err(why) => return failed(&first, why),
        };
        let mut url = first.clone();
        for _ in 0..MOST_REQUESTS {
            // The connection's task ends with the set.
            let mut connection = JoinSet::new();
            let answer = match self.deadline.bound(send(&url, &headers, &mut connection)).await {
                Some(Ok(answer)) => answer,
                Some(Err(why)) => return failed(&url, why),
                None => {
                    let why = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)";
                    return failed(&url, why.to_owned());
                }
            };
            let location = answer.headers().get(LOCATION).and_then(|to| to.to_str().ok());
            let Some(location) = location.filter(|_| REDIRECTS.contains(&answer.status())) else {
                return self.judge(answer).await;
            };
            let Some(next) = url.join(location) else {
                return failed(&url, format!("unsupported protocol scheme in Location header {location:?}"));
            };
            if next.host() != first.host() {
                return self.judge(answer).await;
            }
            if is_absolute(location) {
                headers.remove(HOST);
            }
            if let Ok(from) = HeaderValue::from_str(&url.to_string()) {
                headers.insert(REFERER, from);
            }
            url = next;
        }
        failed(&url, format!("stopped after {MOST_REQUESTS} redirects"))
    }

    fn header_map(&self) -> Result<HeaderMap, String> {
        let mut headers = HeaderMap::new();
        for (name, value) in self.headers {
            let key: HeaderName = name.parse().map_err(|_| format!("net/http: invalid header field name {name:?}"))?;
            let value = HeaderValue::from_str(value)
                .map_err(|_| format!("net/http: invalid header field value for {name:?}"))?;
            headers.append(key, value);
        }
        let ours = HeaderValue::from_str(self.agent).expect("a product and a version");
        for (name, usual) in [(USER_AGENT, ours), (ACCEPT, HeaderValue::from_static("*/*"))] {
            // One that is given as empty is wanted to be absent.
            if headers.entry(&name).or_insert(usual).is_empty() {
                headers.remove(&name);
            }
        }
        Ok(headers)
    }

    /// What an answer means, once its body is there.
    async fn judge(&self, answer: Response<Incoming>) -> Verdict {
        let status = answer.status();
        let body = match self.deadline.bound(beginning(answer.into_body())).await {
            Some(Ok(body)) => body,
            Some(Err(error)) => return Verdict::Failure(reason(&error)),
            None => {
                let why = "context deadline exceeded (Client.Timeout or context cancellation while reading body)";
                return Verdict::Failure(why.to_owned());
            }
        };
        match status.as_u16() {
            200..300 => Verdict::Success,
            300..400 => {
                let body = String::from_utf8_lossy(&body);
                Verdict::Warning(format!("Probe terminated redirects, Response body: {body}"))
            }
            code => Verdict::Failure(format!("HTTP probe failed with statuscode: {code}")),
        }
    }
}

async fn send(url: &Url, headers: &HeaderMap, connection: &mut JoinSet<()>) -> Result<Response<Incoming>, String> {
    let stream = dial::dial(&url.address()).await?;
    let stream: Box<dyn Connection> = match url.scheme.as_str() {
        "https" => Box::new(tls::connect(url.host(), stream).await?),
        _ => Box::new(stream),
    };
    let (mut sender, driver) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| reason(&error))?;
    connection.spawn(async move {
        // What goes wrong here is what the request sees.
        let _ = driver.await;
    });
    let mut request = Request::get(&url.path).body(Empty::<Bytes>::new()).map_err(|error| error.to_string())?;
    *request.headers_mut() = headers.clone();
    if !headers.contains_key(HOST) {
        let host = HeaderValue::from_str(&url.authority).map_err(|error| error.to_string())?;
        request.headers_mut().insert(HOST, host);
    }
    sender.send_request(request).await.map_err(|error| reason(&error))
}

/// The first bytes of a body.
async fn beginning(mut body: Incoming) -> Result<Vec<u8>, hyper::Error> {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        if let Some(data) = frame?.data_ref() {
            bytes.extend_from_slice(&data[..data.len().min(MOST_BODY - bytes.len())]);
        }
        if bytes.len() == MOST_BODY {
            break;
        }
    }
    Ok(bytes)
}

/// Why an exchange failed, in Go's words.
fn reason(error: &hyper::Error) -> String {
    if error.is_incomplete_message() {
        return "EOF".to_owned();
    }
    if error.is_parse() {
        return "net/http: HTTP/1.x transport connection broken: malformed HTTP response".to_owned();
    }
    match error.source().and_then(|source| source.downcast_ref::<io::Error>()) {
        Some(source) => format!("read: {}", dial::in_words(source)),
        None => error.to_string(),
    }
}
