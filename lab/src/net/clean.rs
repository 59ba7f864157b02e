//! What a run leaves on the machine, by name, and how it goes away again.
//!
//! Everything carries the process id of its run, and each run holds a lock while it lives. A run removes its own when
//! it ends; what one left that was killed is found by a lock that nobody holds.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rustix::mount::{UnmountFlags, unmount};
use rustix::process::{Pid, Signal, kill_process};

use super::space::run;

const NAMESPACE: &str = "tidings-";
const DIRECTORY: &str = "tidings-net-";
const CLAIM: &str = "claim";

/// The namespace of a run with a number.
pub(super) fn namespace(run: u32, number: u16) -> String {
    format!("{NAMESPACE}{run}-{number}")
}

/// The directory of a run.
pub(super) fn directory(run: u32) -> PathBuf {
    std::env::temp_dir().join(format!("{DIRECTORY}{run}"))
}

/// What was removed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Removed {
    pub(crate) namespaces: usize,
    pub(crate) directories: usize,
}

/// Removes what runs left that are no more.
pub(crate) fn crashed() -> Result<Removed> {
    remove(|run| !is_alive(run))
}

/// Removes what one run has made.
pub(super) fn all_of(run: u32) -> Result<Removed> {
    remove(|other| other == run)
}

fn remove(mut wanted: impl FnMut(u32) -> bool) -> Result<Removed> {
    let mut removed = Removed::default();
    for name in names(Path::new("/run/netns"))? {
        if run_of(&name, NAMESPACE).is_some_and(&mut wanted) {
            remove_namespace(&name)?;
            removed.namespaces += 1;
        }
    }
    for name in names(&std::env::temp_dir())? {
        if run_of(&name, DIRECTORY).is_some_and(&mut wanted) {
            remove_directory(&std::env::temp_dir().join(&name))?;
            removed.directories += 1;
        }
    }
    Ok(removed)
}

/// The run whose process id follows a prefix.
fn run_of(name: &str, prefix: &str) -> Option<u32> {
    let rest = name.strip_prefix(prefix)?;
    let (run, number) = rest.split_once('-').unwrap_or((rest, "0"));
    number.parse::<u16>().ok()?;
    run.parse().ok()
}

fn names(directory: &Path) -> Result<Vec<String>> {
    match fs::read_dir(directory) {
        Ok(entries) => entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

/// Whether a run holds its claim.
fn is_alive(run: u32) -> bool {
    let Ok(claim) = File::open(directory(run).join(CLAIM)) else { return false };
    matches!(claim.try_lock_shared(), Err(TryLockError::WouldBlock))
}

/// What a run holds while it lives: its directory, with a locked file.
#[derive(Debug)]
pub(super) struct Claim {
    _locked: File,
}

impl Claim {
    /// Must be made before anything else of a run.
    pub(super) fn stake(run: u32) -> Result<Self> {
        let directory = directory(run);
        fs::create_dir_all(&directory).with_context(|| format!("{} cannot be made", directory.display()))?;
        let locked = File::create(directory.join(CLAIM))?;
        locked.lock()?;
        Ok(Self { _locked: locked })
    }
}

/// Ends what runs in a namespace and removes it; its interfaces go with it.
pub(super) fn remove_namespace(name: &str) -> Result<()> {
    for id in run("ip", &["netns", "pids", name])?.split_whitespace() {
        if let Some(id) = id.parse().ok().and_then(Pid::from_raw) {
            // It may have ended by itself.
            kill_process(id, Signal::KILL).ok();
        }
    }
    run("ip", &["netns", "delete", name]).map(drop)
}

/// Unmounts what is mounted below a directory and removes it.
pub(super) fn remove_directory(directory: &Path) -> Result<()> {
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    // Later mounts may lie within earlier ones. Names of runs have no characters that are written escaped.
    for point in mounts.lines().rev().filter_map(|line| line.split(' ').nth(4)) {
        if Path::new(point).starts_with(directory) {
            unmount(point, UnmountFlags::DETACH)?;
        }
    }
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_their_run() {
        assert_eq!(run_of(&namespace(4_711, 12), NAMESPACE), Some(4_711));
        assert_eq!(run_of("tidings-net-4711", DIRECTORY), Some(4_711));
        for strange in ["tidings-4711-x", "tidings-x-1", "tidings-net", "other-1-1", "tidings-lan-7"] {
            assert_eq!(run_of(strange, NAMESPACE), None, "{strange}");
        }
        assert_eq!(run_of("tidings-net-4711.old", DIRECTORY), None);
    }

    #[test]
    fn what_a_dead_run_left_is_told_from_what_a_living_one_has() {
        let (dead, living) = (u32::MAX, u32::MAX - 1);
        fs::create_dir_all(directory(dead).join("node")).unwrap();
        let claim = Claim::stake(living).unwrap();
        let ours = |run| [dead, living].contains(&run);
        assert_eq!(remove(|run| ours(run) && !is_alive(run)).unwrap(), Removed { namespaces: 0, directories: 1 });
        assert!(!directory(dead).exists() && directory(living).exists());
        drop(claim);
        assert_eq!(remove(|run| ours(run) && !is_alive(run)).unwrap(), Removed { namespaces: 0, directories: 1 });
        assert!(!directory(living).exists());
    }
}
