//! The raw transaction rate of an etcd: puts of one value by so many clients at once.

use super::Stats;
use anyhow::{Context, Result, anyhow};
use etcdserverpb::kv_client::KvClient;
use etcdserverpb::request_op::Request;
use etcdserverpb::{DeleteRangeRequest, PutRequest, RequestOp, TxnRequest};
use std::time::Duration;
use tokio::time::Instant;
use tonic::transport::{Channel, Endpoint};

/// The generated code refers to its modules by etcd's package names.
#[allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    clippy::all,
    reason = "generated, and larger than what is used of it"
)]
mod etcdserverpb {
    tonic::include_proto!("etcdserverpb");
}

#[allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    clippy::all,
    reason = "generated, and larger than what is used of it"
)]
mod mvccpb {
    tonic::include_proto!("mvccpb");
}

/// etcd is given up after this long without a connection.
const CONNECT: Duration = Duration::from_secs(2);
/// Operations that etcd takes in one transaction by default.
const OPERATIONS: usize = 128;

/// What is asked of etcd.
#[derive(Debug, Clone)]
pub(crate) struct EtcdLoad {
    /// `http://host:port`.
    pub(crate) endpoint: String,
    /// Transactions under way at any time.
    pub(crate) concurrency: usize,
    /// Bytes of each value.
    pub(crate) value_bytes: usize,
    /// How long to measure.
    pub(crate) duration: Duration,
}

/// Measures, and leaves nothing behind. Keys lie outside of the apiserver's prefix, so that no watch sees them.
///
/// # Errors
/// etcd cannot be reached, or refuses a transaction.
pub(crate) async fn measure(load: &EtcdLoad) -> Result<Stats> {
    let cannot = || format!("cannot measure etcd at {}", load.endpoint);
    let endpoint = Endpoint::from_shared(load.endpoint.clone()).with_context(cannot)?.connect_timeout(CONNECT);
    let channel = endpoint.connect().await.with_context(cannot)?;
    let prefix = format!("/traceplane-bench/{:08x}/", rand::random::<u32>());
    let begin = Instant::now();
    let clients = (0..load.concurrency).map(|client| {
        let key = format!("{prefix}{client}").into_bytes();
        puts(KvClient::new(channel.clone()), key, vec![b'x'; load.value_bytes], begin + load.duration)
    });
    let measured = futures::future::try_join_all(clients).await.with_context(cannot);
    let elapsed = begin.elapsed();
    // Also after a failure: whatever was put goes.
    clear(&mut KvClient::new(channel), &prefix, load.concurrency).await.with_context(cannot)?;
    let durations: Vec<Duration> = measured?.into_iter().flatten().collect();
    Stats::of(durations, elapsed).ok_or_else(|| anyhow!("{}: no transaction ended in time", cannot()))
}

/// One client: a transaction after the other until the end.
async fn puts(mut client: KvClient<Channel>, key: Vec<u8>, value: Vec<u8>, end: Instant) -> Result<Vec<Duration>> {
    let mut durations = Vec::new();
    while Instant::now() < end {
        let put = Request::RequestPut(PutRequest { key: key.clone(), value: value.clone() });
        let begin = Instant::now();
        client.txn(transaction(vec![put])).await?;
        durations.push(begin.elapsed());
    }
    Ok(durations)
}

async fn clear(client: &mut KvClient<Channel>, prefix: &str, count: usize) -> Result<()> {
    let keys: Vec<String> = (0..count).map(|client| format!("{prefix}{client}")).collect();
    for some in keys.chunks(OPERATIONS) {
        let delete = |key: &String| Request::RequestDeleteRange(DeleteRangeRequest { key: key.clone().into_bytes() });
        client.txn(transaction(some.iter().map(delete).collect())).await?;
    }
    Ok(())
}

fn transaction(requests: Vec<Request>) -> TxnRequest {
    let success = requests.into_iter().map(|request| RequestOp { request: Some(request) }).collect();
    TxnRequest { success, ..TxnRequest::default() }
}
