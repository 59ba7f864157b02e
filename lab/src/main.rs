//! `tidings-lab`: what tries to break the promise, and what measures it. Never published.

mod bench;
mod crash;
mod lan;
mod memory;
mod process;
mod slow;

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
    /// Kill two nodes in turn, under load, and count what was lost, doubled or shown again
    Crash(crash::Crash),
    /// Time strangers on one cable: the first start, the cable out and in, a restart
    Lan(lan::Lan),
    /// Send a critical message behind bulk, over a link as slow as a bad radio
    Slow(slow::Slow),
    /// Show the resident memory of a node, and what each further neighbour takes
    Memory(memory::Memory),
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
        Command::Crash(crash) => crash.run().await,
        Command::Lan(lan) => lan.run().await,
        Command::Slow(slow) => slow.run().await,
        Command::Memory(memory) => memory.run().await,
        Command::BenchPeer { dir, tcp } => bench::serve(&dir, tcp).await,
    }
}
