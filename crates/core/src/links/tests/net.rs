//! A small network in virtual time: nodes that are only links, joined by pipes with a delay, a rate and a
//! bounded buffer.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use tidings_crypto::PeerKey;

use crate::class::Class;
use crate::ids::{BatchNo, CommandId, DialId, LinkId};
use crate::links::{Address, Config, Effect, Event, LinkKind, Source, State, Token};
use crate::time::{Age, Instant};

/// What a pipe is like, in each direction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Road {
    pub(super) delay: Duration,
    /// Bytes per second.
    pub(super) rate: u64,
    /// What the transport buffers ahead of it.
    pub(super) buffer: u64,
}

impl Road {
    pub(super) const LAN: Self = Self { delay: Duration::from_micros(200), rate: 100_000_000, buffer: 256 * 1024 };
}

#[derive(Debug)]
struct Pipe {
    road: Road,
    /// Node and link at each end.
    ends: [(usize, LinkId); 2],
    /// When the direction away from each end is free again.
    free: [Instant; 2],
    open: bool,
    /// Nothing gets through, and nobody is told.
    cut: bool,
    /// What was sent meanwhile, and what the writers have not got back.
    held: [Vec<Bytes>; 2],
    held_room: [u64; 2],
    /// Bytes sent from each end.
    carried: [u64; 2],
}

#[derive(Debug)]
enum Action {
    Input(usize, Box<Event>),
    /// Bytes arrive at the other end.
    Arrive {
        pipe: usize,
        from: usize,
        bytes: Bytes,
    },
    /// The writer of an end has room again.
    Drained {
        pipe: usize,
        from: usize,
        bytes: u64,
    },
    Ended {
        pipe: usize,
        at: usize,
    },
    Connect {
        from: usize,
        to: usize,
        dial: DialId,
        address: Address,
    },
}

/// How dials to an address end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    Node(usize),
    Fails,
    Hangs,
}

pub(super) struct Node {
    pub(super) state: State,
    pub(super) key: PeerKey,
    pub(super) boot: u64,
    pub(super) log: Vec<(Instant, Effect)>,
    pub(super) running: bool,
}

pub(super) struct Net {
    pub(super) now: Instant,
    pub(super) nodes: Vec<Node>,
    pub(super) reach: BTreeMap<Address, Reach>,
    pub(super) road: Road,
    pipes: Vec<Pipe>,
    actions: BTreeMap<(Instant, u64), Action>,
    last: u64,
    last_link: u64,
}

pub(super) fn key(number: u8) -> PeerKey {
    PeerKey::from_bytes([number; 32])
}

pub(super) fn address(text: &str) -> Address {
    Address::new(text).expect("a test's address")
}

pub(super) fn quic(node: usize) -> Address {
    address(&format!("/ip4/10.0.0.{node}/udp/4001/quic-v1"))
}

pub(super) fn tcp(node: usize) -> Address {
    address(&format!("/ip4/10.0.0.{node}/tcp/4001"))
}

pub(super) fn payload(length: usize, fill: u8) -> Bytes {
    Bytes::from(vec![fill; length])
}

impl Net {
    /// So many nodes that can reach one another; node n has the key n + 1, so a lower index decides.
    pub(super) fn new(nodes: usize) -> Self {
        Self::with(nodes, Config::default())
    }

    pub(super) fn with(nodes: usize, config: Config) -> Self {
        let mut net = Self {
            now: Instant(1_000_000),
            nodes: Vec::new(),
            reach: BTreeMap::new(),
            road: Road::LAN,
            pipes: Vec::new(),
            actions: BTreeMap::new(),
            last: 0,
            last_link: 0,
        };
        for index in 0..nodes {
            let number = u8::try_from(index).expect("few nodes") + 1;
            net.add(key(number), 1, config.clone());
            net.reach.insert(quic(index), Reach::Node(index));
            net.reach.insert(tcp(index), Reach::Node(index));
        }
        net
    }

    pub(super) fn add(&mut self, key: PeerKey, boot: u64, config: Config) -> usize {
        let seed = [u8::try_from(self.nodes.len()).expect("few nodes"); 32];
        self.nodes.push(Node { state: State::new(config, key, boot, seed), key, boot, log: Vec::new(), running: true });
        let index = self.nodes.len() - 1;
        self.input(index, Event::Durable(BatchNo(u64::MAX)));
        index
    }

    /// The process ends without a word; the other ends of its pipes are told or not.
    pub(super) fn kill(&mut self, node: usize) {
        self.nodes[node].running = false;
        for pipe in &mut self.pipes {
            if pipe.ends.iter().any(|end| end.0 == node) {
                pipe.cut = true;
            }
        }
    }

    /// The process starts anew.
    pub(super) fn restart(&mut self, node: usize, boot: u64) {
        let key = self.nodes[node].key;
        let seed = [u8::try_from(node).expect("few nodes") + 100; 32];
        let old = &mut self.nodes[node];
        old.state = State::new(Config::default(), key, boot, seed);
        old.boot = boot;
        old.running = true;
        self.input(node, Event::Durable(BatchNo(u64::MAX)));
    }

    pub(super) fn at(&mut self, when: Instant, node: usize, event: Event) {
        self.schedule(when, Action::Input(node, Box::new(event)));
    }

    fn schedule(&mut self, when: Instant, action: Action) {
        self.last += 1;
        self.actions.insert((when, self.last), action);
    }

    /// Something happens at a node, now.
    pub(super) fn input(&mut self, node: usize, event: Event) {
        if !self.nodes[node].running {
            return;
        }
        self.nodes[node].state.handle(self.now, event);
        self.drain(node);
    }

    fn drain(&mut self, node: usize) {
        while let Some(effect) = self.nodes[node].state.poll_effect() {
            match &effect {
                Effect::Transmit { link, bytes, .. } => self.transmit(node, *link, bytes.clone()),
                Effect::Close { link } => self.close(node, *link),
                Effect::Dial { dial, address, .. } => self.dial(node, *dial, address.clone()),
                _ => {}
            }
            if !matches!(effect, Effect::Transmit { .. }) {
                self.nodes[node].log.push((self.now, effect));
            }
        }
    }

    fn end_of(&self, node: usize, link: LinkId) -> Option<(usize, usize)> {
        self.pipes.iter().enumerate().find_map(|(index, pipe)| {
            let end = pipe.ends.iter().position(|end| *end == (node, link))?;
            Some((index, end))
        })
    }

    fn transmit(&mut self, node: usize, link: LinkId, mut bytes: Bytes) {
        let Some((index, end)) = self.end_of(node, link) else {
            return;
        };
        let pipe = &mut self.pipes[index];
        pipe.carried[end] += bytes.len() as u64;
        if !pipe.open {
            return;
        }
        let Road { delay, rate, .. } = pipe.road;
        // What the road carries in a millisecond arrives together, at least a packet.
        let packet = usize::try_from(rate / 1_000).expect("small").max(1_200);
        let mut leaves = pipe.free[end].max(self.now);
        while !bytes.is_empty() {
            let bytes = bytes.split_to(packet.min(bytes.len()));
            let length = bytes.len() as u64;
            leaves = leaves + Duration::from_micros(length * 1_000_000 / rate);
            let drained = Action::Drained { pipe: index, from: end, bytes: length };
            let arrive = Action::Arrive { pipe: index, from: end, bytes };
            self.schedule(leaves, drained);
            self.schedule(leaves + delay, arrive);
        }
        self.pipes[index].free[end] = leaves;
    }

    fn close(&mut self, node: usize, link: LinkId) {
        let Some((index, end)) = self.end_of(node, link) else {
            return;
        };
        let pipe = &self.pipes[index];
        let when = pipe.free[end].max(self.now) + pipe.road.delay;
        self.schedule(when, Action::Ended { pipe: index, at: 1 - end });
    }

    fn dial(&mut self, node: usize, dial: DialId, address: Address) {
        let delay = self.road.delay * 3;
        let when = self.now + delay;
        match self.reach.get(&address).copied().unwrap_or(Reach::Fails) {
            Reach::Node(to) => self.schedule(when, Action::Connect { from: node, to, dial, address }),
            Reach::Hangs => {
                let reason = "timed out".to_owned();
                let timeout = self.now + Duration::from_secs(5);
                self.at(timeout, node, Event::DialFailed { dial, reason });
            }
            Reach::Fails => {
                let reason = "connection refused".to_owned();
                self.at(when, node, Event::DialFailed { dial, reason });
            }
        }
    }

    /// A pipe between two nodes whose link comes up at both ends now; gives its number.
    pub(super) fn connect(&mut self, from: usize, to: usize, kind: LinkKind, dial: Option<DialId>) -> usize {
        let address = match kind {
            LinkKind::Quic => quic(to),
            _ => tcp(to),
        };
        let links = [self.last_link + 1, self.last_link + 2].map(LinkId);
        self.last_link += 2;
        self.pipes.push(Pipe {
            road: self.road,
            ends: [(from, links[0]), (to, links[1])],
            free: [self.now; 2],
            open: true,
            cut: false,
            held: [Vec::new(), Vec::new()],
            held_room: [0; 2],
            carried: [0; 2],
        });
        let pipe = self.pipes.len() - 1;
        // A dialler without a dial of its own: the number that no dial has.
        let dial = Some(dial.unwrap_or(DialId(u64::MAX)));
        for (end, node, other, dial) in [(0, from, to, dial), (1, to, from, None)] {
            let peer = self.nodes[other].key;
            let up = Event::Up { link: links[end], peer, kind, dial, address: address.clone(), batch: BatchNo(1) };
            self.input(node, up);
            let granted = Event::Writable { link: links[end], bytes: self.road.buffer };
            self.input(node, granted);
        }
        pipe
    }

    /// Nothing gets through a pipe from now on.
    pub(super) fn cut(&mut self, pipe: usize) {
        self.pipes[pipe].cut = true;
    }

    /// What was sent meanwhile arrives: a transport sends it again.
    pub(super) fn mend(&mut self, pipe: usize) {
        self.pipes[pipe].cut = false;
        for from in [0, 1] {
            let bytes = std::mem::take(&mut self.pipes[pipe].held_room[from]);
            self.act(Action::Drained { pipe, from, bytes });
            for bytes in std::mem::take(&mut self.pipes[pipe].held[from]) {
                self.act(Action::Arrive { pipe, from, bytes });
            }
        }
    }

    pub(super) fn pipes(&self) -> usize {
        self.pipes.len()
    }

    /// Bytes that the end of a node has put into a pipe.
    pub(super) fn carried(&self, pipe: usize, node: usize) -> u64 {
        let pipe = &self.pipes[pipe];
        let end = pipe.ends.iter().position(|end| end.0 == node);
        pipe.carried[end.expect("the pipe ends at the node")]
    }

    pub(super) fn link(&self, pipe: usize, node: usize) -> LinkId {
        let ends = self.pipes[pipe].ends;
        let end = ends.iter().find(|end| end.0 == node);
        end.expect("the pipe ends at the node").1
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Input(node, event) => self.input(node, *event),
            Action::Arrive { pipe, from, bytes } => {
                let (node, link) = self.pipes[pipe].ends[1 - from];
                if self.pipes[pipe].cut {
                    self.pipes[pipe].held[from].push(bytes);
                } else if self.pipes[pipe].open {
                    self.input(node, Event::Bytes { link, bytes });
                }
            }
            Action::Drained { pipe, from, bytes } => {
                let (node, link) = self.pipes[pipe].ends[from];
                if self.pipes[pipe].cut {
                    self.pipes[pipe].held_room[from] += bytes;
                } else {
                    self.input(node, Event::Writable { link, bytes });
                }
            }
            Action::Ended { pipe, at } => {
                let (node, link) = self.pipes[pipe].ends[at];
                if !self.pipes[pipe].cut {
                    self.pipes[pipe].open = false;
                    self.input(node, Event::Down { link });
                }
            }
            Action::Connect { from, to, dial, address } => {
                if self.nodes[to].running && self.reach.get(&address) == Some(&Reach::Node(to)) {
                    self.connect(from, to, address.kind(), Some(dial));
                } else {
                    let reason = "connection refused".to_owned();
                    self.input(from, Event::DialFailed { dial, reason });
                }
            }
        }
    }

    /// Lets time pass until something is so; gives how long it took.
    ///
    /// # Panics
    ///
    /// If it is not so within `limit`.
    pub(super) fn until(&mut self, limit: Duration, mut holds: impl FnMut(&Self) -> bool) -> Duration {
        let start = self.now;
        while !holds(self) {
            assert!(
                self.step(start + limit),
                "not so within {limit:?}: {:#?}",
                self.nodes.iter().map(|node| &node.log).collect::<Vec<_>>()
            );
        }
        self.now.since(start)
    }

    pub(super) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.step(end) {}
        self.now = end;
    }

    /// The next thing that happens before `end`.
    fn step(&mut self, end: Instant) -> bool {
        let timer = self
            .nodes
            .iter()
            .enumerate()
            .filter(|(_, node)| node.running)
            .filter_map(|(index, node)| Some((node.state.next_deadline()?, index)))
            .min();
        let action = self.actions.first_key_value().map(|(key, _)| *key);
        let action_first = match (action, timer) {
            (Some((when, _)), Some((due, _))) => when <= due,
            (Some(_), None) => true,
            (None, _) => false,
        };
        if action_first {
            let Some(key) = action.filter(|(when, _)| *when < end) else {
                return false;
            };
            let Some(action) = self.actions.remove(&key) else {
                return false;
            };
            self.now = self.now.max(key.0);
            self.act(action);
        } else {
            let Some((due, node)) = timer.filter(|(due, _)| *due < end) else {
                return false;
            };
            self.now = self.now.max(due);
            self.input(node, Event::Tick);
        }
        true
    }

    pub(super) fn send(&mut self, from: usize, to: usize, class: Class, token: u64, bytes: Bytes) {
        let peer = self.nodes[to].key;
        let event = Event::Send { peer, class, token: Token(token), bytes, batch: BatchNo(1) };
        self.input(from, event);
    }

    pub(super) fn want(&mut self, node: usize, peer: usize) {
        let peer = self.nodes[peer].key;
        self.input(node, Event::Wanted { peer, wanted: true });
    }

    pub(super) fn tell(&mut self, node: usize, peer: usize, addresses: &[Address], source: Source) {
        let peer = Some(self.nodes[peer].key);
        let event = Event::Discovered { peer, addresses: addresses.to_vec(), source, age: Age(7) };
        self.input(node, event);
    }

    pub(super) fn dial_command(&mut self, node: usize, command: u64, address: Address) {
        let command = CommandId(command);
        self.input(node, Event::Dial { command, address });
    }

    pub(super) fn is_up(&self, node: usize, peer: usize) -> bool {
        let peer = self.nodes[peer].key;
        self.nodes[node].state.is_up(&peer)
    }

    pub(super) fn both_up(&self) -> bool {
        self.is_up(0, 1) && self.is_up(1, 0)
    }

    pub(super) fn links(&self, node: usize) -> u64 {
        self.nodes[node].state.stats().links
    }

    /// The effects of a node that a story asks for.
    pub(super) fn seen<'a, T: 'a>(&'a self, node: usize, pick: impl Fn(&'a Effect) -> Option<T> + 'a) -> Vec<T> {
        let log = self.nodes[node].log.iter();
        log.filter_map(|(_, effect)| pick(effect)).collect()
    }

    pub(super) fn parcels(&self, node: usize) -> Vec<(Class, Bytes)> {
        self.seen(node, |effect| match effect {
            Effect::Parcel { class, bytes, .. } => Some((*class, bytes.clone())),
            _ => None,
        })
    }

    pub(super) fn got(&self, node: usize) -> Vec<u64> {
        self.seen(node, |effect| match effect {
            Effect::Got { token } => Some(token.0),
            _ => None,
        })
    }

    pub(super) fn lost(&self, node: usize) -> Vec<u64> {
        self.seen(node, |effect| match effect {
            Effect::Lost { token } => Some(token.0),
            _ => None,
        })
    }

    /// How often a peer came up and went down at a node.
    pub(super) fn ups_and_downs(&self, node: usize) -> (usize, usize) {
        let ups = self.seen(node, |effect| matches!(effect, Effect::PeerUp { .. }).then_some(()));
        let downs = self.seen(node, |effect| matches!(effect, Effect::PeerDown { .. }).then_some(()));
        (ups.len(), downs.len())
    }
}
