//! The watch over everything under the root: one etcd watch that is opened again whenever it breaks.
//!
//! ```text
//!            created                     stream broken, no leader, connection silent
//! Opening ------------> Following -----------------------------------------------+
//!    ^ |                   |  compacted, or etcd lost revisions we have seen      |
//!    | +-- not now --+     +-----------------------------------> Ended            |
//!    |               v                                                           |
//!    +---- wait --- Waiting <----------------------------------------------------+
//! ```
//!
//! Nothing is lost or repeated: a watch is always opened after the last revision that was handed out whole. It
//! runs only while it is polled, so a slow reader is held back by etcd and not by our memory. A connection that
//! has gone silent is found by HTTP/2 pings (`EtcdConfig::keep_alive`).

use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, stream};
use service_kit::Backoff;
use tokio::time::sleep;
use tonic::metadata::MetadataValue;
use tonic::{Request, Streaming};

use super::current_revision;
use super::error::Failed;
use super::join::Joiner;
use super::members::Members;
use super::rpc::{RequestUnion, WatchCreateRequest, WatchRequest, WatchResponse, bytes, end_of};
use crate::keys::Keys;
use crate::{Batch, Error, Result, Revision, WatchStream};

/// The pauses before a broken watch is opened again: doubled after each failure, from the first to the second. Short,
/// because every cache of the apiserver waits for this one stream.
const PAUSES: Backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(3));

/// Opens the watch once, so that a store that is down shows here and not in the stream.
pub(super) async fn watch(members: Arc<Members>, keys: Keys, after: Revision) -> Result<WatchStream> {
    let mut watch =
        Watch { joiner: Joiner::new(keys.clone(), after), members, keys, state: State::Waiting, pauses: PAUSES };
    watch.state = watch.open().await?;
    Ok(WatchStream::new(stream::unfold(watch, |mut watch| async {
        let item = watch.next().await?;
        Some((item, watch))
    })))
}

struct Watch {
    members: Arc<Members>,
    keys: Keys,
    joiner: Joiner,
    state: State,
    pauses: Backoff,
}

enum State {
    /// Answers arrive from this member.
    Following { answers: Box<Streaming<WatchResponse>>, endpoint: Arc<str> },
    /// There is no watch; the next attempt comes after a pause.
    Waiting,
    /// An error that no retry can mend has been handed out.
    Ended,
}

impl Watch {
    async fn next(&mut self) -> Option<Result<Batch>> {
        loop {
            if let Some(batch) = self.joiner.pop() {
                return Some(Ok(batch));
            }
            let step = match &mut self.state {
                State::Ended => return None,
                State::Waiting => self.resume().await,
                State::Following { answers, endpoint } => {
                    let failed = Failed { endpoint, write: false };
                    match answers.message().await {
                        Ok(Some(answer)) => self.accept(answer),
                        Ok(None) => Err(failed.by_end()),
                        Err(status) => Err(failed.by(&status)),
                    }
                }
            };
            match step {
                Ok(()) => {}
                Err(error) if error.is_retryable() => {
                    tracing::warn!(%error, after = %self.joiner.passed(), "the watch broke and will be resumed");
                    self.joiner.broken();
                    self.state = State::Waiting;
                }
                Err(error) => {
                    self.state = State::Ended;
                    return Some(Err(error));
                }
            }
        }
    }

    fn accept(&mut self, answer: WatchResponse) -> Result<()> {
        self.pauses.reset();
        if answer.canceled {
            return Err(self.canceled(&answer));
        }
        self.joiner.push(answer)
    }

    /// etcd has given up this watch.
    fn canceled(&self, answer: &WatchResponse) -> Error {
        if answer.compact_revision > 0 {
            return Error::Compacted {
                requested: self.joiner.passed().next(),
                compact_revision: Some(Revision::new(answer.compact_revision)),
            };
        }
        Error::Internal(format!("etcd ended the watch: {}", answer.cancel_reason))
    }

    async fn resume(&mut self) -> Result<()> {
        sleep(self.pauses.next_delay()).await;
        // An etcd that was restored from a backup counts on from an older revision. A watch after a revision it
        // has not reached again would then be silent, and wrong.
        let newest = current_revision(&self.members, &self.keys).await?;
        let passed = self.joiner.passed();
        if newest < passed {
            return Err(Error::Internal(format!(
                "etcd is at revision {newest} but has been at {passed}: it was restored from a backup or replaced; start again"
            )));
        }
        self.state = self.open().await?;
        tracing::info!(after = %passed, "the watch is resumed");
        Ok(())
    }

    /// Opens the watch after what has been handed out, and waits until etcd says that it stands.
    async fn open(&self) -> Result<State> {
        let create = WatchCreateRequest {
            key: bytes(self.keys.root()),
            range_end: end_of(self.keys.root()),
            start_revision: self.joiner.passed().next().get(),
            // While nothing under the root changes, say every ten minutes how far etcd is, so that compaction does
            // not overtake this watch.
            progress_notify: true,
            // Large revisions come in parts instead of breaking the limit on one message.
            fragment: true,
        };
        let create = WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) };
        // The requests of this stream never end: etcd takes their end for the end of the watch.
        let mut request = Request::new(stream::iter([create]).chain(stream::pending()));
        // A member that has lost its leader then ends the watch instead of staying silent.
        request.metadata_mut().insert("hasleader", MetadataValue::from_static("true"));
        let ((answers, first), endpoint) = self
            .members
            .watch(|mut client| async move {
                let mut answers = client.watch(request).await?.into_inner();
                let first = answers.message().await?;
                Ok((answers, first))
            })
            .await?;
        match first {
            Some(answer) if answer.canceled => Err(self.canceled(&answer)),
            Some(_) => Ok(State::Following { answers: Box::new(answers), endpoint }),
            None => Err(Failed { endpoint: &endpoint, write: false }.by_end()),
        }
    }
}
