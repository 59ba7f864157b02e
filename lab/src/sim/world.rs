//! The simulated world: nodes, roads, wires, and the order in which things happen.

use std::sync::Arc;

use bytes::Bytes;
use tidings_core::ids::{BatchNo, DialId, LinkId, LoadId};
use tidings_core::links::Address;
use tidings_core::model::ModelStore;
use tidings_core::record::Loaded;
use tidings_core::{Config, Engine, Input};
use tidings_crypto::{IdentityKey, PeerKey};

use super::client::{Client, Progress};
use super::clock::Clock;
use super::dice::{Dice, Purpose};
use super::faults::{Fault, Tally};
use super::flaps::Flaps;
use super::hostile::Hostile;
use super::node::{Disk, LabSealer, Node};
use super::queue::Queue;
use super::reach::Reach;
use super::routes::Routes;
use super::shape::Shaping;
use super::trace::{Mark, Trace};
use super::wire::{Quality, Road, Wire};
use crate::log::{Entry, Line};
use crate::scenario::{FaultKind, Nodes, Recipients, Scenario, Shape};

/// When a run begins, in microseconds: clocks may be set back a little.
pub(crate) const BEGIN: u64 = 1_000_000;

/// Something that is to happen.
#[derive(Debug)]
pub(super) enum Happening {
    Tick { node: usize, life: u64 },
    Commit { node: usize, life: u64 },
    DiskFull { node: usize, life: u64 },
    Answer { node: usize, life: u64, load: LoadId, loaded: Loaded },
    Arrive { wire: usize, end: usize, bytes: Bytes },
    Renew { wire: usize, end: usize },
    Down { wire: usize, end: usize },
    GiveUp { wire: usize, end: usize, since: u64 },
    Connect { node: usize, life: u64, dial: DialId, road: usize, address: Address },
    DialFailed { node: usize, life: u64, dial: DialId, reason: &'static str },
    Submit { node: usize, send: usize },
    Acknowledge { node: usize, life: u64 },
    Cancel { node: usize, life: u64, id: tidings_core::ids::MessageId },
    Begin { fault: usize },
    Over { fault: usize },
    Turn { fault: usize },
    Restart { node: usize, life: u64 },
    Mischief { node: usize, life: u64 },
    Heal,
}

pub(super) struct World<S: LabSealer> {
    pub(super) scenario: Arc<Scenario>,
    pub(super) now: u64,
    pub(super) nodes: Vec<Node<S>>,
    pub(super) keys: Vec<PeerKey>,
    pub(super) roads: Vec<Road>,
    pub(super) wires: Vec<Wire>,
    pub(super) queue: Queue<Happening>,
    pub(super) dice: Dice,
    pub(super) faults: Vec<Fault>,
    pub(super) hostile: Vec<Option<Hostile>>,
    pub(super) tally: Tally,
    pub(super) routes: Routes,
    pub(super) reach: Reach,
    pub(super) flaps: Flaps,
    pub(super) shaping: Shaping,
    pub(super) trace: Trace,
    pub(super) log: Vec<Line>,
    /// Reads cut what arrives at random places.
    pub(super) chopping: bool,
    pub(super) healed: bool,
    /// What the engine must never do, and did.
    pub(super) broken: Option<String>,
}

/// Where a node listens.
pub(super) fn address(node: usize) -> Address {
    let [_, a, b, c] = u32::try_from(node).unwrap_or(u32::MAX).to_be_bytes();
    Address::new(format!("/ip4/10.{a}.{b}.{c}/tcp/4001")).expect("a short multiaddr")
}

/// Which node listens there.
pub(super) fn node_at(address: &Address) -> Option<usize> {
    let mut parts = address.as_str().strip_prefix("/ip4/10.")?.split('/').next()?.split('.');
    let mut part = || parts.next()?.parse::<usize>().ok();
    Some((part()? << 16) | (part()? << 8) | part()?)
}

impl<S: LabSealer> World<S> {
    /// The world of a seed, before anything has happened.
    pub(super) fn new(scenario: Arc<Scenario>, seed: u64, shown: bool) -> Self {
        let links = scenario.topology.links(&mut Dice::split(seed, Purpose::Topology));
        let usual = Quality::default().with(&scenario.link);
        let mut roads: Vec<_> = links.iter().map(|(a, b)| Road::new([*a, *b], usual)).collect();
        for between in &scenario.link_between {
            let ends = [between.from.min(between.to), between.from.max(between.to)];
            for road in roads.iter_mut().filter(|road| road.ends == ends) {
                let there = road.from(between.from);
                for direction in 0..2 {
                    if direction == there || !between.one_way {
                        road.usual[direction] = road.usual[direction].with(&between.quality());
                    }
                }
                road.now = road.usual;
            }
        }
        let count = scenario.topology.nodes;
        let mut neighbours = vec![Vec::new(); count];
        let mut own_roads = vec![Vec::new(); count];
        for (number, road) in roads.iter().enumerate() {
            let [a, b] = road.ends;
            neighbours[a].push(b);
            neighbours[b].push(a);
            own_roads[a].push(number);
            own_roads[b].push(number);
        }
        let nodes: Vec<_> = own_roads
            .into_iter()
            .enumerate()
            .map(|(index, roads)| new_node(&scenario, seed, index, &neighbours[index], roads))
            .collect();
        let quiet_from = scenario.sim.expect.quiet_after.map(|after| BEGIN + after.micros());
        let open = scenario.topology.kind == Shape::Open;
        let keys: Vec<_> = nodes.iter().map(|node: &Node<S>| node.key).collect();
        Self {
            now: BEGIN,
            routes: Routes::new(&keys),
            flaps: Flaps::new(count),
            shaping: Shaping::new(open, count, quiet_from.unwrap_or(BEGIN)),
            reach: Reach::new(count, BEGIN, quiet_from),
            keys,
            roads,
            wires: Vec::new(),
            queue: Queue::new(),
            dice: Dice::split(seed, Purpose::Links),
            faults: Vec::new(),
            hostile: (0..count).map(|_| None).collect(),
            tally: Tally::default(),
            trace: Trace::new(shown),
            log: Vec::new(),
            chopping: false,
            healed: false,
            broken: None,
            nodes,
            scenario,
        }
    }

    /// Has everything happen: the scenario's length, then its healing until all is settled or the time is up.
    pub(super) fn run(&mut self) {
        let hostile = (0..self.nodes.len()).filter(|node| self.hostile[*node].is_some());
        let hostile = hostile.map(|node| u32::try_from(node).unwrap_or(u32::MAX)).collect();
        let nodes = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX);
        let of_clocks = |fault: &Fault| matches!(fault.plan.kind, FaultKind::ClockJump | FaultKind::ClockDrift);
        let clocks_jump = self.faults.iter().any(of_clocks);
        self.write(None, Entry::Run { scenario: self.scenario.name.clone(), nodes, hostile, clocks_jump });
        for node in 0..self.nodes.len() {
            self.start(node);
        }
        for (number, send) in self.scenario.clone().send.iter().enumerate() {
            let begin = BEGIN + send.begin.map_or(0, |begin| begin.micros());
            for node in senders(&send.from, self.nodes.len()) {
                // Not all at the same moment, or every node would always do the same at the same time.
                let after = self.nodes[node].client.dice.below(send.every.micros().min(1_000_000));
                self.queue.push(begin + after, Happening::Submit { node, send: number });
            }
        }
        let length = BEGIN + self.scenario.length.micros();
        self.queue.push(length, Happening::Heal);
        self.run_until(length, false);
        self.run_until(length + self.scenario.settle.micros(), true);
        self.reach.on_quiet_end(self.now, self.tally.routing_bytes);
        (0..self.nodes.len()).for_each(|node| self.count_up(node));
        self.write(None, Entry::Finished);
    }

    fn run_until(&mut self, until: u64, settling: bool) {
        let mut look = self.now;
        while self.broken.is_none()
            && let Some(time) = self.queue.next_time()
            && time <= until
        {
            if settling && self.now >= look {
                if self.is_settled() {
                    return;
                }
                look = self.now + 100_000;
            }
            let Some((time, what)) = self.queue.pop() else { return };
            self.now = self.now.max(time);
            self.happen(what);
            self.look();
        }
        self.now = if self.broken.is_none() { self.now.max(until) } else { self.now };
    }

    fn is_settled(&self) -> bool {
        let mut honest = self.nodes.iter().zip(&self.hostile).filter(|(_, hostile)| hostile.is_none());
        honest.all(|(node, _)| node.engine.is_some() && node.client.is_settled())
    }

    pub(super) fn write(&mut self, node: Option<usize>, entry: Entry) {
        let node = node.map(|node| u32::try_from(node).unwrap_or(u32::MAX));
        self.log.push(Line { at: self.now, node, entry });
    }

    pub(super) fn is_alive(&self, node: usize, life: u64) -> bool {
        self.nodes[node].life == life && self.nodes[node].engine.is_some()
    }

    /// Something happens at a node, now, or once it moves again.
    pub(super) fn input(&mut self, index: usize, input: Input) {
        let node = &mut self.nodes[index];
        let Some(engine) = &mut node.engine else { return };
        if node.freezes > 0 {
            node.stash.push(input);
            return;
        }
        engine.handle(node.clock.at(self.now), input);
        self.tally.held_bytes = self.tally.held_bytes.max(engine.relay_stats().held_bytes);
        self.drain(index);
    }

    /// Does what an engine wants done, and arms its next tick.
    pub(super) fn drain(&mut self, index: usize) {
        while let Some(output) = self.nodes[index].engine.as_mut().and_then(Engine::poll_output) {
            self.obey(index, output);
        }
        let node = &mut self.nodes[index];
        node.deadline = node.engine.as_ref().and_then(Engine::next_deadline);
        self.arm(index);
    }

    pub(super) fn arm(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        // What stands still has no alarms; it is armed when it moves again.
        if node.freezes > 0 {
            return;
        }
        let Some(deadline) = node.deadline else { return };
        let due = node.clock.time_of(deadline).max(self.now + 1);
        if due < node.armed {
            node.armed = due;
            self.queue.push(due, Happening::Tick { node: index, life: node.life });
        }
    }

    fn tick(&mut self, index: usize, life: u64) {
        if !self.is_alive(index, life) {
            return;
        }
        let node = &mut self.nodes[index];
        if node.armed <= self.now {
            node.armed = u64::MAX;
        }
        let due = node.deadline.map(|deadline| node.clock.time_of(deadline));
        if node.freezes == 0 && due.is_some_and(|due| due <= self.now) {
            self.trace.note(self.now, index, Mark::Tick, 0, 0);
            self.input(index, Input::Tick);
        } else {
            self.arm(index);
        }
    }

    fn happen(&mut self, what: Happening) {
        match what {
            Happening::Tick { node, life } => self.tick(node, life),
            Happening::Commit { node, life } => self.on_commit(node, life),
            Happening::DiskFull { node, life } => self.disk_full(node, life),
            Happening::Answer { node, life, load, loaded } => {
                if self.is_alive(node, life) {
                    self.trace.note(self.now, node, Mark::Loaded, load.0, 0);
                    self.input(node, Input::Loaded(load, loaded));
                }
            }
            Happening::Arrive { wire, end, bytes } => self.on_arrival(wire, end, bytes),
            Happening::Renew { wire, end } => self.on_renewal(wire, end),
            Happening::Down { wire, end } => self.down(wire, end),
            Happening::GiveUp { wire, end, since } => self.on_give_up(wire, end, since),
            Happening::Connect { node, life, dial, road, address } => self.on_connect(node, life, dial, road, address),
            Happening::DialFailed { node, life, dial, reason } => {
                if self.is_alive(node, life) {
                    self.trace.note(self.now, node, Mark::DialFailed, dial.0, 0);
                    self.input(node, Input::DialFailed { dial, reason: reason.to_owned() });
                }
            }
            Happening::Submit { node, send } => self.on_submit_time(node, send),
            Happening::Acknowledge { node, life } => self.acknowledge(node, life),
            Happening::Cancel { node, life, id } => self.cancel(node, life, id),
            Happening::Begin { fault } => self.begin(fault),
            Happening::Over { fault } => self.over(fault),
            Happening::Turn { fault } => self.turn(fault),
            Happening::Restart { node, life } => self.restart(node, life),
            Happening::Mischief { node, life } => self.mischief(node, life),
            Happening::Heal => self.heal(),
        }
    }

    /// The life number of a link's end that is still up, with the node that has it.
    pub(super) fn end(&self, wire: usize, end: usize) -> Option<(usize, LinkId)> {
        let end = self.wires[wire].ends[end];
        (end.up && self.nodes[end.node].life == end.life).then_some((end.node, end.link))
    }
}

pub(super) fn senders(nodes: &Nodes, count: usize) -> Vec<usize> {
    match nodes {
        Nodes::All => (0..count).collect(),
        Nodes::These(nodes) => nodes.clone(),
    }
}

fn new_node<S: LabSealer>(
    scenario: &Scenario,
    seed: u64,
    index: usize,
    neighbours: &[usize],
    roads: Vec<usize>,
) -> Node<S> {
    let mut dice = Dice::split(seed, Purpose::Node(index));
    let identity = IdentityKey::from_seed(&dice.bytes());
    let count = scenario.topology.nodes;
    let progress = scenario.send.iter().map(|send| {
        let all = || (0..count).filter(|other| *other != index).collect();
        let recipients = match &send.to {
            Recipients::Neighbours => neighbours.to_vec(),
            Recipients::All | Recipients::Anybody => all(),
            Recipients::These(nodes) => nodes.iter().copied().filter(|other| *other != index).collect(),
        };
        Progress::to(recipients)
    });
    let client = Client::new(Dice::split(seed, Purpose::Client(index)), progress.collect());
    let mut config = Config { name: format!("n{index}"), ..Config::default() };
    config.told.power = scenario.nodes.power(index);
    if let Some(kind) = scenario.nodes.topology {
        config.topology.kind = kind.0;
    }
    let topology = &scenario.topology;
    let knows = match topology.kind {
        Shape::Open => topology.acquaintances(index, &mut Dice::split(seed, Purpose::Acquaintances(index))),
        Shape::Clique | Shape::Line | Shape::Grid | Shape::Star | Shape::Random => [neighbours.to_vec(), Vec::new()],
    };
    Node {
        key: identity.peer(),
        identity,
        config,
        store: ModelStore::new(dice.next()),
        engine: None,
        life: 0,
        clock: Clock::new(0),
        disk: Disk { commit: scenario.disk.commit.map_or(2_000, |commit| commit.micros()), ..Disk::default() },
        client,
        dice,
        deadline: None,
        armed: u64::MAX,
        downs: 0,
        freezes: 0,
        stash: Vec::new(),
        last_answer: 0,
        roads,
        knows,
        links: std::collections::BTreeMap::new(),
        last_link: 0,
        #[cfg(feature = "sqlite")]
        beside: None,
    }
}

/// The batch before the first.
pub(super) const NO_BATCH: BatchNo = BatchNo(0);
