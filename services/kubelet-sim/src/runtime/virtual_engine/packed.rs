//! Messages that are kept for long and asked about seldom.
//!
//! Decoded, the configuration of a plain container is dozens of pieces of memory: strings, lists, and trees that have room for eleven
//! entries in each node. Encoded it is one piece, and smaller by far.

use std::marker::PhantomData;

use prost::Message;

/// A message as it travels.
pub(super) struct Packed<M> {
    bytes: Box<[u8]>,
    message: PhantomData<fn() -> M>,
}

impl<M: Message + Default> Packed<M> {
    pub(super) fn new(message: &M) -> Self {
        Self { bytes: message.encode_to_vec().into(), message: PhantomData }
    }

    /// The message as it was.
    pub(super) fn open(&self) -> M {
        self.open_as()
    }

    /// Only those fields that `Part` has, under the same numbers; the others are skipped where they lie.
    pub(super) fn open_as<Part: Message + Default>(&self) -> Part {
        Part::decode(&*self.bytes).expect("encoded by `new`")
    }
}

impl<M> std::fmt::Debug for Packed<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Packed").field("bytes", &self.bytes.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cri;

    #[test]
    fn a_message_comes_out_as_it_went_in_whole_or_in_part() {
        let metadata = Some(cri::PodSandboxMetadata { name: "web".to_owned(), ..Default::default() });
        let whole = cri::PodSandboxConfig {
            metadata,
            hostname: "web".to_owned(),
            labels: [("app".to_owned(), "web".to_owned())].into(),
            ..Default::default()
        };
        let packed = Packed::new(&whole);
        assert_eq!(packed.open(), whole);

        #[derive(Clone, PartialEq, Message)]
        struct Hostname {
            #[prost(string, tag = "2")]
            hostname: String,
        }
        assert_eq!(packed.open_as::<Hostname>().hostname, "web");
    }
}
