//! Where a client writes down what it does and sees. docs/spec/scenario.md §5.2.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context as _, Result};

use crate::log::{Entry, Line};

/// One file. Each line is written at once and whole, so that a run that is ended leaves what was known.
#[derive(Debug)]
pub(super) struct Journal {
    node: Option<u32>,
    began: Instant,
    file: Mutex<File>,
}

impl Journal {
    /// Opens the log of a node's client, or of the harness; `began` is the same moment for all.
    pub(super) fn create(folder: &Path, node: Option<u32>, began: Instant) -> Result<Self> {
        let name = node.map_or_else(|| "harness.jsonl".to_owned(), |node| format!("node-{node:05}.jsonl"));
        let file = File::create(folder.join(&name)).with_context(|| format!("{name} cannot be written"))?;
        Ok(Self { node, began, file: Mutex::new(file) })
    }

    /// Writes a line down, with the time at which it stands in the file.
    pub(super) fn write(&self, entry: Entry) -> Result<()> {
        // A writer that panicked left a whole line or none.
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let at = u64::try_from(self.began.elapsed().as_micros())?;
        let mut text = serde_json::to_vec(&Line { at, node: self.node, entry })?;
        text.push(b'\n');
        file.write_all(&text).context("a log cannot be written")
    }
}
