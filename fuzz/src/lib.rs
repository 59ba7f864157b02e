//! What is fuzzed: every decoder of bytes that a stranger may have written, and an engine that is handed them.
//!
//! Each function takes any bytes, says whether they were taken for something, and panics only where the code under
//! it breaks a promise: a decoder reads or refuses, and what it has read it writes in a form that reads the same.
//! The targets under `fuzz_targets` hand them what libFuzzer makes up, `tests/replay.rs` what is kept in `corpus`.

mod neighbour;
pub mod seeds;

use std::fmt::Debug;
use std::str::FromStr;

use bytes::{Bytes, BytesMut};
use tidings_core::ids::{At, MessageId};
use tidings_core::interval::IntervalSet;
use tidings_core::links::Address;
use tidings_core::wire::{
    FrameDecoder, Inner, InviteText, MAX_FLOW_INTERVALS, MAX_FRAME_BYTES, Parcel, Path, decode_content,
    decode_controls, decode_introduction, encode_content, encode_controls, encode_introduction,
};
use tidings_crypto::{OlmSealer, PeerKey, Sealer, SignedCard};

pub use neighbour::engine;

/// A target: its name, that of its corpus, and what it runs.
pub type Target = (&'static str, fn(&[u8]) -> bool);

/// Every target.
pub const TARGETS: [Target; 11] = [
    ("address", address),
    ("card", card),
    ("content", content),
    ("controls", controls),
    ("engine", engine),
    ("frame", frame),
    ("inner", inner),
    ("intervals", intervals),
    ("invite", invite),
    ("parcel", parcel),
    ("sealed", sealed),
];

/// The texts that name addresses, peers, messages and events.
pub fn address(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let address = Address::new(text);
    if let Ok(address) = &address {
        assert_eq!(Address::new(address.as_str()).as_ref(), Ok(address));
    }
    address.is_ok() | same_again::<PeerKey>(text) | same_again::<MessageId>(text) | same_again::<At>(text)
}

fn same_again<T: FromStr + ToString + PartialEq + Debug>(text: &str) -> bool {
    let Ok(read) = text.parse::<T>() else { return false };
    assert_eq!(read.to_string().parse().ok(), Some(read));
    true
}

/// A signed card.
pub fn card(bytes: &[u8]) -> bool {
    let Ok(card) = SignedCard::verify(bytes) else { return false };
    assert_eq!(card.bytes(), bytes, "a card has one form");
    true
}

/// A message in a parcel's plaintext.
pub fn content(bytes: &[u8]) -> bool {
    let Ok(content) = decode_content(Bytes::copy_from_slice(bytes)) else { return false };
    assert_eq!(decode_content(encode_content(&content)), Ok(content));
    true
}

/// Control items in a parcel of their own.
pub fn controls(bytes: &[u8]) -> bool {
    let Ok(controls) = decode_controls(bytes) else { return false };
    assert_eq!(decode_controls(&encode_controls(&controls)), Ok(controls));
    true
}

/// A link's bytes: the first says where the stream is cut in two.
pub fn frame(bytes: &[u8]) -> bool {
    let Some((cut, stream)) = bytes.split_first() else { return false };
    let (first, second) = stream.split_at(usize::from(*cut).min(stream.len()));
    let mut decoder = FrameDecoder::default();
    for piece in [first, second] {
        decoder.push(Bytes::copy_from_slice(piece));
        loop {
            match decoder.next_frame() {
                Ok(Some((frame, length, want_got))) => {
                    let mut encoded = BytesMut::new();
                    let written = frame.encode(want_got, &mut encoded);
                    assert!(length <= MAX_FRAME_BYTES && written <= MAX_FRAME_BYTES, "a frame is within its bound");
                    let mut again = FrameDecoder::default();
                    again.push(encoded.freeze());
                    assert_eq!(again.next_frame(), Ok(Some((frame, written, want_got))));
                }
                Ok(None) => break,
                Err(_) => return false,
            }
        }
    }
    true
}

/// A ratchet's plaintext.
pub fn inner(bytes: &[u8]) -> bool {
    let Ok(inner) = Inner::decode(Bytes::copy_from_slice(bytes)) else { return false };
    assert_eq!(Inner::decode(inner.encode().into()), Ok(inner));
    true
}

/// An interval list: a base, then numbers of 8 bytes.
pub fn intervals(bytes: &[u8]) -> bool {
    let mut numbers = bytes.chunks_exact(8).map(|chunk| chunk.iter().fold(0, |n, byte| (n << 8) | u64::from(*byte)));
    let Some(base) = numbers.next() else { return false };
    let list: Vec<u64> = numbers.collect();
    let Ok(set) = IntervalSet::from_wire(&list, base, MAX_FLOW_INTERVALS) else { return false };
    assert_eq!(set.to_wire(base), list);
    let Some((first, last)) = set.first().zip(set.last()) else { return true };
    assert!(base <= first && set.contains(first) && set.contains(last) && set.covers(&set));
    let mut rest = set.difference(&IntervalSet::of(first, first));
    assert!(!rest.contains(first) && rest.count() >= set.count() - 1);
    rest.insert(first, first);
    assert_eq!(rest, set);
    assert_eq!(set.intersection(&IntervalSet::of(base, u64::MAX)), set);
    let missing = set.first_missing(base);
    assert!(missing == u64::MAX || !set.contains(missing));
    true
}

/// An invite, and the introduction of who uses it.
pub fn invite(bytes: &[u8]) -> bool {
    let (invite, secret) = (InviteText::decode(bytes), decode_introduction(bytes));
    if let Some(invite) = &invite {
        assert_eq!(InviteText::decode(&invite.encode()).as_ref(), Some(invite));
    }
    if let Some(secret) = secret {
        assert_eq!(decode_introduction(&encode_introduction(secret)), Some(secret));
    }
    invite.is_some() || secret.is_some()
}

/// A parcel as it crosses links.
pub fn parcel(bytes: &[u8]) -> bool {
    let Ok(parcel) = Parcel::decode(Bytes::copy_from_slice(bytes)) else { return false };
    // Encoded anew it has crossed no link, and has no relays.
    let path = parcel.path.as_ref().map(|_| Path::default());
    let (body, left) = (parcel.body.clone(), parcel.left_seconds);
    let (id, encoded) = Parcel::encode(parcel.to, parcel.class, 7, &parcel.suite, body, left, path.as_ref());
    let again = Parcel::decode(encoded).expect("what was encoded can be read");
    assert_eq!(again, Parcel { id, ttl: again.ttl, path, ..parcel });
    true
}

/// A ratchet ciphertext, for somebody without a session and within one.
pub fn sealed(bytes: &[u8]) -> bool {
    let mut sealer = OlmSealer::load(seeds::ACCOUNT).expect("the kept account can be read");
    let begun = sealer.first_of(bytes);
    let accepted = sealer.accept(bytes).ok();
    if let Some((session, _)) = &accepted {
        assert_eq!(begun.map(|begun| begun.session), Some(sealer.session_id(session)));
    }
    let mut session = sealer.load_session(seeds::SESSION).expect("the kept session can be read");
    let before = sealer.save_session(&session);
    let opened = sealer.open(&mut session, bytes).is_ok();
    assert!(opened || *before == *sealer.save_session(&session), "a refused ciphertext changes nothing");
    accepted.is_some() || opened
}
