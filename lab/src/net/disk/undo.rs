//! What a power cut takes away: for each file, what it held when it was last synced; for each directory, its changes
//! since.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use crate::sim::Dice;

/// What is lost or kept as a whole: a page, as the kernel writes them out.
pub(super) const BLOCK_BYTES: u64 = 4_096;

/// The unsynced changes of a file.
#[derive(Debug, Default)]
pub(super) struct Undo {
    /// Its length when it was last synced; `None` while nothing has changed since.
    length: Option<u64>,
    /// What changed blocks held then; nothing where the file ended before.
    blocks: BTreeMap<u64, Option<Vec<u8>>>,
}

impl Undo {
    /// Must be called before a file changes from `offset` on for `count` bytes.
    pub(super) fn before_write(&mut self, file: &File, offset: u64, count: u64) -> io::Result<()> {
        let current = file.metadata()?.len();
        let synced = *self.length.get_or_insert(current);
        // Bytes between the old end and the offset become zeros.
        let first = offset.min(current.max(synced)) / BLOCK_BYTES;
        for number in first..offset.saturating_add(count).div_ceil(BLOCK_BYTES) {
            if let Entry::Vacant(unseen) = self.blocks.entry(number) {
                unseen.insert(if number * BLOCK_BYTES < synced { Some(block(file, number)?) } else { None });
            }
        }
        Ok(())
    }

    /// Must be called before a file's length changes.
    pub(super) fn before_truncate(&mut self, file: &File, length: u64) -> io::Result<()> {
        let current = file.metadata()?.len();
        self.before_write(file, length.min(current), length.abs_diff(current))
    }

    /// What has changed is on the disk.
    pub(super) fn synced(&mut self) {
        *self = Self::default();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.length.is_none()
    }

    /// Takes the power away: of each change since the last sync the dice decide whether it had reached the disk.
    pub(super) fn cut(&mut self, file: &File, dice: &mut Dice) -> io::Result<()> {
        let Some(synced) = self.length else { return Ok(()) };
        // Half of all cuts lose everything, as where nothing was written out yet.
        let kept_millionths = if dice.below(2) == 0 { 0 } else { 500_000 };
        let current = file.metadata()?.len();
        let length = if dice.chance(kept_millionths) { current } else { synced };
        file.set_len(length)?;
        // The bytes of a file that is long again are what they were: its truncation has not happened.
        let kept_millionths = if length > current { 0 } else { kept_millionths };
        for (number, held) in &self.blocks {
            let start = number * BLOCK_BYTES;
            if start >= length || dice.chance(kept_millionths) {
                continue;
            }
            let room = usize::try_from((length - start).min(BLOCK_BYTES)).unwrap_or(usize::MAX);
            let mut bytes = held.clone().unwrap_or_default();
            // The length had reached the disk, and the bytes had not.
            bytes.resize(room, 0);
            file.write_all_at(&bytes, start)?;
        }
        self.synced();
        Ok(())
    }
}

fn block(file: &File, number: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(BLOCK_BYTES).unwrap_or(usize::MAX)];
    let mut length = 0;
    while length < bytes.len() {
        match file.read_at(&mut bytes[length..], number * BLOCK_BYTES + length as u64)? {
            0 => break,
            count => length += count,
        }
    }
    bytes.truncate(length);
    Ok(bytes)
}

/// An unsynced change of a directory.
#[derive(Debug)]
pub(super) enum Change {
    Created { path: PathBuf },
    Removed { path: PathBuf, file: Kept },
    Renamed { from: PathBuf, to: PathBuf, replaced: Option<Kept> },
}

/// A file that has no name any more and would have one again.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) bytes: Vec<u8>,
    pub(super) mode: u32,
}

impl Change {
    /// Whether the sync of a directory makes it last.
    pub(super) fn is_in(&self, directory: &std::path::Path) -> bool {
        let within = |path: &PathBuf| path.parent() == Some(directory);
        match self {
            Self::Created { path } | Self::Removed { path, .. } => within(path),
            Self::Renamed { from, to, .. } => within(from) || within(to),
        }
    }
}
