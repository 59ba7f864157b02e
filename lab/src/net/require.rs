//! What a run needs of the machine, said in one sentence where it is missing.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Result, bail};
use rustix::process::geteuid;

use super::clock;
use crate::scenario::{FaultKind, Scenario, Shape};

/// The most nodes whose processes one machine bears.
const MOST_NODES: usize = 250;

/// Fails with what is missing for namespaces and the wire.
pub(super) fn machine() -> Result<()> {
    if !geteuid().is_root() {
        bail!("network namespaces take root; run `sudo tidings-lab net`");
    }
    let ip = Command::new("ip").arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !ip.is_ok_and(|status| status.success()) {
        bail!("network namespaces are made with `ip`; install iproute2");
    }
    if !Path::new("/dev/net/tun").exists() {
        bail!("the wire takes /dev/net/tun, which is not here; load the kernel's module `tun`");
    }
    Ok(())
}

/// Fails where address translation is not to be had.
pub(super) fn translation() -> Result<()> {
    let nft = Command::new("nft").arg("-v").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !nft.is_ok_and(|status| status.success()) {
        bail!("address translation is done by nftables; install nftables, or leave --nat out");
    }
    Ok(())
}

/// Fails with what of a scenario real processes cannot do.
pub(super) fn scenario(scenario: &Scenario) -> Result<()> {
    if scenario.topology.kind == Shape::Open || scenario.nodes.is_given() {
        bail!("{} says what nodes of an open topology know, or what nodes are like; use the simulator", scenario.name);
    }
    let nodes = scenario.topology.nodes;
    if nodes > MOST_NODES {
        bail!(
            "{} has {nodes} nodes, and real processes run for at most {MOST_NODES}; use the simulator",
            scenario.name
        );
    }
    let faulty = [FaultKind::PowerCut, FaultKind::DiskSlow, FaultKind::DiskError];
    if scenario.fault.iter().any(|fault| faulty.contains(&fault.kind)) && !Path::new("/dev/fuse").exists() {
        bail!("{} takes disks that lose and fail, and so /dev/fuse; load the kernel's module `fuse`", scenario.name);
    }
    for fault in &scenario.fault {
        let why = match fault.kind {
            FaultKind::Hostile => "hostile nodes are engines that the simulator holds in its hands",
            FaultKind::ClockDrift => "a real process's clock cannot be made to run fast",
            FaultKind::ClockJump if clock::library().is_none() => {
                bail!(
                    "{} has clocks that jump, which takes libfaketime; install the package libfaketime",
                    scenario.name
                );
            }
            FaultKind::Kill
            | FaultKind::PowerCut
            | FaultKind::Stop
            | FaultKind::Freeze
            | FaultKind::DiskFull
            | FaultKind::DiskSlow
            | FaultKind::DiskError
            | FaultKind::ClockJump
            | FaultKind::Reset
            | FaultKind::Cut
            | FaultKind::Flap
            | FaultKind::Silent
            | FaultKind::Worse
            | FaultKind::Split => continue,
        };
        bail!("{} has a fault of kind {}, but {why}; use the simulator", scenario.name, fault.kind.name());
    }
    Ok(())
}
