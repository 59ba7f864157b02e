//! A directory tree of which it is known what would be left after a power cut.
//!
//! The files stand in a directory of the machine as they are now. A file's bytes last when it is synced, and a name
//! when its directory is; until then it is remembered how to undo the change. Nothing is really synced: the machine's
//! own power stays on.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FallocateFlags, FileType, Mode, fallocate, mknodat};

use super::undo::{Change, Kept, Undo};
use crate::sim::Dice;

/// The number of the top directory.
pub(super) const ROOT: u64 = 1;
/// A larger file that is removed is gone at once, as is one whose space is needed again.
const MOST_KEPT_BYTES: u64 = 4 << 20;

/// A file or directory that was named.
#[derive(Debug)]
struct Entry {
    /// Below the backing directory; `None` when it has no name any more.
    path: Option<PathBuf>,
    /// Of a regular file.
    file: Option<File>,
    undo: Undo,
}

/// What a power cut came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Lost {
    pub(super) files: u64,
    pub(super) names: u64,
}

/// The tree.
#[derive(Debug)]
pub(super) struct Volume {
    backing: PathBuf,
    entries: BTreeMap<u64, Entry>,
    numbers: BTreeMap<PathBuf, u64>,
    last_number: u64,
    changes: Vec<Change>,
}

type Result<T> = io::Result<T>;

impl Volume {
    /// Takes a directory as it is.
    pub(super) fn new(backing: PathBuf) -> Self {
        let mut volume =
            Self { backing, entries: BTreeMap::new(), numbers: BTreeMap::new(), last_number: 0, changes: Vec::new() };
        volume.forget();
        volume
    }

    /// Starts anew with numbers, so that nobody takes an old file for a new one.
    fn forget(&mut self) {
        self.entries.clear();
        self.numbers.clear();
        self.entries.insert(ROOT, Entry { path: Some(PathBuf::new()), file: None, undo: Undo::default() });
        self.numbers.insert(PathBuf::new(), ROOT);
        self.last_number = self.last_number.max(ROOT);
    }

    fn entry(&self, number: u64) -> Result<&Entry> {
        self.entries.get(&number).ok_or_else(stale)
    }

    fn file(&mut self, number: u64) -> Result<(&File, &mut Undo)> {
        let entry = self.entries.get_mut(&number).ok_or_else(stale)?;
        Ok((entry.file.as_ref().ok_or_else(stale)?, &mut entry.undo))
    }

    /// The path below the top of something in a directory.
    fn path(&self, parent: u64, name: &OsStr) -> Result<PathBuf> {
        Ok(self.entry(parent)?.path.as_ref().ok_or_else(stale)?.join(name))
    }

    fn number(&mut self, path: PathBuf, file: Option<File>) -> u64 {
        self.last_number += 1;
        self.numbers.insert(path.clone(), self.last_number);
        self.entries.insert(self.last_number, Entry { path: Some(path), file, undo: Undo::default() });
        self.last_number
    }

    /// Finds something by its name.
    pub(super) fn look_up(&mut self, parent: u64, name: &OsStr) -> Result<(u64, Metadata)> {
        let path = self.path(parent, name)?;
        let metadata = fs::symlink_metadata(self.backing.join(&path))?;
        if let Some(number) = self.numbers.get(&path) {
            return Ok((*number, metadata));
        }
        let file = if metadata.is_file() {
            Some(File::options().read(true).write(true).open(self.backing.join(&path))?)
        } else {
            None
        };
        Ok((self.number(path, file), metadata))
    }

    pub(super) fn metadata(&self, number: u64) -> Result<Metadata> {
        let entry = self.entry(number)?;
        match (&entry.file, &entry.path) {
            (Some(file), _) => file.metadata(),
            (None, Some(path)) => fs::symlink_metadata(self.backing.join(path)),
            (None, None) => Err(stale()),
        }
    }

    /// Names and numbers of what is in a directory; what has no number yet has 0.
    pub(super) fn list(&self, number: u64) -> Result<Vec<(u64, fs::FileType, std::ffi::OsString)>> {
        let path = self.entry(number)?.path.clone().ok_or_else(stale)?;
        let entries = fs::read_dir(self.backing.join(&path))?;
        let listed = entries.map(|entry| {
            let entry = entry?;
            let known = self.numbers.get(&path.join(entry.file_name())).copied().unwrap_or(0);
            Ok((known, entry.file_type()?, entry.file_name()))
        });
        listed.collect()
    }

    /// Makes a regular file.
    pub(super) fn create(&mut self, parent: u64, name: &OsStr, mode: u32) -> Result<(u64, Metadata)> {
        let path = self.path(parent, name)?;
        let file = File::options().read(true).write(true).create_new(true).mode(mode).open(self.backing.join(&path))?;
        let metadata = file.metadata()?;
        self.changes.push(Change::Created { path: path.clone() });
        Ok((self.number(path, Some(file)), metadata))
    }

    /// Gives a file another name.
    pub(super) fn link(&mut self, number: u64, parent: u64, name: &OsStr) -> Result<(u64, Metadata)> {
        let (from, to) = (self.entry(number)?.path.clone().ok_or_else(stale)?, self.path(parent, name)?);
        fs::hard_link(self.backing.join(from), self.backing.join(&to))?;
        self.numbers.insert(to.clone(), number);
        self.changes.push(Change::Created { path: to });
        Ok((number, self.metadata(number)?))
    }

    pub(super) fn make_directory(&mut self, parent: u64, name: &OsStr, mode: u32) -> Result<(u64, Metadata)> {
        let path = self.path(parent, name)?;
        fs::create_dir(self.backing.join(&path))?;
        fs::set_permissions(self.backing.join(&path), Permissions::from_mode(mode))?;
        self.changes.push(Change::Created { path: path.clone() });
        let metadata = fs::metadata(self.backing.join(&path))?;
        Ok((self.number(path, None), metadata))
    }

    /// Makes a socket, which a power cut may leave: nobody listens there any more.
    pub(super) fn make_socket(&mut self, parent: u64, name: &OsStr, mode: u32) -> Result<(u64, Metadata)> {
        let path = self.path(parent, name)?;
        let full = self.backing.join(&path);
        mknodat(CWD, &full, FileType::Socket, Mode::from_raw_mode(mode & 0o7777), 0)?;
        let metadata = fs::symlink_metadata(full)?;
        Ok((self.number(path, None), metadata))
    }
}

impl Volume {
    pub(super) fn read(&mut self, number: u64, offset: u64, count: usize) -> Result<Vec<u8>> {
        let (file, _) = self.file(number)?;
        let mut bytes = vec![0; count];
        let mut length = 0;
        while length < count {
            match file.read_at(&mut bytes[length..], offset + length as u64)? {
                0 => break,
                more => length += more,
            }
        }
        bytes.truncate(length);
        Ok(bytes)
    }

    pub(super) fn write(&mut self, number: u64, offset: u64, bytes: &[u8]) -> Result<()> {
        let (file, undo) = self.file(number)?;
        undo.before_write(file, offset, bytes.len() as u64)?;
        file.write_all_at(bytes, offset)
    }

    pub(super) fn truncate(&mut self, number: u64, length: u64) -> Result<()> {
        let (file, undo) = self.file(number)?;
        undo.before_truncate(file, length)?;
        file.set_len(length)
    }

    /// Takes space for bytes that may come.
    pub(super) fn allocate(&mut self, number: u64, offset: u64, count: u64, flags: FallocateFlags) -> Result<()> {
        let (file, undo) = self.file(number)?;
        undo.before_write(file, offset, count)?;
        Ok(fallocate(file, flags, offset, count)?)
    }

    pub(super) fn set_mode(&mut self, number: u64, mode: u32) -> Result<()> {
        let path = self.entry(number)?.path.clone().ok_or_else(stale)?;
        fs::set_permissions(self.backing.join(path), Permissions::from_mode(mode & 0o7777))
    }

    pub(super) fn remove(&mut self, parent: u64, name: &OsStr) -> Result<()> {
        let path = self.path(parent, name)?;
        let kept = self.keep(&path)?;
        fs::remove_file(self.backing.join(&path))?;
        self.unname(&path);
        if let Some(file) = kept {
            self.changes.push(Change::Removed { path, file });
        }
        Ok(())
    }

    pub(super) fn remove_directory(&mut self, parent: u64, name: &OsStr) -> Result<()> {
        let path = self.path(parent, name)?;
        fs::remove_dir(self.backing.join(&path))?;
        self.unname(&path);
        Ok(())
    }

    pub(super) fn rename(&mut self, parent: u64, name: &OsStr, new_parent: u64, new_name: &OsStr) -> Result<()> {
        let (from, to) = (self.path(parent, name)?, self.path(new_parent, new_name)?);
        let replaced = if self.backing.join(&to).exists() { self.keep(&to)? } else { None };
        fs::rename(self.backing.join(&from), self.backing.join(&to))?;
        self.unname(&to);
        if let Some(number) = self.numbers.remove(&from) {
            if let Some(entry) = self.entries.get_mut(&number) {
                entry.path = Some(to.clone());
            }
            self.numbers.insert(to.clone(), number);
        }
        self.changes.push(Change::Renamed { from, to, replaced });
        Ok(())
    }

    /// Remembers a file that loses its name, as it is.
    fn keep(&self, path: &Path) -> Result<Option<Kept>> {
        let full = self.backing.join(path);
        let metadata = fs::symlink_metadata(&full)?;
        if !metadata.is_file() || metadata.len() > MOST_KEPT_BYTES {
            return Ok(None);
        }
        Ok(Some(Kept { bytes: fs::read(&full)?, mode: metadata.mode() & 0o7777 }))
    }

    fn unname(&mut self, path: &Path) {
        if let Some(number) = self.numbers.remove(path)
            && let Some(entry) = self.entries.get_mut(&number).filter(|entry| entry.path.as_deref() == Some(path))
        {
            // It may have another name.
            entry.path = self.numbers.iter().find(|(_, other)| **other == number).map(|(path, _)| path.clone());
        }
    }

    /// What space there is.
    pub(super) fn space(&self) -> Result<rustix::fs::StatVfs> {
        Ok(rustix::fs::statvfs(&self.backing)?)
    }

    /// A file's bytes are on the disk.
    pub(super) fn sync(&mut self, number: u64) -> Result<()> {
        self.entries.get_mut(&number).ok_or_else(stale)?.undo.synced();
        Ok(())
    }

    /// A directory's names are on the disk.
    pub(super) fn sync_directory(&mut self, number: u64) -> Result<()> {
        let path = self.entry(number)?.path.clone().ok_or_else(stale)?;
        self.changes.retain(|change| !change.is_in(&path));
        Ok(())
    }

    /// Takes the power away. Nobody may use the tree while that happens, and what was opened before is stale.
    pub(super) fn cut(&mut self, dice: &mut Dice) -> Result<Lost> {
        let mut lost = Lost::default();
        for entry in self.entries.values_mut() {
            if let Some(file) = entry.file.as_ref().filter(|_| !entry.undo.is_empty()) {
                lost.files += 1;
                entry.undo.cut(file, dice)?;
            }
        }
        // Names are written out in order, so that some of the last are lost.
        let kept = usize::try_from(dice.below(self.changes.len() as u64 + 1)).unwrap_or_default();
        for change in self.changes.drain(kept..).rev() {
            lost.names += 1;
            take_back(&self.backing, change)?;
        }
        self.changes.clear();
        self.forget();
        Ok(lost)
    }
}

fn take_back(backing: &Path, change: Change) -> Result<()> {
    let restore = |path: PathBuf, kept: Kept| {
        let path = backing.join(path);
        fs::write(&path, kept.bytes)?;
        fs::set_permissions(path, Permissions::from_mode(kept.mode))
    };
    match change {
        Change::Created { path } => {
            let path = backing.join(path);
            // Removed again since, which needed no sync of the directory.
            if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.or_else(absent)
        }
        Change::Removed { path, file } => restore(path, file),
        Change::Renamed { from, to, replaced } => {
            fs::rename(backing.join(&to), backing.join(from)).or_else(absent)?;
            replaced.map_or(Ok(()), |kept| restore(to, kept))
        }
    }
}

fn absent(error: io::Error) -> Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

fn stale() -> io::Error {
    io::Error::from(rustix::io::Errno::STALE)
}

#[cfg(test)]
mod tests;
