//! The store's calls to etcd.
//!
//! A write's cause is the context of its [`txn`] span: make the value inside the span, so that `TraceContext::current()`
//! and the commit time that are stored with it are the span's own. The commit time then never lies before the span's
//! start, and every effect hangs on the transaction that caused it.

use tracing::Span;

use super::{SpanExt, child_call};
use crate::{Step, attr};

/// One transaction on `key`, an attempt until it is [`committed`].
pub fn txn(key: &str) -> Span {
    let span = call("etcd txn", "txn");
    span.attr(attr::STORE_KEY, key.to_owned());
    span
}

/// One range request below `prefix`.
pub fn range(prefix: &str) -> Span {
    let span = call("etcd range", "range");
    span.attr(attr::STORE_KEY, prefix.to_owned());
    span
}

/// The transaction of `span` was committed at `revision`, equal to the object's `resourceVersion`. Only now it is the `step`:
/// one that lost to another writer is none.
pub fn committed(span: &Span, step: Option<Step>, revision: i64) {
    span.step(step).attr(attr::REVISION, revision);
}

fn call(name: &'static str, operation: &'static str) -> Span {
    let span = child_call(name, None);
    span.attr(attr::DB_SYSTEM_NAME, "etcd").attr(attr::DB_OPERATION_NAME, operation);
    span
}
