//! Runs every test there is, and says what it could not run and why.

use std::io::{BufRead as _, BufReader, IsTerminal as _};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context as _, Result};

/// What a build needs beside Rust: (program, how Debian names it, what for).
const TOOLS: [(&str, &str, &str); 4] = [
    ("git", "git", "the tree's own list of files"),
    ("make", "make", "OpenSSL, under the encrypted database"),
    ("perl", "perl", "OpenSSL, under the encrypted database"),
    ("cc", "gcc", "SQLCipher and the TLS library"),
];

/// One step of the suite.
enum Outcome {
    /// With the tests that its runner counted.
    Ran {
        passed: u64,
        failed: u64,
        ok: bool,
    },
    NotRun(String),
}

/// Runs the whole suite.
pub(crate) fn test(root: &Path) -> Result<ExitCode> {
    let missing: Vec<_> = TOOLS.iter().filter(|(program, ..)| !has(program)).collect();
    if !missing.is_empty() {
        for (program, _, purpose) in &missing {
            println!("missing: {program}, needed for {purpose}");
        }
        let packages: Vec<_> = missing.iter().map(|(_, package, _)| *package).collect();
        println!("on Debian: apt-get install {}", packages.join(" "));
        return Ok(ExitCode::from(2));
    }
    let cargo = |arguments: &[&str]| cargo(root, arguments);
    let steps: Vec<(&str, Outcome)> = vec![
        ("formatting", if_component("rustfmt", || cargo(&["fmt", "--all", "--check"]))?),
        (
            "clippy",
            if_component("clippy", || {
                cargo(&["clippy", "--release", "--workspace", "--all-targets", "--quiet", "--", "--deny", "warnings"])
            })?,
        ),
        ("tests", cargo(&["test", "--release", "--workspace"])?),
        ("cargo deny", deny(root)?),
    ];
    Ok(summary(&steps))
}

/// Fuzzes every decoder for so many seconds.
pub(crate) fn fuzz(root: &Path, seconds: u64) -> Result<ExitCode> {
    let mut steps = Vec::new();
    let targets = root.join("fuzz/fuzz_targets");
    for entry in std::fs::read_dir(&targets).with_context(|| format!("cannot read {}", targets.display()))? {
        let path = entry?.path();
        let Some(target) = path.file_stem().and_then(|stem| stem.to_str()).map(str::to_owned) else { continue };
        let limit = format!("-max_total_time={seconds}");
        let corpus = format!("fuzz/corpus/{target}");
        let arguments = ["+nightly", "fuzz", "run", &target, &corpus, "--", &limit];
        steps.push((target.clone(), cargo(root, &arguments)?));
    }
    let named: Vec<_> = steps.iter().map(|(name, outcome)| (name.as_str(), outcome)).collect();
    for (name, outcome) in &named {
        println!("{name}: {}", sentence(outcome));
    }
    let failed = named.iter().any(|(_, outcome)| matches!(outcome, Outcome::Ran { ok: false, .. }));
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn summary(steps: &[(&str, Outcome)]) -> ExitCode {
    println!();
    let (mut passed, mut failed) = (0, 0);
    for (name, outcome) in steps {
        println!("{name}: {}", sentence(outcome));
        if let Outcome::Ran { passed: p, failed: f, ok } = outcome {
            passed += p + u64::from(*p == 0 && *ok);
            failed += f + u64::from(*f == 0 && !ok);
        }
    }
    println!("\n{passed} passed, {failed} failed");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn sentence(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Ran { passed: 0, ok: true, .. } => "passed".to_owned(),
        Outcome::Ran { ok: false, passed: 0, failed: 0 } => "failed".to_owned(),
        Outcome::Ran { passed, failed, .. } => format!("{passed} passed, {failed} failed"),
        Outcome::NotRun(why) => format!("not run: {why}"),
    }
}

fn has(program: &str) -> bool {
    Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

fn if_component(component: &str, run: impl FnOnce() -> Result<Outcome>) -> Result<Outcome> {
    if has(&format!("cargo-{}", component.trim_start_matches("rust"))) {
        run()
    } else {
        Ok(Outcome::NotRun(format!("install it with `rustup component add {component}`")))
    }
}

fn deny(root: &Path) -> Result<Outcome> {
    if !has("cargo-deny") {
        return Ok(Outcome::NotRun("install it with `cargo install --locked cargo-deny`".to_owned()));
    }
    let advisories = cargo(root, &["deny", "check", "advisories"])?;
    if matches!(advisories, Outcome::Ran { ok: false, .. }) {
        println!("advisories could not be checked here: their database cannot be had, or it names one");
    }
    cargo(root, &["deny", "check", "licenses", "bans", "sources"])
}

/// Runs cargo, passes its output on, and adds up the closing lines of the test runners.
fn cargo(root: &Path, arguments: &[&str]) -> Result<Outcome> {
    println!("\n$ cargo {}", arguments.join(" "));
    let mut command = Command::new("cargo");
    if !std::io::stdout().is_terminal() {
        command.env("CARGO_TERM_PROGRESS_WHEN", "never");
    }
    let mut child = command
        .args(arguments)
        .current_dir(root)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start cargo")?;
    let (mut passed, mut failed) = (0, 0);
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).lines() {
            let line = line?;
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
    #[test]
    fn closing_lines_are_counted() {
        let line = "test result: FAILED. 12 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1s";
        assert_eq!(super::closing(line), Some((12, 3)));
        assert_eq!(super::closing("test a ... ok"), None);
    }
}
