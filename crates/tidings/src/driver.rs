//! The one task that owns the protocol engine and the swarm.
//!
//! It waits for something to happen, handles a bounded burst of what has piled up, does what the engine wants done,
//! and waits again. It never awaits inside: what would block is tried, and kept for later where it does not fit.
//!
//! | channel | from → to | capacity | when full |
//! |---|---|---|---|
//! | calls | handles → driver | [`CALLS`], none while the store thread is behind | the caller waits |
//! | stop | handles → driver | one notice | it is one notice |
//! | pending answers | driver | [`MAX_PENDING_CALLS`] | the driver takes no more calls |
//! | reads | handles → store thread | [`READS`] | the caller waits |
//! | link I/O | link tasks → driver | [`LINK_IO`], none taken while the store thread is behind, of one link at most 4 reads of 64 KiB | the link's task waits, then the transport slows the peer |
//! | writes | driver → a link's writer | 4 lists, within a grant of 256 KiB | what was transmitted waits with the driver, within the grant |
//! | store replies | store thread → driver | [`STORE_REPLIES`] | the store thread waits; larger than what can be asked |
//! | news | driver → streams | [`NEWS`] | the slowest stream lags, is told, and reads the database |
//! | followed messages | driver → handles | 65,536 watches | new waits are refused |

mod boot;
pub(crate) mod call;
mod calls;
pub(crate) mod database;
mod engine_io;
mod lifecycle;
mod net;
mod tracked;

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{FutureExt, StreamExt};
use libp2p::core::transport::ListenerId;
use libp2p::swarm::{ConnectionId, SwarmEvent};
use libp2p::{Multiaddr, Swarm};
use tidings_core::ids::{CommandId, DialId, LinkId};
use tidings_core::time::Now;
use tidings_core::view::Way;
use tidings_core::{Engine, Input};
use tidings_crypto::{OlmSealer, PeerKey};
use tokio::sync::{Notify, broadcast, mpsc, watch};

use crate::clock::Clock;
use crate::config::Config;
use crate::link::{Link, LinkIo};
use crate::network::{Behaviour, BehaviourEvent};
use crate::status::Status;

pub(crate) use boot::{BootError, Booted, boot};
use call::{Call, News};
use calls::{Joined, Pending};
use database::{Database, StoreReply};
pub(crate) use lifecycle::Ended;
use lifecycle::Phase;
use tracked::Tracked;

/// Calls that wait for the driver. A call holds at most 1 MiB of payload per message.
pub(crate) const CALLS: usize = 1024;
/// Reads that the store thread has not answered.
pub(crate) const READS: usize = 64;
/// News that a stream may be behind: at most 64 KiB each.
pub(crate) const NEWS: usize = 256;
/// Calls that the engine has not answered.
const MAX_PENDING_CALLS: usize = 4096;
/// Link I/O that waits for the driver.
const LINK_IO: usize = 256;
/// Replies of the store thread that wait for the driver. More than the 4,096 requests before it is behind and those of
/// one wake: the store thread must never wait for a driver that waits for the store thread.
pub(crate) const STORE_REPLIES: usize = 8192;
/// How much of each kind is handled before the other kinds get their turn.
const BURST: usize = 64;
/// Calls handled before the other kinds get their turn: submissions among them share a batch.
const CALL_BURST: usize = CALLS;
/// How long a change of the machine's addresses must last before it is acted on: one change makes several events.
const NETWORK_SETTLES: Duration = Duration::from_millis(300);

pub(crate) type NodeEngine = Engine<OlmSealer>;

/// What the driver is made of.
pub(crate) struct Parts {
    pub(crate) config: Config,
    pub(crate) clock: Clock,
    pub(crate) home: Arc<tidings_store::Home>,
    pub(crate) booted: Booted,
    pub(crate) swarm: Swarm<Behaviour>,
    /// Where to listen.
    pub(crate) places: Vec<Multiaddr>,
    pub(crate) calls: mpsc::Receiver<Call>,
    pub(crate) stop: Arc<Notify>,
    pub(crate) store_replies: (mpsc::Sender<StoreReply>, mpsc::Receiver<StoreReply>),
    pub(crate) status: watch::Sender<Status>,
    pub(crate) news: broadcast::Sender<News>,
}

pub(crate) struct Driver {
    config: Config,
    clock: Clock,
    /// The time at which this wake began, and again before its outputs are made.
    now: Now,
    home: Arc<tidings_store::Home>,
    /// `None` while the database is lost.
    engine: Option<NodeEngine>,
    database: Option<Database>,
    store_replies: (mpsc::Sender<StoreReply>, mpsc::Receiver<StoreReply>),
    reopened: (mpsc::Sender<boot::Reopened>, mpsc::Receiver<boot::Reopened>),
    swarm: Swarm<Behaviour>,
    places: Vec<Multiaddr>,
    listeners: Vec<ListenerId>,
    /// Those of them that have an address.
    heard: HashSet<ListenerId>,
    /// When a change of addresses is acted on.
    network_due: Option<Instant>,
    /// A connection serves one link, and is closed with it.
    links: HashMap<LinkId, (ConnectionId, Link)>,
    next_link: u64,
    link_io: (mpsc::Sender<LinkIo>, mpsc::Receiver<LinkIo>),
    dials: HashMap<ConnectionId, DialId>,
    calls: mpsc::Receiver<Call>,
    stop: Arc<Notify>,
    joined: Joined,
    pending: HashMap<CommandId, Pending>,
    next_command: u64,
    tracked: Tracked,
    /// Where what is for a peer goes, of those for whom that has changed in this turn.
    route_changes: BTreeMap<PeerKey, Option<Way>>,
    /// Inputs that arose while outputs were done.
    inputs: VecDeque<Input>,
    news: broadcast::Sender<News>,
    status: watch::Sender<Status>,
    phase: Phase,
    /// Why the node is degraded, with the cause as key.
    reasons: Vec<(lifecycle::Cause, String)>,
    /// How often in a row the database could not be reopened, or failed soon after.
    failed_reopens: u32,
    reopened_at: Option<Instant>,
}

/// What ends a wait.
enum Wake {
    Stop,
    Call(Option<Call>),
    Link(LinkIo),
    Store(StoreReply),
    Reopened(boot::Reopened),
    Swarm(Box<SwarmEvent<BehaviourEvent>>),
    Deadline,
}

impl Driver {
    pub(crate) fn new(parts: Parts) -> Self {
        let Booted { engine, database, .. } = parts.booted;
        Self {
            config: parts.config,
            clock: parts.clock,
            now: parts.clock.now(),
            home: parts.home,
            engine: Some(engine),
            database: Some(database),
            store_replies: parts.store_replies,
            reopened: mpsc::channel(1),
            swarm: parts.swarm,
            places: parts.places,
            listeners: Vec::new(),
            heard: HashSet::new(),
            network_due: None,
            links: HashMap::new(),
            next_link: 1,
            link_io: mpsc::channel(LINK_IO),
            dials: HashMap::new(),
            calls: parts.calls,
            stop: parts.stop,
            joined: Joined::default(),
            pending: HashMap::new(),
            next_command: 1,
            tracked: Tracked::default(),
            route_changes: BTreeMap::new(),
            inputs: VecDeque::new(),
            news: parts.news,
            status: parts.status,
            phase: Phase::Running,
            reasons: Vec::new(),
            failed_reopens: 0,
            reopened_at: None,
        }
    }

    /// Drives the node until it is told to stop, or nobody holds it any more.
    pub(crate) async fn run(mut self) -> Ended {
        self.work();
        while !self.is_over() {
            let wake = self.wait().await;
            self.now = self.clock.now();
            self.on_wake(wake);
            self.on_backlog();
            self.work();
        }
        self.finish().await
    }

    async fn wait(&mut self) -> Wake {
        let deadline = self.deadline();
        let takes_io = !self.is_behind();
        let takes_calls = takes_io && self.takes_calls();
        tokio::select! {
            reply = self.store_replies.1.recv() => {
                Wake::Store(reply.expect("the driver holds a sender"))
            }
            io = self.link_io.1.recv(), if takes_io => Wake::Link(io.expect("the driver holds a sender")),
            event = self.swarm.select_next_some() => Wake::Swarm(Box::new(event)),
            () = self.stop.notified() => Wake::Stop,
            call = self.calls.recv(), if takes_calls => Wake::Call(call),
            reopened = self.reopened.1.recv() => {
                Wake::Reopened(reopened.expect("the driver holds a sender"))
            }
            () = until(deadline) => Wake::Deadline,
        }
    }

    /// What has come over links and from handles waits while the disk cannot keep up.
    fn is_behind(&self) -> bool {
        self.database.as_ref().is_some_and(Database::is_behind)
    }

    fn takes_calls(&self) -> bool {
        self.pending.len() < MAX_PENDING_CALLS && !self.phase.is_stopping()
    }

    /// The next moment at which something is due without anything happening.
    fn deadline(&self) -> Option<Instant> {
        let engine = self.engine.as_ref().and_then(NodeEngine::next_deadline);
        let engine = engine.map(|deadline| self.clock.instant(deadline));
        let stop = self.phase.stop_deadline();
        [engine, self.network_due, stop].into_iter().flatten().min()
    }

    fn on_wake(&mut self, wake: Wake) {
        match wake {
            Wake::Call(Some(call)) => self.on_call(call),
            Wake::Stop => {
                // What was asked before is done before.
                self.take_calls();
                self.stop();
            }
            // The last handle is gone.
            Wake::Call(None) => self.stop(),
            Wake::Link(io) => self.on_link_io(io),
            Wake::Store(reply) => self.on_store(reply),
            Wake::Reopened(reopened) => self.on_reopened(reopened),
            Wake::Swarm(event) => self.on_swarm(*event),
            Wake::Deadline => {}
        }
    }

    /// Handles a burst of what has piled up beside what ended the wait.
    fn on_backlog(&mut self) {
        // All of them: each answers a request, so they cannot outrun it.
        while let Ok(reply) = self.store_replies.1.try_recv() {
            self.on_store(reply);
        }
        for _ in 0..BURST {
            if self.is_behind() {
                break;
            }
            let Ok(io) = self.link_io.1.try_recv() else {
                break;
            };
            self.on_link_io(io);
        }
        for _ in 0..BURST {
            // What is not ready now registers its waker in the next wait.
            let Some(event) = self.swarm.select_next_some().now_or_never() else {
                break;
            };
            self.on_swarm(event);
        }
        if !self.is_behind() {
            self.take_calls();
        }
    }

    fn take_calls(&mut self) {
        for _ in 0..CALL_BURST {
            if !self.takes_calls() {
                break;
            }
            let Ok(call) = self.calls.try_recv() else {
                break;
            };
            self.on_call(call);
        }
    }
}

/// Sleeps until a moment, or for ever.
async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
