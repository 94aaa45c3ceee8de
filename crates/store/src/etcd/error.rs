//! From etcd's errors to ours. etcd tells its errors apart by message, so this is the one place that reads text.

use std::error::Error as _;

use tonic::{Code, Status};

use crate::{Error, Revision};

/// What a failed request was about, as far as the mapping needs to know.
#[derive(Clone, Copy)]
pub(super) struct Failed<'a> {
    /// The member that was asked.
    pub(super) endpoint: &'a str,
    /// True if the request changes something, so that a lost answer leaves its outcome open.
    pub(super) write: bool,
}

impl Failed<'_> {
    /// The request took longer than it may.
    pub(super) fn by_timeout(self, after: std::time::Duration) -> Error {
        self.unavailable(&format!("did not answer within {} s", after.as_secs_f32()), self.write)
    }

    /// etcd closed a stream that has no end of its own.
    pub(super) fn by_end(self) -> Error {
        self.unavailable("closed the watch", false)
    }

    /// etcd refused the request, or the connection to it broke.
    pub(super) fn by(self, status: &Status) -> Error {
        let text = status.message();
        let says = |what: &str| text.contains(what);
        match status.code() {
            Code::OutOfRange if says("has been compacted") => Error::Compacted {
                requested: Revision::NONE,
                compact_revision: None,
            },
            Code::OutOfRange if says("future revision") => Error::FutureRevision { requested: Revision::NONE },
            Code::InvalidArgument if says("request is too large") => too_large(),
            Code::ResourceExhausted if says("larger than max") => too_large(),
            Code::ResourceExhausted if says("space exceeded") => self.unavailable(
                "refuses writes: its database is full. Compact and defragment it, then disarm the alarm (etcdctl alarm disarm)",
                false,
            ),
            Code::ResourceExhausted => self.unavailable(&format!("is overloaded: {text}"), false),
            Code::Unauthenticated | Code::PermissionDenied => Error::Internal(format!(
                "etcd at {} refuses our credentials: {text}. Check --etcd-certfile and --etcd-keyfile",
                self.endpoint
            )),
            Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Unknown | Code::Aborted => {
                self.unavailable(&reason(status), self.write && !never_connected(status))
            }
            code => Error::Internal(format!("etcd at {} answered {code:?}: {text}", self.endpoint)),
        }
    }

    fn unavailable(self, what: &str, in_doubt: bool) -> Error {
        let advice = match in_doubt {
            true => "The write may have been committed: read again before you retry. If",
            false => "Retry; if",
        };
        let message =
            format!("etcd at {} {what}. {advice} this lasts, check that etcd runs and is healthy", self.endpoint);
        Error::Unavailable { message, in_doubt }
    }
}

/// True if our own side refused to read an answer because of its size.
pub(super) fn is_answer_too_large(status: &Status) -> bool {
    status.code() == Code::OutOfRange && status.message().contains("decoded message length too large")
}

/// The key and the size are filled in by the write that knows them.
fn too_large() -> Error {
    Error::TooLarge { key: "".into(), size: 0, limit: "etcd's --max-request-bytes, 1.5 MiB unless raised" }
}

/// True if the request never left: no connection could be made, so nothing can have been committed.
fn never_connected(status: &Status) -> bool {
    causes(status).any(|cause| cause.is::<tonic::ConnectError>())
}

/// The innermost cause says most ("Connection refused"), the status itself least ("transport error").
fn reason(status: &Status) -> String {
    let innermost = causes(status).last().map(ToString::to_string);
    match innermost {
        Some(cause) if never_connected(status) => format!("cannot be reached: {cause}"),
        Some(cause) => format!("broke the connection: {cause}"),
        None => format!("cannot answer: {}", status.message()),
    }
}

fn causes(status: &Status) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    std::iter::successors(status.source(), |&cause| cause.source())
}
