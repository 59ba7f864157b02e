//! Honest nodes beside the attack: two that exchange messages with the attacked node and through it, and newcomers.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use tidings_api::client::Client;
use tidings_api::types::SendRequest;

use crate::process::{Process, delivered, linked};

/// Between a message's receipt and the next message.
const PAUSE: Duration = Duration::from_millis(50);
/// How long a message is waited for.
const DELIVERY_LIMIT_SECONDS: u64 = 15;
/// How long a link is waited for.
const LINK_LIMIT: Duration = Duration::from_secs(20);
/// Between two newcomers.
const NEWCOMER_PAUSE: Duration = Duration::from_millis(500);

/// What honest nodes saw.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// From a call to *delivered*, of each message.
    pub(super) latencies: Vec<Duration>,
    /// Messages that were not delivered in time, or could not be sent.
    pub(super) lost: u32,
    /// From the start of a newcomer to its link; `None` for one that has not come in.
    pub(super) newcomers: Vec<Option<Duration>>,
}

/// The attacked node, and those that it has to do with.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) attacked: Process,
    anna: Process,
    ben: Process,
    binary: PathBuf,
    root: PathBuf,
    options: Vec<String>,
}

impl Scene {
    pub(super) async fn start(binary: &Path, root: &Path, log: Option<&str>) -> Result<Self> {
        let mut options: Vec<String> = ["--no-mdns", "--no-dial", "--api", "off"].map(str::to_owned).into();
        options.extend(log.into_iter().flat_map(|filter| ["--log".to_owned(), filter.to_owned()]));
        let listen = ["/ip4/127.0.0.1/udp/0/quic-v1", "/ip4/127.0.0.1/tcp/0"];
        let mut listening = texts(&options);
        listening.extend(listen.iter().flat_map(|address| ["--address", address]));
        let attacked = Process::start(binary, &root.join("attacked"), &listening).await?;
        let anna = neighbour(binary, &root.join("anna"), &options, &attacked, "udp").await?;
        let ben = neighbour(binary, &root.join("ben"), &options, &attacked, "tcp").await?;
        linked(&anna.client().await?, &attacked.peer, LINK_LIMIT).await.context("anna")?;
        linked(&ben.client().await?, &attacked.peer, LINK_LIMIT).await.context("ben")?;
        // Once there is a route, and a card over it.
        deliver(&anna.client().await?, &ben.peer).await.context("from anna to ben")?;
        Ok(Self { attacked, anna, ben, binary: binary.to_owned(), root: root.to_owned(), options })
    }

    /// Sends messages to the attacked node, from it and through it, one after the other each way, for so long.
    pub(super) async fn exchange(&self, time: Duration) -> Result<Seen> {
        let end = Instant::now() + time;
        let (anna, attacked) = (self.anna.client().await?, self.attacked.client().await?);
        let mut ways = [(); 3].map(|()| Seen::default());
        let [to, from, through] = &mut ways;
        tokio::join!(
            talk(&anna, &self.attacked.peer, end, to),
            talk(&attacked, &self.ben.peer, end, from),
            talk(&anna, &self.ben.peer, end, through),
        );
        let mut seen = Seen::default();
        for way in ways {
            seen.latencies.extend(way.latencies);
            seen.lost += way.lost;
        }
        Ok(seen)
    }

    /// Starts newcomers one after the other for so long, over QUIC and TCP in turn, and times their way in.
    pub(super) async fn newcomers(&self, time: Duration) -> Result<Vec<Option<Duration>>> {
        let (end, mut times) = (Instant::now() + time, Vec::new());
        while Instant::now() < end {
            let directory = self.root.join(format!("newcomer-{}", times.len()));
            let over = ["udp", "tcp"][times.len() % 2];
            let newcomer = neighbour(&self.binary, &directory, &self.options, &self.attacked, over).await?;
            let start = Instant::now();
            let came = linked(&newcomer.client().await?, &self.attacked.peer, LINK_LIMIT).await;
            times.push(came.ok().map(|()| start.elapsed()));
            drop(newcomer);
            tokio::time::sleep(NEWCOMER_PAUSE).await;
        }
        Ok(times)
    }
}

fn texts(options: &[String]) -> Vec<&str> {
    options.iter().map(String::as_str).collect()
}

/// Starts a node that dials the attacked one.
async fn neighbour(
    binary: &Path,
    directory: &Path,
    options: &[String],
    attacked: &Process,
    over: &str,
) -> Result<Process> {
    let part = format!("/{over}/");
    let address = attacked.addresses.iter().find(|address| address.contains(&part));
    let address = address.context("the attacked node does not listen there")?;
    let mut options = texts(options);
    let listen = if over == "udp" { "/ip4/127.0.0.1/udp/0/quic-v1" } else { "/ip4/127.0.0.1/tcp/0" };
    options.extend(["--address", listen, "--bootstrap", address]);
    Process::start(binary, directory, &options).await
}

async fn talk(client: &Client, to: &str, end: Instant, seen: &mut Seen) {
    while Instant::now() < end {
        match deliver(client, to).await {
            Ok(time) => seen.latencies.push(time),
            Err(_) => seen.lost += 1,
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Sends one message and waits for its receipt.
async fn deliver(client: &Client, to: &str) -> Result<Duration> {
    let mut key = [0; 16];
    getrandom::fill(&mut key).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
    let start = Instant::now();
    let id = client.send(&SendRequest::new(to, b"honest"), &format!("{:032x}", u128::from_be_bytes(key))).await?.id;
    delivered(client, &id, DELIVERY_LIMIT_SECONDS).await?;
    Ok(start.elapsed())
}
