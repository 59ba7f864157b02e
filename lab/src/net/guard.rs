//! Removes what a run leaves when the run is killed.
//!
//! A process of its own reads from a pipe that ends with the run, however the run ends, and then removes what is left.

use std::io::Read as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result};

use super::clean;

/// The guard of this process.
#[derive(Debug)]
pub(super) struct Guard(Child);

impl Guard {
    pub(super) fn start() -> Result<Self> {
        let own = std::process::id().to_string();
        // In a process group of its own, so that the terminal's Ctrl-C does not reach it.
        let child = Command::new(std::env::current_exe()?)
            .args(["net", "--guard", &own])
            .stdin(Stdio::piped())
            .process_group(0)
            .spawn()
            .context("the guard that cleans up cannot be started")?;
        Ok(Self(child))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // It ends when its input does.
        drop(self.0.stdin.take());
        self.0.wait().ok();
    }
}

/// What the guard does: waits for the end of a run and removes what is left of it.
pub(super) fn stand(run: u32) -> Result<()> {
    std::io::stdin().read_to_end(&mut Vec::new())?;
    clean::all_of(run).map(drop)
}
