//! A directory opens whole and encrypted, for one node at a time, or says what is wrong.

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use common::{FLOW, inbox_batch, key, shown};
use tidings_core::interval::IntervalSet;
use tidings_core::record::Record;
use tidings_crypto::PlainWrapper;
use tidings_store::{Exposure, Home, HomeError, Key, OpenError, Store, Worker};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("a file").permissions().mode() & 0o777
}

#[test]
fn first_use_makes_private_files_and_the_next_finds_them() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("node");
    assert!(Home::identity_of(&dir, &PlainWrapper).unwrap().is_none());
    let home = Home::open(&dir, &PlainWrapper).unwrap();
    assert!(home.first_use());
    let peer = home.identity().peer();
    assert_eq!(home.exposure(), Exposure::None);
    run(&home);
    assert_eq!(mode(&dir), 0o700);
    drop(home);
    let again = Home::open(&dir, &PlainWrapper).unwrap();
    assert!(!again.first_use());
    assert_eq!(again.identity().peer(), peer);
    assert_eq!(Home::identity_of(&dir, &PlainWrapper).unwrap().map(|identity| identity.peer()), Some(peer));
    Store::open(again.database(), again.key()).unwrap();
}

/// Lets the database make all its files, and looks at them.
fn run(home: &Home) {
    let mut store = Store::open(home.database(), home.key()).expect("a working file system");
    store.apply(&[vec![Record::Booted { boot: 1 }]]).expect("a working file system");
    let (sender, answered) = std::sync::mpsc::sync_channel(1);
    let worker = Worker::spawn(store, Box::new(|_| {})).expect("a thread");
    worker.read(Box::new(move |_| {
        sender.send(()).expect("the test waits");
        Ok(())
    }));
    answered.recv().expect("an answer");
    let dir = home.database().parent().expect("a file in a directory");
    for file in ["lock", "identity", "database.key", "tidings.db", "tidings.db-wal", "tidings.ballast"] {
        assert_eq!(mode(&dir.join(file)), 0o600, "{file}");
    }
    worker.stop();
}

#[test]
fn what_others_could_read_is_taken_away_from_them() {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::open(dir.path(), &PlainWrapper).unwrap();
    drop(Store::open(home.database(), home.key()).unwrap());
    drop(home);
    fs::write(dir.path().join("tidings.ballast"), "").unwrap();
    fs::write(dir.path().join("of others"), "").unwrap();
    for entry in fs::read_dir(dir.path()).unwrap() {
        fs::set_permissions(entry.unwrap().path(), fs::Permissions::from_mode(0o644)).unwrap();
    }
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o2755)).unwrap();
    let home = Home::open(dir.path(), &PlainWrapper).unwrap();
    assert_eq!(home.exposure(), Exposure::Ended);
    assert_eq!(fs::metadata(dir.path()).unwrap().permissions().mode() & 0o7777, 0o2700);
    assert_eq!(mode(&dir.path().join("of others")), 0o644);
    run(&home);
}

#[test]
fn a_database_alone_is_private_too() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tidings.db");
    drop(Store::open(&path, &key()).unwrap());
    assert_eq!(mode(&path), 0o600);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    drop(Store::open(&path, &key()).unwrap());
    assert_eq!(mode(&path), 0o600);
}

#[test]
fn a_directory_for_everybody_stays_one() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("everybody's");
    fs::create_dir(&dir).unwrap();
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o1777)).unwrap();
    let home = Home::open(&dir, &PlainWrapper).unwrap();
    assert_eq!(home.exposure(), Exposure::Stays);
    assert_eq!(mode(&dir), 0o777);
    run(&home);
}

#[test]
fn a_directory_is_open_once() {
    let dir = tempfile::tempdir().unwrap();
    assert!(!Home::is_open(dir.path()));
    let home = Home::open(dir.path(), &PlainWrapper).unwrap();
    assert!(Home::is_open(dir.path()));
    match Home::open(dir.path(), &PlainWrapper) {
        Err(HomeError::InUse { dir: named }) => assert_eq!(named, dir.path()),
        other => panic!("expected InUse, got {other:?}"),
    }
    drop(home);
    Home::open(dir.path(), &PlainWrapper).unwrap();
}

#[test]
fn a_database_without_identity_or_key_is_no_fresh_start() {
    for file in ["identity", "database.key"] {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::open(dir.path(), &PlainWrapper).unwrap();
        drop(Store::open(home.database(), home.key()).unwrap());
        drop(home);
        fs::remove_file(dir.path().join(file)).unwrap();
        let error = Home::open(dir.path(), &PlainWrapper).unwrap_err();
        assert!(matches!(&error, HomeError::Missing { missing, .. } if *missing == dir.path().join(file)));
        assert!(error.to_string().contains("tidings.db"), "{error}");
        assert!(!dir.path().join(file).exists());
    }
}

#[test]
fn a_crash_between_the_files_is_repaired() {
    let dir = tempfile::tempdir().unwrap();
    let peer = Home::open(dir.path(), &PlainWrapper).unwrap().identity().peer();
    fs::remove_file(dir.path().join("database.key")).unwrap();
    fs::write(dir.path().join("database.new"), "torn").unwrap();
    let home = Home::open(dir.path(), &PlainWrapper).unwrap();
    assert_eq!(home.identity().peer(), peer);
    Store::open(home.database(), home.key()).unwrap();
}

#[test]
fn a_torn_key_file_is_named() {
    let dir = tempfile::tempdir().unwrap();
    drop(Home::open(dir.path(), &PlainWrapper).unwrap());
    fs::write(dir.path().join("database.key"), "torn").unwrap();
    let error = Home::open(dir.path(), &PlainWrapper).unwrap_err();
    assert!(error.to_string().contains("database.key"), "{error}");
}

#[test]
fn the_wrong_key_opens_nothing_and_names_both_files() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tidings.db");
    drop(Store::open(&path, &key()).unwrap());
    let before = fs::read(&path).unwrap();
    let error = Store::open(&path, &Key::new([8; 32])).unwrap_err();
    assert!(matches!(error, OpenError::WrongKey { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("tidings.db") && text.contains("database.key"), "{text}");
    assert_eq!(fs::read(&path).unwrap(), before);
    Store::open(&path, &key()).unwrap();
}

#[test]
fn a_database_that_is_not_encrypted_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tidings.db");
    rusqlite::Connection::open(&path).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
    assert!(matches!(Store::open(&path, &key()), Err(OpenError::NotEncrypted { .. })));
}

#[test]
fn nothing_is_readable_on_disk() {
    let mut database = common::Database::new();
    let mut batch = inbox_batch(1, [1]);
    batch.messages[0].1 = common::encoded("kind-in-clear", b"payload-in-clear", None);
    database.apply(vec![Record::Inbox(batch)]);
    for entry in fs::read_dir(database.dir.path()).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        assert!(!bytes.windows(8).any(|window| window == b"in-clear" || window == b"SQLite f"));
    }
}

#[test]
fn a_damaged_page_is_found() {
    let mut database = common::Database::new();
    let rows = (0..200).map(|n| Record::Inbox(inbox_batch(1 + n * 20, n * 20..n * 20 + 20))).collect();
    database.apply(rows);
    let database = database.reopen();
    assert_eq!(database.store.check(), Ok(()));
    let path = database.store.path().to_owned();
    drop(database.store);
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let damage = match Store::open(&path, &key()) {
        Ok(store) => store.check().unwrap_err(),
        Err(error) => error.to_string(),
    };
    assert!(!damage.is_empty());
    bytes[100] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let error = Store::open(&path, &key()).unwrap_err();
    assert!(error.to_string().contains("tidings.db"), "{error}");
}

#[test]
fn what_a_crash_left_in_the_log_is_there() {
    let mut database = common::Database::new();
    database.apply(vec![Record::Inbox(inbox_batch(1, [1, 2]))]);
    let seqs = IntervalSet::of(1, 1);
    database.apply(vec![Record::Consumed { sender: common::PEER, flow: FLOW, seqs }]);
    let copy = tempfile::tempdir().unwrap();
    for file in ["tidings.db", "tidings.db-wal"] {
        fs::copy(database.dir.path().join(file), copy.path().join(file)).unwrap();
    }
    let store = Store::open(&copy.path().join("tidings.db"), &key()).unwrap();
    assert_eq!(shown(&store), ["2"]);
    assert_eq!(fs::metadata(copy.path().join("tidings.db-wal")).unwrap().len(), 0);
}
