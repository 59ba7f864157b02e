//! A few nodes in virtual time: engines, their stores, and the links between them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use tidings_core::ids::{BatchNo, CommandId, DialId, LinkId, LoadId};
use tidings_core::links::{Address, LinkKind, Source};
use tidings_core::model::ModelStore;
use tidings_core::record::{Loaded, Query};
use tidings_core::time::{Instant, Now, Wall};
use tidings_core::{Command, Config, Engine, Input, Output};
use tidings_crypto::{IdentityKey, OlmSealer, PeerKey};

use crate::app::App;

#[path = "run.rs"]
mod run;

/// What a writer may take ahead of its link.
const GRANT: u64 = 256 * 1024;
/// The wall clock when a story begins, in milliseconds.
const START: u64 = 1_800_000_000_000;

/// What a link is like, in each direction.
#[derive(Clone, Copy, Debug)]
pub struct Road {
    pub delay: Duration,
    /// Bytes per second.
    pub rate: u64,
}

impl Road {
    pub const LAN: Self = Self { delay: Duration::from_micros(300), rate: 100_000_000 };
    pub const SLOW: Self = Self { delay: Duration::from_millis(50), rate: 100_000 };
}

/// When a node's batches become durable.
#[derive(Clone, Copy, Debug)]
pub enum Disk {
    After(Duration),
    /// Never: nothing that waits for it leaves.
    ByHand,
}

pub struct Node {
    identity: [u8; 32],
    pub config: Config,
    pub store: ModelStore,
    pub engine: Option<Engine<OlmSealer>>,
    /// One higher at each start: what was under way for an earlier one is dropped.
    life: u64,
    pub disk: Disk,
    /// How many batches were issued in all lives.
    pub batches: u64,
    /// The batch, counted so, at which the power fails before it is durable.
    pub crash_at: Option<u64>,
    pub app: App,
    /// How far its wall clock is behind.
    pub wall_behind: Duration,
    next_command: u64,
    /// Parcels that were sealed and not receipted at one time, at most.
    pub most_sealed: usize,
    /// What the engine asked the store.
    pub loads: Vec<Query>,
}

impl Node {
    pub fn key(&self) -> PeerKey {
        IdentityKey::from_seed(&self.identity).peer()
    }

    pub fn has_lived(&self) -> bool {
        self.life > 0
    }

    pub fn engine(&self) -> &Engine<OlmSealer> {
        self.engine.as_ref().expect("the story has not stopped this node")
    }
}

struct Wire {
    /// Node and link at each end.
    ends: [(usize, LinkId); 2],
    lives: [u64; 2],
    free: [u64; 2],
    open: bool,
}

enum Happening {
    Durable { node: usize, life: u64, batch: BatchNo },
    Answer { node: usize, life: u64, load: LoadId, loaded: Loaded },
    Arrive { wire: usize, to: usize, bytes: Bytes },
    Drained { wire: usize, at: usize, bytes: u64 },
    Down { wire: usize, at: usize },
    Connect { from: usize, life: u64, to: Option<usize>, dial: DialId, address: Address },
    Start { node: usize },
}

pub struct Net {
    /// Microseconds.
    pub now: u64,
    pub nodes: Vec<Node>,
    pub road: Road,
    wires: Vec<Wire>,
    apart: BTreeSet<(usize, usize)>,
    /// Pairs that can reach one another, and are not told where the other is.
    strangers: BTreeSet<(usize, usize)>,
    /// Who searched the DHT for whom, and when.
    pub sought: Vec<(u64, usize, PeerKey)>,
    queue: BTreeMap<(u64, u64), Happening>,
    last: u64,
    last_link: u64,
    seeds: u8,
    /// Bytes that crossed links.
    pub carried: u64,
    /// The node whose writing is kept in `recorded`.
    pub record: Option<usize>,
    pub recorded: Vec<Bytes>,
    /// What happens to the chunks that are written, by number: where (of 2^64 parts), how and by what they are
    /// altered.
    pub faults: BTreeMap<u64, (u64, u8, u8)>,
    chunks: u64,
}

pub fn address(node: usize) -> Address {
    Address::new(format!("/ip4/10.0.0.{node}/tcp/4001")).expect("an address")
}

/// Another one of the same node.
pub fn second_address(node: usize) -> Address {
    Address::new(format!("/ip4/10.0.0.{node}/tcp/4002")).expect("an address")
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).expect("a story ends in time")
}

fn pair(a: usize, b: usize) -> (usize, usize) {
    (a.min(b), a.max(b))
}

impl Net {
    /// Nodes that run and can reach one another, on fast disks and links.
    pub fn new(nodes: usize) -> Self {
        let mut net = Self::stopped(nodes);
        for node in 0..nodes {
            net.start(node);
        }
        net
    }

    /// The same before they run.
    pub fn stopped(nodes: usize) -> Self {
        let mut net = Self {
            now: 1_000_000,
            nodes: Vec::new(),
            road: Road::LAN,
            wires: Vec::new(),
            apart: BTreeSet::new(),
            strangers: BTreeSet::new(),
            sought: Vec::new(),
            queue: BTreeMap::new(),
            last: 0,
            last_link: 0,
            seeds: 0,
            carried: 0,
            record: None,
            recorded: Vec::new(),
            faults: BTreeMap::new(),
            chunks: 0,
        };
        for index in 0..nodes {
            let number = u8::try_from(index).expect("few nodes") + 1;
            net.nodes.push(Node {
                identity: [number; 32],
                config: Config { name: format!("node-{index}"), ..Config::default() },
                store: ModelStore::new(u64::from(number) * 1000),
                engine: None,
                life: 0,
                disk: Disk::After(Duration::from_millis(2)),
                batches: 0,
                crash_at: None,
                app: App::default(),
                wall_behind: Duration::ZERO,
                next_command: 1,
                most_sealed: 0,
                loads: Vec::new(),
            });
        }
        net
    }

    pub fn time(&self, node: usize) -> Now {
        let behind = micros(self.nodes[node].wall_behind) / 1000;
        Now { mono: Instant(self.now), wall: Wall(START + self.now / 1000 - behind) }
    }

    fn schedule(&mut self, after: Duration, happening: Happening) {
        self.last += 1;
        self.queue.insert((self.now + micros(after), self.last), happening);
    }

    // --- lives ---

    /// Starts a node from its store. Its application reads the inbox, as after every start.
    pub fn start(&mut self, index: usize) {
        let now = self.time(index);
        self.seeds = self.seeds.wrapping_add(1);
        let node = &mut self.nodes[index];
        assert!(node.engine.is_none(), "node {index} runs already");
        let snapshot = node.store.snapshot();
        let sealer = if snapshot.account.is_empty() {
            OlmSealer::generate()
        } else {
            OlmSealer::load(&snapshot.account).expect("the account that was saved")
        };
        let identity = IdentityKey::from_seed(&node.identity);
        node.life += 1;
        node.engine = Some(Engine::new(node.config.clone(), identity, sealer, snapshot, now, [self.seeds; 32]));
        node.app.on_start(node.store.inbox());
        self.drain(index);
        self.input(index, Input::Listening(vec![address(index)]));
        self.app_turn(index);
        for other in 0..self.nodes.len() {
            self.introduce(index, other);
            self.introduce(other, index);
        }
    }

    /// Tells a node where another one is.
    fn introduce(&mut self, index: usize, other: usize) {
        let is_kept = |pairs: &BTreeSet<_>| pairs.contains(&pair(index, other));
        if index != other && !is_kept(&self.apart) && !is_kept(&self.strangers) && self.nodes[other].engine.is_some() {
            let peer = Some(self.nodes[other].key());
            self.input(index, Input::Discovered { peer, addresses: vec![address(other)], source: Source::Person });
        }
    }

    /// The power fails: what is not synced is lost.
    pub fn crash(&mut self, index: usize) {
        self.nodes[index].store.crash();
        self.end(index);
    }

    /// The power fails, and nobody tells the other ends of its links.
    pub fn vanish(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        node.store.crash();
        node.engine = None;
        node.app.on_end();
    }

    /// An orderly end: everything is synced.
    pub fn stop(&mut self, index: usize) {
        self.nodes[index].store.sync();
        self.end(index);
    }

    fn end(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        node.engine = None;
        node.app.on_end();
        for wire in 0..self.wires.len() {
            if self.wires[wire].open && self.wires[wire].ends.iter().any(|end| end.0 == index) {
                self.cut(wire);
            }
        }
    }

    pub fn restart(&mut self, index: usize) {
        self.stop(index);
        self.start(index);
    }

    // --- links ---

    /// Nobody tells these two where the other is.
    pub fn estrange(&mut self, a: usize, b: usize) {
        self.strangers.insert(pair(a, b));
    }

    /// Ends the links between two nodes; bytes on their way are lost, and dials fail until [`Self::join`].
    pub fn part(&mut self, a: usize, b: usize) {
        self.apart.insert(pair(a, b));
        for wire in 0..self.wires.len() {
            let ends = self.wires[wire].ends;
            if self.wires[wire].open && pair(ends[0].0, ends[1].0) == pair(a, b) {
                self.cut(wire);
            }
        }
    }

    /// Ends the links between two nodes, which may dial again at once.
    pub fn interrupt(&mut self, a: usize, b: usize) {
        self.part(a, b);
        self.join(a, b);
    }

    pub fn join(&mut self, a: usize, b: usize) {
        self.apart.remove(&pair(a, b));
        self.introduce(a, b);
        self.introduce(b, a);
    }

    fn cut(&mut self, wire: usize) {
        self.wires[wire].open = false;
        for (node, link) in self.wires[wire].ends {
            self.input(node, Input::LinkDown { link });
        }
    }
}
