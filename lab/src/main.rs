//! `tidings-lab`: what tries to break the promise, and what measures it. Never published.

#[cfg(feature = "net")]
mod bench;
mod checker;
#[cfg(feature = "net")]
mod crash;
#[cfg(feature = "net")]
mod hostile;
#[cfg(feature = "net")]
mod lan;
mod log;
#[cfg(feature = "net")]
mod memory;
#[cfg(feature = "net")]
mod net;
mod planted;
#[cfg(feature = "net")]
mod process;
mod report;
mod scenario;
mod sim;
#[cfg(feature = "net")]
mod slow;

use std::process::ExitCode;

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
    /// Run scenarios in virtual time, from seeds, and judge what their clients wrote down
    Sim(sim::Sim),
    /// Run a scenario of an open topology once in each kind of topology, and show what each comes to side by side
    Kinds(sim::Kinds),
    /// Run every scenario, write one page with figures and plots, and compare with the baseline
    Report(report::Report),
    /// Plant known bugs in a copy of the source tree, and see whether the simulator notices
    Planted(planted::Planted),
    /// Judge what the clients of a run wrote down
    Check(checker::Check),
    /// Measure, beside floors taken in the same run
    #[cfg(feature = "net")]
    #[command(subcommand)]
    Bench(bench::Bench),
    /// Kill two nodes in turn, under load, and count what was lost, doubled or shown again
    #[cfg(feature = "net")]
    Crash(crash::Crash),
    /// Time strangers on one cable: the first start, the cable out and in, a restart
    #[cfg(feature = "net")]
    Lan(lan::Lan),
    /// Send a critical message behind bulk, over a link as slow as a bad radio
    #[cfg(feature = "net")]
    Slow(slow::Slow),
    /// Run a scenario with real nodes, one network namespace each, and judge what their clients wrote down
    #[cfg(feature = "net")]
    Net(net::Net),
    /// Attack a node with one hostile peer after another, and see what honest nodes notice
    #[cfg(feature = "net")]
    Hostile(hostile::Hostile),
    /// Show the resident memory of a node, and what each further neighbour takes
    #[cfg(feature = "net")]
    Memory(memory::Memory),
    /// The hostile peer of an attack, started by it
    #[cfg(feature = "net")]
    #[command(hide = true)]
    HostilePeer(hostile::HostilePeer),
    /// The recipient of a measurement, started by it
    #[cfg(feature = "net")]
    #[command(hide = true)]
    BenchPeer {
        #[arg(long)]
        dir: std::path::PathBuf,
        #[arg(long)]
        tcp: bool,
    },
}

fn main() -> anyhow::Result<ExitCode> {
    match Arguments::parse().command {
        Command::Sim(sim) => sim.run(),
        Command::Kinds(kinds) => kinds.run(),
        Command::Check(check) => check.run(),
        Command::Planted(planted) => planted.run(),
        Command::Report(report) => report.run(),
        #[cfg(feature = "net")]
        command => real_nodes(command),
    }
}

/// Runs what needs real nodes.
#[cfg(feature = "net")]
#[tokio::main]
async fn real_nodes(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Bench(bench) => bench.run().await?,
        Command::Crash(crash) => crash.run().await?,
        Command::Lan(lan) => lan.run().await?,
        Command::Slow(slow) => slow.run().await?,
        Command::Memory(memory) => memory.run().await?,
        Command::Net(net) => return net.run().await,
        Command::Hostile(hostile) => return hostile.run().await,
        Command::HostilePeer(peer) => peer.run().await?,
        Command::BenchPeer { dir, tcp } => bench::serve(&dir, tcp).await?,
        Command::Sim(_) | Command::Kinds(_) | Command::Check(_) | Command::Planted(_) | Command::Report(_) => {
            unreachable!("they need no real nodes")
        }
    }
    Ok(ExitCode::SUCCESS)
}
