//! Crashes and failures at every named place around write, commit and answer.
//!
//! A crash is that of a process: this test runs itself again, lets the child end at once at one place, and compares
//! what the child said before with what is in the database.

mod common;

use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use common::{Database, inbox_batch, key, out_batch, out_flow, shown};
use fail::FailScenario;
use tidings_core::ids::BatchNo;
use tidings_core::record::{Loaded, Query, Record};
use tidings_store::{Store, Worker, WorkerHandle, WorkerReply};

/// Around the write of each batch, the commit of a group, and the answer.
const POINTS: [&str; 4] =
    ["store::before_write", "store::before_commit", "store::after_commit", "store::before_answer"];
/// How many batches a run has, more than are ever reached.
const BATCHES: u64 = 40;
/// What the child is told: the directory, the place, and at which visit of it to crash.
const VARIABLES: [&str; 3] = ["TIDINGS_TEST_DIR", "TIDINGS_TEST_POINT", "TIDINGS_TEST_VISIT"];
/// Far longer than anything here takes.
const DEADLINE: Duration = Duration::from_mins(1);

/// A batch of several tables: messages accepted, messages received, the state of a flow.
fn batch(n: u64) -> Vec<Record> {
    vec![
        Record::Accepted(out_batch(n * 10, 10, 700)),
        Record::Inbox(inbox_batch(n, [n])),
        Record::OutFlow(out_flow((n + 1) * 10, n)),
    ]
}

/// Which batches a database holds, each of them whole; all others not at all.
fn held(store: &Store) -> u64 {
    let inbox: Vec<String> = (1..=shown(store).len() as u64).map(|n| n.to_string()).collect();
    assert_eq!(shown(store), inbox, "received in order, without a gap");
    let count = inbox.len() as u64;
    let query = Query::OutMessages { flow: common::FLOW, from: 0, max_bytes: usize::MAX };
    let Loaded::OutMessages { messages, .. } = store.load(&query).expect("a readable database") else {
        panic!("expected messages");
    };
    let seqs: Vec<u64> = messages.iter().map(|message| message.seq).collect();
    assert_eq!(seqs, (10..(count + 1) * 10).collect::<Vec<_>>(), "as many accepted");
    let snapshot = store.snapshot().expect("a readable database");
    let flows: Vec<u64> = snapshot.out_flows.iter().map(|flow| flow.next).collect();
    assert_eq!(flows, if count == 0 { Vec::new() } else { vec![(count + 1) * 10] }, "the state of the last");
    count
}

/// Asks for all batches, some in groups and some alone, and passes on what is told.
fn run(store: Store, mut told: impl FnMut(BatchNo)) {
    let (sender, replies) = sync_channel(1024);
    let reply = move |reply| {
        // The test may have seen enough and be gone.
        let _gone = sender.send(reply);
    };
    let worker = Worker::spawn(store, Box::new(reply)).expect("a thread");
    for first in (1..=BATCHES).step_by(4) {
        let (release, held) = sync_channel::<()>(0);
        worker.read(Box::new(move |_| {
            // The error is the release.
            let _released = held.recv();
            Ok(())
        }));
        for n in first..first + 4 {
            worker.persist(BatchNo(n), batch(n));
        }
        drop(release);
        match next(&replies) {
            Some(WorkerReply::Persisted(batch)) => told(batch),
            Some(WorkerReply::Failed(_)) | None => break,
            other => panic!("expected an answer, got {other:?}"),
        }
    }
    worker.stop();
}

/// `None` where the thread has ended.
fn next(replies: &Receiver<WorkerReply>) -> Option<WorkerReply> {
    match replies.recv_timeout(DEADLINE) {
        Ok(reply) => Some(reply),
        Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => None,
        Err(std::sync::mpsc::RecvTimeoutError::Timeout) => panic!("no reply in time"),
    }
}

/// The child: says each batch that it is told is durable, and ends without any cleaning up at the place.
fn crash(dir: &Path, point: &str, visit: u64) {
    let _scenario = FailScenario::setup();
    let store = Store::open(&dir.join("tidings.db"), &key()).expect("a working file system");
    let visits = AtomicU64::new(0);
    fail::cfg_callback(point, move || {
        if visits.fetch_add(1, Ordering::Relaxed) + 1 == visit {
            std::process::abort();
        }
    })
    .expect("a place with a name");
    run(store, |batch| {
        let mut stdout = std::io::stdout();
        writeln!(stdout, "told {}", batch.0).and_then(|()| stdout.flush()).expect("the parent reads");
    });
    panic!("{point} is visited less than {visit} times");
}

#[test]
fn after_a_crash_what_was_told_is_there_and_no_half_of_a_batch() {
    if let [Ok(dir), Ok(point), Ok(visit)] = VARIABLES.map(std::env::var) {
        return crash(Path::new(&dir), &point, visit.parse().expect("a number"));
    }
    for point in POINTS {
        for visit in [1, 2, 3, 6, 9] {
            let dir = tempfile::tempdir().expect("a working file system");
            let output = Command::new(std::env::current_exe().expect("a working file system"))
                .args(["--exact", "after_a_crash_what_was_told_is_there_and_no_half_of_a_batch", "--nocapture"])
                .envs(VARIABLES.into_iter().zip([&dir.path().display().to_string(), point, &visit.to_string()]))
                .output()
                .expect("this program again");
            let text = String::from_utf8_lossy(&output.stdout);
            assert_eq!(output.status.code(), None, "killed at {point}: {}", String::from_utf8_lossy(&output.stderr));
            let told = text.lines().filter_map(|line| line.split_once("told ")?.1.parse().ok()).max().unwrap_or(0);
            let store = Store::open(&dir.path().join("tidings.db"), &key()).expect("what the crash left");
            let held = held(&store);
            match point {
                // The group was durable, and nobody had been told.
                "store::after_commit" | "store::before_answer" => {
                    assert_eq!((told, held), ((visit - 1) * 4, visit * 4))
                }
                "store::before_commit" => assert_eq!((told, held), ((visit - 1) * 4, (visit - 1) * 4)),
                _ => assert_eq!((told, held), ((visit - 1) / 4 * 4, (visit - 1) / 4 * 4)),
            }
        }
    }
}

fn start() -> (WorkerHandle, Receiver<WorkerReply>, tempfile::TempDir) {
    let Database { dir, store } = Database::new();
    let (sender, replies) = sync_channel(1024);
    let reply = move |reply| {
        // The test may have seen enough and be gone.
        let _gone = sender.send(reply);
    };
    (Worker::spawn(store, Box::new(reply)).expect("a thread"), replies, dir)
}

/// What the thread says before and after it fails at a place, and what is in the database then.
fn fails_at(point: &str, action: &str) -> (String, u64) {
    let _scenario = FailScenario::setup();
    let (worker, replies, dir) = start();
    worker.persist(BatchNo(1), batch(1));
    assert_eq!(next(&replies), Some(WorkerReply::Persisted(BatchNo(1))));
    fail::cfg(point, action).expect("a place with a name");
    worker.persist(BatchNo(2), batch(2));
    let reason = match next(&replies) {
        Some(WorkerReply::Failed(reason)) => reason,
        other => panic!("expected the failure at {point}, got {other:?}"),
    };
    worker.persist(BatchNo(3), batch(3));
    worker.stop();
    assert_eq!(next(&replies), None, "nothing more is said");
    fail::remove(point);
    let store = Store::open(&dir.path().join("tidings.db"), &key()).expect("what the failure left");
    (reason, held(&store))
}

#[test]
fn a_disk_that_fails_is_told_once_and_leaves_whole_batches() {
    for (point, expected) in POINTS.into_iter().zip([1, 1, 2]) {
        let (reason, held) = fails_at(point, "return");
        assert!(reason.contains("the database failed"), "{reason}");
        assert_eq!(held, expected, "{point}");
    }
}

#[test]
fn a_thread_that_panics_is_told_once_and_leaves_whole_batches() {
    for (point, expected) in POINTS.into_iter().zip([1, 1, 2, 2]) {
        assert_eq!(fails_at(point, "panic"), ("its thread panicked".to_owned(), expected), "{point}");
    }
}
