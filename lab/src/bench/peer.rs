//! The other process: a node that reads and acknowledges, and an echo for the floor.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use futures::StreamExt as _;
use libp2p::swarm::SwarmEvent;
use serde_json::json;
use tidings::Node;

use super::{cpu_time, floor};

/// The application acknowledges what it has read this often.
const ACKNOWLEDGE_INTERVAL: Duration = Duration::from_millis(50);

/// Starts a node for measurements: loopback only, nobody found by itself.
pub(super) async fn node(dir: &Path, tcp: bool) -> Result<Node> {
    let address = if tcp { "/ip4/127.0.0.1/tcp/0" } else { "/ip4/127.0.0.1/udp/0/quic-v1" };
    let builder = Node::builder().dir(dir).name("bench").address(tidings::Address::new(address)?);
    Ok(builder.mdns(tidings::config::Switch::Off).no_dial().start().await?)
}

/// Runs the recipient: says where it is, then answers each line of its input with the CPU time used so far.
pub(crate) async fn serve(dir: &Path, tcp: bool) -> Result<()> {
    let node = node(dir, tcp).await?;
    let mut echo = floor::swarm()?;
    let listen = if tcp { "/ip4/127.0.0.1/tcp/0" } else { "/ip4/127.0.0.1/udp/0/quic-v1" };
    echo.listen_on(listen.parse()?)?;
    let echo_address = loop {
        if let SwarmEvent::NewListenAddr { address, .. } = echo.select_next_some().await {
            break address;
        }
    };
    let address = node.info().await.listen_addresses.first().cloned().context("the node listens nowhere")?;
    let here = json!({
        "peer": node.peer_id().to_string(),
        "address": address.to_string(),
        "echo_peer": echo.local_peer_id().to_string(),
        "echo_address": echo_address.to_string(),
    });
    say(&here.to_string());
    tokio::spawn(floor::answer(echo));
    let reader = node.clone();
    tokio::spawn(async move {
        let mut inbox = reader.inbox();
        let mut read = Vec::new();
        let mut tick = tokio::time::interval(ACKNOWLEDGE_INTERVAL);
        loop {
            tokio::select! {
                message = inbox.next() => match message {
                    Some(message) => read.push(message.id),
                    None => return,
                },
                _ = tick.tick() => {
                    if !read.is_empty() && reader.acknowledge(std::mem::take(&mut read)).await.is_err() {
                        return;
                    }
                }
            }
        }
    });
    tokio::task::spawn_blocking(|| {
        for _line in std::io::stdin().lines() {
            say(&cpu_time().as_millis().to_string());
        }
    })
    .await?;
    tokio::time::timeout(Duration::from_secs(5), node.shutdown()).await.ok();
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the measuring process reads it")]
fn say(line: &str) {
    println!("{line}");
}
