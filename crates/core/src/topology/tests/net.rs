//! A network in virtual time whose nodes are only topology. Links, routes and announcements are modelled: a dial takes a
//! while and finds nobody at the dead, routes settle a moment after links, and an announcement reaches whoever a route
//! leads to.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use rand_chacha::ChaCha12Rng;
use rand_core::{Rng as _, SeedableRng as _};
use tidings_crypto::{PeerKey, Power};

use crate::time::Instant;
use crate::topology::{Config, Effect, Event, Facts, Kind, Reach, Standing, State};

/// How long routes take to follow links.
const ROUTES_SETTLE: Duration = Duration::from_millis(300);
/// How long an announcement takes to everybody.
const ANNOUNCED_AFTER: Duration = Duration::from_millis(500);

/// When the network is made.
const START: Instant = Instant(1_000_000);

pub(super) fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(super) fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub(super) fn key(draw: u64) -> PeerKey {
    let mut bytes = [0; 32];
    ChaCha12Rng::seed_from_u64(draw).fill_bytes(&mut bytes);
    PeerKey::from_bytes(bytes)
}

#[derive(Debug)]
enum Action {
    Start(usize),
    Dialled {
        from: usize,
        to: usize,
    },
    /// A node finds out that a link is gone.
    Noticed {
        node: usize,
        gone: usize,
    },
    Routes,
    Announced {
        of: usize,
        facts: Facts,
    },
}

/// A change of kind.
#[derive(Clone, Debug)]
pub(super) struct Chosen {
    pub(super) at: Instant,
    pub(super) node: usize,
    pub(super) kind: Kind,
    pub(super) reason: String,
}

#[derive(Debug)]
pub(super) struct Node {
    pub(super) key: PeerKey,
    /// Nothing while it is down.
    pub(super) state: Option<State>,
    config: Config,
    power: Power,
    /// Whose addresses it begins with.
    contacts: Vec<(usize, Standing)>,
    wants: BTreeSet<usize>,
    dialling: BTreeSet<usize>,
    pub(super) links: BTreeSet<usize>,
    /// Ends of links that it has not found out about.
    unnoticed: BTreeSet<usize>,
    /// Whom routes lead to, itself included.
    routed: Rc<BTreeSet<usize>>,
    /// Peers whose links are refused, until then.
    paused: BTreeMap<usize, Instant>,
    pub(super) announced: Option<Facts>,
}

/// The network.
#[derive(Debug)]
pub(super) struct Net {
    pub(super) now: Instant,
    rng: ChaCha12Rng,
    pub(super) nodes: Vec<Node>,
    places: BTreeMap<PeerKey, usize>,
    actions: BTreeMap<(Instant, u64), Action>,
    deadlines: BTreeSet<(Instant, usize)>,
    deadline_of: Vec<Option<Instant>>,
    next: u64,
    routes_due: bool,
    /// Of a hundred peers that a route leads to, those whose address a node learns.
    pub(super) addresses_learned: u64,
    /// Of a hundred dials of the dead, those that nobody answers at all.
    pub(super) silent: u64,
    /// No dial crosses from one part to another.
    pub(super) parts: Option<Vec<usize>>,
    pub(super) link_changes: u64,
    pub(super) dials: u64,
    pub(super) chosen: Vec<Chosen>,
}

impl Net {
    /// A network of nodes that start one after another; each knows the addresses of three before it.
    pub(super) fn new(seed: u64, count: usize, config: &Config) -> Self {
        let mut net = Self::empty(seed);
        for _ in 0..count {
            net.add(config.clone(), Power::Mains);
        }
        net
    }

    pub(super) fn empty(seed: u64) -> Self {
        Self {
            now: START,
            rng: ChaCha12Rng::seed_from_u64(seed),
            nodes: Vec::new(),
            places: BTreeMap::new(),
            actions: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            deadline_of: Vec::new(),
            next: 0,
            routes_due: false,
            addresses_learned: 100,
            silent: 33,
            parts: None,
            link_changes: 0,
            dials: 0,
            chosen: Vec::new(),
        }
    }

    /// A node that starts and knows three that are there.
    pub(super) fn add(&mut self, config: Config, power: Power) -> usize {
        let node = self.nodes.len();
        let key = key(self.rng.next_u64());
        let there: Vec<_> = (0..node).filter(|other| node < 4 || self.is_up(*other)).collect();
        let there = if there.is_empty() { (0..node).collect() } else { there };
        let contacts = (0..3.min(node)).map(|_| (there[self.draw(there.len() as u64) as usize], Standing::Stranger));
        let contacts = contacts.collect();
        self.nodes.push(Node {
            key,
            state: None,
            config,
            power,
            contacts,
            wants: BTreeSet::new(),
            dialling: BTreeSet::new(),
            links: BTreeSet::new(),
            unnoticed: BTreeSet::new(),
            routed: Rc::default(),
            paused: BTreeMap::new(),
            announced: None,
        });
        self.deadline_of.push(None);
        self.places.insert(key, node);
        let after = if self.now == START { millis(10 * node as u64) } else { millis(10) };
        self.later(after, Action::Start(node));
        node
    }

    /// What a node begins with, before it starts.
    pub(super) fn introduce(&mut self, node: usize, to: usize, standing: Standing) {
        self.nodes[node].contacts.push((to, standing));
    }

    pub(super) fn draw(&mut self, below: u64) -> u64 {
        self.rng.next_u64() % below.max(1)
    }

    fn later(&mut self, after: Duration, action: Action) {
        self.next += 1;
        self.actions.insert((self.now + after, self.next), action);
    }

    pub(super) fn is_up(&self, node: usize) -> bool {
        self.nodes[node].state.is_some()
    }

    pub(super) fn up(&self) -> Vec<usize> {
        (0..self.nodes.len()).filter(|node| self.is_up(*node)).collect()
    }
}

// --- running ---
impl Net {
    pub(super) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.step(end) {}
        self.now = end;
    }

    /// Runs until something holds, at most so long; tells when that was.
    pub(super) fn run_until(&mut self, limit: Duration, holds: impl Fn(&Self) -> bool) -> Option<Duration> {
        let start = self.now;
        let end = start + limit;
        while !holds(self) {
            if !self.step(end) {
                return None;
            }
        }
        Some(self.now.since(start))
    }

    fn step(&mut self, end: Instant) -> bool {
        let action = self.actions.keys().next().copied();
        let deadline = self.deadlines.first().copied();
        match (action, deadline) {
            (Some(at), due) if at.0 <= end && due.is_none_or(|due| at.0 <= due.0) => {
                self.now = at.0;
                let action = self.actions.remove(&at).expect("it is the first");
                self.act(action);
                true
            }
            (_, Some((at, node))) if at <= end => {
                self.now = self.now.max(at);
                self.tell(node, Event::Tick);
                true
            }
            _ => false,
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Start(node) => self.start(node),
            Action::Dialled { from, to } => self.dialled(from, to),
            Action::Noticed { node, gone } => self.notice(node, gone),
            Action::Routes => self.settle_routes(),
            Action::Announced { of, facts } => {
                let key = self.nodes[of].key;
                for node in self.up() {
                    if node != of && self.nodes[node].routed.contains(&of) {
                        self.tell(node, Event::Announced { peer: key, facts: facts.clone() });
                    }
                }
            }
        }
    }

    fn start(&mut self, node: usize) {
        let mut seed = [0; 32];
        self.rng.fill_bytes(&mut seed);
        let (key, power) = (self.nodes[node].key, self.nodes[node].power);
        self.nodes[node].config.check().expect("a test's degrees can be kept");
        self.nodes[node].state = Some(State::new(self.nodes[node].config.clone(), key, self.now, seed));
        self.tell(node, Event::Own { power, bandwidth_kbps: 50_000 });
        for (other, standing) in self.nodes[node].contacts.clone() {
            let peer = self.nodes[other].key;
            self.tell(node, Event::Known { peer, reach: Reach::Address });
            self.tell(node, Event::Standing { peer, standing });
        }
        let facts = Facts { power, ..Facts::default() };
        self.nodes[node].announced = Some(facts);
    }

    pub(super) fn tell(&mut self, node: usize, event: Event) {
        let now = self.now;
        let Some(state) = &mut self.nodes[node].state else { return };
        state.handle(now, event);
        let mut effects = Vec::new();
        while let Some(effect) = state.poll_effect() {
            effects.push(effect);
        }
        let due = state.next_deadline();
        if let Some(before) = self.deadline_of[node] {
            self.deadlines.remove(&(before, node));
        }
        self.deadline_of[node] = due;
        if let Some(due) = due {
            assert!(due > now, "a deadline that is past would never end");
            self.deadlines.insert((due, node));
        }
        for effect in effects {
            self.obey(node, effect);
        }
    }

    fn obey(&mut self, node: usize, effect: Effect) {
        match effect {
            Effect::Want { peer } => {
                let to = self.places[&peer];
                assert!(self.nodes[node].wants.insert(to), "wanted twice");
                self.dial(node, to);
            }
            Effect::Unwant { peer } => {
                let to = self.places[&peer];
                assert!(self.nodes[node].wants.remove(&to), "unwanted without being wanted");
            }
            Effect::Drop { peer, pause } => {
                let to = self.places[&peer];
                let until = self.now + pause;
                self.nodes[node].paused.insert(to, until);
                self.unlink(node, to, millis(1), millis(30));
            }
            Effect::Kind { kind, reason } => self.chosen.push(Chosen { at: self.now, node, kind, reason }),
            Effect::Announce { neighbours, fitness } => {
                let power = self.nodes[node].power;
                let facts = Facts { power, fitness: Some(fitness), neighbours };
                self.nodes[node].announced = Some(facts.clone());
                self.later(ANNOUNCED_AFTER, Action::Announced { of: node, facts });
            }
        }
    }
}

// --- links ---
impl Net {
    fn dial(&mut self, from: usize, to: usize) {
        if self.nodes[from].links.contains(&to) || !self.nodes[from].dialling.insert(to) {
            return;
        }
        self.dials += 1;
        let crosses = self.parts.as_ref().is_some_and(|parts| parts[from] != parts[to]);
        // Behind a dead address somebody says so, sooner or later; or nobody does.
        let silent = (crosses || !self.is_up(to)) && self.draw(100) < self.silent;
        let after = if silent { secs(30) } else { millis(20 + self.draw(180)) };
        self.later(after, Action::Dialled { from, to });
    }

    fn dialled(&mut self, from: usize, to: usize) {
        self.nodes[from].dialling.remove(&to);
        if !self.is_up(from) || !self.nodes[from].wants.contains(&to) || self.nodes[from].links.contains(&to) {
            return;
        }
        let now = self.now;
        let crosses = self.parts.as_ref().is_some_and(|parts| parts[from] != parts[to]);
        let paused = |one: usize, other: usize| self.nodes[one].paused.get(&other).is_some_and(|until| *until > now);
        if !self.is_up(to) || crosses || paused(from, to) || paused(to, from) {
            let peer = self.nodes[to].key;
            self.tell(from, Event::DialFailed { peer });
            // Whoever is wanted is dialled again.
            if self.nodes[from].wants.contains(&to) {
                self.dial(from, to);
            }
            return;
        }
        self.nodes[from].links.insert(to);
        self.nodes[to].links.insert(from);
        self.link_changes += 1;
        self.routes_later();
        for (node, other) in [(from, to), (to, from)] {
            // The end of the link before comes first.
            self.notice(node, other);
            let peer = self.nodes[other].key;
            self.tell(node, Event::Linked { peer });
        }
    }

    fn notice(&mut self, node: usize, gone: usize) {
        if self.nodes[node].unnoticed.remove(&gone) {
            let peer = self.nodes[gone].key;
            self.tell(node, Event::Unlinked { peer });
        }
    }

    fn unlink(&mut self, one: usize, other: usize, first: Duration, second: Duration) {
        if !self.nodes[one].links.remove(&other) {
            return;
        }
        self.nodes[other].links.remove(&one);
        self.link_changes += 1;
        self.routes_later();
        for (node, gone, after) in [(one, other, first), (other, one, second)] {
            self.nodes[node].unnoticed.insert(gone);
            self.later(after, Action::Noticed { node, gone });
            if self.nodes[node].wants.contains(&gone) {
                self.dial(node, gone);
            }
        }
    }

    /// A node is gone at once; its neighbours find out within a second and a half.
    pub(super) fn kill(&mut self, node: usize) {
        for other in self.nodes[node].links.clone() {
            let after = millis(150 + self.draw(1350));
            self.nodes[node].links.remove(&other);
            self.nodes[other].links.remove(&node);
            self.link_changes += 1;
            self.nodes[other].unnoticed.insert(node);
            self.later(after, Action::Noticed { node: other, gone: node });
            if self.nodes[other].wants.contains(&node) {
                self.dial(other, node);
            }
        }
        let dead = &mut self.nodes[node];
        dead.state = None;
        dead.wants.clear();
        dead.routed = Rc::default();
        if let Some(due) = self.deadline_of[node].take() {
            self.deadlines.remove(&(due, node));
        }
        self.routes_later();
    }

    /// Cuts the network in two: no link and no dial crosses.
    pub(super) fn cut(&mut self, parts: Vec<usize>) {
        for one in 0..self.nodes.len() {
            for other in self.nodes[one].links.clone() {
                if parts[one] != parts[other] {
                    let (first, second) = (millis(150 + self.draw(1350)), millis(150 + self.draw(1350)));
                    self.unlink(one, other, first, second);
                }
            }
        }
        self.parts = Some(parts);
    }

    // --- routes ---
    fn routes_later(&mut self) {
        if !self.routes_due {
            self.routes_due = true;
            self.later(ROUTES_SETTLE, Action::Routes);
        }
    }

    fn settle_routes(&mut self) {
        self.routes_due = false;
        for component in self.components() {
            let reached: BTreeSet<_> = component.iter().copied().collect();
            let held = &self.nodes[component[0]].routed;
            // Nodes of one part share what they reach, so that a part that is as it was costs little.
            let reached = if **held == reached { held.clone() } else { Rc::new(reached) };
            for node in component {
                let before = std::mem::replace(&mut self.nodes[node].routed, reached.clone());
                if Rc::ptr_eq(&before, &reached) {
                    continue;
                }
                for gone in before.difference(&reached) {
                    let peer = self.nodes[*gone].key;
                    self.tell(node, Event::Unrouted { peer });
                }
                for new in reached.difference(&before).filter(|new| **new != node) {
                    self.learn(node, *new);
                }
            }
        }
    }

    /// A route brings a peer's announcement, and maybe its address.
    fn learn(&mut self, node: usize, new: usize) {
        let peer = self.nodes[new].key;
        self.tell(node, Event::Routed { peer });
        if let Some(facts) = self.nodes[new].announced.clone() {
            self.tell(node, Event::Announced { peer, facts });
        }
        if self.draw(100) < self.addresses_learned {
            self.tell(node, Event::Known { peer, reach: Reach::Address });
        }
    }

    // --- the truth ---
    pub(super) fn components(&self) -> Vec<Vec<usize>> {
        let mut seen = vec![false; self.nodes.len()];
        let mut components = Vec::new();
        for start in self.up() {
            if std::mem::replace(&mut seen[start], true) {
                continue;
            }
            let mut component = vec![start];
            let mut next = 0;
            while next < component.len() {
                for other in &self.nodes[component[next]].links {
                    if !std::mem::replace(&mut seen[*other], true) {
                        component.push(*other);
                    }
                }
                next += 1;
            }
            component.sort_unstable();
            components.push(component);
        }
        components
    }

    pub(super) fn is_whole(&self) -> bool {
        self.components().len() == 1
    }

    /// The neighbours of those that are up.
    pub(super) fn degrees(&self) -> Vec<usize> {
        self.up().into_iter().map(|node| self.nodes[node].links.len()).collect()
    }

    /// The links on the longest shortest path.
    pub(super) fn diameter(&self) -> usize {
        let mut longest = 0;
        for start in self.up() {
            let mut seen = BTreeSet::from([start]);
            let mut ring = vec![start];
            let mut far = 0;
            while !ring.is_empty() {
                let next = ring.iter().flat_map(|node| &self.nodes[*node].links).copied();
                ring = next.filter(|node| seen.insert(*node)).collect();
                far += usize::from(!ring.is_empty());
            }
            longest = longest.max(far);
        }
        longest
    }
}
