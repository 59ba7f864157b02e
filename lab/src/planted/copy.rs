//! The copy of the workspace that bugs are planted in. The real tree is read and never written.

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail, ensure};

use super::bug::Bug;

/// What is copied: all that cargo reads, and the scenarios.
const PARTS: [&str; 6] = ["Cargo.toml", "Cargo.lock", "crates", "fuzz", "lab", "xtask"];
/// Folders that are left out.
const LEFT_OUT: [&str; 3] = ["target", "corpus", "artifacts"];

/// The copy, held by this process alone.
#[derive(Debug)]
pub(super) struct Copy {
    tree: PathBuf,
    build: PathBuf,
    jobs: Option<usize>,
    _lock: File,
}

impl Copy {
    /// Makes the copy, or brings an earlier one up to date: what is equal is left alone, so that cargo builds only what
    /// is new.
    pub(super) fn of_workspace(jobs: Option<usize>) -> anyhow::Result<Self> {
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
        let folder = target.join("planted");
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        let folder = folder.canonicalize()?;
        let lock = File::create(folder.join("lock"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!("another `planted` runs in {}: wait for it", folder.display()),
            Err(TryLockError::Error(error)) => return Err(error).context("the lock of the copy"),
        }
        let tree = folder.join("tree");
        fs::create_dir_all(&tree)?;
        for part in PARTS {
            let from = Path::new(part);
            ensure!(from.exists(), "expected {part} here: run this at the root of the source tree");
            mirror(from, &tree.join(part)).with_context(|| format!("copying {part}"))?;
        }
        Ok(Self { build: folder.join("build"), tree, jobs, _lock: lock })
    }

    /// Where the copy stands.
    pub(super) fn tree(&self) -> PathBuf {
        self.tree.clone()
    }

    /// Why a diff does not apply, if it does not.
    pub(super) fn refuses(&self, bug: &Bug) -> anyhow::Result<Option<String>> {
        let answer = self.patch(bug, &["--dry-run"])?;
        Ok((!answer.is_empty()).then(|| format!("{}: {}", bug.name, answer.replace('\n', "; "))))
    }

    /// Builds the simulator without a bug, and keeps it.
    pub(super) fn build_healthy(&self) -> anyhow::Result<PathBuf> {
        let built = self.cargo().context("without a bug")?;
        let kept = self.build.join("healthy");
        fs::copy(built, &kept)?;
        Ok(kept)
    }

    /// Builds the simulator with a bug, and takes the bug out of the tree again.
    pub(super) fn plant(&self, bug: &Bug) -> anyhow::Result<PathBuf> {
        let places: Vec<_> = bug.files.iter().map(|file| self.tree.join(file)).collect();
        let before: Vec<_> = places.iter().map(fs::read).collect::<Result<_, _>>()?;
        let answer = self.patch(bug, &[])?;
        let built = if answer.is_empty() { self.cargo() } else { Err(anyhow::anyhow!("{answer}")) };
        for (place, text) in places.iter().zip(&before) {
            fs::write(place, text)?;
        }
        built.with_context(|| format!("with the bug {}", bug.name))
    }

    /// Applies a diff. Returns what `patch` has to say against it.
    fn patch(&self, bug: &Bug, further: &[&str]) -> anyhow::Result<String> {
        let mut command = Command::new("patch");
        command.args(["--strip=1", "--fuzz=0", "--batch", "--forward", "--silent", "--no-backup-if-mismatch"]);
        command.arg("--reject-file=-").args(further).arg("--directory").arg(&self.tree);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().context("expected the program `patch`, which applies the diffs")?;
        if let Some(mut input) = child.stdin.take() {
            input.write_all(bug.text.as_bytes())?;
        }
        let output = child.wait_with_output()?;
        if output.status.success() {
            return Ok(String::new());
        }
        let said = [output.stdout, output.stderr].concat();
        Ok(format!("it does not apply ({})", String::from_utf8_lossy(&said).trim()))
    }

    /// Builds the simulator.
    fn cargo(&self) -> anyhow::Result<PathBuf> {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.args([
            "build",
            "--release",
            "--offline",
            "--quiet",
            "--no-default-features",
            "--package",
            "tidings-lab",
        ]);
        command.args(self.jobs.map(|jobs| format!("--jobs={jobs}")));
        command.arg("--target-dir").arg(&self.build).current_dir(&self.tree);
        // A bug changes one file: most of core and lab stays as it was built for the one before. What the time goes
        // into while seeds run are hashes and allocations, in crates that are fully optimised.
        command.env("CARGO_INCREMENTAL", "1").arg("--config=profile.release.opt-level=1");
        command.arg("--config=profile.release.package.\"*\".opt-level=3");
        let output = command.output().context("expected the program `cargo`")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "expected the simulator to build, got\n{}", said.trim());
        Ok(self.build.join("release").join("tidings-lab"))
    }
}

/// Makes `to` like `from`, and writes only what differs.
fn mirror(from: &Path, to: &Path) -> std::io::Result<()> {
    if !from.is_dir() {
        let text = fs::read(from)?;
        return if fs::read(to).is_ok_and(|old| old == text) { Ok(()) } else { fs::write(to, text) };
    }
    fs::create_dir_all(to)?;
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(from)? {
        let name = entry?.file_name();
        if !LEFT_OUT.iter().any(|left_out| name == *left_out) {
            mirror(&from.join(&name), &to.join(&name))?;
            names.insert(name);
        }
    }
    for entry in fs::read_dir(to)? {
        let entry = entry?;
        if !names.contains(&entry.file_name()) {
            if entry.file_type()?.is_dir() { fs::remove_dir_all(entry.path())? } else { fs::remove_file(entry.path())? }
        }
    }
    Ok(())
}
