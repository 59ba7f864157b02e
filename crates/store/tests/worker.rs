//! The store's thread: order, groups, a failing database, the end.
#![expect(clippy::wildcard_enum_match_arm, reason = "a test fails where it stands")]

mod common;

use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use common::{Database, FLOW, checkpoint, inbox_batch, key, out_batch, shown};
use tidings_core::ids::{BatchNo, LoadId};
use tidings_core::record::{Loaded, Query, Record};
use tidings_store::{Store, StoreError, Worker, WorkerHandle, WorkerReply};

/// Far longer than anything here takes.
const DEADLINE: Duration = Duration::from_mins(1);

fn start(store: Store) -> (WorkerHandle, Receiver<WorkerReply>) {
    let (sender, replies) = sync_channel(1024);
    let reply = move |reply| {
        // The test may have seen enough and be gone.
        let _gone = sender.send(reply);
    };
    (Worker::spawn(store, Box::new(reply)).expect("a thread"), replies)
}

fn next(replies: &Receiver<WorkerReply>) -> WorkerReply {
    replies.recv_timeout(DEADLINE).expect("a reply in time")
}

fn inbox(n: u64) -> Vec<Record> {
    vec![Record::Inbox(inbox_batch(n, [n]))]
}

/// Holds the thread until the sender is dropped, so that what follows queues up.
fn hold(worker: &WorkerHandle) -> std::sync::mpsc::SyncSender<()> {
    let (release, held) = sync_channel::<()>(0);
    worker.read(Box::new(move |_| {
        // The error is the release.
        let _released = held.recv();
        Ok(())
    }));
    release
}

#[test]
fn a_reader_that_meets_a_broken_database_ends_the_thread() {
    let Database { dir: _dir, store } = Database::new();
    let (worker, replies) = start(store);
    // A value that does not fit is no reason to give up the database.
    worker.read(Box::new(|_| Err(StoreError::Unreadable)));
    worker.persist(BatchNo(1), inbox(1));
    assert_eq!(next(&replies), WorkerReply::Persisted(BatchNo(1)));
    let broken = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR_READ);
    worker.read(Box::new(move |_| Err(rusqlite::Error::SqliteFailure(broken, None).into())));
    assert!(matches!(next(&replies), WorkerReply::Failed(_)));
    assert!(replies.recv().is_err(), "the thread has ended");
}

#[test]
fn what_queues_up_is_committed_and_answered_once() {
    let Database { dir, store } = Database::new();
    let (worker, replies) = start(store);
    let release = hold(&worker);
    for n in 1..=20 {
        worker.persist(BatchNo(n), inbox(n));
    }
    drop(release);
    assert_eq!(next(&replies), WorkerReply::Persisted(BatchNo(20)));
    worker.stop();
    assert!(replies.recv().is_err(), "nothing more is said");
    let store = Store::open(&dir.path().join("tidings.db"), &key()).unwrap();
    assert_eq!(shown(&store).len(), 20);
}

#[test]
fn a_question_sees_every_write_before_it_and_none_after() {
    let Database { dir: _dir, store } = Database::new();
    let (worker, replies) = start(store);
    let release = hold(&worker);
    let query = || Query::OutMessages { flow: FLOW, from: 0, max_bytes: usize::MAX };
    for n in 0..3 {
        worker.persist(BatchNo(n + 1), vec![Record::Accepted(out_batch(n * 10, 10, 700))]);
        worker.load(LoadId(n), query());
    }
    drop(release);
    for n in 0..3 {
        assert_eq!(next(&replies), WorkerReply::Persisted(BatchNo(n + 1)));
        match next(&replies) {
            WorkerReply::Loaded(LoadId(load), Loaded::OutMessages { messages, end: true }) => {
                assert_eq!((load, messages.len() as u64), (n, (n + 1) * 10));
            }
            other => panic!("expected the messages so far, got {other:?}"),
        }
    }
    worker.stop();
}

#[test]
fn stopping_finishes_what_was_asked() {
    let Database { dir, store } = Database::new();
    let (worker, replies) = start(store);
    for n in 1..=50 {
        worker.persist(BatchNo(n), inbox(n));
    }
    worker.stop();
    let last = replies.try_iter().last();
    assert_eq!(last, Some(WorkerReply::Persisted(BatchNo(50))));
    let store = Store::open(&dir.path().join("tidings.db"), &key()).unwrap();
    assert_eq!(shown(&store).len(), 50);
}

#[test]
fn news_waits_for_company_but_not_for_ever() {
    let Database { dir: _dir, store } = Database::new();
    let (worker, replies) = start(store);
    worker.persist(BatchNo(1), vec![checkpoint(1)]);
    assert_eq!(next(&replies), WorkerReply::Persisted(BatchNo(1)));
    worker.stop();
}

#[test]
fn a_failing_database_is_reported_once_and_ends_the_thread() {
    let Database { dir: _dir, store } = Database::new();
    let (worker, replies) = start(store);
    worker.persist(BatchNo(1), inbox(1));
    worker.persist(BatchNo(2), inbox(1));
    let all: Vec<_> = std::iter::from_fn(|| replies.recv_timeout(DEADLINE).ok()).collect();
    let failures = all.iter().filter(|reply| matches!(reply, WorkerReply::Failed(_))).count();
    assert_eq!(failures, 1, "{all:?}");
    worker.persist(BatchNo(3), inbox(3));
    worker.stop();
}
