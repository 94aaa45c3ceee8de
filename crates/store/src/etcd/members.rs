//! The connections to etcd's members, and which of them to use.
//!
//! Requests go to one member until it fails, then to the next: behaviour that can be followed in a log. Each
//! member has two connections, so that a large list never holds up the watch. Connections are made when first
//! used and made again by themselves after they break; a member that is down fails at once.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::timeout;
use tonic::transport::Channel;
use tonic::{Response, Status};

use super::config::EtcdConfig;
use super::error::{Failed, is_answer_too_large};
use super::rpc::{KvClient, RangeRequest, RangeResponse, WatchClient};
use crate::{Error, Result};

/// The largest answer to accept. Pages and watch answers are kept far below it (see `list` and `watch`).
const MAX_ANSWER_BYTES: usize = 64 << 20;

pub(super) struct Members {
    members: Vec<Member>,
    /// Index of the member in use; only ever moved forward, modulo their number.
    current: AtomicUsize,
    pub(super) request_timeout: Duration,
}

struct Member {
    endpoint: Arc<str>,
    kv: KvClient<Channel>,
    watch: WatchClient<Channel>,
}

/// Whether a request may be sent again when its answer got lost.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Request {
    /// Does the same however often it is sent: a read, a compaction.
    Repeatable,
    /// A write: sent again only if it is certain that etcd never got it.
    Once,
}

/// Why a request has no answer.
pub(super) enum Refused {
    /// The answer is larger than [`MAX_ANSWER_BYTES`]: ask for less.
    AnswerTooLarge,
    /// Everything that callers of the store get to see.
    Because(Error),
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::AnswerTooLarge => {
                Error::Internal(format!("an answer of etcd is larger than {MAX_ANSWER_BYTES} bytes"))
            }
            Refused::Because(error) => error,
        }
    }
}

impl Members {
    /// Prepares connections. Fails on wrong settings only; whether etcd answers shows at the first request.
    pub(super) fn prepare(config: &EtcdConfig) -> Result<Self> {
        let mut members = Vec::with_capacity(config.endpoints.len());
        for url in &config.endpoints {
            let endpoint = config.endpoint(url)?;
            members.push(Member {
                endpoint: url.as_str().into(),
                kv: KvClient::new(endpoint.connect_lazy()).max_decoding_message_size(MAX_ANSWER_BYTES),
                watch: WatchClient::new(endpoint.connect_lazy()).max_decoding_message_size(MAX_ANSWER_BYTES),
            });
        }
        if members.is_empty() {
            return Err(Error::Internal("no etcd endpoint is configured (--etcd-servers)".to_owned()));
        }
        Ok(Self { members, current: AtomicUsize::new(0), request_timeout: config.request_timeout })
    }

    /// Sends a request to the member in use, and to each of the others once while it is safe and useful to.
    pub(super) async fn call<T, F>(&self, request: Request, send: impl Fn(KvClient<Channel>) -> F) -> Result<T, Refused>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let mut tried = 1;
        loop {
            let index = self.current.load(Ordering::Relaxed);
            let member = self.member(index);
            let failed = Failed { endpoint: &member.endpoint, write: request == Request::Once };
            let (error, patient) = match timeout(self.request_timeout, send(member.kv.clone())).await {
                Ok(Ok(answer)) => return Ok(answer.into_inner()),
                Ok(Err(status)) if is_answer_too_large(&status) => return Err(Refused::AnswerTooLarge),
                Ok(Err(status)) => (failed.by(&status), true),
                // The caller has waited long enough; the next request goes elsewhere.
                Err(_) => (failed.by_timeout(self.request_timeout), false),
            };
            let Error::Unavailable { in_doubt, .. } = error else {
                return Err(Refused::Because(error));
            };
            self.move_on(index);
            if in_doubt || !patient || tried == self.members.len() {
                return Err(Refused::Because(error));
            }
            tried += 1;
        }
    }

    /// Sends a read.
    pub(super) async fn read(&self, range: RangeRequest) -> Result<RangeResponse, Refused> {
        let send = |mut kv: KvClient<Channel>| {
            let range = range.clone();
            async move { kv.range(range).await }
        };
        self.call(Request::Repeatable, send).await
    }

    /// Opens a watch on the member in use; a failure makes the next attempt go to another one. Says also which
    /// member it is on.
    pub(super) async fn watch<T, F>(&self, open: impl FnOnce(WatchClient<Channel>) -> F) -> Result<(T, Arc<str>)>
    where
        F: Future<Output = Result<T, Status>>,
    {
        let index = self.current.load(Ordering::Relaxed);
        let member = self.member(index);
        let failed = Failed { endpoint: &member.endpoint, write: false };
        let opened = match timeout(self.request_timeout, open(member.watch.clone())).await {
            Ok(opened) => opened.map_err(|status| failed.by(&status)),
            Err(_) => Err(failed.by_timeout(self.request_timeout)),
        };
        if opened.is_err() {
            self.move_on(index);
        }
        opened.map(|watch| (watch, member.endpoint.clone()))
    }

    fn member(&self, index: usize) -> &Member {
        &self.members[index % self.members.len()]
    }

    /// Leaves a member, unless another request has done so already.
    fn move_on(&self, from: usize) {
        let _ = self.current.compare_exchange(from, from.wrapping_add(1), Ordering::Relaxed, Ordering::Relaxed);
    }
}
