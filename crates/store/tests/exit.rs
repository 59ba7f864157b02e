//! A process that exits while its databases are written to.

mod common;

use std::path::Path;
use std::process::Command;
use std::sync::mpsc::sync_channel;

use common::{inbox_batch, key};
use tidings_core::ids::BatchNo;
use tidings_core::record::Record;
use tidings_store::{Store, Worker};

/// Where the databases of the process are that this test runs as well.
const DIRECTORY: &str = "TIDINGS_TEST_EXIT";
const DATABASES: usize = 4;
/// Without anything done about it, about one of four such processes crashes.
const PROCESSES: usize = 24;

fn exits_while_it_writes(dir: &Path) -> ! {
    let (done, first) = sync_channel(0);
    for number in 0..DATABASES {
        let store = Store::open(&dir.join(format!("{number}.db")), &key()).expect("a working file system");
        let (replied, replies) = sync_channel(64);
        let reply = move |_| {
            // Nobody hears it once the process exits.
            let _gone = replied.send(());
        };
        let worker = Worker::spawn(store, Box::new(reply)).expect("a thread");
        let done = done.clone();
        std::thread::spawn(move || {
            for batch in 1.. {
                worker.persist(BatchNo(batch), vec![Record::Inbox(inbox_batch(batch, [batch]))]);
                if replies.recv().is_err() {
                    return;
                }
                if batch == 3 {
                    let _ = done.send(());
                }
            }
        });
    }
    first.recv().expect("somebody writes");
    std::process::exit(0)
}

#[test]
fn a_process_that_exits_while_it_writes_ends_well_and_damages_nothing() {
    if let Some(dir) = std::env::var_os(DIRECTORY) {
        exits_while_it_writes(Path::new(&dir));
    }
    let own = std::env::current_exe().expect("a program has a path");
    for round in 0..PROCESSES {
        let dir = tempfile::tempdir().expect("a directory");
        let mut child = Command::new(&own);
        let ended = child.arg("--nocapture").env(DIRECTORY, dir.path()).status().expect("a process");
        assert!(ended.success(), "process {round} ended with {ended}");
        for number in 0..DATABASES {
            let store = Store::open(&dir.path().join(format!("{number}.db")), &key()).expect("the right key");
            store.check().expect("a whole database");
        }
    }
}
