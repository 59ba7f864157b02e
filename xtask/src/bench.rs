//! Counts the instructions of core's hot paths under Valgrind, and compares them with those in the tree.
//!
//! Counts are the same on a busy machine and an idle one, and differ between compilers, C libraries and processors of
//! other abilities: the baseline says what it was measured with.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};

use crate::steps::has;

/// Where the baseline stands, seen from the root of the source tree.
const FILE: &str = "crates/core/benches/baseline.toml";
const ABOUT: &str = "# Instructions of each benchmark of core. `cargo xtask bench` compares, `cargo xtask bench --bless` \
writes this\n# file anew.\n\n";
/// What counts may differ by where nothing has changed: keys are random, and so is the work with them.
const TOLERANCE_PERCENT: u64 = 3;

/// What is done with what was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counted {
    /// Compared with the baseline.
    Compare,
    /// Written as the baseline.
    Bless,
}

/// What was counted once, and with what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Baseline {
    tolerance_percent: u64,
    rustc: String,
    valgrind: String,
    instructions: BTreeMap<String, u64>,
}

/// One benchmark as the runner writes it, one line of JSON each.
#[derive(Debug, Deserialize)]
struct Benchmark {
    module_path: String,
    id: Option<String>,
    profiles: Vec<Profile>,
}

#[derive(Debug, Deserialize)]
struct Profile {
    data: Data,
}

#[derive(Debug, Deserialize)]
struct Data {
    total: Total,
}

#[derive(Debug, Deserialize)]
struct Total {
    metrics: BTreeMap<String, Metric>,
}

#[derive(Debug, Deserialize)]
struct Metric {
    values: Values,
}

#[derive(Debug, Deserialize)]
struct Values {
    new: serde_json::Number,
}

/// Counts, and compares or blesses.
pub(crate) fn command(root: &Path, counted: Counted) -> Result<ExitCode> {
    let missing = missing(root)?;
    if !missing.is_empty() {
        eprintln!("not run: {}", missing.join("\nnot run: "));
        return Ok(ExitCode::FAILURE);
    }
    let now = Baseline {
        tolerance_percent: TOLERANCE_PERCENT,
        rustc: version("rustc")?,
        valgrind: version("valgrind")?,
        instructions: count(root)?,
    };
    let file = root.join(FILE);
    if counted == Counted::Bless {
        std::fs::write(&file, format!("{ABOUT}{}", toml::to_string(&now)?)).context(FILE)?;
        println!("{FILE} is written");
        return Ok(ExitCode::SUCCESS);
    }
    let text = std::fs::read_to_string(&file).with_context(|| format!("{FILE}: cargo xtask bench --bless"))?;
    let known: Baseline = toml::from_str(&text).context(FILE)?;
    let different = compare(&known, &now);
    for (what, known, now) in [("rustc", &known.rustc, &now.rustc), ("valgrind", &known.valgrind, &now.valgrind)] {
        if known != now {
            println!("the baseline was counted with {what} {known}, this with {now}");
        }
    }
    if different == 0 {
        return Ok(ExitCode::SUCCESS);
    }
    println!(
        "{different} differ by more than {} %; where that is meant: cargo xtask bench --bless",
        known.tolerance_percent
    );
    Ok(ExitCode::FAILURE)
}

/// Prints each count beside the one it had, and says how many are not what they were.
fn compare(known: &Baseline, now: &Baseline) -> usize {
    let names: std::collections::BTreeSet<_> = known.instructions.keys().chain(now.instructions.keys()).collect();
    let mut different = 0;
    println!("{:<40} {:>12} {:>12}", "instructions", "baseline", "now");
    for name in names {
        let (before, after) = (known.instructions.get(name).copied(), now.instructions.get(name).copied());
        let is_same = before.zip(after).is_some_and(|(before, after)| {
            after.abs_diff(before).saturating_mul(100) <= before.saturating_mul(known.tolerance_percent)
        });
        let change =
            before.zip(after).map_or("–".to_owned(), |(before, after)| format!("{:+.2} %", change(before, after)));
        let text = |count: Option<u64>| count.map_or("–".to_owned(), |count| count.to_string());
        let mark = if is_same { "" } else { "  differs" };
        println!("{name:<40} {:>12} {:>12} {change:>10}{mark}", text(before), text(after));
        different += usize::from(!is_same);
    }
    different
}

fn change(before: u64, after: u64) -> f64 {
    (after as f64 / before.max(1) as f64 - 1.0) * 100.0
}

/// Runs the benchmarks.
fn count(root: &Path) -> Result<BTreeMap<String, u64>> {
    let output = Command::new("cargo")
        .args(["bench", "--quiet", "--package", "tidings-core", "--bench", "engine", "--bench", "wire"])
        .current_dir(root)
        .env("GUNGRAUN_OUTPUT_FORMAT", "json")
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start cargo")?;
    if !output.status.success() {
        bail!("the benchmarks failed");
    }
    let text = String::from_utf8(output.stdout).context("the runner prints text")?;
    text.lines().filter(|line| line.starts_with('{')).map(read).collect()
}

/// Reads a benchmark's name and instructions.
fn read(line: &str) -> Result<(String, u64)> {
    let benchmark: Benchmark = serde_json::from_str(line).context("expected a benchmark as the runner writes it")?;
    // The bench, its group and the function, of which the group says nothing.
    let mut path = benchmark.module_path.split("::");
    let (bench, function) = (path.next().unwrap_or_default(), path.last().unwrap_or_default());
    let id = benchmark.id.map(|id| format!(".{id}")).unwrap_or_default();
    let instructions = benchmark.profiles.first().and_then(|profile| profile.data.total.metrics.get("Ir"));
    let instructions = instructions.and_then(|metric| metric.values.new.as_u64());
    Ok((format!("{bench}::{function}{id}"), instructions.context("expected the instructions of a benchmark")?))
}

/// What is not there, and how to get it.
fn missing(root: &Path) -> Result<Vec<String>> {
    let mut missing = Vec::new();
    if !has("valgrind") {
        missing.push("it needs Valgrind; on Debian: apt-get install valgrind".to_owned());
    }
    let expected = locked(root)?;
    let runner = std::env::var("GUNGRAUN_RUNNER").unwrap_or_else(|_| "gungraun-runner".to_owned());
    let found = if has(&runner) { Some(version(&runner)?) } else { None };
    if found.as_deref() != Some(&expected) {
        let found = found.map(|found| format!(", not {found}")).unwrap_or_default();
        missing.push(format!(
            "it needs gungraun-runner {expected}{found}: cargo install --locked gungraun-runner@{expected}"
        ));
    }
    Ok(missing)
}

/// The version of the library, which the runner's must be.
fn locked(root: &Path) -> Result<String> {
    let lock = std::fs::read_to_string(root.join("Cargo.lock")).context("Cargo.lock")?;
    let after = lock.split("name = \"gungraun\"\nversion = \"").nth(1).context("expected gungraun in Cargo.lock")?;
    Ok(after.split('"').next().unwrap_or_default().to_owned())
}

/// A program's version, without its name.
fn version(program: &str) -> Result<String> {
    let output = Command::new(program).arg("--version").output().with_context(|| format!("cannot start {program}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let digits = text.find(|c: char| c.is_ascii_digit()).unwrap_or(0);
    Ok(text[digits..].split_whitespace().next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn baseline(instructions: u64) -> Baseline {
        Baseline {
            tolerance_percent: TOLERANCE_PERCENT,
            rustc: "1.95.0".to_owned(),
            valgrind: "3.19.0".to_owned(),
            instructions: [("wire::parcel_decode.small".to_owned(), instructions)].into(),
        }
    }

    #[test]
    fn a_count_may_differ_by_the_tolerance_only() {
        assert_eq!(compare(&baseline(1000), &baseline(1030)), 0);
        assert_eq!(compare(&baseline(1000), &baseline(1031)), 1);
        assert_eq!(compare(&baseline(1000), &baseline(969)), 1);
    }

    #[test]
    fn benchmarks_that_are_new_or_gone_differ() {
        let empty = Baseline { instructions: BTreeMap::new(), ..baseline(0) };
        assert_eq!((compare(&empty, &baseline(5)), compare(&baseline(5), &empty)), (1, 1));
    }

    #[test]
    fn the_runner_is_understood() {
        let line = r#"{"module_path":"wire::wire::parcel_decode","id":"small","other":1,
            "profiles":[{"data":{"total":{"metrics":{"Ir":{"values":{"new":12789,"old":1}}}}}}]}"#;
        assert_eq!(read(line).unwrap(), ("wire::parcel_decode.small".to_owned(), 12789));
    }

    #[test]
    fn a_baseline_is_read_as_it_was_written() {
        let text = format!("{ABOUT}{}", toml::to_string(&baseline(7)).unwrap());
        assert_eq!(toml::from_str::<Baseline>(&text).unwrap(), baseline(7));
    }
}
