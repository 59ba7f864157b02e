//! Fuzzes every decoder with libFuzzer: builds the targets the way `cargo fuzz` does, with coverage counters and
//! AddressSanitizer, and runs one after the other.

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};

use crate::steps::{Outcome, Steps, has, run, target_directory};

/// Coverage as libFuzzer reads it, memory errors found where they happen, and the checks of a debug build.
const FLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Zsanitizer=address -Cdebug-assertions -Ccodegen-units=1";
/// Longer than the largest parcel with its frames.
const MAX_INPUT_BYTES: u32 = 72 * 1024;
/// No input makes a decoder allocate more at once.
const MAX_ALLOCATION_MIB: u32 = 16;
/// No input takes longer.
const MAX_SECONDS_EACH: u32 = 5;

/// Fuzzes the named targets, or all, for so many seconds each.
pub(crate) fn fuzz(root: &Path, seconds: u64, only: &[&str], steps: &mut Steps) -> Result<()> {
    if let Some(why) = missing() {
        steps.push("fuzzing", Outcome::NotRun(why));
        return Ok(());
    }
    let (host, directory) = (host()?, target_directory(root).join("fuzz"));
    let build = ["run", "nightly", "cargo", "build", "--release", "--package", "tidings-fuzz", "--bins"];
    let built = run(
        root,
        Command::new("rustup")
            .args(build)
            .args(["--features", "libfuzzer", "--target", &host])
            .env("RUSTFLAGS", FLAGS)
            .env("CARGO_TARGET_DIR", &directory)
            .env_remove("RUSTUP_TOOLCHAIN"),
    )?;
    if matches!(built, Outcome::Ran { ok: false, .. }) {
        steps.push("building the fuzz targets", built);
        return Ok(());
    }
    for target in targets(root)?.iter().filter(|target| only.is_empty() || only.contains(&target.as_str())) {
        let outcome = run_target(root, &directory, &host, target, seconds)?;
        if matches!(outcome, Outcome::Ran { ok: false, .. }) {
            println!("\nkeep the input once its cause is mended: cp fuzz/artifacts/{target}/* fuzz/corpus/{target}/");
        }
        steps.push(&format!("fuzzing {target} for {seconds} s"), outcome);
    }
    Ok(())
}

/// Fuzzes and says what came of it.
pub(crate) fn command(root: &Path, seconds: u64, only: &[&str]) -> Result<ExitCode> {
    let mut steps = Steps::default();
    fuzz(root, seconds, only, &mut steps)?;
    Ok(steps.close())
}

/// New inputs gather in the build directory; those kept in the tree are read.
fn run_target(root: &Path, directory: &Path, host: &str, target: &str, seconds: u64) -> Result<Outcome> {
    let found = directory.join("corpus").join(target);
    let artifacts = root.join("fuzz/artifacts").join(target);
    for path in [&found, &artifacts] {
        std::fs::create_dir_all(path).with_context(|| format!("cannot make {}", path.display()))?;
    }
    let mut command = Command::new(directory.join(host).join("release").join(target));
    command
        .arg(&found)
        .arg(root.join("fuzz/corpus").join(target))
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-max_len={MAX_INPUT_BYTES}"))
        .arg(format!("-malloc_limit_mb={MAX_ALLOCATION_MIB}"))
        .arg(format!("-timeout={MAX_SECONDS_EACH}"))
        .arg(format!("-artifact_prefix={}/", artifacts.display()))
        .args(["-print_final_stats=1", "-print_funcs=0", "-verbosity=0"]);
    Ok(run(root, &mut command)?.into_one_test())
}

fn missing() -> Option<String> {
    let nightly = Command::new("rustup").args(["run", "nightly", "rustc", "--version"]).output();
    if !nightly.is_ok_and(|output| output.status.success()) {
        return Some("it needs the nightly compiler: rustup toolchain install nightly --profile minimal".to_owned());
    }
    (!has("c++")).then(|| "libFuzzer needs a C++ compiler; on Debian: apt-get install g++".to_owned())
}

fn targets(root: &Path) -> Result<Vec<String>> {
    let directory = root.join("fuzz/fuzz_targets");
    let mut targets = Vec::new();
    for entry in std::fs::read_dir(&directory).with_context(|| format!("cannot read {}", directory.display()))? {
        targets.extend(entry?.path().file_stem().map(|stem| stem.display().to_string()));
    }
    targets.sort();
    Ok(targets)
}

/// This machine, as the compiler names it.
fn host() -> Result<String> {
    let output = Command::new("rustc").arg("-vV").output().context("cannot start rustc")?;
    let text = String::from_utf8(output.stdout).context("rustc prints text")?;
    let host = text.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc names its host")?;
    Ok(host.to_owned())
}
