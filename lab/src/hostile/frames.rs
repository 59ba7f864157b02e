//! What a hostile peer writes on a link: a hello as it should be, and frames as they should not.

use anyhow::Result;
use bytes::BytesMut;
use tidings_core::wire::{Frame, Hello};

use super::stream::varint;

/// How a link is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Garbage {
    /// Bytes without meaning.
    Random,
    /// The largest length that its field holds, and less behind it.
    Length,
    /// Zeros without end, so lengths of 0.
    Zeros,
    /// Frames as they should be but for their body: fields of every number, groups within groups.
    Protobuf,
}

/// The kind of a hello's frame, whose body is protobuf.
const KIND_HELLO: u8 = 1;
/// The length field covers what follows it: kind, flags and body.
const BODY_BYTES: usize = 12_000;
/// How much is written at a time.
const CHUNK_BYTES: usize = 64 * 1024;

/// The frame that begins a link.
pub(super) fn hello(link: u64) -> BytesMut {
    let hello =
        Hello { versions: vec![1], boot: 1, link, capabilities: Vec::new(), card_seq: 0, name: "mallory".to_owned() };
    let mut bytes = BytesMut::new();
    Frame::Hello(hello).encode(false, &mut bytes);
    bytes
}

impl Garbage {
    /// What is written behind the hello, again and again.
    pub(super) fn bytes(self) -> Result<Vec<u8>> {
        Ok(match self {
            Self::Random => random(CHUNK_BYTES)?,
            Self::Length => [vec![0xff, 0xff, KIND_HELLO, 0], random(CHUNK_BYTES)?].concat(),
            Self::Zeros => vec![0; CHUNK_BYTES],
            Self::Protobuf => noise()?,
        })
    }
}

fn random(bytes: usize) -> Result<Vec<u8>> {
    let mut random = vec![0; bytes];
    getrandom::fill(&mut random).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
    Ok(random)
}

/// A frame that is protobuf: half of it opens groups that are never closed, half of it is fields of random numbers
/// whose length is beyond the body.
fn noise() -> Result<Vec<u8>> {
    // Field 1 as a group that begins: https://protobuf.dev/programming-guides/encoding/#groups
    let mut body = vec![0x0b; BODY_BYTES / 2];
    for byte in random(BODY_BYTES / 8)? {
        body.extend(varint(u64::from(byte) << 3 | 2));
        body.extend(varint(u64::from(u32::MAX)));
    }
    body.truncate(BODY_BYTES);
    let length = u16::try_from(body.len() + 2)?;
    Ok([length.to_be_bytes().to_vec(), vec![KIND_HELLO, 0], body].concat())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tidings_core::wire::FrameDecoder;

    use super::*;

    /// Whether everything that was written is read without an error.
    fn is_read(bytes: &[u8]) -> bool {
        let mut decoder = FrameDecoder::default();
        decoder.push(Bytes::copy_from_slice(bytes));
        loop {
            match decoder.next_frame() {
                Ok(Some(_)) => {}
                Ok(None) => return true,
                Err(_) => return false,
            }
        }
    }

    #[test]
    fn the_hello_is_one_and_garbage_is_none() {
        assert!(is_read(&hello(1)));
        for garbage in [Garbage::Random, Garbage::Length, Garbage::Zeros, Garbage::Protobuf] {
            assert!(!is_read(&garbage.bytes().unwrap()), "{garbage:?}");
        }
    }
}
