//! A network of nodes that do nothing but routing, in virtual time. After every event it follows the next hops of
//! whatever changed: no destination may ever be reached by way of oneself.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::BytesMut;
use rand_chacha::ChaCha12Rng;
use rand_core::{Rng as _, SeedableRng as _};
use tidings_crypto::{AnnouncementHash, IdentityKey, PeerKey, RoutingId, SignedAnnouncement};

use super::super::{Config, Effect, Event, Facts, State};
use crate::ids::LinkId;
use crate::time::Instant;
use crate::trust::Evidence;
use crate::wire::{Frame, FrameDecoder, Routing};

/// Changes what a dishonest node sends: the link's other end and the frame; gives the frames that go instead.
pub(super) type Lie = Box<dyn FnMut(usize, Routing) -> Vec<Routing>>;

pub(super) struct Node {
    identity: IdentityKey,
    pub(super) id: RoutingId,
    pub(super) state: State,
    pub(super) boot: u64,
    /// Its links: to whom, and whether this end still takes it for alive.
    links: BTreeMap<LinkId, usize>,
    pub(super) evidence: BTreeMap<(usize, Evidence), u64>,
    pub(super) own_boots: Vec<u64>,
    pub(super) announced: Vec<tidings_crypto::Announcement>,
    lie: Option<Lie>,
    wake: Option<Instant>,
}

/// A link that carries frames.
#[derive(Clone, Copy, Debug)]
pub(super) struct Edge {
    pub(super) ends: [usize; 2],
    delay: Duration,
}

#[derive(Debug)]
enum Happening {
    Frame { link: LinkId, to: usize, frame: Routing },
    Down { link: LinkId, at: usize },
    Wake { node: usize },
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) events: u64,
    pub(super) frames: u64,
    pub(super) bytes: u64,
    pub(super) updates: u64,
    /// Next hops that were followed to see whether they lead back.
    pub(super) checked: u64,
}

pub(super) struct Net {
    pub(super) now: Instant,
    pub(super) nodes: Vec<Node>,
    pub(super) edges: BTreeMap<LinkId, Edge>,
    pub(super) rng: ChaCha12Rng,
    pub(super) counts: Counts,
    /// Updates that a node sent about a destination, by sender and receiver.
    pub(super) said: BTreeMap<(usize, usize, RoutingId), Vec<Instant>>,
    /// Whether bytes are counted, by encoding and reading every frame.
    pub(super) encodes: bool,
    queue: BTreeMap<(Instant, u64), Happening>,
    numbered: u64,
    last_link: u64,
    by_peer: BTreeMap<PeerKey, usize>,
    /// Signatures that were checked before.
    verified: BTreeMap<AnnouncementHash, Option<SignedAnnouncement>>,
    config: Config,
    indices: BTreeMap<(LinkId, usize, u16), RoutingId>,
}

impl Net {
    pub(super) fn new(nodes: usize, seed: u64) -> Self {
        Self::with(nodes, seed, Config::default())
    }

    pub(super) fn with(nodes: usize, seed: u64, config: Config) -> Self {
        let mut net = Self {
            now: Instant(1_000_000),
            nodes: Vec::new(),
            edges: BTreeMap::new(),
            rng: ChaCha12Rng::seed_from_u64(seed),
            counts: Counts::default(),
            said: BTreeMap::new(),
            encodes: false,
            queue: BTreeMap::new(),
            numbered: 0,
            last_link: 0,
            by_peer: BTreeMap::new(),
            verified: BTreeMap::new(),
            config,
            indices: BTreeMap::new(),
        };
        for _ in 0..nodes {
            net.add_node();
        }
        net
    }

    pub(super) fn add_node(&mut self) -> usize {
        let number = self.nodes.len();
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&(number as u64).to_be_bytes());
        let identity = IdentityKey::from_seed(&seed);
        let peer = identity.peer();
        self.by_peer.insert(peer, number);
        let state = State::new(self.config.clone(), peer, 1, self.seed());
        self.nodes.push(Node {
            identity,
            id: peer.routing_id(),
            state,
            boot: 1,
            links: BTreeMap::new(),
            evidence: BTreeMap::new(),
            own_boots: Vec::new(),
            announced: Vec::new(),
            lie: None,
            wake: None,
        });
        self.handle(number, Event::Facts(Facts::default()));
        number
    }

    fn seed(&mut self) -> [u8; 32] {
        let mut seed = [0; 32];
        self.rng.fill_bytes(&mut seed);
        seed
    }

    pub(super) fn id(&self, node: usize) -> RoutingId {
        self.nodes[node].id
    }

    pub(super) fn peer(&self, node: usize) -> PeerKey {
        self.nodes[node].identity.peer()
    }

    pub(super) fn lies(&mut self, node: usize, lie: Lie) {
        self.nodes[node].lie = Some(lie);
    }

    /// A number below `end`.
    pub(super) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.rng.next_u64() % end as u64).expect("it is below a usize")
    }
}

/// What a test does.
impl Net {
    pub(super) fn connect(&mut self, a: usize, b: usize, delay: Duration) -> LinkId {
        self.connect_at(a, b, delay, [1, 1])
    }

    pub(super) fn connect_at(&mut self, a: usize, b: usize, delay: Duration, costs: [u8; 2]) -> LinkId {
        self.last_link += 1;
        let link = LinkId(self.last_link);
        self.edges.insert(link, Edge { ends: [a, b], delay });
        for (at, other, cost) in [(a, b, costs[0]), (b, a, costs[1])] {
            self.nodes[at].links.insert(link, other);
            let peer = self.peer(other);
            self.handle(at, Event::LinkUp { link, peer, cost });
        }
        link
    }

    /// Nothing passes any more; each end notices after its own while.
    pub(super) fn cut(&mut self, link: LinkId, noticed: [Duration; 2]) {
        let Some(edge) = self.edges.remove(&link) else { return };
        for (at, after) in edge.ends.into_iter().zip(noticed) {
            self.schedule(self.now + after, Happening::Down { link, at });
        }
    }

    pub(super) fn links_of(&self, node: usize) -> Vec<LinkId> {
        self.edges.iter().filter(|(_, edge)| edge.ends.contains(&node)).map(|(link, _)| *link).collect()
    }

    pub(super) fn link_between(&self, a: usize, b: usize) -> Option<LinkId> {
        let joins = |edge: &Edge| edge.ends == [a, b] || edge.ends == [b, a];
        self.edges.iter().find(|(_, edge)| joins(edge)).map(|(link, _)| *link)
    }

    /// A node dies and starts anew, with nothing but its next boot. Its neighbours notice after a while.
    pub(super) fn restart(&mut self, node: usize, noticed: Duration) {
        for link in self.links_of(node) {
            let Some(edge) = self.edges.remove(&link) else { continue };
            let other = edge.ends[usize::from(edge.ends[0] == node)];
            self.schedule(self.now + noticed, Happening::Down { link, at: other });
        }
        let (peer, seed) = (self.peer(node), self.seed());
        let mine = &mut self.nodes[node];
        mine.boot += 1;
        mine.links.clear();
        mine.state = State::new(self.config.clone(), peer, mine.boot, seed);
        self.handle(node, Event::Facts(Facts::default()));
    }

    pub(super) fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some((at, _)) = self.queue.first_key_value().map(|(at, _)| *at).filter(|(at, _)| *at <= end) {
            self.now = at;
            self.step();
        }
        self.now = end;
    }

    /// Runs until the condition holds after an event; gives how long that took, or nothing after `most`.
    pub(super) fn run_until(&mut self, most: Duration, mut done: impl FnMut(&Self) -> bool) -> Option<Duration> {
        let start = self.now;
        loop {
            if done(self) {
                return Some(self.now.since(start));
            }
            let (at, _) = *self.queue.first_key_value().filter(|((at, _), _)| *at <= start + most)?.0;
            // The condition may be costly: it is looked at once a millisecond.
            let end = Instant(at.0 / 1000 * 1000 + 999);
            self.run_for(end.since(self.now));
        }
    }

    fn step(&mut self) {
        let Some((_, happening)) = self.queue.pop_first() else { return };
        match happening {
            Happening::Frame { link, to, frame } => {
                if self.edges.contains_key(&link) {
                    self.handle(to, Event::Frame { link, frame });
                }
            }
            Happening::Down { link, at } => {
                if self.nodes[at].links.remove(&link).is_some() {
                    self.handle(at, Event::LinkDown { link });
                }
            }
            Happening::Wake { node } => {
                if self.nodes[node].wake.is_some_and(|wake| wake <= self.now) {
                    self.nodes[node].wake = None;
                }
                if self.nodes[node].state.next_deadline().is_some_and(|due| due <= self.now) {
                    self.handle(node, Event::Tick);
                } else {
                    self.wake(node);
                }
            }
        }
    }

    fn schedule(&mut self, at: Instant, happening: Happening) {
        self.numbered += 1;
        self.queue.insert((at, self.numbered), happening);
    }

    pub(super) fn handle(&mut self, node: usize, event: Event) {
        self.counts.events += 1;
        self.nodes[node].state.handle(self.now, event);
        let mut changed = BTreeSet::new();
        while let Some(effect) = self.nodes[node].state.poll_effect() {
            self.on_effect(node, effect, &mut changed);
        }
        for to in changed {
            self.check(node, to);
        }
        self.wake(node);
    }

    fn wake(&mut self, node: usize) {
        let due = self.nodes[node].state.next_deadline().map(|due| due.max(self.now));
        if let Some(due) = due.filter(|due| self.nodes[node].wake.is_none_or(|wake| *due < wake)) {
            self.nodes[node].wake = Some(due);
            self.schedule(due, Happening::Wake { node });
        }
    }

    fn on_effect(&mut self, node: usize, effect: Effect, changed: &mut BTreeSet<RoutingId>) {
        match effect {
            Effect::Send { link, frame } => self.send(node, link, frame),
            Effect::Sign(announcement) => {
                let signed =
                    SignedAnnouncement::sign(&announcement, &self.nodes[node].identity).expect("within limits");
                self.verified.insert(signed.hash(), Some(signed.clone()));
                self.nodes[node].state.handle(self.now, Event::Signed(signed));
            }
            Effect::Verify { hash, bytes } => {
                let known = self.verified.entry(hash).or_insert_with(|| SignedAnnouncement::verify(&bytes).ok());
                let announcement = known.clone();
                self.nodes[node].state.handle(self.now, Event::Verified { hash, announcement });
            }
            Effect::Route { peer, .. } => {
                changed.insert(peer.routing_id());
            }
            Effect::Announced(announcement) => self.nodes[node].announced.push(announcement.announcement().clone()),
            Effect::Forgotten { .. } => {}
            Effect::OwnBoot { boot } => self.nodes[node].own_boots.push(boot),
            Effect::Evidence { peer, evidence } => {
                let by = self.by_peer[&peer];
                *self.nodes[node].evidence.entry((by, evidence)).or_default() += 1;
            }
        }
    }

    fn send(&mut self, node: usize, link: LinkId, frame: Routing) {
        let Some(other) = self.nodes[node].links.get(&link).copied() else { return };
        let frames = match self.nodes[node].lie.take() {
            None => vec![frame],
            Some(mut lie) => {
                let frames = lie(other, frame);
                self.nodes[node].lie = Some(lie);
                frames
            }
        };
        let Some(edge) = self.edges.get(&link).copied() else { return };
        for frame in frames {
            self.count(node, other, link, &frame);
            self.schedule(self.now + edge.delay, Happening::Frame { link, to: other, frame });
        }
    }
}

/// What is looked at.
impl Net {
    fn count(&mut self, node: usize, other: usize, link: LinkId, frame: &Routing) {
        self.counts.frames += 1;
        if let Routing::Updates { updates, .. } = frame {
            self.counts.updates += updates.len() as u64;
            for update in updates {
                if let Some(named) = update.named {
                    self.indices.insert((link, node, update.index), named.to);
                }
                if let Some(to) = self.indices.get(&(link, node, update.index)).copied() {
                    self.said.entry((node, other, to)).or_default().push(self.now);
                }
            }
        }
        if self.encodes {
            let (mut bytes, mut decoder) = (BytesMut::new(), FrameDecoder::default());
            self.counts.bytes += Frame::Routing(frame.clone()).encode(false, &mut bytes) as u64;
            decoder.push(bytes.freeze());
            let read = decoder.next_frame().expect("it was encoded here").expect("it is whole");
            assert_eq!(read.0, Frame::Routing(frame.clone()));
        }
    }

    /// The nodes to which a node sends what is for a destination: over links that still carry.
    fn next(&self, node: usize, to: &RoutingId) -> impl Iterator<Item = usize> {
        let hops = self.nodes[node].state.next_hops(to);
        let carried = |link: &LinkId| self.edges.contains_key(link);
        hops.best
            .into_iter()
            .chain(hops.second)
            .filter(move |hop| carried(&hop.link))
            .map(|hop| self.by_peer[&hop.peer])
    }

    /// Nothing for this destination comes back to this node, whichever of its next hops each node takes. Dishonest
    /// nodes send where they like, and are not followed.
    fn check(&mut self, node: usize, to: RoutingId) {
        if self.nodes[node].lie.is_some() {
            return;
        }
        let mut ahead: Vec<usize> = self.next(node, &to).collect();
        let mut seen = BTreeSet::new();
        self.counts.checked += 1;
        while let Some(at) = ahead.pop() {
            assert!(at != node, "what is for {to:?} comes back to {node} at {:?}", self.now);
            if self.nodes[at].lie.is_none() && seen.insert(at) && self.nodes[at].id != to {
                ahead.extend(self.next(at, &to));
            }
        }
    }

    /// Checks every destination at every node.
    pub(super) fn check_all(&mut self) {
        let ids: Vec<RoutingId> = self.nodes.iter().map(|node| node.id).collect();
        for node in 0..self.nodes.len() {
            for to in &ids {
                self.check(node, *to);
            }
        }
    }

    /// The cheapest way from each node to `to` over links that carry, both directions costing what that end says.
    pub(super) fn truth(&self, to: usize) -> Vec<Option<u32>> {
        let mut costs = vec![None; self.nodes.len()];
        costs[to] = Some(0);
        let mut frontier = BTreeSet::from([(0, to)]);
        while let Some((cost, at)) = frontier.pop_first() {
            for edge in self.edges.values().filter(|edge| edge.ends.contains(&at)) {
                let other = edge.ends[usize::from(edge.ends[0] == at)];
                if costs[other].is_none_or(|known| known > cost + 1) {
                    costs[other] = Some(cost + 1);
                    frontier.insert((cost + 1, other));
                }
            }
        }
        costs
    }

    /// Whether every node has a way to exactly those it can reach: following next hops arrives.
    pub(super) fn is_converged(&self) -> bool {
        (0..self.nodes.len()).all(|to| {
            let truth = self.truth(to);
            truth.iter().enumerate().all(|(from, cost)| {
                from == to
                    || (cost.is_some() == self.arrives(from, to) && cost.is_some() == self.cost(from, to).is_some())
            })
        })
    }

    /// Whether all links cost 1 and every way is the cheapest.
    pub(super) fn is_optimal(&self) -> bool {
        (0..self.nodes.len()).all(|to| {
            let truth = self.truth(to);
            truth.iter().enumerate().all(|(from, cost)| from == to || self.cost(from, to) == *cost)
        })
    }

    /// Who has no way to whom it should have one to, or one that leads nowhere.
    pub(super) fn astray(&self) -> Vec<(usize, usize)> {
        let count = self.nodes.len();
        let pairs = (0..count).map(|to| (to, self.truth(to)));
        let wrong = |to: usize, truth: Vec<Option<u32>>| {
            (0..count).filter(move |from| self.arrives(*from, to) != truth[*from].is_some()).map(move |from| (from, to))
        };
        pairs.flat_map(|(to, truth)| wrong(to, truth)).collect()
    }

    pub(super) fn cost(&self, from: usize, to: usize) -> Option<u32> {
        let best = self.nodes[from].state.next_hops(&self.id(to)).best;
        best.map(|hop| u32::from(hop.cost))
    }

    pub(super) fn arrives(&self, from: usize, to: usize) -> bool {
        let (id, mut at) = (self.id(to), from);
        for _ in 0..=self.nodes.len() {
            if at == to {
                return true;
            }
            let Some(hop) = self.nodes[at].state.next_hops(&id).best else { return false };
            if !self.edges.contains_key(&hop.link) {
                return false;
            }
            at = self.by_peer[&hop.peer];
        }
        false
    }

    pub(super) fn installed(&self) -> u64 {
        self.nodes.iter().map(|node| node.state.stats().installed).sum()
    }

    pub(super) fn stat(&self, stat: impl Fn(&super::super::Stats) -> u64) -> u64 {
        self.nodes.iter().map(|node| stat(&node.state.stats())).sum()
    }

    /// Evidence that honest nodes have against a node.
    pub(super) fn evidence_against(&self, node: usize) -> BTreeMap<Evidence, u64> {
        let mut against = BTreeMap::new();
        for honest in self.nodes.iter().filter(|node| node.lie.is_none()) {
            for ((_, evidence), count) in honest.evidence.iter().filter(|((by, _), _)| *by == node) {
                *against.entry(*evidence).or_default() += count;
            }
        }
        against
    }

    pub(super) fn assert_no_evidence(&self) {
        for (number, node) in self.nodes.iter().enumerate() {
            assert!(node.evidence.is_empty(), "{number} has {:?}", node.evidence);
        }
    }
}
