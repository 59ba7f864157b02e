//! A disk that is really full: a small file system in a mount namespace of its own, where this test runs again.

mod common;

use std::fs::{File, read_dir, remove_file};
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use bytes::Bytes;
use common::key;
use tidings_core::DiskState;
use tidings_core::ids::BatchNo;
use tidings_core::record::Record;
use tidings_store::{Store, Worker, WorkerReply};

/// Where the inner run finds the small file system.
const DIR: &str = "TIDINGS_TEST_SMALL_DISK";
/// Far longer than anything here takes.
const DEADLINE: Duration = Duration::from_mins(1);

#[test]
fn a_full_disk_loses_nothing_and_recovers() {
    if let Some(dir) = std::env::var_os(DIR) {
        return fill_and_recover(Path::new(&dir));
    }
    let dir = tempfile::tempdir().expect("a working file system");
    let script = "mount -t tmpfs -o size=96m none \"$TIDINGS_TEST_SMALL_DISK\" || exit 77; exec \"$0\" \"$@\"";
    let inner = Command::new("unshare")
        .args(["--mount", "sh", "-c", script])
        .arg(std::env::current_exe().expect("a working file system"))
        .args(["--exact", "a_full_disk_loses_nothing_and_recovers", "--nocapture"])
        .env(DIR, dir.path())
        .output();
    match inner {
        Ok(output) if output.status.success() => {}
        Ok(output) if matches!(output.status.code(), Some(1 | 77)) => {
            println!("skipped: cannot mount: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(output) => panic!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)),
        Err(error) => println!("skipped: cannot run unshare: {error}"),
    }
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

fn fill_and_recover(dir: &Path) {
    let path = dir.join("tidings.db");
    let (sender, replies) = sync_channel(64);
    let store = Store::open(&path, &key()).expect("a working file system");
    let reply = move |reply| {
        // The test may have seen enough and be gone.
        let _gone = sender.send(reply);
    };
    let worker = Worker::spawn(store, Box::new(reply));
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
