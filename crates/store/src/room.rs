//! Whether a database failed for want of room.
//!
//! SQLite knows a full disk by `ENOSPC` alone. It reports a quota that is used up (`EDQUOT`) as any failed write, and
//! a file that finds no room in its directory as one that cannot be opened; so the disk itself is asked.

use std::io::{ErrorKind, Write as _};
use std::path::Path;

use rusqlite::{ErrorCode, ffi};

use crate::private;

/// More than a frame of the log takes: where one found no room, neither does this.
const PROBE_BYTES: usize = 1 << 16;

/// Whether this error of this database means that there is no room for it.
pub(crate) fn is_lacking(error: &rusqlite::Error, database: &Path) -> bool {
    match error.sqlite_error() {
        Some(error) if error.code == ErrorCode::DiskFull => true,
        Some(error) if error.extended_code == ffi::SQLITE_IOERR_WRITE || error.code == ErrorCode::CannotOpen => {
            !is_there(database)
        }
        Some(_) | None => false,
    }
}

/// Whether there is room beside the database. What else is wrong there is not for want of room.
fn is_there(database: &Path) -> bool {
    let path = database.with_extension("probe");
    let written = private::open()
        .truncate(true)
        .open(&path)
        .and_then(|mut file| file.write_all(&[0; PROBE_BYTES]).and_then(|()| file.sync_all()));
    // Where it was not made there is nothing to remove.
    let _absent = std::fs::remove_file(&path);
    !matches!(written, Err(error) if matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded))
}
