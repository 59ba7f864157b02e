//! Links to neighbours: hello, the rule of one link, liveness, the window, class queues, fragments, dialling
//! and the address book's policy; docs/spec/links.md.
//!
//! The module decides, the runtime obeys: [`Event`]s say what happened to links, [`Effect`]s what is to be
//! done. Nothing is handed over before [`State::poll_effect`] is asked, so that all that one turn of the
//! engine puts on a link leaves together.
//!
//! * `link`: one link, what it says and hears; made of `hello`, `liveness`, `window`, `queue`, `fragment`.
//! * `table`: all of them; `neighbour`: the links of one peer; `rank` says which of two stays.
//! * `dialling`, `book`: whom to dial, where; `roads` joins them to the links.
//! * `admission`: what a peer may cost.

mod address;
mod admission;
mod book;
mod config;
mod dialling;
mod event;
mod fragment;
mod hello;
mod link;
mod liveness;
mod neighbour;
mod queue;
mod rank;
mod roads;
mod table;
#[cfg(test)]
mod tests;
mod traffic;
mod window;

use rand_chacha::ChaCha12Rng;
use rand_core::SeedableRng as _;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use tidings_crypto::PeerKey;

pub use address::{Address, AddressError, LinkKind, MAX_ADDRESS_BYTES, Source};
pub use config::{Config, Stats};
pub(crate) use event::{Effect, Event, Token};

#[cfg(test)]
use crate::class::Class;
use crate::ids::{BatchNo, CommandId, DialId, LinkId};
use crate::time::{Age, Instant};
use crate::timers::Timers;
use crate::view::LinkView;
use admission::Refusals;
use book::Book;
use dialling::{Dialling, Target};
use link::Link;
use neighbour::Neighbour;
use table::Table;

/// The links of one node.
#[derive(Debug)]
pub(crate) struct State {
    config: Config,
    own: PeerKey,
    boot: u64,
    rng: ChaCha12Rng,
    now: Instant,
    mode: Mode,
    card_seq: u64,
    durable: BatchNo,
    /// The number of the last link this node dialled.
    last_number: u64,
    links: Table,
    neighbours: BTreeMap<PeerKey, Neighbour>,
    /// Which link a parcel waits on or crosses.
    tokens: BTreeMap<Token, LinkId>,
    dialling: Dialling,
    book: Book,
    /// Addresses that led to this node itself.
    own_addresses: BTreeSet<Address>,
    /// The last age told, and when.
    age: Option<(Instant, Age)>,
    refusals: Refusals,
    timers: Timers<Timer>,
    /// Links that may have something to hand over.
    ready: BTreeSet<LinkId>,
    effects: VecDeque<Effect>,
    stats: Stats,
}

/// Whether there may be links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Running,
    Paused,
    Stopped,
}

/// Everything that waits for a moment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Link(LinkId),
    Contest(PeerKey),
    Target(Target),
    Dial(DialId),
    Command(CommandId),
}

impl State {
    /// A node without links. `seed` is for jitter and the numbers in probes.
    pub(crate) fn new(config: Config, own: PeerKey, boot: u64, seed: [u8; 32]) -> Self {
        Self {
            config,
            own,
            boot,
            rng: ChaCha12Rng::from_seed(seed),
            now: Instant::default(),
            mode: Mode::Running,
            card_seq: 0,
            durable: BatchNo::default(),
            last_number: 0,
            links: Table::default(),
            neighbours: BTreeMap::new(),
            tokens: BTreeMap::new(),
            dialling: Dialling::default(),
            book: Book::default(),
            own_addresses: BTreeSet::new(),
            age: None,
            refusals: Refusals::default(),
            timers: Timers::default(),
            ready: BTreeSet::new(),
            effects: VecDeque::new(),
            stats: Stats::default(),
        }
    }

    /// Takes what happened.
    pub(crate) fn handle(&mut self, now: Instant, event: Event) {
        self.now = now;
        match event {
            Event::Tick => {}
            Event::Durable(batch) => self.on_durable(batch),
            Event::Up { link, peer, kind, dial, address, batch } => self.on_up(link, peer, kind, dial, address, batch),
            Event::Down { link } => self.on_down(link),
            Event::Bytes { link, bytes } => self.on_bytes(link, bytes),
            Event::Writable { link, bytes } => self.on_writable(link, bytes),
            Event::DialFailed { dial, reason } => self.on_dial_failed(dial, reason),
            Event::Discovered { peer, addresses, source, age } => self.on_discovered(peer, addresses, source, age),
            Event::NetworkChanged => self.on_network_changed(),
            Event::Send { peer, class, token, bytes, batch } => {
                let parcel = queue::Parcel { token, class, bytes, batch };
                self.on_send(peer, parcel);
            }
            Event::Withdraw { token } => self.on_withdraw(token),
            Event::Measure { link } => self.on_measure(link),
            Event::Control { link, peer, frame, batch } => self.on_control(link, peer, frame, batch),
            Event::Wanted { peer, wanted } => self.on_wanted(peer, wanted),
            Event::Dial { command, address } => self.on_dial(command, address),
            Event::ClosePeer { peer, pause } => self.on_close_peer(peer, pause),
            Event::Pause => self.on_mode(Mode::Paused),
            Event::Resume => self.on_mode(Mode::Running),
            Event::Stop => self.on_mode(Mode::Stopped),
            Event::Own { card_seq } => self.card_seq = card_seq,
            Event::Book { peer, addresses } => self.book.restore(peer, addresses),
        }
        self.on_time();
    }

    /// Gives what is to be done.
    pub(crate) fn poll_effect(&mut self) -> Option<Effect> {
        loop {
            if let Some(effect) = self.effects.pop_front() {
                return Some(effect);
            }
            let link = *self.ready.first()?;
            self.hand_over(link);
        }
    }

    /// When to call [`Self::handle`] with [`Event::Tick`] at the latest. Ask after the effects.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.timers.next()
    }

    fn on_time(&mut self) {
        while let Some(timer) = self.timers.pop(self.now) {
            match timer {
                Timer::Link(link) => self.on_link_due(link),
                Timer::Contest(peer) => self.on_contest_due(peer),
                Timer::Target(target) => self.on_target_due(&target),
                Timer::Dial(dial) => self.on_dial_failed(dial, "nobody answered".to_owned()),
                Timer::Command(command) => self.on_command_due(command),
            }
        }
    }

    fn effect(&mut self, effect: Effect) {
        self.effects.push_back(effect);
    }

    /// Counts, with what is now.
    pub(crate) fn stats(&self) -> Stats {
        let up = |neighbour: &&Neighbour| neighbour.is_up();
        Stats {
            links: self.links.len() as u64,
            neighbours: self.neighbours.values().filter(up).count() as u64,
            ..self.stats
        }
    }

    /// Everybody with a link or an address: the name from the hello, the links, the addresses best first.
    pub(crate) fn peer_views(&self) -> Vec<(PeerKey, String, Vec<LinkView>, Vec<Address>)> {
        let mut peers: BTreeMap<PeerKey, Vec<&Link>> = self.book.peers().map(|peer| (*peer, Vec::new())).collect();
        for link in self.links.values() {
            peers.entry(link.peer).or_default().push(link);
        }
        peers
            .into_iter()
            .map(|(peer, links)| {
                let said = links.iter().rev().find_map(|link| link.hello.as_ref());
                let name = said.map(|(hello, _)| hello.name.clone());
                let links = links.into_iter().map(Link::view).collect();
                (peer, name.unwrap_or_default(), links, self.book.addresses(&peer))
            })
            .collect()
    }

    /// Whether the peer can be sent to: a link that has said hello and answers.
    pub(crate) fn is_up(&self, peer: &PeerKey) -> bool {
        self.neighbours.get(peer).is_some_and(Neighbour::is_up)
    }

    /// Bytes of this class and more urgent ones that wait for the peer's best link.
    #[cfg(test)]
    pub(crate) fn queued_bytes(&self, peer: &PeerKey, class: Class) -> u64 {
        self.best_link(peer).map_or(0, |link| link.queue.bytes_up_to(class))
    }

    fn best_link(&self, peer: &PeerKey) -> Option<&Link> {
        self.links.get(&self.best(peer)?)
    }

    /// Bytes of unfinished parcels.
    #[cfg(test)]
    fn held_bytes(&self) -> usize {
        self.links.values().map(Link::held_bytes).sum()
    }

    /// Peers whose conduct is remembered.
    #[cfg(test)]
    fn remembered(&self) -> usize {
        self.refusals.len()
    }
}
