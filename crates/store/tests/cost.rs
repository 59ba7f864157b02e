//! What a stored message costs, beside appends to a plain file in the same run; figures in docs/spec/storage.md.

mod common;

use std::fs::File;
use std::io::Write as _;
use std::time::{Duration, Instant};

use bytes::Bytes;
use common::{Database, FLOW, PEER, checkpoint, encoded, out_flow, parcel};
use tidings_core::class::Class;
use tidings_core::ids::{OutParcelNo, Seq};
use tidings_core::interval::IntervalSet;
use tidings_core::message::{Change, FlowName, OutMessage, Step};
use tidings_core::record::{InFlow, InboxBatch, OutBatch, OutParcel, Record, StoredSession};
use tidings_core::time::{Age, Wall};
use tidings_crypto::SessionId;

/// A name, and the records of one batch: the first seq, how many messages.
type Case = (&'static str, fn(Seq, u64) -> Vec<Record>);

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
        path: None,
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

/// A session after one more step: as long as one is, and other bytes.
fn session(step: u64) -> Record {
    let state: Vec<u8> = (0..900).map(|byte: u64| (byte.wrapping_mul(step * 31 + 7) >> 3) as u8).collect();
    Record::Session(StoredSession { session: SessionId::from_bytes([4; 32]), peer: PEER, state: Bytes::from(state) })
}

/// Accepted with a path at hand: sealed in the same batch.
fn sent(seq: Seq, count: u64) -> Vec<Record> {
    let sealed = OutParcel {
        parcel: OutParcelNo(seq + 1),
        seqs: IntervalSet::of(seq, seq),
        inner: Bytes::from(vec![42; 420]),
        ..parcel(seq + 1)
    };
    let mut records = accepted(seq, count);
    records.extend([Record::ParcelSealed(sealed), session(seq)]);
    records
}

/// A receipt, at the sender.
fn receipted(seq: Seq, count: u64) -> Vec<Record> {
    let (seqs, wall) = (IntervalSet::of(seq, seq), Wall(60));
    let (at, change) = (common::at(seq + 1), Change::Delivered);
    vec![
        Record::OutFlow(out_flow(seq + count, seq)),
        Record::ParcelDone { parcel: OutParcelNo(seq + 1) },
        Record::Timeline { flow: FLOW, seqs: seqs.clone(), step: Step::Sent, wall },
        Record::Changed { at, flow: FLOW, peer: PEER, seqs, change, wall },
        checkpoint(seq),
    ]
}

fn in_flow(seq: Seq) -> Record {
    Record::InFlow(InFlow {
        flow: FLOW,
        sender: PEER,
        since: 0,
        floor: seq,
        delivered: IntervalSet::of(seq, seq),
        void: IntervalSet::new(),
        unacknowledged: IntervalSet::of(seq, seq),
        pended: IntervalSet::new(),
        multipart: Vec::new(),
        touched: Age(seq),
    })
}

fn received(seq: Seq, count: u64) -> Vec<Record> {
    let mut records = shown(seq, count);
    records.extend([session(seq), in_flow(seq)]);
    records
}

fn read(seq: Seq, count: u64) -> Vec<Record> {
    let mut records = consumed(seq, count);
    records.push(in_flow(seq));
    records
}

#[test]
#[ignore = "prints figures"]
fn log_per_small_commit() {
    /// So few that nothing is brought from the log into the database meanwhile.
    const COMMITS: u64 = 300;
    const FRAME_BYTES: u64 = 4096 + 24;
    println!("case      log bytes/commit  pages/commit");
    let cases: [&[Case]; 3] = [
        &[("accepted", accepted)],
        &[("sent", sent), ("receipted", receipted)],
        &[("received", received), ("read", read)],
    ];
    for cases in cases {
        let mut database = Database::new();
        for (case, records) in cases {
            database = database.reopen();
            (0..COMMITS).for_each(|n| database.apply(records(n, 1)));
            let log = std::fs::metadata(database.dir.path().join("tidings.db-wal")).unwrap().len();
            println!("{case:<9} {:>17} {:>13.2}", log / COMMITS, log as f64 / (COMMITS * FRAME_BYTES) as f64);
        }
    }
}
