//! Disk space kept aside, so that what is already queued can commit when the disk is full.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use crate::private;

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
        taken || self.allocate().is_ok()
    }

    fn allocate(&self) -> std::io::Result<()> {
        let mut file = private::open().truncate(true).open(&self.path)?;
        let allocated = match fallocate(&file, FallocateFlags::empty(), 0, BALLAST_BYTES) {
            // Some file systems cannot reserve; written blocks are taken as well.
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => write_blocks(&mut file),
            reserved => reserved.map_err(Into::into),
        };
        if allocated.is_err() {
            self.release();
        }
        allocated
    }

    /// Gives the space back. Says whether there was any.
    pub(crate) fn release(&self) -> bool {
        std::fs::remove_file(&self.path).is_ok()
    }
}

fn write_blocks(file: &mut File) -> std::io::Result<()> {
    let block = [0; 1 << 16];
    for _ in 0..BALLAST_BYTES / block.len() as u64 {
        file.write_all(&block)?;
    }
    file.sync_all()
}
