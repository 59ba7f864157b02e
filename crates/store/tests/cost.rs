//! What a stored message costs, beside appends to a plain file in the same run; figures in docs/spec/storage.md.

mod common;

use std::fs::File;
use std::io::Write as _;
use std::time::{Duration, Instant};

use common::{Database, FLOW, PEER, checkpoint, encoded, out_flow};
use tidings_core::class::Class;
use tidings_core::ids::Seq;
use tidings_core::interval::IntervalSet;
use tidings_core::message::{FlowName, OutMessage};
use tidings_core::record::{InboxBatch, OutBatch, Record};
use tidings_core::time::{Age, Wall};

const PAYLOAD: &[u8] = &[42; 256];

/// Bytes that this process has handed to the disk, where the system counts them.
fn written() -> u64 {
    let io = std::fs::read_to_string("/proc/self/io").unwrap_or_default();
    io.lines().find_map(|line| line.strip_prefix("write_bytes: ")?.parse().ok()).unwrap_or(0)
}

fn accepted(first: Seq, count: u64) -> Vec<Record> {
    let mut batch = OutBatch::empty(FlowName { flow: FLOW, peer: PEER }, Class::Normal, Age(700), Wall(50));
    batch.messages = (first..first + count)
        .map(|seq| OutMessage { seq, deadline: Age(700), encoded: encoded("test", PAYLOAD, None) })
        .collect();
    vec![Record::OutFlow(out_flow(first + count, first)), Record::Accepted(batch), checkpoint(first)]
}

fn shown(first: Seq, count: u64) -> Vec<Record> {
    let batch = InboxBatch {
        at: common::at(first + 1),
        sender: PEER,
        flow: FLOW,
        class: Class::Normal,
        messages: (first..first + count).map(|seq| (seq, encoded("test", PAYLOAD, None))).collect(),
        received_at: Wall(60),
        hops: 1,
    };
    vec![Record::Inbox(batch), checkpoint(first)]
}

fn consumed(first: Seq, count: u64) -> Vec<Record> {
    let seqs = IntervalSet::of(first, first + count - 1);
    vec![Record::Consumed { sender: PEER, flow: FLOW, seqs }, checkpoint(first)]
}

/// The time and the bytes of one commit, the mean of many.
fn measure(commits: u64, mut commit: impl FnMut(u64)) -> (Duration, u64) {
    let before = written();
    let start = Instant::now();
    (0..commits).for_each(&mut commit);
    (start.elapsed() / u32::try_from(commits).expect("few commits"), (written() - before) / commits)
}

#[test]
#[ignore = "prints figures; run it alone, on the disk that matters (TMPDIR), with --release and --nocapture"]
fn cost_per_message() {
    println!("case      batch  µs/commit  µs/message  bytes/message  amplification  × append");
    for batch in [1, 64, 200] {
        let commits = if batch == 1 { 1000 } else { 400 };
        let content = encoded("test", PAYLOAD, None).len() as u64;
        let row = |case: &str, (time, bytes): (Duration, u64), floor: Duration| {
            let micros = time.as_secs_f64() * 1e6;
            println!(
                "{case:<9} {batch:>5} {micros:>10.0} {:>11.2} {:>14} {:>14.2} {:>9.2}",
                micros / batch as f64,
                bytes / batch,
                bytes as f64 / (batch * content) as f64,
                time.as_secs_f64() / floor.as_secs_f64(),
            );
        };
        let mut database = Database::new();
        let mut plain = File::create(database.dir.path().join("plain")).unwrap();
        let record = vec![42; usize::try_from(batch * content).unwrap()];
        let append = measure(commits, |_| {
            plain.write_all(&record).unwrap();
            plain.sync_data().unwrap();
        });
        row("append", append, append.0);
        for (case, records) in
            [("accepted", accepted as fn(Seq, u64) -> Vec<Record>), ("inbox", shown), ("consumed", consumed)]
        {
            let measured = measure(commits, |n| database.apply(records(n * batch, batch)));
            row(case, measured, append.0);
        }
    }
    println!("group of 64 accepted batches in one commit:");
    for batch in [1, 64, 200] {
        let mut database = Database::new();
        let (time, bytes) = measure(20, |n| {
            let group: Vec<_> = (0..64).map(|k| accepted((n * 64 + k) * batch, batch)).collect();
            database.store.apply(&group).unwrap();
        });
        let messages = 64 * batch;
        println!(
            "batch {batch:>3}: {:.2} µs/message, {} bytes/message",
            time.as_secs_f64() * 1e6 / messages as f64,
            bytes / messages
        );
    }
}
