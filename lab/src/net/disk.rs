//! A disk that loses what is not synced, fills up, slows down and fails: a file system in user space (FUSE).

mod mounted;
mod undo;
mod volume;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use fuser::{BackgroundSession, Config, MountOption, spawn_mount};

use self::mounted::Mounted;
use self::volume::Volume;
use crate::sim::Dice;

/// What a disk does beside holding files.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Conduct {
    /// What a sync takes.
    pub(super) sync_takes: Duration,
    /// Writes and syncs fail.
    pub(super) fails: bool,
}

#[derive(Debug)]
struct State {
    volume: Volume,
    conduct: Conduct,
}

/// The disk, while it is mounted.
#[derive(Debug)]
pub(super) struct Disk {
    state: Arc<Mutex<State>>,
    point: PathBuf,
    session: Option<BackgroundSession>,
}

impl Disk {
    /// Mounts what is in a directory at another.
    pub(super) fn mount(backing: &Path, point: &Path, conduct: Conduct) -> Result<Self> {
        let state = Arc::new(Mutex::new(State { volume: Volume::new(backing.to_owned()), conduct }));
        let mut config = Config::default();
        config.mount_options = vec![MountOption::FSName("tidings".to_owned()), MountOption::RW];
        let session = spawn_mount(Mounted::new(Arc::clone(&state)), point, &config)
            .with_context(|| format!("a disk cannot be mounted at {}; see that /dev/fuse is there", point.display()))?;
        Ok(Self { state, point: point.to_owned(), session: Some(session) })
    }

    /// Takes the power away from a disk that no process uses any more. Returns how many files and names lost something.
    pub(super) fn cut(&self, dice: &mut Dice) -> Result<(u64, u64)> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let lost = state.volume.cut(dice).context("the power cannot be cut")?;
        Ok((lost.files, lost.names))
    }

    pub(super) fn conduct(&self, change: impl FnOnce(&mut Conduct)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner).conduct);
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Detached, so that a process that hangs in it does not keep it mounted.
        rustix::mount::unmount(&self.point, rustix::mount::UnmountFlags::DETACH).ok();
        // Its thread ends with the mount; whether it failed on the way the node has been told.
        drop(self.session.take());
    }
}
