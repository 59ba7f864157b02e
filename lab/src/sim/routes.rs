//! Where every node sends what is for whom, and that following it never comes back.
//!
//! Each time a node's next hop changes, the way from it is followed over the links that are up at both ends. If that
//! comes back to the node, a parcel could go round: routing promises that it never does, not even for a moment.

use std::collections::HashMap;

use tidings_core::Engine;
use tidings_core::ids::{LinkId, MessageId};
use tidings_core::wire::Path;
use tidings_crypto::{PeerKey, RoutingId};

use super::node::LabSealer;
use super::ways::distances;
use super::world::World;
use crate::checker::{MAX_VIOLATIONS, Rule, Violation};

/// No next hop. Zero, so that a table for ten thousand nodes takes no memory where no route ever leads.
const NOWHERE: u32 = 0;
/// More links than any way has.
const UNREACHED: u32 = u32::MAX;
/// Up to so many nodes the second next hops are followed at each change too; with more at one of so many.
const SECONDS_EVERY: u64 = 32;

/// What all nodes do with what is for others.
#[derive(Debug)]
pub(super) struct Routes {
    nodes: usize,
    by_key: HashMap<PeerKey, usize>,
    by_routing_id: HashMap<RoutingId, usize>,
    /// By destination and node: the wire and the end that the best next hop is reached by, counted from 1.
    next: Vec<u32>,
    /// Next hops taken or changed.
    pub(super) installed: u64,
    /// Ways followed to see whether they come back, over best next hops and over all of them.
    pub(super) followed: u64,
    pub(super) followed_all: u64,
    /// Recorded routes that were followed, at recipients and at senders.
    pub(super) recorded: [u64; 2],
    /// When a next hop changed last.
    pub(super) changed_at: u64,
    pub(super) violations: Vec<Violation>,
    /// By node: how many links its shortest ways to the others have, once somebody asks. From the first one that it
    /// reaches to the last: the nodes of an island follow one another.
    shortest: HashMap<usize, (usize, Vec<u32>)>,
}

impl Routes {
    pub(super) fn new(keys: &[PeerKey]) -> Self {
        Self {
            nodes: keys.len(),
            by_key: keys.iter().copied().enumerate().map(|(node, key)| (key, node)).collect(),
            by_routing_id: keys.iter().enumerate().map(|(node, key)| (key.routing_id(), node)).collect(),
            next: vec![NOWHERE; keys.len() * keys.len()],
            installed: 0,
            followed: 0,
            followed_all: 0,
            recorded: [0; 2],
            changed_at: 0,
            violations: Vec::new(),
            shortest: HashMap::new(),
        }
    }

    /// A peer's number.
    pub(super) fn node(&self, key: &PeerKey) -> Option<usize> {
        self.by_key.get(key).copied()
    }

    /// The wire and the end by which a node reaches its next hop towards a destination.
    pub(super) fn next(&self, node: usize, to: usize) -> Option<(usize, usize)> {
        let code = (self.next[to * self.nodes + node] as usize).checked_sub(1)?;
        Some((code / 2, code % 2))
    }

    fn set(&mut self, node: usize, to: usize, next: Option<(usize, usize)>) {
        let code = next.and_then(|(wire, end)| u32::try_from(wire * 2 + end + 1).ok());
        self.next[to * self.nodes + node] = code.unwrap_or(NOWHERE);
    }

    /// A node is gone, and with it all it knew.
    pub(super) fn forget(&mut self, node: usize) {
        for to in 0..self.nodes {
            if self.next(node, to).is_some() {
                self.set(node, to, None);
            }
        }
    }

    fn violate(&mut self, rule: Rule, at: u64, what: String) {
        if self.violations.len() < MAX_VIOLATIONS {
            self.violations.push(Violation { rule, at, what });
        }
    }
}

impl<S: LabSealer> World<S> {
    /// Takes up what an engine has changed, and follows the new way.
    pub(super) fn on_rerouted(&mut self, index: usize, peer: &PeerKey) {
        let Some(to) = self.routes.node(peer) else { return };
        let next = self.next_wire(index, to);
        self.routes.set(index, to, next);
        self.routes.changed_at = self.now;
        self.reach.mark(to);
        if next.is_some() {
            self.routes.installed += 1;
            self.follow(index, to);
        }
    }

    /// The wire and the end by which a node reaches its best next hop now.
    pub(super) fn next_wire(&self, index: usize, to: usize) -> Option<(usize, usize)> {
        let [best, _] = self.next_hops(index, to);
        best.and_then(|link| self.nodes[index].links.get(&link).copied())
    }

    fn next_hops(&self, index: usize, to: usize) -> [Option<LinkId>; 2] {
        let hops = self.nodes[index].engine.as_ref().map(|engine| Engine::next_hops(engine, &self.keys[to]));
        hops.unwrap_or_default().map(|hop| hop.map(|(link, _)| link))
    }

    /// The node at the other end of a wire that is up at both, and does as it should.
    pub(super) fn across(&self, wire: usize, end: usize) -> Option<usize> {
        let ends = &self.wires[wire].ends;
        let other = ends[1 - end].node;
        (ends[0].up && ends[1].up && self.hostile[other].is_none()).then_some(other)
    }

    /// Follows the way from a node whose next hop is new.
    fn follow(&mut self, index: usize, to: usize) {
        if self.hostile[index].is_some() {
            return;
        }
        self.routes.followed += 1;
        let mut at = index;
        for _ in 0..self.nodes.len() {
            let next = self.routes.next(at, to).and_then(|(wire, end)| self.across(wire, end));
            match next {
                Some(next) if next == index => return self.found_loop(index, to, "best"),
                Some(next) if next != to => at = next,
                Some(_) | None => break,
            }
        }
        if self.nodes.len() as u64 <= SECONDS_EVERY || self.routes.installed.is_multiple_of(SECONDS_EVERY) {
            self.follow_all(index, to);
        }
    }

    /// Follows both next hops of every node on the way: a parcel takes either.
    fn follow_all(&mut self, index: usize, to: usize) {
        self.routes.followed_all += 1;
        let (mut seen, mut open) = (vec![false; self.nodes.len()], vec![index]);
        while let Some(at) = open.pop() {
            for link in self.next_hops(at, to).into_iter().flatten() {
                let wire = self.nodes[at].links.get(&link).copied();
                let next = wire.and_then(|(wire, end)| self.across(wire, end));
                let Some(next) = next.filter(|next| *next != to) else { continue };
                if next == index {
                    return self.found_loop(index, to, "second");
                }
                if !std::mem::replace(&mut seen[next], true) {
                    open.push(next);
                }
            }
        }
    }

    fn found_loop(&mut self, index: usize, to: usize, over: &str) {
        let mut way = vec![index];
        while let Some((wire, end)) = way.last().and_then(|at| self.routes.next(*at, to))
            && let Some(next) = self.across(wire, end)
            && way.len() <= self.nodes.len()
        {
            let again = way.contains(&next);
            way.push(next);
            if again || next == to {
                break;
            }
        }
        let what = format!("what node {index} sends to node {to} over {over} next hops comes back; the best: {way:?}");
        self.trace.tell(self.now, index, || what.clone());
        self.routes.violate(Rule::Loop, self.now, what);
    }
}

impl<S: LabSealer> World<S> {
    /// What a node is told that a message crossed is no less than the shortest way, where nobody lies about that.
    pub(super) fn check_hops(&mut self, index: usize, sender: &PeerKey, hops: u32) {
        let Some(from) = self.routes.node(sender).filter(|_| self.tally.hostile == 0) else { return };
        if !self.routes.shortest.contains_key(&from) {
            let shortest = self.shortest_from(from);
            self.routes.shortest.insert(from, shortest);
        }
        let known = self.routes.shortest.get(&from);
        let shortest = known.and_then(|(first, shortest)| shortest.get(index.checked_sub(*first)?).copied());
        // Where no way leads, none is short enough.
        let shortest = shortest.unwrap_or(UNREACHED);
        if hops < shortest {
            let what =
                format!("node {index} is told that a message of node {from} crossed {hops} links, not {shortest}");
            self.routes.violate(Rule::Hops, self.now, what);
        }
    }

    /// What a node is told of the way on which a message came is a way of the topology, where nobody lies about that:
    /// one link from each to the next, from the sender to itself.
    pub(super) fn check_path(&mut self, index: usize, sender: &PeerKey, hops: u32, path: Option<&Path>) {
        let Some(from) = self.routes.node(sender).filter(|_| self.tally.hostile == 0) else { return };
        self.routes.recorded[0] += 1;
        if !path.is_some_and(|path| self.is_way(from, path, index, hops)) {
            let what = format!("node {index} is told that a message of node {from} crossed {hops} links: {path:?}");
            self.routes.violate(Rule::Path, self.now, what);
        }
    }

    /// What the sender is told is what the recipient knows.
    pub(super) fn check_told_path(&mut self, index: usize, to: &PeerKey, id: MessageId) {
        let Some(told) = self.nodes[index].store.route(id) else { return };
        let Some(recipient) = self.routes.node(to).filter(|_| self.tally.hostile == 0) else { return };
        self.routes.recorded[1] += 1;
        let known = self.nodes[recipient].store.route(id);
        if !self.is_way(index, &told.1, recipient, told.0) || known.as_ref() != Some(&told) {
            let what = format!("node {index} is told that {id:?} went to node {recipient} over {told:?}");
            self.routes.violate(Rule::Path, self.now, what);
        }
    }

    fn is_way(&self, from: usize, path: &Path, to: usize, hops: u32) -> bool {
        let relays = path.relays().iter().map(|relay| self.routes.by_routing_id.get(relay).copied());
        let Some(relays) = relays.collect::<Option<Vec<_>>>() else { return false };
        let way: Vec<_> = [from].into_iter().chain(relays).chain([to]).collect();
        let linked = |a: usize, b: usize| {
            let mut roads = self.nodes[a].roads.iter().map(|road| self.roads[*road].ends);
            a != b && roads.any(|ends| ends.contains(&b))
        };
        way.len() == hops as usize + 1 && way.windows(2).all(|pair| linked(pair[0], pair[1]))
    }

    fn shortest_from(&self, from: usize) -> (usize, Vec<u32>) {
        let ends = |node: usize| self.nodes[node].roads.iter().flat_map(|road| self.roads[*road].ends);
        let shortest = distances(self.nodes.len(), from, ends);
        let (first, last) = (shortest.iter().position(Option::is_some), shortest.iter().rposition(Option::is_some));
        let (first, last) = (first.unwrap_or(from), last.unwrap_or(from));
        (first, shortest[first..=last].iter().map(|links| links.unwrap_or(UNREACHED)).collect())
    }
}
