//! `slow`: a critical message that overtakes bulk on a link as slow as a bad radio.
//!
//! A relay paces TCP both ways and delays it; the nodes know nothing of it. The figures are the time to *delivered*
//! of the critical message, and what was handed to the link a second time.

mod relay;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use clap::Args;
use tidings_api::client::Client;
use tidings_api::types::SendRequest;

use crate::process::{self, Process};

/// `slow`.
#[derive(Debug, Args)]
pub(crate) struct Slow {
    /// What the link carries each way
    #[arg(long, default_value_t = 4_000, value_parser = clap::value_parser!(u32).range(1..))]
    bytes_per_second: u32,
    /// There and back, in milliseconds
    #[arg(long, default_value_t = 600)]
    round_trip: u64,
    /// Bytes of bulk that wait before the critical message
    #[arg(long, default_value_t = 200_000)]
    bulk_bytes: usize,
    /// Critical messages, one after the other
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// The node's binary [default: beside this program]
    #[arg(long)]
    tidings: Option<PathBuf>,
    /// The nodes' log filter; with one, their directories are kept
    #[arg(long)]
    log: Option<String>,
}

/// The content of one bulk message.
const BULK_MESSAGE_BYTES: usize = 10_000;
/// How long the handshakes may take on such a link.
const CONNECT_LIMIT: Duration = Duration::from_secs(90);
/// What a call may wait at most.
const LONGEST_WAIT_SECONDS: u64 = 60;

impl Slow {
    #[expect(clippy::print_stdout, reason = "the report")]
    pub(crate) async fn run(self) -> Result<()> {
        let binary = process::binary(self.tidings)?;
        let mut scratch = tempfile::Builder::new().prefix("tidings-slow-").tempdir()?;
        let mut quiet = vec!["--no-mdns", "--no-dial", "--api", "off", "--address", "/ip4/127.0.0.1/tcp/0"];
        if let Some(filter) = &self.log {
            scratch.disable_cleanup(true);
            println!("logs in {}", scratch.path().display());
            quiet.extend(["--log", filter]);
        }
        let recipient = Process::start(&binary, &scratch.path().join("recipient"), &quiet).await?;
        let one_way = Duration::from_millis(self.round_trip) / 2;
        let relay = relay::start(recipient.socket("tcp")?.port(), self.bytes_per_second, one_way)?;
        let address = format!("/ip4/127.0.0.1/tcp/{}/p2p/{}", relay.port, recipient.peer);
        let mut to_relay = quiet.clone();
        to_relay.extend(["--bootstrap", &address]);
        let start = Instant::now();
        let sender = Process::start(&binary, &scratch.path().join("sender"), &to_relay).await?;
        let client = sender.client().await?;
        process::linked(&client, &recipient.peer, CONNECT_LIMIT).await?;
        println!(
            "{} bytes/s each way, {} ms there and back; linked after {:.1} s",
            self.bytes_per_second,
            self.round_trip,
            start.elapsed().as_secs_f64()
        );
        let first = deliver(&client, &recipient.peer, "normal", "first").await?;
        println!("first message, nothing else under way: delivered after {:.1} s", first.as_secs_f64());
        fill(&client, &recipient.peer, self.bulk_bytes).await?;
        let mut times = Vec::new();
        for run in 0..self.runs {
            let time = deliver(&client, &recipient.peer, "critical", &format!("critical-{run}")).await?;
            println!("critical, behind bulk: delivered after {:.1} s", time.as_secs_f64());
            times.push(time);
        }
        let (median, longest) = process::median_and_max(&mut times).context("no runs")?;
        println!("critical behind bulk: median {:.1} s, max {:.1} s", median.as_secs_f64(), longest.as_secs_f64());
        let waiting = drained(&client, self.bulk_bytes, self.bytes_per_second).await?;
        let (counters, duplicates) =
            (client.node().await?.counters, recipient.client().await?.node().await?.counters.duplicates);
        println!(
            "{waiting} messages still wait; parcels sent {}, handed to the link again {}; messages received again {}; \
             relayed {} bytes out, {} back",
            counters.parcels_sent,
            counters.parcels_resent,
            duplicates,
            relay.towards(),
            relay.back()
        );
        Ok(())
    }
}

/// Puts bulk into the outbox, incompressible so that nothing flatters the link.
async fn fill(client: &Client, to: &str, bytes: usize) -> Result<()> {
    for number in 0..bytes.div_ceil(BULK_MESSAGE_BYTES) {
        let mut content = vec![0; BULK_MESSAGE_BYTES.min(bytes - number * BULK_MESSAGE_BYTES)];
        getrandom::fill(&mut content).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
        let mut message = SendRequest::new(to, &content);
        message.priority = Some("bulk".to_owned());
        client.send(&message, &format!("bulk-{number}")).await?;
    }
    Ok(())
}

/// Waits until everything is delivered, and returns how many messages are not after four times what the bytes take.
async fn drained(client: &Client, bytes: usize, bytes_per_second: u32) -> Result<u64> {
    let limit = Instant::now() + Duration::from_secs(4) * u32::try_from(bytes)? / bytes_per_second;
    loop {
        let waiting = client.node().await?.counters.outbox_messages;
        if waiting == 0 || Instant::now() >= limit {
            return Ok(waiting);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Sends one message and waits for its receipt.
async fn deliver(client: &Client, to: &str, priority: &str, key: &str) -> Result<Duration> {
    let mut message = SendRequest::new(to, b"256 bytes or fewer");
    message.priority = Some(priority.to_owned());
    let start = Instant::now();
    let id = client.send(&message, key).await?.id;
    process::delivered(client, &id, LONGEST_WAIT_SECONDS).await.context(priority.to_owned())?;
    Ok(start.elapsed())
}
