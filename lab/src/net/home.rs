//! Where a node lives: a directory, on a disk to which may happen what the scenario says.

use std::fs::{self, File};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use super::disk::{Conduct, Disk};
use crate::sim::Dice;

/// What a small disk holds: a node's ballast, a database and its log, with room.
const SMALL_DISK_BYTES: u64 = 128 << 20;
/// The node's directory on its disk.
const NODE: &str = "node";
/// Takes the space of a full disk.
const FILLER: &str = "filler";
/// The smallest piece of space worth taking.
const LEAST: u64 = 4_096;

/// What can happen to a node's disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Needs {
    /// It can be full.
    pub(super) small: bool,
    /// It can lose its power, be slow, and fail.
    pub(super) faulty: bool,
}

/// A node's disk. What is mounted goes when this does.
#[derive(Debug)]
pub(super) struct Home {
    root: PathBuf,
    small: bool,
    disk: Option<Disk>,
    usual: Conduct,
}

impl Home {
    /// Makes it below the run's directory, with what a sync takes where the disk is one of ours.
    pub(super) fn create(root: PathBuf, needs: Needs, sync_takes: Option<Duration>) -> Result<Self> {
        let usual = Conduct { sync_takes: sync_takes.unwrap_or_default(), fails: false };
        fs::create_dir_all(&root).with_context(|| format!("{} cannot be made", root.display()))?;
        let mut home = Self { root, small: needs.small, disk: None, usual };
        if needs.small {
            let options = std::ffi::CString::new(format!("size={SMALL_DISK_BYTES},mode=700"))?;
            mount("tidings", &home.root, "tmpfs", MountFlags::empty(), options.as_c_str())
                .with_context(|| format!("a small disk cannot be mounted at {}", home.root.display()))?;
        }
        if needs.faulty {
            let (backing, point) = (home.root.join("backing"), home.root.join("disk"));
            // As old as the disk, so that no power cut takes it.
            fs::create_dir_all(backing.join(NODE))?;
            fs::create_dir(&point)?;
            home.disk = Some(Disk::mount(&backing, &point, usual)?);
        }
        Ok(home)
    }

    /// The node's directory.
    pub(super) fn directory(&self) -> PathBuf {
        self.root.join("disk").join(NODE)
    }

    /// Takes all space that is left.
    pub(super) fn fill(&self) -> Result<()> {
        let path = self.root.join(FILLER);
        let file = File::options().create(true).append(true).open(&path).context("the disk cannot be filled")?;
        let mut end = file.metadata()?.len();
        let mut piece = SMALL_DISK_BYTES;
        while piece >= LEAST {
            match fallocate(&file, FallocateFlags::empty(), end, piece) {
                Ok(()) => end += piece,
                Err(Errno::NOSPC) => piece /= 2,
                Err(error) => return Err(error).context("the disk cannot be filled"),
            }
        }
        Ok(())
    }

    /// Gives the space back.
    pub(super) fn free(&self) -> Result<()> {
        match fs::remove_file(self.root.join(FILLER)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Takes the power away, once no process uses the disk any more. Returns how many files and names lost something.
    pub(super) fn cut(&self, dice: &mut Dice) -> Result<(u64, u64)> {
        self.disk.as_ref().map_or(Ok((0, 0)), |disk| disk.cut(dice))
    }

    /// Has syncs take so long, or as long as usual.
    pub(super) fn slow(&self, sync_takes: Option<Duration>) {
        self.conduct(|conduct| conduct.sync_takes = sync_takes.unwrap_or(self.usual.sync_takes));
    }

    /// Writes and syncs fail from now on.
    pub(super) fn fail(&self) {
        self.conduct(|conduct| conduct.fails = true);
    }

    pub(super) fn mend(&self) {
        self.conduct(|conduct| conduct.fails = false);
    }

    fn conduct(&self, change: impl FnOnce(&mut Conduct)) {
        if let Some(disk) = &self.disk {
            disk.conduct(change);
        }
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        drop(self.disk.take());
        if self.small {
            // What is still in use is unmounted when it no longer is.
            unmount(&self.root, UnmountFlags::DETACH).ok();
        }
    }
}
