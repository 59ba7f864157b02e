//! Counts the instructions of what every message passes through: sets of sequence numbers, frames and parcels.
//!
//! `cargo xtask bench` runs them and compares with `baseline.toml`.

#![expect(missing_docs, reason = "what the macros make has no docs")]

use std::hint::black_box;

use bytes::{Bytes, BytesMut};
use gungraun::prelude::*;
use tidings_core::class::Class;
use tidings_core::ids::FlowId;
use tidings_core::interval::IntervalSet;
use tidings_core::time::Wall;
use tidings_core::wire::{
    Clear, Content, Decoded, Fragment, Frame, FrameDecoder, MAX_FLOW_INTERVALS, MessageContent, Parcel, Suite,
    decode_content, encode_content,
};
use tidings_crypto::{IdentityKey, SessionId};

/// What a link carries at once in these.
const FRAMES: usize = 64;
/// The bytes of a frame's piece of a parcel.
const PIECE_BYTES: usize = 4_000;

/// A set of pairs of numbers, four apart.
fn set(first: u64, intervals: usize) -> IntervalSet {
    let mut set = IntervalSet::new();
    for number in 0..intervals as u64 {
        set.insert(first + number * 4, first + number * 4 + 1);
    }
    set
}

fn two_sets(intervals: usize) -> (IntervalSet, IntervalSet) {
    (set(0, intervals), set(3, intervals))
}

fn encoded_set(intervals: usize) -> Vec<u64> {
    set(5, intervals).to_wire(1)
}

fn fragments() -> Vec<Frame> {
    let bytes = Bytes::from(vec![7; PIECE_BYTES]);
    (0..FRAMES).map(|_| Frame::Fragment(Fragment { class: Class::Normal, total: None, bytes: bytes.clone() })).collect()
}

fn encoded_frames() -> BytesMut {
    let mut encoded = BytesMut::new();
    for frame in fragments() {
        frame.encode(false, &mut encoded);
    }
    encoded
}

fn suite() -> Suite {
    Suite::Session(Clear {
        sender: IdentityKey::from_seed(&[1; 32]).peer(),
        session: SessionId::from_bytes([2; 32]),
        content: Some(Content { flow: FlowId([3; 8]), seqs: set(1000, 16), floor: 990 }),
    })
}

fn encoded_parcel(body: usize) -> Bytes {
    let to = IdentityKey::from_seed(&[4; 32]).peer().routing_id();
    Parcel::encode(to, Class::Normal, 1, &suite(), Bytes::from(vec![5; body]), 600, None).1
}

fn message(payload: usize) -> MessageContent {
    MessageContent {
        kind: "text".to_owned(),
        payload: Bytes::from(vec![6; payload]),
        sent_at: Wall(1_800_000_000_000),
        expires_at: Wall(1_800_000_600_000),
        stream: Some("letters".to_owned()),
        predecessors: Vec::new(),
        headers: vec![("colour".to_owned(), "blue".to_owned())],
        reply_to: None,
        part: None,
        record_route: false,
    }
}

fn encoded_message(payload: usize) -> Bytes {
    encode_content(&message(payload))
}

#[library_benchmark]
#[bench::at_the_end(set(0, 1), 1_000)]
#[bench::into_a_thousand(set(0, 1_000), 1_000)]
fn interval_insert(mut set: IntervalSet, count: u64) -> IntervalSet {
    for number in 0..count {
        set.insert(black_box(number * 4 + 2), black_box(number * 4 + 2));
    }
    set
}

#[library_benchmark]
#[bench::of_sixteen(two_sets(16))]
#[bench::of_a_thousand(two_sets(1_000))]
fn interval_union((mut one, other): (IntervalSet, IntervalSet)) -> (IntervalSet, IntervalSet) {
    one.union_with(black_box(&other));
    (one, other)
}

#[library_benchmark]
#[bench::of_a_thousand(encoded_set(1_000))]
fn interval_decode(list: Vec<u64>) -> IntervalSet {
    IntervalSet::from_wire(black_box(&list), 1, MAX_FLOW_INTERVALS).expect("it was encoded from a set")
}

#[library_benchmark]
#[bench::fragments(fragments(), BytesMut::with_capacity(FRAMES * (PIECE_BYTES + 16)))]
fn frame_encode(frames: Vec<Frame>, mut out: BytesMut) -> (Vec<Frame>, BytesMut) {
    for frame in &frames {
        black_box(frame).encode(false, &mut out);
    }
    (frames, out)
}

#[library_benchmark]
#[bench::fragments(encoded_frames(), Vec::with_capacity(FRAMES))]
fn frame_decode(encoded: BytesMut, mut frames: Vec<Decoded>) -> Vec<Decoded> {
    let mut decoder = FrameDecoder::default();
    decoder.push(black_box(encoded.freeze()));
    while let Some(frame) = decoder.next_frame().expect("they were encoded as frames") {
        frames.push(frame);
    }
    assert_eq!(frames.len(), FRAMES);
    frames
}

#[library_benchmark]
#[bench::small(suite(), Bytes::from(vec![5; 500]))]
#[bench::large(suite(), Bytes::from(vec![5; 60_000]))]
fn parcel_encode(suite: Suite, body: Bytes) -> (Suite, Bytes) {
    let to = tidings_crypto::RoutingId([4; 16]);
    let parcel = Parcel::encode(to, Class::Normal, 1, black_box(&suite), body, 600, None).1;
    (suite, parcel)
}

#[library_benchmark]
#[bench::small(encoded_parcel(500))]
#[bench::large(encoded_parcel(60_000))]
fn parcel_decode(encoded: Bytes) -> Parcel {
    Parcel::decode(black_box(encoded)).expect("it was encoded as a parcel")
}

#[library_benchmark]
#[bench::small(encoded_message(256))]
fn message_decode(encoded: Bytes) -> MessageContent {
    decode_content(black_box(encoded)).expect("it was encoded as a message")
}

library_benchmark_group!(
    name = wire,
    benchmarks = [
        interval_insert,
        interval_union,
        interval_decode,
        frame_encode,
        frame_decode,
        parcel_encode,
        parcel_decode,
        message_decode
    ]
);

main!(library_benchmark_groups = wire);
