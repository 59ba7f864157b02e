//! A disk that is really full: a small file system in a mount namespace of its own, where a test runs again. And a
//! quota that is used up, which a tracer puts in.
#![expect(clippy::print_stdout, reason = "a test that cannot run says why")]

mod common;

use std::fs::{File, read_dir, remove_file};
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use bytes::Bytes;
use common::{checkpoint, key};
use tidings_core::DiskState;
use tidings_core::ids::BatchNo;
use tidings_core::record::Record;
use tidings_store::{Store, Worker, WorkerHandle, WorkerReply};

/// Where the inner run finds the directory that it is for.
const DIR: &str = "TIDINGS_TEST_SMALL_DISK";
/// Far longer than anything here takes.
const DEADLINE: Duration = Duration::from_mins(1);

/// Runs a test again on a small disk of its own, and there its body.
fn on_small_disk(name: &str, body: impl FnOnce(&Path)) {
    if let Some(dir) = std::env::var_os(DIR) {
        return body(Path::new(&dir));
    }
    let dir = tempfile::tempdir().expect("a working file system");
    let script = "mount -t tmpfs -o size=96m none \"$TIDINGS_TEST_SMALL_DISK\" || exit 77; exec \"$0\" \"$@\"";
    run_again(Command::new("unshare").args(["--mount", "sh", "-c", script]), name, dir.path());
}

/// Runs one test in a child of `program`, which ends with 1 or 77 where it cannot do its own part.
fn run_again(program: &mut Command, name: &str, dir: &Path) {
    let inner = program
        .arg(std::env::current_exe().expect("a working file system"))
        .args(["--exact", name, "--nocapture"])
        .env(DIR, dir)
        .output();
    match inner {
        Ok(output) if output.status.success() => {}
        Ok(output) if matches!(output.status.code(), Some(1 | 77)) => {
            println!("skipped: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(output) => panic!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)),
        Err(error) => println!("skipped: cannot run {}: {error}", program.get_program().display()),
    }
}

fn start(path: &Path) -> (WorkerHandle, Receiver<WorkerReply>) {
    let (sender, replies) = sync_channel(64);
    let store = Store::open(path, &key()).expect("a working file system");
    let reply = move |reply| {
        // The test may have seen enough and be gone.
        let _gone = sender.send(reply);
    };
    (Worker::spawn(store, Box::new(reply)).expect("a thread"), replies)
}

/// Takes all the room that is left.
fn fill(path: &Path) {
    let mut file = File::create(path).expect("a working file system");
    let block = [1; 4096];
    while file.write_all(&block).is_ok() {}
}

fn next(replies: &Receiver<WorkerReply>) -> WorkerReply {
    replies.recv_timeout(DEADLINE).expect("a reply in time")
}

fn card(n: u8) -> Vec<Record> {
    vec![Record::Card { peer: tidings_crypto::PeerKey::from_bytes([n; 32]), card: Bytes::from(vec![n; 4 << 20]) }]
}

#[test]
fn a_full_disk_loses_nothing_and_recovers() {
    on_small_disk("a_full_disk_loses_nothing_and_recovers", fill_and_recover);
}

fn fill_and_recover(dir: &Path) {
    let path = dir.join("tidings.db");
    let (worker, replies) = start(&path);
    worker.persist(BatchNo(1), card(1));
    assert_eq!(next(&replies), WorkerReply::Persisted(BatchNo(1)));
    assert!(dir.join("tidings.ballast").exists());

    fill(&dir.join("filler"));
    worker.persist(BatchNo(2), card(2));
    assert_eq!(next(&replies), WorkerReply::Disk(DiskState::Full));
    assert_eq!(next(&replies), WorkerReply::Persisted(BatchNo(2)), "the ballast made room");

    fill(&dir.join("more"));
    worker.persist(BatchNo(3), card(3));
    worker.persist(BatchNo(4), card(4));
    remove_file(dir.join("filler")).expect("a working file system");
    remove_file(dir.join("more")).expect("a working file system");
    let wanted = [WorkerReply::Persisted(BatchNo(4)), WorkerReply::Disk(DiskState::Ready)];
    let mut said = Vec::new();
    while !wanted.iter().all(|reply| said.contains(reply)) {
        said.push(next(&replies));
    }
    assert!(!said.contains(&WorkerReply::Disk(DiskState::Full)), "said once: {said:?}");
    worker.stop();

    let ballast = dir.join("tidings.ballast");
    assert!(ballast.exists(), "made anew: {:?}", read_dir(dir).expect("a working file system").collect::<Vec<_>>());
    let store = Store::open(&path, &key()).expect("a working file system");
    assert_eq!(store.snapshot().expect("a working file system").cards.len(), 4);
}

#[test]
fn who_asks_a_thread_that_waits_for_room_does_not_wait() {
    on_small_disk("who_asks_a_thread_that_waits_for_room_does_not_wait", |dir| {
        let (worker, replies) = start(&dir.join("tidings.db"));
        fill(&dir.join("filler"));
        worker.persist(BatchNo(1), card(1));
        while next(&replies) != WorkerReply::Persisted(BatchNo(1)) {}
        fill(&dir.join("more"));
        worker.persist(BatchNo(2), card(2));
        assert!(!worker.is_behind());
        let last = BatchNo(5000);
        for batch in 3..=last.0 {
            worker.persist(BatchNo(batch), vec![checkpoint(batch)]);
        }
        assert!(worker.is_behind());
        remove_file(dir.join("filler")).expect("a working file system");
        remove_file(dir.join("more")).expect("a working file system");
        while next(&replies) != WorkerReply::Persisted(last) {}
        assert!(!worker.is_behind());
        worker.stop();
    });
}

#[test]
fn room_is_noticed_however_much_is_asked() {
    on_small_disk("room_is_noticed_however_much_is_asked", |dir| {
        drop(Store::open(&dir.join("tidings.db"), &key()).expect("a working file system"));
        fill(&dir.join("filler"));
        let (worker, replies) = start(&dir.join("tidings.db"));
        assert_eq!(next(&replies), WorkerReply::Disk(DiskState::Full));
        remove_file(dir.join("filler")).expect("a working file system");
        let freed = Instant::now();
        while replies.try_recv() != Ok(WorkerReply::Disk(DiskState::Ready)) {
            let (answer, answered) = sync_channel(1);
            worker.read(Box::new(move |_| {
                answer.send(()).expect("the test waits");
                Ok(())
            }));
            answered.recv_timeout(DEADLINE).expect("an answer in time");
            assert!(freed.elapsed() < DEADLINE / 4, "still full");
        }
        worker.stop();
    });
}

#[test]
fn stopping_on_a_full_disk_takes_no_longer_than_it_should_and_keeps_what_was_told() {
    on_small_disk("stopping_on_a_full_disk_takes_no_longer_than_it_should_and_keeps_what_was_told", |dir| {
        let path = dir.join("tidings.db");
        let (worker, replies) = start(&path);
        worker.persist(BatchNo(1), card(1));
        assert_eq!(next(&replies), WorkerReply::Persisted(BatchNo(1)));
        fill(&dir.join("filler"));
        worker.persist(BatchNo(2), card(2));
        assert_eq!(next(&replies), WorkerReply::Disk(DiskState::Full));
        assert_eq!(next(&replies), WorkerReply::Persisted(BatchNo(2)), "the ballast made room");
        fill(&dir.join("more"));
        worker.persist(BatchNo(3), card(3));
        for n in 4..100 {
            worker.persist(BatchNo(n), vec![checkpoint(n)]);
        }
        let asked = Instant::now();
        worker.stop();
        assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
        assert!(replies.recv_timeout(DEADLINE).is_err(), "nothing is told that is not durable");
        remove_file(dir.join("more")).expect("a working file system");
        let store = Store::open(&path, &key()).expect("a working file system");
        assert_eq!(store.snapshot().expect("a working file system").cards.len(), 2);
    });
}

/// A user's quota needs a file system made for it; what the database sees of one are these errors.
#[test]
fn a_quota_that_is_used_up_is_a_full_disk() {
    if let Some(dir) = std::env::var_os(DIR) {
        return fill_quota(Path::new(&dir));
    }
    let dir = tempfile::tempdir().expect("a working file system");
    let path = dir.path().join("tidings.db");
    start(&path).0.stop();
    let traced = ["tidings.db-wal", "tidings.probe"].map(|name| dir.path().join(name));
    // The log and the probe are written on one thread, each with its own call: a commit and the probe after it fail
    // together, three times.
    run_again(
        Command::new("strace")
            .args(["-f", "-qq", "-o", "/dev/null", "-P"])
            .arg(&traced[0])
            .arg("-P")
            .arg(&traced[1])
            .args(["-e", "trace=write,pwrite64", "-e", "inject=write,pwrite64:error=EDQUOT:when=1..3"]),
        "a_quota_that_is_used_up_is_a_full_disk",
        dir.path(),
    );
}

fn fill_quota(dir: &Path) {
    let (worker, replies) = start(&dir.join("tidings.db"));
    worker.persist(BatchNo(1), card(1));
    assert_eq!(next(&replies), WorkerReply::Disk(DiskState::Full));
    assert_eq!(next(&replies), WorkerReply::Persisted(BatchNo(1)));
    assert_eq!(next(&replies), WorkerReply::Disk(DiskState::Ready));
    worker.stop();
    assert!(!dir.join("tidings.probe").exists());
}
