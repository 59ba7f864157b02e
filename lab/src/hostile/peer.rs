//! The hostile peer: a process of its own, so that what it costs is not taken for the node's.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use futures::future::join_all;
use libp2p::PeerId;
use libp2p::identity::Keypair;
use serde::{Deserialize, Serialize};

use super::attack::Attack;
use super::connection::{Connection, Quic, Victim, source};
use super::frames::Garbage;
use super::{half_open, links, streams};

/// `hostile-peer`.
#[derive(Debug, Args)]
pub(crate) struct HostilePeer {
    #[arg(long)]
    attack: Attack,
    #[arg(long)]
    peer: PeerId,
    #[arg(long)]
    tcp: SocketAddr,
    #[arg(long)]
    quic: SocketAddr,
    #[arg(long)]
    seconds: u64,
    #[arg(long)]
    networks: u16,
}

/// How long a lane that was turned away waits before it tries again.
pub(super) const TURNED_AWAY: Duration = Duration::from_millis(500);
/// The same for one that only wants a place: all lanes together then come 100 to 200 times a second.
const PLACE_RETRY: Duration = Duration::from_secs(5);
/// How much less of a processor the attacker gets than the nodes, as a niceness: a real one brings its own.
const NICENESS: i32 = 10;
/// Lanes of the attack with one identity, and of the one with many.
const CONNECTIONS: (usize, usize) = (500, 1_000);
/// Connections that come and go, each second.
const RECONNECTS_PER_SECOND: u32 = 200;

/// What an attack came to.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Tally {
    /// Connections, links, streams and pushes that were tried.
    pub(super) tried: u64,
    /// Those that the node took.
    pub(super) taken: u64,
    /// Connections that the node opened to addresses that it was told.
    pub(super) dialled: u64,
}

/// What the lanes of an attack share.
#[derive(Debug)]
pub(super) struct Attacker {
    pub(super) victim: Victim,
    networks: u16,
    tried: AtomicU64,
    taken: AtomicU64,
    dialled: AtomicU64,
}

/// Over what a lane connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Over {
    Tcp,
    Quic,
}

impl HostilePeer {
    /// Attacks for the time given, and says on one line what came of it.
    #[expect(clippy::print_stdout, reason = "what it is started for")]
    pub(crate) async fn run(self) -> Result<()> {
        rustix::process::nice(NICENESS)?;
        let victim = Victim { peer: self.peer, tcp: self.tcp, quic: self.quic };
        let attacker = Arc::new(Attacker::new(victim, self.networks));
        let attack = attack(self.attack, Arc::clone(&attacker));
        // An attack has no end of its own.
        if let Ok(result) = tokio::time::timeout(Duration::from_secs(self.seconds), attack).await {
            result?;
        }
        println!("{}", serde_json::to_string(&attacker.tally())?);
        Ok(())
    }
}

async fn attack(attack: Attack, attacker: Arc<Attacker>) -> Result<()> {
    match attack {
        Attack::OneIdentity => {
            let keypair = Keypair::generate_ed25519();
            lanes(CONNECTIONS.0, |lane| occupy(&attacker, lane, keypair.clone())).await;
        }
        Attack::Identities => {
            lanes(CONNECTIONS.1, |lane| occupy(&attacker, lane, Keypair::generate_ed25519())).await;
        }
        Attack::HalfOpenTcp => half_open::tcp(&attacker).await,
        Attack::HalfOpenQuic => half_open::quic(&attacker).await?,
        Attack::Streams => streams::unspoken(&attacker).await,
        Attack::Stuffed => streams::stuffed(&attacker).await,
        Attack::Addresses => streams::addresses(&attacker).await?,
        Attack::Links => links::again_and_again(&attacker).await,
        Attack::Deaf => links::deaf(&attacker).await?,
        Attack::Random => links::garbage(&attacker, Garbage::Random.bytes()?).await,
        Attack::Length => links::garbage(&attacker, Garbage::Length.bytes()?).await,
        Attack::Zeros => links::garbage(&attacker, Garbage::Zeros.bytes()?).await,
        Attack::Protobuf => links::garbage(&attacker, Garbage::Protobuf.bytes()?).await,
        Attack::Reconnects => reconnects(&attacker).await,
    }
    Ok(())
}

impl Attacker {
    fn new(victim: Victim, networks: u16) -> Self {
        let zero = || AtomicU64::new(0);
        Self { victim, networks, tried: zero(), taken: zero(), dialled: zero() }
    }

    fn tally(&self) -> Tally {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Tally { tried: read(&self.tried), taken: read(&self.taken), dialled: read(&self.dialled) }
    }

    pub(super) fn on_tried(&self) {
        self.tried.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn on_taken(&self) {
        self.taken.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn on_dialled(&self) {
        self.dialled.fetch_add(1, Ordering::Relaxed);
    }

    /// The address that a lane comes from.
    pub(super) fn source(&self, lane: usize) -> IpAddr {
        let network = lane % usize::from(self.networks.max(1));
        source(u16::try_from(network).unwrap_or(0))
    }

    /// Connects as `keypair`, counting the attempt and its success.
    pub(super) async fn connect(&self, lane: usize, over: Over, keypair: &Keypair) -> Result<Connection> {
        self.on_tried();
        let from = self.source(lane);
        let connection = match over {
            Over::Tcp => Connection::tcp(from, &self.victim, keypair).await?,
            Over::Quic => Quic::bind(from, keypair).await?.connect(self.victim.quic).await?,
        };
        self.on_taken();
        Ok(connection)
    }
}

/// Lanes take turns between the transports.
pub(super) fn over(lane: usize) -> Over {
    if lane.is_multiple_of(2) { Over::Tcp } else { Over::Quic }
}

/// Runs so many copies of something that has no end.
pub(super) async fn lanes<F: Future<Output = ()>>(count: usize, lane: impl Fn(usize) -> F) {
    join_all((0..count).map(lane)).await;
}

/// Takes a place and holds it with a link, until it is taken away; then again.
async fn occupy(attacker: &Attacker, lane: usize, keypair: Keypair) {
    loop {
        if let Ok(connection) = attacker.connect(lane, over(lane), &keypair).await {
            links::hold(&connection, lane).await;
        }
        tokio::time::sleep(PLACE_RETRY).await;
    }
}

/// Connects and closes at once, at a rate, each time as somebody else or as somebody who was there before.
async fn reconnects(attacker: &Arc<Attacker>) {
    let keypairs: Vec<Keypair> = (0..16).map(|_| Keypair::generate_ed25519()).collect();
    let mut clock = tokio::time::interval(Duration::from_secs(1) / RECONNECTS_PER_SECOND);
    for number in 0.. {
        clock.tick().await;
        let (attacker, keypair) = (Arc::clone(attacker), keypairs[number / 2 % keypairs.len()].clone());
        tokio::spawn(async move { attacker.connect(number, over(number), &keypair).await.ok() });
    }
}
