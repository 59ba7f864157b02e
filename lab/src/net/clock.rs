//! A wall clock of a node's own, by libfaketime: a library that is loaded before the system's and answers in its place.
//! The monotonic clock stays the machine's.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::scenario::Shift;

/// Where distributions keep it, below `/usr`.
const PLACES: [&str; 5] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib64/faketime/libfaketimeMT.so.1",
    "/usr/lib/faketime/libfaketimeMT.so.1",
    "/usr/local/lib/faketime/libfaketimeMT.so.1",
];

/// The library, where it is installed.
pub(super) fn library() -> Option<&'static Path> {
    PLACES.into_iter().map(Path::new).find(|place| place.exists())
}

/// How far off a node's clock is, in a file that the node's library reads at each look at the clock.
#[derive(Clone, Debug)]
pub(super) struct Clock {
    file: PathBuf,
    /// In microseconds.
    off: i128,
}

impl Clock {
    /// Makes a clock that is right.
    pub(super) fn create(file: PathBuf) -> Result<Self> {
        let clock = Self { file, off: 0 };
        clock.write()?;
        Ok(clock)
    }

    /// Has it jump, for a node that runs as for one that starts.
    pub(super) fn jump(&mut self, by: Shift) -> Result<()> {
        let micros = i128::try_from(by.by.as_micros())?;
        self.off += if by.back { -micros } else { micros };
        self.write()
    }

    fn write(&self) -> Result<()> {
        let (sign, off) = (if self.off < 0 { '-' } else { '+' }, self.off.unsigned_abs());
        // Replaced as a whole, so that nobody reads half of it.
        let new = self.file.with_extension("new");
        fs::write(&new, format!("{sign}{}.{:06}\n", off / 1_000_000, off % 1_000_000))?;
        fs::rename(new, &self.file).context("a clock cannot be set")
    }

    /// What has a node look at this clock, as `NAME=VALUE`.
    pub(super) fn environment(&self) -> Vec<OsString> {
        let Some(library) = library() else { return Vec::new() };
        let pair = |name: &str, value: &Path| {
            let mut pair = OsString::from(name);
            pair.push(value);
            pair
        };
        vec![
            pair("LD_PRELOAD=", library),
            pair("FAKETIME_TIMESTAMP_FILE=", &self.file),
            "FAKETIME_NO_CACHE=1".into(),
            "FAKETIME_DONT_FAKE_MONOTONIC=1".into(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn jumps_add_up() {
        let directory = tempfile::tempdir().unwrap();
        let mut clock = Clock::create(directory.path().join("clock")).unwrap();
        let read = |clock: &Clock| fs::read_to_string(&clock.file).unwrap();
        assert_eq!(read(&clock), "+0.000000\n");
        clock.jump(Shift { by: Duration::from_millis(1_500), back: true }).unwrap();
        assert_eq!(read(&clock), "-1.500000\n");
        clock.jump(Shift { by: Duration::from_secs(3_600), back: false }).unwrap();
        assert_eq!(read(&clock), "+3598.500000\n");
    }
}
