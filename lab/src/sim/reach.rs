//! How long it takes until everybody reaches everybody again.
//!
//! The network is *whole* while from every running node the next hops lead to every other to which working links lead
//! at all; in an open topology, to every other to which links could lead. What ends that is a *disturbance*: a link or
//! a node that comes or goes; in an open topology, whose links nodes choose, a node or a road. The time from the last disturbance
//! until all is whole is what a person would wait for; what routing says meanwhile, and while all is whole, is what
//! it costs.

use super::node::LabSealer;
use super::world::World;

/// How long the network was not whole, in microseconds, and what it cost.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reached {
    /// From the last link that came up at the beginning.
    pub(crate) formed: Vec<u64>,
    /// From the last disturbance, where something was lost.
    pub(crate) after_loss: Vec<u64>,
    /// From the last disturbance, where something only came.
    pub(crate) after_gain: Vec<u64>,
    /// Bytes of routing's frames while the network was whole, and for how many microseconds of how many nodes.
    pub(crate) quiet_bytes: u64,
    pub(crate) quiet_node_micros: u64,
}

impl Reached {
    /// Bytes of routing's frames per node and minute while the network was whole.
    pub(crate) fn quiet_bytes_per_minute(&self) -> Option<u64> {
        let bytes = (u128::from(self.quiet_bytes) * 60_000_000).checked_div(u128::from(self.quiet_node_micros))?;
        Some(u64::try_from(bytes).unwrap_or(u64::MAX))
    }

    pub(super) fn add(&mut self, other: Self) {
        self.formed.extend(other.formed);
        self.after_loss.extend(other.after_loss);
        self.after_gain.extend(other.after_gain);
        self.quiet_bytes += other.quiet_bytes;
        self.quiet_node_micros += other.quiet_node_micros;
    }
}

/// Whether the network is whole, and since when it is not.
#[derive(Debug)]
pub(super) struct Reach {
    pub(super) reached: Reached,
    /// Nobody looks again before.
    look_at: u64,
    /// What routing says before does not count as quiet.
    quiet_from: Option<u64>,
    /// Since when it is whole, and what routing had said by then.
    whole: Option<(u64, u64)>,
    /// The last disturbance.
    disturbed_at: u64,
    lost: bool,
    /// Whether the network has been whole, or lost something before it was.
    formed: bool,
    /// Which nodes reach one another over working links: the number of their part, and who is in it.
    parts: Vec<u32>,
    members: Vec<Vec<usize>>,
    stale_parts: bool,
    /// Destinations that have to be looked at, and how many there are.
    open: Vec<bool>,
    opened: usize,
    leads: Marks,
    /// The one that was not reached when somebody looked last.
    missed: usize,
}

/// A set of nodes that costs nothing to empty: most are looked at for the few nodes of one part.
#[derive(Debug)]
struct Marks {
    of: Vec<u64>,
    round: u64,
}

impl Marks {
    fn clear(&mut self) {
        self.round += 1;
    }

    fn set(&mut self, node: usize) {
        self.of[node] = self.round;
    }

    fn has(&self, node: usize) -> bool {
        self.of[node] == self.round
    }
}

/// What came or went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Disturbance {
    Gain,
    Loss,
}

impl Reach {
    pub(super) fn new(nodes: usize, now: u64, quiet_from: Option<u64>) -> Self {
        Self {
            reached: Reached::default(),
            look_at: now,
            quiet_from,
            whole: None,
            disturbed_at: now,
            lost: false,
            formed: false,
            parts: vec![0; nodes],
            members: Vec::new(),
            stale_parts: true,
            open: vec![true; nodes],
            opened: nodes,
            leads: Marks { of: vec![0; nodes], round: 0 },
            missed: 0,
        }
    }

    /// The ways to a destination have changed.
    pub(super) fn mark(&mut self, to: usize) {
        self.opened += usize::from(!std::mem::replace(&mut self.open[to], true));
    }

    /// All ways may have changed.
    fn mark_all(&mut self) {
        self.open.fill(true);
        self.opened = self.open.len();
    }

    /// Forgets what was said so far, if from now on it is to be quiet.
    fn begin_quiet(&mut self, now: u64, said: u64) {
        if self.quiet_from.is_some_and(|from| from <= now) {
            self.quiet_from = None;
            (self.reached.quiet_bytes, self.reached.quiet_node_micros) = (0, 0);
            self.whole = self.whole.map(|_| (now, said));
        }
    }

    /// Adds up what was said since the network became whole.
    pub(super) fn on_quiet_end(&mut self, now: u64, said: u64) {
        if let Some((since, before)) = self.whole.take() {
            self.reached.quiet_bytes += said - before;
            self.reached.quiet_node_micros += (now - since) * self.open.len() as u64;
        }
    }
}

impl<S: LabSealer> World<S> {
    /// A link or a node came or went.
    pub(super) fn disturb(&mut self, what: Disturbance) {
        let (now, said) = (self.now, self.tally.routing_bytes);
        self.reach.on_quiet_end(now, said);
        self.reach.lost |= what == Disturbance::Loss;
        self.reach.formed |= self.reach.lost;
        self.reach.disturbed_at = now;
        self.reach.stale_parts = true;
        self.reach.mark_all();
    }

    /// A link came or went. In an open topology nodes lay and drop links as they choose: that is no disturbance, but
    /// ways may be gone.
    pub(super) fn relinked(&mut self, what: Disturbance) {
        if self.is_open() {
            self.reach.mark_all();
        } else {
            self.disturb(what);
        }
    }

    /// A road was cut or joined. In an open topology that says who can be reached; in others links do.
    pub(super) fn on_road(&mut self, what: Disturbance) {
        if self.is_open() {
            self.disturb(what);
        }
    }

    /// Looks whether the network is whole, if that is not known and enough time has passed.
    pub(super) fn look(&mut self) {
        self.reach.begin_quiet(self.now, self.tally.routing_bytes);
        if self.now < self.reach.look_at || self.reach.whole.is_some() && self.reach.opened == 0 {
            return;
        }
        self.reach.look_at = self.now + (self.nodes.len() as u64 * 50).clamp(1_000, 100_000);
        if !self.reach.formed && !self.is_open() && !self.all_linked() {
            return;
        }
        if self.reach.stale_parts {
            self.part();
        }
        let missed = self.reach.missed;
        for to in std::iter::once(missed).chain(0..self.nodes.len()) {
            if self.reach.open[to] {
                if !self.is_reached(to) {
                    self.reach.missed = to;
                    return self.on_missed();
                }
                self.reach.open[to] = false;
                self.reach.opened -= 1;
            }
        }
        self.on_whole();
    }

    /// Somebody is not reached; where nothing has disturbed the network, that itself does.
    fn on_missed(&mut self) {
        if self.reach.whole.is_some() {
            self.reach.on_quiet_end(self.now, self.tally.routing_bytes);
            self.reach.disturbed_at = self.routes.changed_at;
            self.reach.lost = true;
        }
    }

    fn on_whole(&mut self) {
        if self.reach.whole.is_some() {
            return;
        }
        let took = self.routes.changed_at.saturating_sub(self.reach.disturbed_at);
        let reached = &mut self.reach.reached;
        let times = if std::mem::take(&mut self.reach.lost) {
            &mut reached.after_loss
        } else if self.reach.formed {
            &mut reached.after_gain
        } else {
            &mut reached.formed
        };
        times.push(took);
        self.reach.formed = true;
        self.shaping.on_formed(self.now);
        self.reach.whole = Some((self.now, self.tally.routing_bytes));
        self.trace.tell(self.now, 0, || format!("the network is whole {took} us after the last disturbance"));
    }
}

impl<S: LabSealer> World<S> {
    /// The node at the other end of a wire that carries.
    pub(super) fn carries(&self, wire: usize, end: usize) -> Option<usize> {
        let silent = self.roads[self.wires[wire].road].is_silent();
        self.across(wire, end).filter(|other| !silent && self.nodes[*other].is_running())
    }

    /// Whether every road carries a link.
    fn all_linked(&self) -> bool {
        let carries = |node: usize, road: usize| {
            let mut links = self.nodes[node].links.values();
            links.any(|(wire, end)| self.wires[*wire].road == road && self.carries(*wire, *end).is_some())
        };
        self.roads.iter().enumerate().all(|(number, road)| road.ends.iter().all(|end| carries(*end, number)))
    }

    /// To whom a working link leads from a node, or, in an open topology, to whom one can.
    fn joined(&self, node: usize) -> Vec<usize> {
        if !self.is_open() {
            let links = self.nodes[node].links.values();
            return links.filter_map(|(wire, end)| self.carries(*wire, *end)).collect();
        }
        let roads = self.nodes[node].roads.iter().map(|road| &self.roads[*road]);
        let roads = roads.filter(|road| road.cuts == 0 && !road.is_silent());
        let others = roads.map(|road| road.ends[1 - road.from(node)]);
        others.filter(|other| self.nodes[*other].is_running() && self.hostile[*other].is_none()).collect()
    }

    /// Finds which nodes working links join, or can.
    fn part(&mut self) {
        self.reach.stale_parts = false;
        self.reach.parts.fill(0);
        // Who is in no part stands first.
        self.reach.members = vec![Vec::new()];
        let mut parts = 0;
        for first in 0..self.nodes.len() {
            if self.reach.parts[first] != 0 || !self.nodes[first].is_running() || self.hostile[first].is_some() {
                continue;
            }
            parts += 1;
            self.reach.parts[first] = parts;
            let (mut open, mut members) = (vec![first], Vec::new());
            while let Some(at) = open.pop() {
                members.push(at);
                for next in self.joined(at) {
                    if self.reach.parts[next] == 0 {
                        self.reach.parts[next] = parts;
                        open.push(next);
                    }
                }
            }
            self.reach.members.push(members);
        }
    }

    /// Whether the next hops of all nodes of its part lead to a node.
    fn is_reached(&mut self, to: usize) -> bool {
        let mut leads = std::mem::replace(&mut self.reach.leads, Marks { of: Vec::new(), round: 0 });
        leads.clear();
        leads.set(to);
        let reached = self.all_lead(to, &mut leads);
        self.reach.leads = leads;
        reached
    }

    fn all_lead(&self, to: usize, leads: &mut Marks) -> bool {
        let part = &self.reach.members[self.reach.parts[to] as usize];
        let mut way = Vec::new();
        part.iter().all(|node| {
            let mut at = *node;
            way.clear();
            while !leads.has(at) {
                way.push(at);
                // A next hop that was avoided when it was told of is none that was noted.
                let noted = self.routes.next(at, to);
                let next = noted.or_else(|| self.next_wire(at, to)).and_then(|(wire, end)| self.carries(wire, end));
                match next {
                    Some(next) if way.len() <= self.nodes.len() => at = next,
                    Some(_) | None => return false,
                }
            }
            way.iter().for_each(|at| leads.set(*at));
            true
        })
    }
}
