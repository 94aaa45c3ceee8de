//! How messages come in and go out: requests are decoded by prost, answers are bytes already.
//!
//! The registry answers with the bytes that its cache keeps, and one watch event is encoded once for all its watchers. A codec
//! that took objects would have to encode each of them again.

use std::marker::PhantomData;

use bytes::{BufMut, Bytes};
use prost::Message;
use service_kit::rpc_status::to_status;
use tonic::Status;
use tonic::codec::{DecodeBuf, Decoder, EncodeBuf, Encoder};

/// Decodes requests of type `M`, and sends answers that are encoded already.
pub(super) struct Codec<M>(PhantomData<fn() -> M>);

impl<M> Default for Codec<M> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<M: Message + Default + 'static> tonic::codec::Codec for Codec<M> {
    type Encode = Bytes;
    type Decode = M;
    type Encoder = Preencoded;
    type Decoder = Self;

    fn encoder(&mut self) -> Preencoded {
        Preencoded
    }

    fn decoder(&mut self) -> Self {
        Self::default()
    }
}

impl<M: Message + Default + 'static> Decoder for Codec<M> {
    type Item = M;
    type Error = Status;

    /// A message that is none is the client's fault; tonic's own decoder would call it the server's.
    fn decode(&mut self, message: &mut DecodeBuf<'_>) -> Result<Option<M>, Status> {
        let decoded = M::decode(message);
        decoded
            .map(Some)
            .map_err(|error| to_status(&api::Error::bad_request(format!("the message is not valid: {error}"))))
    }
}

/// Copies an encoded message into the stream.
pub(super) struct Preencoded;

impl Encoder for Preencoded {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, stream: &mut EncodeBuf<'_>) -> Result<(), Status> {
        stream.put_slice(&message);
        Ok(())
    }
}
