//! The project's tasks: `cargo xtask test` is what CI runs.
#![expect(clippy::print_stdout, reason = "a task talks to a terminal")]

mod codegen;
mod layers;
mod suite;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask COMMAND

  test               run every test there is
  layers             check that imports point down the drawing of ARCHITECTURE.md
  codegen [--check]  write the Rust types of docs/spec/*.proto, or check that they are current
  fuzz [--seconds N] fuzz every decoder, 300 seconds each";

fn main() -> anyhow::Result<ExitCode> {
    let root = root();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["test"] => suite::test(&root),
        ["layers"] => Ok(report(&layers::violations(&root)?)),
        ["codegen"] => codegen::write(&root).map(|()| ExitCode::SUCCESS),
        ["codegen", "--check"] => Ok(report(&codegen::stale(&root)?)),
        ["fuzz"] => suite::fuzz(&root, 300),
        ["fuzz", "--seconds", seconds] => suite::fuzz(&root, seconds.parse()?),
        _ => {
            eprintln!("{USAGE}");
            Ok(ExitCode::from(2))
        }
    }
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
