use bytes::Bytes;
use api::rpc::EventType;
/// One event of a watch
#[derive(Clone, Debug)]
pub struct WatchEvent { pub r#type: EventType, /** the whole `Event<K>` message */ pub encoded: Bytes, /** the object in it (a `K` message) */ pub object: Bytes }
/// Stream of `Result<WatchEvent, api::Error>`
pub struct Watch {}
impl futures::Stream for Watch { type Item = Result<WatchEvent, api::Error>;
 fn poll_next(self: std::pin::Pin<&mut Self>, _: &mut std::task::Context<'_>) -> std::task::Poll<Option<Self::Item>> { todo!() } }
