//! A system that has no thread to give: alone in its process, whose memory it limits.

mod common;

use std::fs;

use common::{Database, key};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tidings_store::{Store, Worker};

/// Far less than the stack of a thread.
const SPARE_BYTES: u64 = 512 << 10;
const PAGE_BYTES: u64 = 4096;

#[test]
fn a_thread_that_cannot_start_is_an_error_and_leaves_the_database_free() {
    let Database { dir, store } = Database::new();
    let Ok(memory) = fs::read_to_string("/proc/self/statm") else {
        return println!("skipped: this system does not tell how much memory is mapped");
    };
    let pages: u64 = memory.split(' ').next().and_then(|pages| pages.parse().ok()).expect("a number");
    let before = getrlimit(Resource::As);
    let limit = Rlimit { current: Some(pages * PAGE_BYTES + SPARE_BYTES), ..before };
    setrlimit(Resource::As, limit).expect("less than before");
    let spawned = Worker::spawn(store, Box::new(|_| {}));
    setrlimit(Resource::As, before).expect("no more than at first");
    let error = spawned.expect_err("no room for a stack");
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock, "{error}");
    Store::open(&dir.path().join("tidings.db"), &key()).expect("closed by the failed start");
}
