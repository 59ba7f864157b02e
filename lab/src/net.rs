//! `net`: the network lab: real nodes, one network namespace each, joined by the wire.
//!
//! The same scenario files as in the simulator, the same logs, the same checker. What a run makes on the machine
//! carries its process id and goes with it; see [`clean`]. What real processes do otherwise:
//!
//! * Nobody is told of a `cut`: packets stay out, and the nodes find out.
//! * A `reset` is made through the API, which takes no new link for a minute.
//! * Only nodes to which `power-cut`, `disk-slow` or `disk-error` happens have a disk of ours ([`disk`]) with the
//!   scenario's `commit`; the others have the machine's.
//! * `hostile` and `clock-drift` are refused, `clock-jump` takes libfaketime.

mod accepted;
mod application;
mod beside;
mod clean;
mod clock;
mod detours;
mod disk;
mod faults;
mod formed;
mod guard;
mod home;
mod host;
mod idle;
mod journal;
mod nat;
mod network;
mod report;
mod require;
mod run;
mod space;
mod timeline;
mod wire;
mod workload;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use tokio::signal::unix::{SignalKind, signal};

use self::clean::Claim;
use self::guard::Guard;
use self::run::Setup;
use crate::{process, scenario};

/// Run a scenario with real nodes, one network namespace each, and judge what their clients wrote down.
#[derive(Debug, clap::Args)]
pub(crate) struct Net {
    /// The scenario's file
    #[arg(required_unless_present_any = ["clean", "guard"])]
    scenario: Option<PathBuf>,
    /// Only remove what killed runs have left: processes, namespaces, devices, mounts and directories
    #[arg(long)]
    clean: bool,
    /// Decides what is random: faults, losses, payloads
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The node's binary [default: beside this program]
    #[arg(long, alias = "binary", value_name = "PATH")]
    tidings: Option<PathBuf>,
    /// Keep the clients' logs in this new folder
    #[arg(long, value_name = "FOLDER")]
    log: Option<PathBuf>,
    /// Have the nodes log what this filter lets through, and keep their logs beside the clients'
    #[arg(long, value_name = "FILTER", requires = "log")]
    node_log: Option<String>,
    /// Put all nodes but the first behind routers that translate addresses; takes nftables and a star
    #[arg(long, value_enum, value_name = "KIND")]
    nat: Option<nat::Kind>,
    /// Run the simulator too, with the same seed, and say where the two differ
    #[arg(long)]
    compare: bool,
    /// Remove what this run leaves, once standard input ends
    #[arg(long, hide = true)]
    guard: Option<u32>,
}

impl Net {
    pub(crate) async fn run(self) -> Result<ExitCode> {
        if let Some(run) = self.guard {
            guard::stand(run)?;
            return Ok(ExitCode::SUCCESS);
        }
        require::machine()?;
        let removed = clean::crashed()?;
        if self.clean {
            report::removed(&removed);
            return Ok(ExitCode::SUCCESS);
        }
        let mut terminate = signal(SignalKind::terminate())?;
        let _claim = Claim::stake(std::process::id())?;
        // When it is dropped it removes what is left.
        let _guard = Guard::start()?;
        // Either end drops what holds the namespaces and the nodes.
        tokio::select! {
            result = self.measure() => result,
            _ = tokio::signal::ctrl_c() => bail!("interrupted"),
            _ = terminate.recv() => bail!("terminated"),
        }
    }

    async fn measure(&self) -> Result<ExitCode> {
        let scenario = scenario::load(self.scenario.as_deref().context("a scenario is needed")?)?;
        require::scenario(&scenario)?;
        self.nat.map_or(Ok(()), |_| require::translation())?;
        let directory = clean::directory(std::process::id());
        let logs = self.log.clone().unwrap_or_else(|| directory.join("logs"));
        run::logs(&logs)?;
        let setup = Setup {
            scenario: Arc::new(scenario),
            seed: self.seed,
            binary: process::binary(self.tidings.clone())?,
            directory,
            logs,
            filter: self.node_log.clone(),
            translation: self.nat,
        };
        let outcome = run::run(&setup).await?;
        let code = report::outcome(&setup, &outcome);
        if self.compare && code == ExitCode::SUCCESS { beside::compare(&setup, &outcome) } else { Ok(code) }
    }
}
