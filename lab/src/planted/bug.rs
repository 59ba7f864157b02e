//! A bug: a diff, and what it says about itself.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};

/// Where the diffs stand, seen from the root of the source tree.
pub(super) const FOLDER: &str = "lab/planted";

/// A diff that puts a bug into the source tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bug {
    /// The file's name, without its ending.
    pub(super) name: String,
    /// The whole file: what is wrong, which promise it breaks, and the diff.
    pub(super) text: String,
    /// The files it changes, seen from the root of the source tree.
    pub(super) files: Vec<PathBuf>,
}

impl Bug {
    /// Reads a diff.
    ///
    /// # Errors
    ///
    /// One sentence where it does not say what is wrong, changes nothing, or changes more than core and store.
    pub(super) fn read(name: &str, text: String) -> anyhow::Result<Self> {
        let says = |beginning: &str| {
            text.lines().take_while(|line| !line.starts_with("--- ")).any(|line| line.starts_with(beginning))
        };
        for beginning in ["Wrong: ", "Breaks: "] {
            ensure!(says(beginning), "expected {name}.diff to say {beginning:?} before the diff");
        }
        let changed = text.lines().filter_map(|line| line.strip_prefix("+++ b/"));
        let files: Vec<_> = changed.map(|path| PathBuf::from(path.split('\t').next().unwrap_or(path))).collect();
        ensure!(!files.is_empty(), "expected {name}.diff to change a file");
        let may_change = |file: &Path| file.starts_with("crates/core/src") || file.starts_with("crates/store/src");
        if let Some(other) = files.iter().find(|file| !may_change(file)) {
            bail!("expected {name}.diff to change core and store only, got {}", other.display());
        }
        Ok(Self { name: name.to_owned(), text, files })
    }
}

/// Reads all bugs, ordered by name.
pub(super) fn load() -> anyhow::Result<Vec<Bug>> {
    let entries = fs::read_dir(FOLDER).with_context(|| format!("expected the folder {FOLDER}"))?;
    let mut files: Vec<_> = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    files.retain(|file| file.extension().is_some_and(|ending| ending == "diff"));
    files.sort();
    ensure!(!files.is_empty(), "expected at least one diff in {FOLDER}");
    files.iter().map(|file| read_file(file)).collect()
}

fn read_file(file: &Path) -> anyhow::Result<Bug> {
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    Bug::read(&file.file_stem().unwrap_or_default().to_string_lossy(), text)
}

/// So many of the bugs, others with each number: after as many numbers as it takes, every bug has had its turn.
pub(super) fn rotated(all: &[Bug], count: usize, number: u64) -> Vec<&Bug> {
    let length = all.len() as u64;
    let count = (count as u64).min(length);
    let first = (number % length.max(1)) * count;
    let place = |step: u64| usize::try_from((first + step) % length.max(1)).unwrap_or_default();
    (0..count).filter_map(|step| all.get(place(step))).collect()
}
