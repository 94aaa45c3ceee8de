//! etcd's messages and clients, generated from `proto/etcd`, and how the store puts requests together.

use bytes::Bytes;
use etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use etcdserverpb::request_op::Request;

pub(super) use etcdserverpb::kv_client::KvClient;
pub(super) use etcdserverpb::response_op::Response;
pub(super) use etcdserverpb::watch_client::WatchClient;
pub(super) use etcdserverpb::watch_request::RequestUnion;
pub(super) use etcdserverpb::{
    CompactionRequest, Compare, PutRequest, RangeRequest, RangeResponse, RequestOp, ResponseHeader, TxnRequest,
    TxnResponse, WatchCreateRequest, WatchRequest, WatchResponse,
};
pub(super) use mvccpb::event::EventType;
pub(super) use mvccpb::{Event, KeyValue};

/// The generated code refers to its modules by etcd's package names.
#[allow(missing_docs, unreachable_pub, clippy::all)]
mod etcdserverpb {
    tonic::include_proto!("etcdserverpb");
}

#[allow(missing_docs, unreachable_pub, clippy::all)]
mod mvccpb {
    tonic::include_proto!("mvccpb");
}

impl Compare {
    /// Holds if the key was last changed at this revision; at 0, if it does not exist.
    pub(super) fn changed_at(key: &str, revision: i64) -> Self {
        Self {
            result: CompareResult::Equal.into(),
            target: CompareTarget::Mod.into(),
            key: bytes(key),
            target_union: Some(TargetUnion::ModRevision(revision)),
        }
    }

    /// Holds if the key exists.
    pub(super) fn exists(key: &str) -> Self {
        Self {
            result: CompareResult::Greater.into(),
            target: CompareTarget::Create.into(),
            key: bytes(key),
            target_union: Some(TargetUnion::CreateRevision(0)),
        }
    }
}

impl RequestOp {
    pub(super) fn get(key: &str) -> Self {
        Request::RequestRange(RangeRequest::one(key)).into()
    }

    pub(super) fn put(key: &str, value: Bytes) -> Self {
        let put = PutRequest { key: bytes(key), value };
        Request::RequestPut(put).into()
    }

    pub(super) fn delete(key: &str) -> Self {
        let delete = etcdserverpb::DeleteRangeRequest { key: bytes(key) };
        Request::RequestDeleteRange(delete).into()
    }
}

impl From<Request> for RequestOp {
    fn from(request: Request) -> Self {
        Self { request: Some(request) }
    }
}

impl RangeRequest {
    /// Reads one key as of now.
    pub(super) fn one(key: &str) -> Self {
        Self { key: bytes(key), ..Self::default() }
    }
}

/// The first key after all that begin with `prefix`, which ends with a slash: the slash becomes a zero.
pub(super) fn end_of(prefix: &str) -> Bytes {
    let mut end = prefix.as_bytes().to_vec();
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    end.into()
}

pub(super) fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}
