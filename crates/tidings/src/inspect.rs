//! Looks at a node's directory without starting a node.

use std::path::Path;

use tidings_crypto::{KeyWrapper, PeerKey};
use tidings_store::{Home, HomeError, Store};

/// What a directory holds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Inspection {
    /// Whose it is: `None` before first use; the error says which file is the matter and what to do.
    pub identity: Result<Option<PeerKey>, String>,
    /// Its database.
    pub database: DatabaseFinding,
}

/// How a database is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DatabaseFinding {
    /// There is none yet.
    Absent,
    /// A node has it open.
    InUse,
    /// It is encrypted and its key opens it.
    Opens,
    /// It does not open; the text says why and what to do.
    Fails(String),
}

/// Looks at a directory; creates nothing there. Blocks on the disk.
///
/// The database is opened as a node would open it, which brings what a crash left in its log into it.
pub fn inspect(dir: &Path, keys: &dyn KeyWrapper) -> Inspection {
    let identity = Home::identity_of(dir, keys);
    Inspection {
        identity: identity.map(|identity| identity.map(|identity| identity.peer())).map_err(|error| error.to_string()),
        database: database(dir, keys),
    }
}

fn database(dir: &Path, keys: &dyn KeyWrapper) -> DatabaseFinding {
    if !dir.join(DATABASE).exists() {
        return DatabaseFinding::Absent;
    }
    let home = match Home::open(dir, keys) {
        Ok(home) => home,
        Err(HomeError::InUse { .. }) => return DatabaseFinding::InUse,
        Err(error) => return DatabaseFinding::Fails(error.to_string()),
    };
    match Store::open(home.database(), home.key()) {
        Ok(_) => DatabaseFinding::Opens,
        Err(error) => DatabaseFinding::Fails(error.to_string()),
    }
}

/// The database's file.
const DATABASE: &str = "tidings.db";

#[cfg(test)]
mod tests {
    use tidings_crypto::PlainWrapper;

    use super::*;

    #[test]
    fn an_empty_directory_is_left_empty() {
        let dir = tempfile::tempdir().unwrap();
        let inspection = inspect(dir.path(), &PlainWrapper);
        assert_eq!(inspection.identity, Ok(None));
        assert_eq!(inspection.database, DatabaseFinding::Absent);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_database_opens_with_its_key_and_not_with_another() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::open(dir.path(), &PlainWrapper).unwrap();
        let peer = home.identity().peer();
        drop(Store::open(home.database(), home.key()).unwrap());
        assert_eq!(inspect(dir.path(), &PlainWrapper).database, DatabaseFinding::InUse);
        drop(home);
        let inspection = inspect(dir.path(), &PlainWrapper);
        assert_eq!(inspection.identity, Ok(Some(peer)));
        assert_eq!(inspection.database, DatabaseFinding::Opens);
        let other = tempfile::tempdir().unwrap();
        drop(Home::open(other.path(), &PlainWrapper).unwrap());
        let key = "database.key";
        std::fs::copy(other.path().join(key), dir.path().join(key)).unwrap();
        let found = inspect(dir.path(), &PlainWrapper).database;
        assert!(matches!(found, DatabaseFinding::Fails(_)), "{found:?}");
    }
}
