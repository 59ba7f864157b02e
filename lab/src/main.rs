//! `tidings-lab`: what tries to break the promise, and what measures it. Never published.

mod bench;

use clap::{Parser, Subcommand};

/// Breaks and measures Tidings.
#[derive(Debug, Parser)]
#[command(name = "tidings-lab", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measure, beside floors taken in the same run
    #[command(subcommand)]
    Bench(bench::Bench),
    /// The recipient of a measurement, started by it
    #[command(hide = true)]
    BenchPeer {
        #[arg(long)]
        dir: std::path::PathBuf,
        #[arg(long)]
        tcp: bool,
    },
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Bench(bench) => bench.run().await,
        Command::BenchPeer { dir, tcp } => bench::serve(&dir, tcp).await,
    }
}
