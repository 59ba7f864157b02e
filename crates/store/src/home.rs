//! A node's directory: its lock, its identity file, the key of its database.
//!
//! On first use identity and key are written and synced, and their directory synced, before the database is
//! created: a database without its key, or without the identity it belongs to, is an error, never a fresh start.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use tidings_crypto::{IdentityKey, KeyWrapper, WrapError};
use zeroize::Zeroizing;

use crate::private::{self, Exposure};

/// The files of a directory; docs/spec/storage.md §1.
const FILES: [&str; 6] = ["lock", "identity", "database.key", "tidings.db", "tidings.db-wal", "tidings.ballast"];

/// The key of a database.
pub struct Key(Zeroizing<[u8; 32]>);

impl Key {
    /// Takes a raw key.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    pub(crate) fn hex(&self) -> Zeroizing<String> {
        Zeroizing::new(hex::encode(*self.0))
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(…)")
    }
}

/// An open directory. Nobody else opens it while this lives.
#[derive(Debug)]
pub struct Home {
    identity: IdentityKey,
    database: PathBuf,
    key: Key,
    first_use: bool,
    exposure: Exposure,
    _lock: File,
}

/// Why a directory cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HomeError {
    /// Another node has it.
    #[error("another node runs in {}; stop it with `tidings stop`, or choose another directory with --dir", .dir.display())]
    InUse {
        /// The directory.
        dir: PathBuf,
    },
    /// It cannot be made, read or written.
    #[error("cannot use {}: {source}; check that the directory exists and belongs to you", .path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// There is a database, and not the file without which it is useless.
    #[error(
        "{} exists, but {} is missing; put the missing file back from a backup, or move both away to start anew",
        .database.display(), .missing.display()
    )]
    Missing {
        /// The database.
        database: PathBuf,
        /// The identity or key file.
        missing: PathBuf,
    },
    /// A file does not hold a key, or a key of another wrapper.
    #[error("cannot read the key in {}: {source}", .path.display())]
    Wrapped {
        /// The file.
        path: PathBuf,
        /// What the wrapper says.
        source: WrapError,
    },
    /// A file holds a key of the wrong length.
    #[error("expected a key of 32 bytes in {}, got {got}", .path.display())]
    Length {
        /// The file.
        path: PathBuf,
        /// Its key's length.
        got: usize,
    },
    /// The system gives no randomness.
    #[error("the system gives no randomness for a new key")]
    Random,
}

impl Home {
    /// Opens a directory, and on first use creates it with a new identity. A directory that others can look into,
    /// and files of it that others can read, are taken away from them; see [`exposure`](Self::exposure).
    ///
    /// # Errors
    ///
    /// [`HomeError`]; each says what to do.
    pub fn open(dir: &Path, wrapper: &dyn KeyWrapper) -> Result<Self, HomeError> {
        if !dir.exists() {
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(io(dir))?;
            dir.canonicalize().map_err(io(dir))?.parent().map_or(Ok(()), sync_dir)?;
        }
        let exposure = private::tighten_directory(dir).map_err(io(dir))?;
        let lock = lock(dir)?;
        for file in FILES.map(|name| dir.join(name)) {
            private::tighten_file(&file).map_err(io(&file))?;
        }
        let database = dir.join("tidings.db");
        let (identity_file, key_file) = (dir.join("identity"), dir.join("database.key"));
        let first_use = !identity_file.exists();
        if database.exists() {
            for file in [&identity_file, &key_file] {
                if !file.exists() {
                    return Err(HomeError::Missing { database, missing: file.clone() });
                }
            }
        }
        let identity = match read_key(&identity_file, wrapper)? {
            Some(seed) => IdentityKey::from_seed(&seed),
            None => {
                let identity = IdentityKey::generate().map_err(|_| HomeError::Random)?;
                write_key(&identity_file, &*identity.seed(), wrapper)?;
                identity
            }
        };
        let key = match read_key(&key_file, wrapper)? {
            Some(key) => Key(key),
            None => {
                let key = Key(Zeroizing::new(tidings_crypto::random().map_err(|_| HomeError::Random)?));
                write_key(&key_file, &*key.0, wrapper)?;
                key
            }
        };
        sync_dir(dir)?;
        Ok(Self { identity, database, key, first_use, exposure, _lock: lock })
    }

    /// Reads the identity of a directory without opening it; `None` if there is none yet.
    ///
    /// # Errors
    ///
    /// [`HomeError`] if the file cannot be read.
    pub fn identity_of(dir: &Path, wrapper: &dyn KeyWrapper) -> Result<Option<IdentityKey>, HomeError> {
        Ok(read_key(&dir.join("identity"), wrapper)?.map(|seed| IdentityKey::from_seed(&seed)))
    }

    /// Whether a node has this directory open now.
    pub fn is_open(dir: &Path) -> bool {
        dir.join("lock").exists() && matches!(lock(dir), Err(HomeError::InUse { .. }))
    }

    /// The node's identity.
    pub fn identity(&self) -> &IdentityKey {
        &self.identity
    }

    /// Where its database is.
    pub fn database(&self) -> &Path {
        &self.database
    }

    /// What opens the database.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// Whether the identity was made by this call.
    pub fn first_use(&self) -> bool {
        self.first_use
    }

    /// Whether others could look into the directory when it was opened.
    pub fn exposure(&self) -> Exposure {
        self.exposure
    }
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> HomeError + '_ {
    |source| HomeError::Io { path: path.to_owned(), source }
}

fn lock(dir: &Path) -> Result<File, HomeError> {
    let path = dir.join("lock");
    let file = private::open().open(&path).map_err(io(&path))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(HomeError::InUse { dir: dir.to_owned() }),
        Err(error) => Err(HomeError::Io { path, source: error.into() }),
    }
}

fn read_key(path: &Path, wrapper: &dyn KeyWrapper) -> Result<Option<Zeroizing<[u8; 32]>>, HomeError> {
    let wrapped = match std::fs::read(path) {
        Ok(wrapped) => Zeroizing::new(wrapped),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io(path)(error)),
    };
    let secret = wrapper.unwrap(&wrapped).map_err(|source| HomeError::Wrapped { path: path.to_owned(), source })?;
    let key =
        secret.as_slice().try_into().map_err(|_| HomeError::Length { path: path.to_owned(), got: secret.len() })?;
    Ok(Some(Zeroizing::new(key)))
}

/// Writes a key so that it is there whole or not at all, even after a power cut.
fn write_key(path: &Path, secret: &[u8], wrapper: &dyn KeyWrapper) -> Result<(), HomeError> {
    let wrapped = wrapper.wrap(secret).map_err(|source| HomeError::Wrapped { path: path.to_owned(), source })?;
    let temporary = path.with_extension("new");
    private::tighten_file(&temporary).map_err(io(&temporary))?;
    let mut file = private::open().truncate(true).open(&temporary).map_err(io(&temporary))?;
    file.write_all(&wrapped).and_then(|()| file.sync_all()).map_err(io(&temporary))?;
    std::fs::rename(&temporary, path).map_err(io(path))?;
    path.parent().map_or(Ok(()), sync_dir)
}

fn sync_dir(dir: &Path) -> Result<(), HomeError> {
    private::sync_directory(dir).map_err(io(dir))
}
