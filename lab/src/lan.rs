//! `lan`: strangers on one cable, with no option that names the other.
//!
//! Two network namespaces on a bridge. What is timed starts with an event and ends with *delivered*: the second
//! node's start, the cable put back in, a killed node's restart.

mod cable;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use tidings_api::client::{Client, ClientError};
use tidings_api::types::{Code, SendRequest};
use tokio::signal::unix::{SignalKind, signal};

use self::cable::{Cable, NODES};
use crate::process::{self, Process};

/// `lan`.
#[derive(Debug, Args)]
pub(crate) struct Lan {
    /// Fresh pairs of nodes to time, with UDP and again without
    #[arg(long, default_value_t = 20)]
    runs: usize,
    /// Times the cable is taken out, and as many restarts
    #[arg(long, default_value_t = 5)]
    outages: usize,
    /// Leave out the part that drops UDP and needs nftables
    #[arg(long)]
    udp_only: bool,
    /// Only remove what an earlier, killed run left behind
    #[arg(long)]
    clean: bool,
    /// The node's binary [default: beside this program]
    #[arg(long)]
    tidings: Option<PathBuf>,
    /// The nodes' log filter; with one, their directories are kept
    #[arg(long)]
    log: Option<String>,
}

/// How long the cable is out.
const OUTAGE: Duration = Duration::from_secs(5);
/// How long a name may stay unknown.
const RESOLVE_LIMIT: Duration = Duration::from_secs(60);
/// How often it is asked for.
const RESOLVE_INTERVAL: Duration = Duration::from_millis(20);
/// What a call may wait at most.
const LONGEST_WAIT_SECONDS: u64 = 60;

impl Lan {
    pub(crate) async fn run(self) -> Result<()> {
        if !is_root() {
            bail!("network namespaces take root; run `sudo tidings-lab lan`");
        }
        if self.clean {
            return cable::clean().await;
        }
        let mut terminate = signal(SignalKind::terminate())?;
        // Either end drops what holds the namespaces and the nodes.
        tokio::select! {
            result = self.measure() => result,
            _ = tokio::signal::ctrl_c() => bail!("interrupted"),
            _ = terminate.recv() => bail!("terminated"),
        }
    }

    #[expect(clippy::print_stdout, reason = "the report")]
    async fn measure(&self) -> Result<()> {
        let binary = process::binary(self.tidings.clone())?;
        let mut scratch = tempfile::Builder::new().prefix("tidings-lan-").tempdir()?;
        if self.log.is_some() {
            scratch.disable_cleanup(true);
            println!("logs in {}", scratch.path().display());
        }
        let cable = Cable::lay().await?;
        self.first_contacts(&binary, &scratch.path().join("udp"), "first contact").await?;
        let pair = Pair::start(&binary, &scratch.path().join("outages"), self.log.as_deref()).await?;
        self.outages(&cable, pair).await?;
        if !self.udp_only {
            cable.drop_udp().await?;
            self.first_contacts(&binary, &scratch.path().join("tcp"), "first contact, UDP dropped but mDNS").await?;
            let pair = Pair::start(&binary, &scratch.path().join("tcp-outages"), self.log.as_deref()).await?;
            self.outages(&cable, pair).await?;
        }
        Ok(())
    }

    async fn first_contacts(&self, binary: &Path, root: &Path, what: &str) -> Result<()> {
        let (mut times, mut kinds) = (Vec::new(), Vec::new());
        for run in 0..self.runs {
            let pair = Pair::start(binary, &root.join(run.to_string()), self.log.as_deref()).await?;
            times.push(pair.first_contact);
            kinds.push(pair.link_kind().await?);
        }
        kinds.sort_unstable();
        kinds.dedup();
        report(&format!("{what} ({})", kinds.join(", ")), times)
    }

    async fn outages(&self, cable: &Cable, mut pair: Pair) -> Result<()> {
        let (mut cables, mut restarts) = (Vec::new(), Vec::new());
        for number in 0..self.outages {
            cable.out(NODES[1]).await?;
            let id = submit(&pair.client, &pair.recipient.peer, &format!("cable-{number}")).await?;
            tokio::time::sleep(OUTAGE).await;
            cable.back_in(NODES[1]).await?;
            cables.push(delivered(&pair.client, &id, Instant::now()).await?);
        }
        report(&format!("cable out for {} s and in", OUTAGE.as_secs()), cables)?;
        for number in 0..self.outages {
            pair.recipient.kill().await?;
            let id = submit(&pair.client, &pair.recipient.peer, &format!("restart-{number}")).await?;
            let start = Instant::now();
            pair.recipient.restart().await?;
            restarts.push(delivered(&pair.client, &id, start).await?);
        }
        report("recipient killed and restarted", restarts)
    }
}

/// Two nodes of which neither was told of the other.
struct Pair {
    recipient: Process,
    /// Lives as long as the pair.
    _sender: Process,
    client: Client,
    /// From the sender's start to its first message *delivered*.
    first_contact: Duration,
}

impl Pair {
    async fn start(binary: &Path, root: &Path, log: Option<&str>) -> Result<Self> {
        let [recipient, sender] = ["anna", "ben"].map(|name| {
            let log = log.into_iter().flat_map(|filter| ["--log", filter]);
            ["--api", "off", "--name", name].into_iter().chain(log).collect::<Vec<_>>()
        });
        let recipient = Process::start_in(NODES[1], binary, &root.join("anna"), &recipient).await?;
        let start = Instant::now();
        let sender = Process::start_in(NODES[0], binary, &root.join("ben"), &sender).await?;
        let client = sender.client().await?;
        let id = submit(&client, "anna", "first").await?;
        let first_contact = delivered(&client, &id, start).await?;
        Ok(Self { recipient, _sender: sender, client, first_contact })
    }

    async fn link_kind(&self) -> Result<String> {
        let peers = self.client.peers().await?.peers;
        let peer = peers.into_iter().find(|peer| peer.peer_id == self.recipient.peer);
        let link = peer.and_then(|peer| peer.links.into_iter().next());
        Ok(link.map_or_else(|| "no link".to_owned(), |link| link.kind))
    }
}

/// Has a message accepted, asking again while the name is unknown.
async fn submit(client: &Client, to: &str, key: &str) -> Result<String> {
    let message = SendRequest::new(to, b"hello");
    let limit = Instant::now() + RESOLVE_LIMIT;
    loop {
        match client.send(&message, key).await {
            Ok(accepted) => return Ok(accepted.id),
            Err(ClientError::Refused(problem)) if problem.code == Code::UnknownRecipient && Instant::now() < limit => {
                tokio::time::sleep(RESOLVE_INTERVAL).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Waits for a receipt and returns the time since `start`.
async fn delivered(client: &Client, id: &str, start: Instant) -> Result<Duration> {
    process::delivered(client, id, LONGEST_WAIT_SECONDS).await?;
    Ok(start.elapsed())
}

#[expect(clippy::print_stdout, reason = "the report")]
fn report(what: &str, mut times: Vec<Duration>) -> Result<()> {
    let runs = times.len();
    let (median, longest) = process::median_and_max(&mut times).context("no runs")?;
    println!("{what}: median {:.2} s, max {:.2} s of {runs}", median.as_secs_f64(), longest.as_secs_f64());
    Ok(())
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    // The owner of a process's own directory in /proc is its effective user.
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}
