//! Two network namespaces on one switch, all three of them namespaces of their own, so that the machine's own network
//! is left alone and removing the namespaces removes everything.

use std::process::Stdio;

use anyhow::{Context as _, Result, bail};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// The two nodes' namespaces.
pub(super) const NODES: [&str; 2] = ["tdg-a", "tdg-b"];
const SWITCH: &str = "tdg-switch";
/// Everything but mDNS over UDP is dropped, as some guest networks do. In separate rules: nft joins two `!=` of
/// neighbouring fields to one comparison, which then drops everything.
const NO_UDP: &str = "table inet tdg {
    chain input {
        type filter hook input priority 0; policy accept;
        udp dport 5353 accept
        udp sport 5353 accept
        meta l4proto udp drop
    }
}
";

/// The wired namespaces, removed when this is dropped.
pub(super) struct Cable;

impl Cable {
    pub(super) async fn lay() -> Result<Self> {
        clean().await?;
        let cable = Self;
        ip(&format!("netns add {SWITCH}")).await?;
        ip(&format!("-n {SWITCH} link add tdg-bridge type bridge")).await?;
        ip(&format!("-n {SWITCH} link set tdg-bridge up")).await?;
        for (number, node) in (1..).zip(NODES) {
            ip(&format!("netns add {node}")).await?;
            ip(&format!("link add {node}0 netns {node} type veth peer name {node}1 netns {SWITCH}")).await?;
            ip(&format!("-n {SWITCH} link set {node}1 master tdg-bridge up")).await?;
            ip(&format!("-n {node} link set lo up")).await?;
            ip(&format!("-n {node} link set {node}0 up")).await?;
            ip(&format!("-n {node} address add 10.213.0.{number}/24 brd + dev {node}0")).await?;
            ip(&format!("-n {node} route add default via 10.213.0.254")).await?;
        }
        Ok(cable)
    }

    /// Takes a node's cable out at the switch: the node's interface loses its carrier and keeps its addresses.
    pub(super) async fn out(&self, node: &str) -> Result<()> {
        ip(&format!("-n {SWITCH} link set {node}1 down")).await
    }

    pub(super) async fn back_in(&self, node: &str) -> Result<()> {
        ip(&format!("-n {SWITCH} link set {node}1 up")).await
    }

    /// Drops all UDP but mDNS.
    pub(super) async fn drop_udp(&self) -> Result<()> {
        for node in NODES {
            let mut nft = Command::new("ip")
                .args(["netns", "exec", node, "nft", "-f", "-"])
                .stdin(Stdio::piped())
                .kill_on_drop(true)
                .spawn()
                .context("ip cannot be run")?;
            nft.stdin.take().context("nft has no input")?.write_all(NO_UDP.as_bytes()).await?;
            if !nft.wait().await?.success() {
                bail!("nft cannot drop UDP; install nftables, or leave this part out with --udp-only");
            }
        }
        Ok(())
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        for namespace in NODES.into_iter().chain([SWITCH]) {
            // One that was not made yet cannot be removed; `--clean` finds what is left.
            std::process::Command::new("ip").args(["netns", "delete", namespace]).stderr(Stdio::null()).status().ok();
        }
    }
}

/// Ends what runs in the namespaces of an earlier run that was killed, and removes them.
pub(super) async fn clean() -> Result<()> {
    let listed = Command::new("ip").args(["netns", "list"]).output().await.context("ip cannot be run")?;
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    let names = listed.lines().filter_map(|line| line.split_whitespace().next());
    for name in names.filter(|&name| name == SWITCH || NODES.contains(&name)) {
        let pids = Command::new("ip").args(["netns", "pids", name]).output().await?;
        for pid in String::from_utf8_lossy(&pids.stdout).split_whitespace() {
            Command::new("kill").args(["-9", pid]).status().await?;
        }
        ip(&format!("netns delete {name}")).await?;
    }
    Ok(())
}

async fn ip(arguments: &str) -> Result<()> {
    let output = Command::new("ip").args(arguments.split(' ')).output().await.context("ip cannot be run")?;
    if !output.status.success() {
        bail!("`ip {arguments}` failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
