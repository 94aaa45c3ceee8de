//! What a container has printed, as a stream of chunks.

use api::Error;
use api::rpc::{LogChunk, LogsRequest};
use futures::stream::ReadyChunks;
use futures::{Stream, StreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use service_kit::rpc_status::to_status;
use tonic::Status;

use super::choose;
use super::format::{Format, together};
use super::lookup::Found;
use crate::runtime::{Lines, LogOptions, RuntimeError};

/// How many lines that are there already make one message.
const LINES_PER_CHUNK: usize = 64;

/// Opens the log of the container that the request names.
pub(super) async fn open(
    found: &Found,
    request: &LogsRequest,
    now: Timestamp,
) -> api::Result<impl Stream<Item = Result<LogChunk, Status>> + use<>> {
    let id = choose::logged(&found.pod, &found.observe().await?, &request.container, request.previous)?;
    let options = LogOptions {
        since: since(request, now),
        tail: request.tail_lines.and_then(|lines| u64::try_from(lines).ok()),
        follow: request.follow,
    };
    let lines = match found.runtime.logs.logs(&id, options).await {
        Err(error) if error.is_not_found() => {
            let runtime = found.runtime.containers.version().await.map(|version| version.runtime_name);
            let runtime = runtime.unwrap_or_default();
            return Err(Error::bad_request(format!("unable to retrieve container logs for {runtime}://{id}")));
        }
        opened => opened.map_err(|error| Error::bad_request(error.message))?,
    };
    let limit = request.limit_bytes.and_then(|bytes| u64::try_from(bytes).ok());
    Ok(chunks(lines, Format::new(request.timestamps, limit)))
}

/// The later of both bounds, as in Kubernetes.
fn since(request: &LogsRequest, now: Timestamp) -> Option<Timestamp> {
    let ago = |seconds| now.checked_sub(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MIN);
    let time = |time: prost_types::Timestamp| Timestamp::new(time.seconds, time.nanos).ok();
    request.since_seconds.map(ago).max(request.since_time.and_then(time))
}

fn chunks(lines: Lines, format: Format) -> impl Stream<Item = Result<LogChunk, Status>> {
    struct Reading {
        lines: ReadyChunks<Lines>,
        format: Format,
        failed: Option<RuntimeError>,
    }
    let reading = Reading { lines: lines.ready_chunks(LINES_PER_CHUNK), format, failed: None };
    stream::unfold(Some(reading), async |reading| {
        let mut reading = reading?;
        loop {
            if let Some(error) = reading.failed {
                return Some((Err(to_status(&Error::internal(error.message))), None));
            }
            if reading.format.is_full() {
                return None;
            }
            let mut good = Vec::new();
            for line in reading.lines.next().await? {
                match line {
                    Ok(line) => good.push(line),
                    Err(error) => {
                        reading.failed = Some(error);
                        break;
                    }
                }
            }
            let data = together(&mut reading.format, &good);
            if !data.is_empty() {
                return Some((Ok(LogChunk { data }), Some(reading)));
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_later_bound_counts() {
        let now: Timestamp = "2026-01-01T00:01:00Z".parse().unwrap();
        let start = now - SignedDuration::from_secs(60);
        let time = |time: Timestamp| Some(prost_types::Timestamp { seconds: time.as_second(), nanos: 0 });
        let ask =
            |since_seconds, since_time| since(&LogsRequest { since_seconds, since_time, ..Default::default() }, now);
        assert_eq!(ask(None, None), None);
        assert_eq!(ask(Some(60), None), Some(start));
        assert_eq!(ask(None, time(start)), Some(start));
        assert_eq!(ask(Some(10), time(start)), Some(now - SignedDuration::from_secs(10)));
        assert_eq!(ask(Some(i64::MAX), None), Some(Timestamp::MIN));
    }
}
