//! Counts the instructions that a message costs its engine on each part of its way, with the real cipher: submitted
//! to somebody who is away, submitted and sealed and written, received and receipted, its receipt taken.
//!
//! `cargo xtask bench` runs them and compares with `baseline.toml`.

#![expect(missing_docs, reason = "what the macros make has no docs")]

#[path = "engine/pair.rs"]
mod pair;

use std::hint::black_box;

use bytes::Bytes;
use gungraun::prelude::*;
use tidings_core::message::Submission;

use pair::{Pair, Side, messages};

/// Has the allocator of glibc never tidy up: when it does depends on the keys, which are others in each run.
const ALLOCATOR: &str = "glibc.malloc.mxfast=0:glibc.malloc.tcache_count=65535";

/// The sender, apart from its recipient, and what it is to submit.
fn apart(count: usize) -> (Side, Vec<Submission>) {
    let mut pair = Pair::acquainted();
    pair.part();
    let [sender, recipient] = pair.sides;
    let messages = messages(recipient.key, count);
    (sender, messages)
}

/// The sender, linked to its recipient, and what it is to submit.
fn linked(count: usize) -> (Side, Vec<Submission>) {
    let [sender, recipient] = Pair::acquainted().sides;
    let messages = messages(recipient.key, count);
    (sender, messages)
}

/// The recipient, and what the sender has written.
fn arriving(count: usize) -> (Side, Vec<Bytes>) {
    let mut pair = Pair::acquainted();
    let messages = messages(pair.sides[1].key, count);
    pair.sides[0].submit(messages);
    let written = pair.take_written(0);
    let [_, recipient] = pair.sides;
    (recipient, written)
}

/// The sender, and the receipt that its recipient has written.
fn receipted(count: usize) -> (Side, Vec<Bytes>) {
    let mut pair = Pair::acquainted();
    let messages = messages(pair.sides[1].key, count);
    pair.sides[0].submit(messages);
    let written = pair.take_written(0);
    pair.sides[1].read(written);
    pair.sides[1].write_parcel();
    let receipt = pair.take_written(1);
    let [sender, _] = pair.sides;
    (sender, receipt)
}

fn has_accepted(sender: Side) {
    assert!(sender.accepted() > 0, "the call is answered");
}

fn has_sent(sender: Side) {
    assert!(sender.has_written_parcel(), "a parcel is written");
    has_accepted(sender);
}

fn has_received(recipient: Side) {
    assert!(recipient.received() > 0, "what was sent is shown");
    assert!(recipient.has_written_parcel(), "a receipt is written");
}

fn has_delivered(sender: Side) {
    assert!(sender.delivered() > 0, "the receipt is taken");
}

#[library_benchmark(setup = apart, teardown = has_accepted)]
#[bench::one(1)]
#[bench::ten(10)]
fn submit((mut sender, messages): (Side, Vec<Submission>)) -> Side {
    sender.submit(black_box(messages));
    sender
}

#[library_benchmark(setup = linked, teardown = has_sent)]
#[bench::one(1)]
#[bench::ten(10)]
fn seal_and_send((mut sender, messages): (Side, Vec<Submission>)) -> Side {
    sender.submit(black_box(messages));
    sender.write_parcel();
    sender
}

#[library_benchmark(setup = arriving, teardown = has_received)]
#[bench::one(1)]
#[bench::ten(10)]
fn receive_and_receipt((mut recipient, written): (Side, Vec<Bytes>)) -> Side {
    recipient.read(black_box(written));
    recipient.write_parcel();
    recipient
}

#[library_benchmark(setup = receipted, teardown = has_delivered)]
#[bench::one(1)]
#[bench::ten(10)]
fn take_receipt((mut sender, receipt): (Side, Vec<Bytes>)) -> Side {
    sender.read(black_box(receipt));
    sender
}

library_benchmark_group!(name = message, benchmarks = [submit, seal_and_send, receive_and_receipt, take_receipt]);

main!(config = LibraryBenchmarkConfig::default().env("GLIBC_TUNABLES", ALLOCATOR), library_benchmark_groups = message);
