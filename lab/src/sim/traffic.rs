//! How bytes cross the roads.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use bytes::Bytes;
use tidings_core::Input;
use tidings_core::ids::{DialId, LinkId};
use tidings_core::links::{Address, LinkKind};
use tidings_crypto::PeerKey;

use super::client::MARKER;
use super::faults::Tally;
use super::node::LabSealer;
use super::reach::Disturbance;
use super::trace::Mark;
use super::wire::{End, GIVE_UP, GRANT, Lane, RENEWAL, Wire};
use super::world::{Happening, World, address, node_at};
use crate::log::Entry;

/// The kinds of frames with which routing talks; docs/spec/wire.md §2.
const ROUTING_KINDS: RangeInclusive<u8> = 9..=14;
/// The one that tells of routes.
const UPDATES: u8 = 9;
/// How long a dial that nobody answers takes to fail, in microseconds.
const DIAL_TIME: u64 = 10_000_000;

impl<S: LabSealer> World<S> {
    /// A node opens a link.
    pub(super) fn dial(&mut self, index: usize, dial: DialId, peer: Option<PeerKey>, to: Address) {
        self.trace.tell(self.now, index, || format!("dials {to}"));
        let life = self.nodes[index].life;
        let other = node_at(&to).filter(|other| *other < self.nodes.len());
        let between = |road: &usize| other.is_some_and(|other| self.roads[*road].ends.contains(&other));
        let road = self.nodes[index].roads.iter().copied().find(between);
        let failed = |reason| Happening::DialFailed { node: index, life, dial, reason };
        let (after, what) = match (road, other) {
            (Some(road), Some(other)) if other != index && self.roads[road].cuts == 0 => {
                if self.roads[road].is_silent() || self.nodes[other].freezes > 0 {
                    (DIAL_TIME, failed("nobody answered"))
                } else if peer.is_some_and(|peer| peer != self.keys[other]) {
                    (self.roads[road].round_trip(), failed("another key"))
                } else {
                    let trip = self.roads[road].round_trip();
                    // A handshake of two round trips, with what its losses add.
                    let stalls = [0, 1].map(|way| self.roads[road].stall(way, 3_000, &mut self.dice));
                    match stalls {
                        [Some(there), Some(back)] if there + back < DIAL_TIME => {
                            let jitter = self.dice.below(200);
                            let what = Happening::Connect { node: index, life, dial, road, address: to };
                            (2 * trip + there + back + jitter, what)
                        }
                        [Some(_) | None, Some(_) | None] => (DIAL_TIME, failed("nobody answered")),
                    }
                }
            }
            (Some(_) | None, Some(_) | None) => (1_000, failed("unreachable")),
        };
        self.queue.push(self.now + after, what);
    }

    /// A handshake has come through, if nothing has happened meanwhile.
    pub(super) fn on_connect(&mut self, index: usize, life: u64, dial: DialId, road: usize, remote: Address) {
        if !self.is_alive(index, life) {
            return;
        }
        let here = &self.roads[road];
        let other = here.ends[1 - here.from(index)];
        let reachable = here.cuts == 0 && !here.is_silent() && self.nodes[other].is_running();
        if !reachable {
            self.trace.note(self.now, index, Mark::DialFailed, dial.0, 0);
            return self.input(index, Input::DialFailed { dial, reason: "refused".to_owned() });
        }
        let ends = [index, other].map(|node| {
            self.nodes[node].last_link += 1;
            End { node, life: self.nodes[node].life, link: LinkId(self.nodes[node].last_link), up: true }
        });
        let wire = self.wires.len();
        for (number, end) in ends.iter().enumerate() {
            self.nodes[end.node].links.insert(end.link, (wire, number));
        }
        self.wires.push(Wire { road, ends, lanes: [Lane::default(), Lane::default()] });
        self.tally.links += 1;
        if self.wires_over(road).iter().filter(|wire| self.across(**wire, 0).is_some()).count() == 1 {
            self.shaping.on_laid(self.now);
            self.relinked(Disturbance::Gain);
        }
        let (kind, keys) = (LinkKind::Tcp, ends.map(|end| self.keys[end.node]));
        let dialled = Input::LinkUp { link: ends[0].link, peer: keys[1], kind, dial: Some(dial), address: remote };
        let back = address(index);
        let taken = Input::LinkUp { link: ends[1].link, peer: keys[0], kind, dial: None, address: back };
        for (end, up) in ends.into_iter().zip([dialled, taken]) {
            self.trace.note(self.now, end.node, Mark::LinkUp, end.link.0, 0);
            self.trace.tell(self.now, end.node, || format!("link {} of wire {wire} is up", end.link.0));
            self.input(end.node, up);
            self.input(end.node, Input::Writable { link: end.link, bytes: GRANT });
        }
    }

    /// A node writes to a link.
    pub(super) fn transmit(&mut self, index: usize, link: LinkId, bytes: Bytes) {
        self.trace.note(self.now, index, Mark::Transmit, link.0, bytes.len() as u64);
        self.trace.tell(self.now, index, || {
            let kinds: Vec<_> = frames(&bytes).map(|(kind, length)| format!("{} {length}", frame_kind(kind))).collect();
            format!("writes {} bytes to link {}: {}", bytes.len(), link.0, kinds.join(", "))
        });
        self.trace.written(&bytes);
        self.tally.count_frames(&bytes);
        self.shaping.on_written(self.now, index, frames(&bytes));
        self.flaps.hear(self.now, index, frames(&bytes).filter(|(kind, _)| *kind == UPDATES).count());
        if contains_marker(&bytes) {
            self.write(None, Entry::Plaintext { place: format!("the wire of node {index}") });
        }
        self.overhear(index, &bytes);
        self.send(index, link, bytes);
    }

    /// Bytes leave over a link, whoever made them.
    pub(super) fn send(&mut self, index: usize, link: LinkId, bytes: Bytes) {
        let Some((wire, end)) = self.nodes[index].links.get(&link).copied() else { return };
        let length = bytes.len() as u64;
        self.tally.bytes += length;
        let road = self.wires[wire].road;
        let way = self.roads[road].from(index);
        let quality = self.roads[road].now[way];
        let silences = self.roads[road].silences;
        let lane = &mut self.wires[wire].lanes[end];
        let leaves = lane.free.max(self.now) + length * 1_000_000 / quality.rate;
        lane.free = leaves;
        lane.taken += length;
        let full = lane.taken >= RENEWAL && !lane.renewing;
        if full && silences == [0, 0] {
            lane.renewing = true;
            self.queue.push(leaves, Happening::Renew { wire, end });
        }
        if silences != [0, 0] && lane.stuck.is_none() {
            lane.stuck = Some(self.now);
            self.queue.push(self.now + GIVE_UP, Happening::GiveUp { wire, end, since: self.now });
        }
        // Behind what is held nothing overtakes.
        if silences[way] > 0 || !lane.held.is_empty() {
            lane.held.push_back(bytes);
            return;
        }
        self.carry(wire, end, way, leaves, bytes);
    }

    /// What has left arrives, late by what is lost.
    pub(super) fn carry(&mut self, wire: usize, end: usize, way: usize, leaves: u64, bytes: Bytes) {
        let road = self.wires[wire].road;
        if self.wires[wire].lanes[end].given_up {
            return;
        }
        let Some(stall) = self.roads[road].stall(way, bytes.len() as u64, &mut self.dice) else {
            self.tally.resets += 1;
            self.wires[wire].lanes[end].given_up = true;
            for end in 0..2 {
                self.queue.push(self.now + GIVE_UP, Happening::Down { wire, end });
            }
            return;
        };
        let quality = self.roads[road].now[way];
        let jitter = if quality.jitter == 0 { 0 } else { self.dice.below(quality.jitter) };
        let lane = &mut self.wires[wire].lanes[end];
        let arrival = (leaves + quality.delay + jitter + stall).max(lane.last_arrival);
        lane.last_arrival = arrival;
        self.queue.push(arrival, Happening::Arrive { wire, end: 1 - end, bytes });
    }

    /// Bytes reach a link's end.
    pub(super) fn on_arrival(&mut self, wire: usize, end: usize, bytes: Bytes) {
        let Some((node, link)) = self.end(wire, end) else {
            // Whoever wrote to a link that is gone is told, if somebody is there to tell.
            if self.nodes[self.wires[wire].ends[end].node].engine.is_some() {
                self.tell_other_end(wire, end);
            } else {
                self.wait_in_vain(wire, 1 - end);
            }
            return;
        };
        self.trace.note(self.now, node, Mark::Arrive, link.0, bytes.len() as u64);
        if self.chopping && bytes.len() > 1 && self.dice.below(4) == 0 {
            let at = 1 + self.dice.index(bytes.len() - 1);
            self.input(node, Input::Bytes { link, bytes: bytes.slice(..at) });
            if self.end(wire, end).is_some() {
                self.input(node, Input::Bytes { link, bytes: bytes.slice(at..) });
            }
        } else {
            self.input(node, Input::Bytes { link, bytes });
        }
    }
}

impl<S: LabSealer> World<S> {
    /// A writer may take more, since what it wrote has left and is confirmed.
    pub(super) fn on_renewal(&mut self, wire: usize, end: usize) {
        let silent = self.roads[self.wires[wire].road].is_silent();
        let lane = &mut self.wires[wire].lanes[end];
        lane.renewing = false;
        if silent {
            return;
        }
        let bytes = std::mem::take(&mut lane.taken);
        if let Some((node, link)) = self.end(wire, end)
            && bytes > 0
        {
            self.input(node, Input::Writable { link, bytes });
        }
    }

    /// A node closes a link once what it wrote is read.
    pub(super) fn close(&mut self, index: usize, link: LinkId) {
        self.trace.tell(self.now, index, || format!("closes link {}", link.0));
        let Some((wire, end)) = self.nodes[index].links.get(&link).copied() else { return };
        let leaves = self.wires[wire].lanes[end].free.max(self.now) + 1;
        self.queue.push(leaves, Happening::Down { wire, end });
        self.tell_other_end(wire, end);
    }

    /// The other end of a link that is gone here learns it, unless nothing gets there.
    pub(super) fn tell_other_end(&mut self, wire: usize, end: usize) {
        let road = &self.roads[self.wires[wire].road];
        let way = road.from(self.wires[wire].ends[end].node);
        let lane = &self.wires[wire].lanes[end];
        let arrives = (lane.free.max(self.now) + road.now[way].delay).max(lane.last_arrival) + 1;
        if road.silences[way] == 0 {
            self.queue.push(arrives, Happening::Down { wire, end: 1 - end });
        } else {
            self.wait_in_vain(wire, 1 - end);
        }
    }

    /// What was written to this end's link is never confirmed.
    fn wait_in_vain(&mut self, wire: usize, end: usize) {
        let lane = &mut self.wires[wire].lanes[end];
        if lane.stuck.is_none() {
            lane.stuck = Some(self.now);
            self.queue.push(self.now + GIVE_UP, Happening::GiveUp { wire, end, since: self.now });
        }
    }

    /// A transport has waited for a confirmation long enough.
    pub(super) fn on_give_up(&mut self, wire: usize, end: usize, since: u64) {
        if self.wires[wire].lanes[end].stuck == Some(since) {
            self.tally.resets += 1;
            self.down(wire, end);
        }
    }

    /// A link's end is gone.
    pub(super) fn down(&mut self, wire: usize, end: usize) {
        let Some((node, link)) = self.end(wire, end) else { return };
        let was_up = self.across(wire, end).is_some();
        self.wires[wire].ends[end].up = false;
        let others = self.wires_over(self.wires[wire].road);
        if was_up && !others.iter().any(|wire| self.across(*wire, 0).is_some()) {
            self.shaping.on_dropped(self.now);
            self.relinked(Disturbance::Loss);
        }
        self.wires[wire].lanes[end].held.clear();
        self.nodes[node].links.remove(&link);
        self.trace.note(self.now, node, Mark::LinkDown, link.0, 0);
        self.trace.tell(self.now, node, || format!("link {} is down", link.0));
        self.input(node, Input::LinkDown { link });
    }

    /// The wires over a road that have an end.
    pub(super) fn wires_over(&self, road: usize) -> Vec<usize> {
        let [a, b] = self.roads[road].ends;
        let mut wires: Vec<_> = [a, b]
            .into_iter()
            .flat_map(|node| self.nodes[node].links.values())
            .map(|(wire, _)| *wire)
            .filter(|wire| self.wires[*wire].road == road)
            .collect();
        wires.sort_unstable();
        wires.dedup();
        wires
    }

    /// How many roads from a node carry a link that is up at both ends.
    pub(super) fn linked_roads(&self, index: usize) -> u64 {
        let links = self.nodes[index].links.values();
        let up = links.filter(|(wire, end)| self.across(*wire, *end).is_some());
        up.map(|(wire, _)| self.wires[*wire].road).collect::<BTreeSet<_>>().len() as u64
    }

    /// A silence is over: what it swallowed is sent again, and writers go on.
    pub(super) fn speak(&mut self, road: usize) {
        if self.roads[road].is_silent() {
            return;
        }
        for wire in self.wires_over(road) {
            for end in 0..2 {
                let way = self.roads[road].from(self.wires[wire].ends[end].node);
                self.wires[wire].lanes[end].stuck = None;
                let held = std::mem::take(&mut self.wires[wire].lanes[end].held);
                let resent = self.now + self.dice.below(2_000_000);
                for bytes in held {
                    self.carry(wire, end, way, resent, bytes);
                }
                self.queue.push(self.now + 1, Happening::Renew { wire, end });
            }
        }
    }
}

/// What a kind of frame says; docs/spec/wire.md §2.
pub(super) const fn frame_kind(kind: u8) -> &'static str {
    match kind {
        1 => "hello",
        2 => "got",
        3 => "bye",
        4 => "probe",
        5 => "fragment",
        6 => "refused",
        7 => "find card",
        8 => "card",
        9 => "updates",
        10 => "want announcements",
        11 => "announcement",
        12 => "seq request",
        13 => "digest",
        14 => "want routes",
        _ => "other",
    }
}

impl Tally {
    fn count_frames(&mut self, written: &[u8]) {
        for (kind, length) in frames(written) {
            let [frames, bytes] = self.by_kind.entry(kind).or_default();
            (*frames, *bytes) = (*frames + 1, *bytes + length);
            self.frames += 1;
            self.routing_bytes += if ROUTING_KINDS.contains(&kind) { length } else { 0 };
        }
    }
}

/// The kinds and lengths of the frames that an engine has written at once; it writes whole ones.
fn frames(mut bytes: &[u8]) -> impl Iterator<Item = (u8, u64)> {
    std::iter::from_fn(move || {
        let (after_length, rest) = bytes.split_first_chunk::<2>()?;
        let length = usize::from(u16::from_be_bytes(*after_length));
        bytes = rest.get(length..).unwrap_or_default();
        Some((*rest.first()?, 2 + length as u64))
    })
}

pub(super) fn contains_marker(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|byte| *byte == MARKER[0]) {
        rest = &rest[at..];
        if rest.starts_with(MARKER) {
            return true;
        }
        rest = &rest[1..];
    }
    false
}
