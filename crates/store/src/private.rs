//! Files and directories that only their owner may use.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{ErrorKind, Result};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt};
use std::path::Path;

/// What group and others may do.
const OTHERS: u32 = 0o077;
/// On a directory: everybody keeps files of their own in it.
const STICKY: u32 = 0o1000;

/// Opens a file for writing; what is new is private.
pub(crate) fn open() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true).mode(0o600);
    options
}

/// Makes an empty private file, unless there is one, and what there is private.
pub(crate) fn create(path: &Path) -> Result<()> {
    match open().create_new(true).open(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => tighten_file(path),
        created => created.map(drop),
    }
}

/// Takes a file away from everybody but its owner. One that is not there, is no file, or is somebody else's stays
/// as it is.
pub(crate) fn tighten_file(path: &Path) -> Result<()> {
    match path.symlink_metadata() {
        Ok(file) if file.is_file() => tighten(path, &file).map(drop),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// What was found and done about a directory that others can look into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exposure {
    /// It was private.
    None,
    /// Others could look into it, and no longer can.
    Ended,
    /// Others can look into it: it is somebody else's, or everybody's.
    Stays,
}

/// Takes a directory away from everybody but its owner, if that is who asks.
pub(crate) fn tighten_directory(path: &Path) -> Result<Exposure> {
    let directory = path.metadata()?;
    if directory.mode() & OTHERS == 0 {
        Ok(Exposure::None)
    } else if directory.mode() & STICKY != 0 || !tighten(path, &directory)? {
        Ok(Exposure::Stays)
    } else {
        Ok(Exposure::Ended)
    }
}

/// `false` if it is somebody else's.
fn tighten(path: &Path, found: &Metadata) -> Result<bool> {
    let is_ours = found.uid() == rustix::process::geteuid().as_raw();
    if is_ours && found.mode() & OTHERS != 0 {
        std::fs::set_permissions(path, PermissionsExt::from_mode(found.mode() & 0o7777 & !OTHERS))?;
    }
    Ok(is_ours)
}

/// Makes a directory's entries durable.
pub(crate) fn sync_directory(path: &Path) -> Result<()> {
    File::open(path)?.sync_all()
}
