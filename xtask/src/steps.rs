//! Runs programs one after the other and adds up what their test runners counted.

use std::io::{BufRead as _, BufReader, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context as _, Result};

/// What came of a step.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// With the tests that its runner counted.
    Ran { passed: u64, failed: u64, ok: bool },
    /// And why.
    NotRun(String),
}

impl Outcome {
    /// That of a program that is one test.
    pub(crate) fn into_one_test(self) -> Self {
        match self {
            Self::Ran { ok, .. } => Self::Ran { passed: u64::from(ok), failed: u64::from(!ok), ok },
            Self::NotRun(why) => Self::NotRun(why),
        }
    }
}

/// Steps that have come to an end, in order.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    ended: Vec<(String, Outcome)>,
}

impl Steps {
    pub(crate) fn push(&mut self, name: &str, outcome: Outcome) {
        self.ended.push((name.to_owned(), outcome));
    }

    /// Prints what ran and what could not and why, and closes with `N passed, N failed`: the tests that the runners
    /// counted, and each step that failed without one.
    pub(crate) fn close(&self) -> ExitCode {
        println!();
        for (name, outcome) in &self.ended {
            println!("{name}: {}", sentence(outcome));
        }
        let (passed, failed) = self.count();
        println!("\n{passed} passed, {failed} failed");
        if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    fn count(&self) -> (u64, u64) {
        let counts = self.ended.iter().map(|(_, outcome)| match outcome {
            Outcome::Ran { passed, failed, ok } => (*passed, (*failed).max(u64::from(!ok))),
            Outcome::NotRun(_) => (0, 0),
        });
        counts.fold((0, 0), |(passed, failed), (p, f)| (passed + p, failed + f))
    }
}

fn sentence(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Ran { passed: 0, failed: 0, ok: true } => "passed".to_owned(),
        Outcome::Ran { passed: 0, failed: 0, ok: false } => "failed".to_owned(),
        Outcome::Ran { passed, failed: 0, ok: false } => format!("{passed} passed, then it failed"),
        Outcome::Ran { passed, failed, .. } => format!("{passed} passed, {failed} failed"),
        Outcome::NotRun(why) => format!("not run: {why}"),
    }
}

/// Whether a program is there.
pub(crate) fn has(program: &str) -> bool {
    Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

/// Where `cargo` builds.
pub(crate) fn target_directory(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |directory| root.join(directory))
}

/// Runs `cargo`.
pub(crate) fn cargo(root: &Path, arguments: &[&str]) -> Result<Outcome> {
    let mut command = Command::new("cargo");
    // What cargo has set for this program is not passed on: build scripts that watch it (ring's does) would run again
    // after every build by hand, and everything above them be compiled anew.
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")) {
            command.env_remove(name);
        }
    }
    if !std::io::stdout().is_terminal() {
        command.env("CARGO_TERM_PROGRESS_WHEN", "never");
    }
    run(root, command.args(arguments))
}

/// Runs a program, passes its output on, and adds up the closing lines of the test runners in it.
pub(crate) fn run(root: &Path, command: &mut Command) -> Result<Outcome> {
    let program = command.get_program().to_owned();
    let arguments: Vec<_> = command.get_args().map(|argument| argument.display().to_string()).collect();
    println!("\n$ {} {}", program.display(), arguments.join(" "));
    let mut child = command
        .current_dir(root)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", program.display()))?;
    let (mut passed, mut failed) = (0, 0);
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).split(b'\n') {
            let line = line?;
            let line = String::from_utf8_lossy(&line);
            println!("{line}");
            if let Some((p, f)) = closing(&line) {
                passed += p;
                failed += f;
            }
        }
    }
    Ok(Outcome::Ran { passed, failed, ok: child.wait()?.success() })
}

/// `test result: ok. 12 passed; 0 failed; …`
fn closing(line: &str) -> Option<(u64, u64)> {
    let counts = line.strip_prefix("test result: ")?.split_once(". ")?.1;
    let count = |word: &str| {
        let part = counts.split("; ").find(|part| part.ends_with(word))?;
        part.split(' ').next()?.parse().ok()
    };
    Some((count("passed")?, count("failed")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_lines_are_counted() {
        let line = "test result: FAILED. 12 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1s";
        assert_eq!(closing(line), Some((12, 3)));
        assert_eq!(closing("test a ... ok"), None);
    }

    #[test]
    fn a_step_that_fails_is_never_counted_as_none() {
        let mut steps = Steps::default();
        steps.push("formatting", Outcome::Ran { passed: 0, failed: 0, ok: false });
        steps.push("tests", Outcome::Ran { passed: 12, failed: 2, ok: false });
        steps.push("licences", Outcome::NotRun("no network".to_owned()));
        assert_eq!(steps.count(), (12, 3));
    }
}
