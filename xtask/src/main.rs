//! The project's tasks: `cargo xtask test` is what CI runs.
#![expect(clippy::print_stdout, reason = "a task talks to a terminal")]

mod bench;
mod codegen;
mod fuzz;
mod layers;
mod steps;
mod suite;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask COMMAND

  test                           run formatting, lints, tests and checks of licences
  layers                         check that the tree is like its drawing in ARCHITECTURE.md
  codegen [--check]              write the Rust types of docs/spec/*.proto, or check that they are current
  fuzz [--seconds N] [TARGET]…   fuzz the decoders, 300 seconds each
  bench [--bless]                count core's instructions and compare, or take them as the baseline from now on
  soak                           run for hours: fuzz every decoder, kill real nodes under load, cut cables and power,
                                 run thousands of seeds, a thousand nodes and every planted bug";

/// How long a decoder is fuzzed.
const FUZZ_SECONDS: u64 = 300;

fn main() -> anyhow::Result<ExitCode> {
    let root = root();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["test"] => suite::test(&root),
        ["layers"] => Ok(report(&layers::violations(&root)?)),
        ["codegen"] => codegen::write(&root).map(|()| ExitCode::SUCCESS),
        ["codegen", "--check"] => Ok(report(&codegen::stale(&root)?)),
        ["fuzz", "--seconds", seconds, ref targets @ ..] => fuzz::command(&root, seconds.parse()?, targets),
        ["fuzz", ref targets @ ..] => fuzz::command(&root, FUZZ_SECONDS, targets),
        ["bench"] => bench::command(&root, bench::Counted::Compare),
        ["bench", "--bless"] => bench::command(&root, bench::Counted::Bless),
        ["soak"] => soak(&root),
        _ => {
            eprintln!("{USAGE}");
            Ok(ExitCode::from(2))
        }
    }
}

fn soak(root: &Path) -> anyhow::Result<ExitCode> {
    let mut steps = steps::Steps::default();
    fuzz::fuzz(root, FUZZ_SECONDS, &[], &mut steps)?;
    suite::crashes(root, &mut steps)?;
    steps.push("network namespaces", suite::namespaces(root, "20", "10")?);
    suite::lab_for_long(root, &mut steps)?;
    Ok(steps.close())
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new(".")).to_owned()
}

fn report(findings: &[String]) -> ExitCode {
    for finding in findings {
        println!("{finding}");
    }
    if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
