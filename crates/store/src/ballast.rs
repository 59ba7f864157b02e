//! Disk space kept aside, so that what is already queued can commit when the disk is full.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate};

/// Twice what may wait for a commit, and room for the write-ahead log around it.
pub(crate) const BALLAST_BYTES: u64 = 2 * crate::worker::MAX_UNPERSISTED_BYTES + (4 << 20);

/// A file of real blocks beside the database.
#[derive(Debug)]
pub(crate) struct Ballast {
    path: PathBuf,
}

impl Ballast {
    pub(crate) fn beside(database: &Path) -> Self {
        Self { path: database.with_extension("ballast") }
    }

    /// Takes the space, if it is there and not taken yet.
    pub(crate) fn fill(&self) -> bool {
        let taken = std::fs::metadata(&self.path).is_ok_and(|file| file.len() == BALLAST_BYTES);
        taken || self.allocate().is_ok_and(|()| true)
    }

    fn allocate(&self) -> std::io::Result<()> {
        let file: File = OpenOptions::new().create(true).truncate(true).write(true).open(&self.path)?;
        let allocated = fallocate(&file, FallocateFlags::empty(), 0, BALLAST_BYTES);
        if allocated.is_err() {
            self.release();
        }
        Ok(allocated?)
    }

    /// Gives the space back. Says whether there was any.
    pub(crate) fn release(&self) -> bool {
        std::fs::remove_file(&self.path).is_ok()
    }
}
