//! What is fuzzed: every decoder of bytes that a stranger may have written, and an engine that is handed them.
//!
//! Each function takes any bytes and panics only where the code under it breaks a promise: a decoder reads or
//! refuses, and what it has read it writes in a form that reads the same. The targets under `fuzz_targets` hand
//! them what libFuzzer makes up, `tests/replay.rs` what is kept in `corpus`.

mod neighbour;
pub mod seeds;

use bytes::{Bytes, BytesMut};
use tidings_core::ids::{At, MessageId};
use tidings_core::interval::IntervalSet;
use tidings_core::links::Address;
use tidings_core::wire::{
    FrameDecoder, Inner, InviteText, MAX_FLOW_INTERVALS, MAX_FRAME_BYTES, Parcel, decode_content, decode_controls,
    decode_introduction, encode_content, encode_controls, encode_introduction,
};
use tidings_crypto::{OlmSealer, PeerKey, Sealer, SignedCard};

pub use neighbour::engine;

/// A target: its name, that of its corpus, and what it runs.
pub type Target = (&'static str, fn(&[u8]));

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
pub fn address(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(address) = Address::new(text) {
        assert_eq!(Address::new(address.as_str()), Ok(address));
    }
    if let Ok(peer) = text.parse::<PeerKey>() {
        assert_eq!(peer.to_string().parse(), Ok(peer));
    }
    if let Ok(id) = text.parse::<MessageId>() {
        assert_eq!(id.to_string().parse(), Ok(id));
    }
    if let Ok(at) = text.parse::<At>() {
        assert_eq!(at.to_string().parse(), Ok(at));
    }
}

/// A signed card.
pub fn card(bytes: &[u8]) {
    if let Ok(card) = SignedCard::verify(bytes) {
        assert_eq!(card.bytes(), bytes, "a card has one form");
    }
}

/// A message in a parcel's plaintext.
pub fn content(bytes: &[u8]) {
    if let Ok(content) = decode_content(Bytes::copy_from_slice(bytes)) {
        assert_eq!(decode_content(encode_content(&content)), Ok(content));
    }
}

/// Control items in a parcel of their own.
pub fn controls(bytes: &[u8]) {
    if let Ok(controls) = decode_controls(bytes) {
        assert_eq!(decode_controls(&encode_controls(&controls)), Ok(controls));
    }
}

/// A link's bytes: the first says where the stream is cut in two.
pub fn frame(bytes: &[u8]) {
    let Some((cut, stream)) = bytes.split_first() else { return };
    let (first, second) = stream.split_at(usize::from(*cut).min(stream.len()));
    let mut decoder = FrameDecoder::default();
    for piece in [first, second] {
        decoder.push(piece);
        loop {
            match decoder.next_frame() {
                Ok(Some((frame, length, want_got))) => {
                    let mut encoded = BytesMut::new();
                    let written = frame.encode(want_got, &mut encoded);
                    assert!(written <= length && length <= MAX_FRAME_BYTES, "a frame is written in its shortest form");
                    let mut again = FrameDecoder::default();
                    again.push(&encoded);
                    assert_eq!(again.next_frame(), Ok(Some((frame, written, want_got))));
                }
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
}

/// A ratchet's plaintext.
pub fn inner(bytes: &[u8]) {
    if let Ok(inner) = Inner::decode(Bytes::copy_from_slice(bytes)) {
        assert_eq!(Inner::decode(inner.encode().into()), Ok(inner));
    }
}

/// An interval list: a base, then numbers of 8 bytes.
pub fn intervals(bytes: &[u8]) {
    let mut numbers = bytes.chunks_exact(8).map(|chunk| chunk.iter().fold(0, |n, byte| (n << 8) | u64::from(*byte)));
    let Some(base) = numbers.next() else { return };
    let list: Vec<u64> = numbers.collect();
    let Ok(set) = IntervalSet::from_wire(&list, base, MAX_FLOW_INTERVALS) else { return };
    assert_eq!(set.to_wire(base), list);
    let Some((first, last)) = set.first().zip(set.last()) else { return };
    assert!(base <= first && set.contains(first) && set.contains(last) && set.covers(&set));
    let mut rest = set.difference(&IntervalSet::of(first, first));
    assert!(!rest.contains(first) && rest.count() >= set.count() - 1);
    rest.insert(first, first);
    assert_eq!(rest, set);
    assert_eq!(set.intersection(&IntervalSet::of(base, u64::MAX)), set);
    let missing = set.first_missing(base);
    assert!(missing == u64::MAX || !set.contains(missing));
}

/// An invite, and the introduction of who uses it.
pub fn invite(bytes: &[u8]) {
    if let Some(invite) = InviteText::decode(bytes) {
        assert_eq!(InviteText::decode(&invite.encode()), Some(invite));
    }
    if let Some(secret) = decode_introduction(bytes) {
        assert_eq!(decode_introduction(&encode_introduction(secret)), Some(secret));
    }
}

/// A parcel as it crosses links.
pub fn parcel(bytes: &[u8]) {
    let Ok(parcel) = Parcel::decode(Bytes::copy_from_slice(bytes)) else { return };
    let (id, encoded) =
        Parcel::encode(parcel.to, parcel.class, 7, &parcel.suite, parcel.body.clone(), parcel.left_seconds);
    let again = Parcel::decode(encoded).expect("what was encoded can be read");
    assert_eq!(again, Parcel { id, ttl: again.ttl, ..parcel });
}

/// A ratchet ciphertext, for somebody without a session and within one.
pub fn sealed(bytes: &[u8]) {
    let mut sealer = OlmSealer::load(seeds::ACCOUNT).expect("the kept account can be read");
    let begun = sealer.first_of(bytes);
    if let Ok((session, _)) = sealer.accept(bytes) {
        assert_eq!(begun.map(|begun| begun.session), Some(sealer.session_id(&session)));
    }
    let mut session = sealer.load_session(seeds::SESSION).expect("the kept session can be read");
    let before = sealer.save_session(&session);
    if sealer.open(&mut session, bytes).is_err() {
        assert!(*before == *sealer.save_session(&session), "a refused ciphertext changes nothing");
    }
}
