//! `hostile`: one hostile peer after another against a real node, and what honest nodes notice of it.
//!
//! The attacked node is a process on loopback. The hostile peer is another one, which speaks libp2p below its swarm
//! and comes from networks of its own within 127.0.0.0/8; honest nodes come from 127.0.0.1.

mod attack;
mod connection;
mod figures;
mod frames;
mod half_open;
mod honest;
mod links;
mod peer;
mod stream;
mod streams;
mod verdict;

use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum as _};
use tokio::process::Command;

use self::attack::Attack;
use self::figures::Figures;
use self::honest::{Scene, Seen};
pub(crate) use self::peer::HostilePeer;
use self::peer::Tally;
use self::verdict::Measured;
use crate::process;

/// `hostile`.
#[derive(Debug, Args)]
pub(crate) struct Hostile {
    /// The attack; repeat it for several [default: all]
    #[arg(long)]
    attack: Vec<Attack>,
    /// How long each attack lasts
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// From how many networks of 256 addresses it comes
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=4096))]
    networks: u16,
    /// The node's binary [default: beside this program]
    #[arg(long)]
    tidings: Option<PathBuf>,
    /// The nodes' log filter; with one, their directories are kept
    #[arg(long)]
    log: Option<String>,
}

/// How long the nodes rest before they are measured.
const REST: Duration = Duration::from_secs(3);
/// How long honest messages are timed without an attack.
const IDLE: Duration = Duration::from_secs(4);
/// How long after the attack memory must have come back.
const AFTER: Duration = Duration::from_secs(10);
/// What the hostile peer may take beyond its time.
const PEER_LIMIT: Duration = Duration::from_secs(20);

impl Hostile {
    /// Says for each attack what it came to, and whether it stayed within the limits.
    #[expect(clippy::print_stdout, reason = "the report")]
    pub(crate) async fn run(self) -> Result<ExitCode> {
        let binary = process::binary(self.tidings.clone())?;
        let attacks = if self.attack.is_empty() { Attack::value_variants() } else { &self.attack };
        let after = AFTER.as_secs();
        println!("memory, descriptors, threads: before / at the peak / {after} s after; latency: median / max");
        let mut missed = Vec::new();
        for &attack in attacks {
            let mut measured = self.measure(&binary, attack).await.with_context(|| attack.name())?;
            let misses = measured.misses();
            let verdict = if misses.is_empty() { "held".to_owned() } else { format!("MISSED {}", misses.join(", ")) };
            println!("{attack}: {}: {verdict}", measured.line());
            if !misses.is_empty() {
                missed.push(attack.name());
            }
        }
        if missed.is_empty() {
            return Ok(ExitCode::SUCCESS);
        }
        println!("limits missed: {}", missed.join(", "));
        Ok(ExitCode::from(1))
    }

    #[expect(clippy::print_stdout, reason = "the report")]
    async fn measure(&self, binary: &Path, attack: Attack) -> Result<Measured> {
        let mut scratch = tempfile::Builder::new().prefix("tidings-hostile-").tempdir()?;
        if self.log.is_some() {
            scratch.disable_cleanup(true);
            println!("logs in {}", scratch.path().display());
        }
        let mut scene = Scene::start(binary, scratch.path(), self.log.as_deref()).await?;
        let process = scene.attacked.id()?;
        tokio::time::sleep(REST).await;
        let idle = scene.exchange(IDLE).await?;
        let before = Figures::of(process)?;
        let mut peak = before;
        let (tally, attacked) = tokio::select! {
            result = self.attacked(&scene, attack) => result?,
            () = figures::watch(process, &mut peak) => unreachable!("it has no end"),
        };
        tokio::time::sleep(AFTER).await;
        let lives = !scene.attacked.has_ended()? && scene.attacked.client().await?.node().await.is_ok();
        let after = if lives { Figures::of(process)? } else { Figures::default() };
        Ok(Measured { attack, before, peak, after, idle, attacked, tally, lives })
    }

    /// What the hostile peer did, and what honest nodes saw meanwhile.
    async fn attacked(&self, scene: &Scene, attack: Attack) -> Result<(Tally, Seen)> {
        let time = Duration::from_secs(self.seconds);
        let (tally, seen, newcomers) =
            tokio::try_join!(self.hostile_peer(scene, attack), scene.exchange(time), scene.newcomers(time))?;
        Ok((tally, Seen { newcomers, ..seen }))
    }

    async fn hostile_peer(&self, scene: &Scene, attack: Attack) -> Result<Tally> {
        let peer = Command::new(std::env::current_exe()?)
            .args(["hostile-peer", "--attack", &attack.name(), "--peer", &scene.attacked.peer])
            .args(["--tcp", &scene.attacked.socket("tcp")?.to_string()])
            .args(["--quic", &scene.attacked.socket("udp")?.to_string()])
            .args(["--seconds", &self.seconds.to_string(), "--networks", &self.networks.to_string()])
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .output();
        let limit = Duration::from_secs(self.seconds) + PEER_LIMIT;
        let output = tokio::time::timeout(limit, peer).await.context("the hostile peer does not end")??;
        serde_json::from_slice(&output.stdout).context("the hostile peer did not say what it did")
    }
}
