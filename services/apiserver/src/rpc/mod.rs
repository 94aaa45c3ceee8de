//! The gRPC services of all kinds, served by one generic implementation.
//!
//! ```text
//! /traceplane.v1.Pods/Create
//!   Call            which kind and method the path names                 (call)
//!   RequestInfo     verb, namespace and name, read from the message      (request_info)
//!   Dispatch        the kind's service                                   (dispatch)
//!   KindService<K>  decode, ask the registry, answer its bytes           (kind_service, codec)
//!   PodStreams      logs, exec, attach, port-forward: the kubelet's      (pod_streams, crate::kubelet)
//! ```
//!
//! Adding a kind is one line in `Dispatch`. Nothing here decides who may do what, and nothing encodes an object that the cache
//! keeps encoded.

mod answer;
mod call;
mod codec;
mod dispatch;
mod kind_service;
mod pod_streams;
mod request_info;
mod standard;
mod to_the_end;
mod watch;

pub use call::{Call, Method};
pub use dispatch::{Dispatch, Started};
pub use request_info::RequestInfo;
pub(crate) use request_info::is_kubelet;
pub use standard::{grpc_health, reflection};
