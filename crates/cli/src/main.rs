//! `tidings`: run a node, and talk through it.
//!
//! One file per command under `commands`. A command gets its arguments and a [`Context`], writes what it found
//! through it, and ends with an exit code or a [`Failure`], which is one sentence on stderr.

mod commands;
mod context;
#[cfg(feature = "failpoints")]
mod crash_point;
mod directory;
mod duration;
mod failure;
mod heap;
mod output;

use std::process::ExitCode;

use clap::Parser;

use commands::Command;
use context::Context;

/// Messages between devices, without a server in the middle.
#[derive(Debug, Parser)]
#[command(name = "tidings", version, propagate_version = true, max_term_width = 100)]
struct Arguments {
    /// The node's directory: identity, database, token and socket [default: the platform's data directory]
    #[arg(long, global = true, env = "TIDINGS_DIR", value_name = "DIR")]
    dir: Option<std::path::PathBuf>,
    /// Print JSON: one object, or one per line for streams
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    #[cfg(feature = "failpoints")]
    if let Err(wrong) = crash_point::arm() {
        failure::Failure::new(tidings_api::types::Exit::Usage, wrong).print();
        return ExitCode::from(tidings_api::types::Exit::Usage as u8);
    }
    let exit = Context::new(arguments.dir, arguments.json).and_then(|context| arguments.command.run(&context));
    match exit {
        Ok(exit) => ExitCode::from(exit as u8),
        Err(failure) => {
            failure.print();
            ExitCode::from(failure.exit() as u8)
        }
    }
}
