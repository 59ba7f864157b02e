//! What a process takes of the machine, watched while it is attacked.

use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::process::field;

/// How often it is looked at.
const INTERVAL: Duration = Duration::from_millis(100);

/// What a process takes at one moment, or at most over a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Figures {
    /// Resident memory.
    pub(super) kilobytes: u64,
    pub(super) descriptors: u64,
    pub(super) threads: u64,
}

impl Figures {
    /// Looks at a process now.
    pub(super) fn of(process: u32) -> Result<Self> {
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).context("the node has ended")?;
        let descriptors = std::fs::read_dir(format!("/proc/{process}/fd")).context("the node has ended")?.count();
        Ok(Self {
            kilobytes: field(&status, "VmRSS")?,
            descriptors: descriptors as u64,
            threads: field(&status, "Threads")?,
        })
    }

    /// The larger one of each.
    pub(super) fn max(self, other: Self) -> Self {
        Self {
            kilobytes: self.kilobytes.max(other.kilobytes),
            descriptors: self.descriptors.max(other.descriptors),
            threads: self.threads.max(other.threads),
        }
    }
}

/// Keeps the most of what a process takes; has no end but the process's.
pub(super) async fn watch(process: u32, peak: &mut Figures) {
    let mut clock = tokio::time::interval(INTERVAL);
    loop {
        clock.tick().await;
        match Figures::of(process) {
            Ok(now) => *peak = peak.max(now),
            Err(_) => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_threads_and_descriptors() {
        let mine = Figures::of(std::process::id()).unwrap();
        assert!(mine.kilobytes > 0 && mine.descriptors >= 3 && mine.threads >= 1, "{mine:?}");
        assert_eq!(mine.max(Figures { kilobytes: u64::MAX, ..Figures::default() }).descriptors, mine.descriptors);
    }
}
