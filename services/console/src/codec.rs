//! Protobuf over gRPC, where a message that cannot be decoded is the sender's fault.
//!
//! tonic's own codec answers INTERNAL, which tells a client to look for the error on our side and, in the case of an exporter, to
//! throw the spans away without a word. INVALID_ARGUMENT with the decoder's message says what is wrong.

use std::marker::PhantomData;

use prost::Message;
use tonic::{
    Status,
    codec::{BufferSettings, Codec, DecodeBuf, Decoder},
};
use tonic_prost::{ProstCodec, ProstEncoder};

/// As [`ProstCodec`], except for the status of undecodable messages.
#[derive(Debug)]
pub struct StrictCodec<T, U>(PhantomData<(T, U)>);

/// See [`StrictCodec`].
#[derive(Debug)]
pub struct StrictDecoder<U>(PhantomData<U>);

impl<T, U> Default for StrictCodec<T, U> {
    fn default() -> Self {
        StrictCodec(PhantomData)
    }
}

impl<T, U> Codec for StrictCodec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = StrictDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstCodec::<T, U>::raw_encoder(BufferSettings::default())
    }

    fn decoder(&mut self) -> Self::Decoder {
        StrictDecoder(PhantomData)
    }
}

impl<U: Message + Default> Decoder for StrictDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, bytes: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        U::decode(bytes)
            .map(Some)
            .map_err(|error| Status::invalid_argument(format!("the request is not the message expected: {error}")))
    }
}
