//! The database: opened encrypted or not at all, changed in whole transactions.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction};
use tidings_core::record::Record;

use crate::ballast::Ballast;
use crate::codec::Unreadable;
use crate::home::Key;
use crate::{apply, exit, private, room, schema};

/// One encrypted database, with its only connection. Each public function is [`inside`](exit::inside) while it runs.
#[derive(Debug)]
pub struct Store {
    pub(crate) connection: Held,
    path: PathBuf,
}

/// A connection that is closed inside as well.
#[derive(Debug)]
pub(crate) struct Held(Option<Connection>);

impl std::ops::Deref for Held {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.0.as_ref().expect("it is taken only by drop")
    }
}

impl std::ops::DerefMut for Held {
    fn deref_mut(&mut self) -> &mut Connection {
        self.0.as_mut().expect("it is taken only by drop")
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let _inside = exit::inside();
        drop(self.0.take());
    }
}

/// Why a database cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The key does not open it, or it is no database.
    #[error(
        "the key in {} does not open {}, or the database is damaged; put back the files that belong together",
        .path.with_file_name("database.key").display(), .path.display()
    )]
    WrongKey {
        /// The database.
        path: PathBuf,
    },
    /// It is readable without a key.
    #[error("{} is not encrypted; move it away, or restore the database that belongs here", .path.display())]
    NotEncrypted {
        /// The database.
        path: PathBuf,
    },
    /// A later version of this program wrote it.
    #[error("{} has schema {got}, this program knows {}; use the newer program", .path.display(), schema::VERSION)]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its schema.
        got: i64,
    },
    /// Its pages contradict one another.
    #[error("{} is damaged ({detail}); restore it from a backup", .path.display())]
    Corrupt {
        /// The database.
        path: PathBuf,
        /// What was found.
        detail: String,
    },
    /// It cannot be made, or kept from others.
    #[error("cannot make {} a private file: {source}; check that its directory belongs to you", .path.display())]
    Io {
        /// The database.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Anything else.
    #[error("cannot open {}: {source}", .path.display())]
    Sqlite {
        /// The database.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
}

impl OpenError {
    fn is_full(&self) -> bool {
        matches!(self, Self::Sqlite { source, path } if room::is_lacking(source, path))
    }
}

/// Why the database cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The disk is full, or this user's share of it. Nothing was changed.
    #[error("the disk is full")]
    Full,
    /// Anything else; the connection is of no more use.
    #[error("the database failed: {0}")]
    Sqlite(rusqlite::Error),
    /// A blob that this program did not write.
    #[error("a stored value cannot be read")]
    Unreadable,
}

impl StoreError {
    /// Whether `SQLite` itself failed, and not a value that it gave: the connection is of no more use.
    pub(crate) fn is_of_connection(&self) -> bool {
        matches!(self, Self::Sqlite(error) if error.sqlite_error_code().is_some())
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full,
            Some(_) | None => Self::Sqlite(error),
        }
    }
}

impl From<Unreadable> for StoreError {
    fn from(_: Unreadable) -> Self {
        Self::Unreadable
    }
}

impl Store {
    /// Opens a database, and creates it if there is none. What an earlier crash left in the write-ahead log is
    /// brought into the database before anything is read; on a full disk the ballast makes room for it.
    ///
    /// # Errors
    ///
    /// [`OpenError`]; each says what to do.
    pub fn open(path: &Path, key: &Key) -> Result<Self, OpenError> {
        exit::initialise();
        let _inside = exit::inside();
        match Self::open_as_it_is(path, key) {
            Err(error) if error.is_full() && Ballast::beside(path).release() => Self::open_as_it_is(path, key),
            opened => opened,
        }
    }

    fn open_as_it_is(path: &Path, key: &Key) -> Result<Self, OpenError> {
        let failed = |source: rusqlite::Error| match source.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => OpenError::WrongKey { path: path.to_owned() },
            Some(ErrorCode::DatabaseCorrupt) => {
                OpenError::Corrupt { path: path.to_owned(), detail: source.to_string() }
            }
            Some(_) | None => OpenError::Sqlite { path: path.to_owned(), source },
        };
        if begins_as_plain(path) {
            return Err(OpenError::NotEncrypted { path: path.to_owned() });
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_NOFOLLOW;
        // NOFOLLOW needs a path without links before the file too.
        let real = path
            .parent()
            .and_then(|dir| dir.canonicalize().ok())
            .and_then(|dir| Some(dir.join(path.file_name()?)))
            .unwrap_or_else(|| path.to_owned());
        // SQLite would let others read it, and gives the log the permissions that it finds here.
        private::create(&real).map_err(|source| OpenError::Io { path: path.to_owned(), source })?;
        let mut connection = Connection::open_with_flags(real, flags).map_err(failed)?;
        configure(&connection, key).map_err(failed)?;
        let later = migrate(&mut connection).map_err(failed)?;
        later.map_or(Ok(()), |got| Err(OpenError::Newer { path: path.to_owned(), got }))?;
        truncate_log(&connection).map_err(failed)?;
        let cipher: String = connection.query_row("PRAGMA cipher_version", [], |row| row.get(0)).unwrap_or_default();
        if cipher.is_empty() || begins_as_plain(path) {
            return Err(OpenError::NotEncrypted { path: path.to_owned() });
        }
        Ok(Self { connection: Held(Some(connection)), path: path.to_owned() })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Applies batches in order, all of them or none.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; after [`StoreError::Full`] nothing was changed.
    pub fn apply(&mut self, batches: &[Vec<Record>]) -> Result<(), StoreError> {
        let _inside = exit::inside();
        match self.commit(batches) {
            Err(StoreError::Sqlite(source)) if room::is_lacking(&source, &self.path) => Err(StoreError::Full),
            applied => applied,
        }
    }

    fn commit(&mut self, batches: &[Vec<Record>]) -> Result<(), StoreError> {
        let transaction = self.connection.transaction()?;
        for records in batches {
            apply::batch(&transaction, records)?;
        }
        fail::fail_point!("store::before_commit", |_| Err(broken()));
        transaction.commit()?;
        fail::fail_point!("store::after_commit", |_| Err(broken()));
        Ok(())
    }

    /// Checks every page. Takes as long as reading the database does.
    ///
    /// # Errors
    ///
    /// What was found, as SQLite says it.
    pub fn check(&self) -> Result<(), String> {
        let _inside = exit::inside();
        let verdict: Result<String, _> = self.connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0));
        match verdict {
            Ok(verdict) if verdict == "ok" => Ok(()),
            Ok(verdict) => Err(verdict),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// Brings the whole write-ahead log into the database, or fails.
fn truncate_log(connection: &Connection) -> rusqlite::Result<()> {
    let busy: bool = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    if busy {
        Err(rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY), None))
    } else {
        Ok(())
    }
}

/// Brings the schema up to date; `Some(version)` if it is a later one.
fn migrate(connection: &mut Connection) -> rusqlite::Result<Option<i64>> {
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    match version {
        0 => {
            let transaction = connection.transaction()?;
            create(&transaction)?;
            transaction.commit()?;
            Ok(None)
        }
        schema::VERSION => Ok(None),
        later => Ok(Some(later)),
    }
}

/// What a disk says that cannot be written.
#[cfg(feature = "failpoints")]
pub(crate) fn broken() -> StoreError {
    let error = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR_FSYNC);
    StoreError::Sqlite(rusqlite::Error::SqliteFailure(error, None))
}

fn create(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    transaction.execute_batch(schema::CREATE)?;
    let incarnation: [u8; 8] = tidings_crypto::random().map_err(|_| rusqlite::Error::InvalidQuery)?;
    transaction.execute(
        "INSERT INTO meta (id, boot, incarnation, account) VALUES (1, 0, ?1, x'')",
        [i64::from_le_bytes(incarnation)],
    )?;
    transaction.execute("INSERT INTO clock (id, age, wall, last_parcel) VALUES (1, 0, 0, 0)", [])?;
    transaction.pragma_update(None, "user_version", schema::VERSION)
}

fn configure(connection: &Connection, key: &Key) -> rusqlite::Result<()> {
    // A wrong key is told by the error, not by a line of the library's own.
    connection.execute_batch("PRAGMA cipher_log_level = NONE")?;
    // The key before all else that reads: nothing can be read without it.
    let pragma = zeroize::Zeroizing::new(format!("PRAGMA key = \"x'{}'\"", *key.hex()));
    connection.execute_batch(&pragma)?;
    connection.execute_batch(
        "PRAGMA locking_mode = EXCLUSIVE;
         PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL;
         PRAGMA secure_delete = ON;
         PRAGMA temp_store = MEMORY;
         PRAGMA foreign_keys = ON;
         PRAGMA wal_autocheckpoint = 4000;
         PRAGMA journal_size_limit = 33554432;",
    )?;
    connection.set_prepared_statement_cache_capacity(96);
    connection.query_row("SELECT count(*) FROM sqlite_master", [], |_| Ok(()))
}

/// Whether a file begins as an SQLite database without encryption does.
fn begins_as_plain(path: &Path) -> bool {
    use std::io::Read as _;
    let mut header = [0; 16];
    std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut header)).is_ok()
        && header == *b"SQLite format 3\0"
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn a_full_disk_takes_nothing_and_then_all() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open(&dir.path().join("tidings.db"), &Key::new([7; 32])).unwrap();
        let before = store.snapshot().unwrap();
        let limit = |pages: i64, store: &Store| -> i64 {
            store.connection.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |row| row.get(0)).unwrap()
        };
        limit(1, &store);
        let batches = [vec![Record::Booted { boot: 4 }], vec![Record::Account(Bytes::from(vec![1; 100_000]))]];
        assert!(matches!(store.apply(&batches), Err(StoreError::Full)));
        assert_eq!(store.snapshot().unwrap(), before);
        limit(1_000_000, &store);
        store.apply(&batches).unwrap();
        let after = store.snapshot().unwrap();
        assert_eq!((after.boot, after.account.len()), (4, 100_000));
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "a test prints what else there is")]
    #[test]
    fn the_database_is_set_up_as_the_specification_says() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("tidings.db"), &Key::new([7; 32])).unwrap();
        let text = |pragma: &str| -> String {
            let value: rusqlite::types::Value =
                store.connection.query_row(&format!("PRAGMA {pragma}"), [], |row| row.get(0)).unwrap();
            match value {
                rusqlite::types::Value::Text(text) => text,
                other => format!("{other:?}"),
            }
        };
        assert_eq!(text("journal_mode"), "wal");
        assert_eq!(text("locking_mode"), "exclusive");
        assert_eq!(text("synchronous"), "Integer(2)");
        assert_eq!(text("secure_delete"), "Integer(1)");
        assert_eq!(text("temp_store"), "Integer(2)");
        assert_eq!(text("user_version"), format!("Integer({})", schema::VERSION));
        assert!(text("cipher_version").starts_with('4'));
    }
}
