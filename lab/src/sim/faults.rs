//! What goes wrong, when, and when it is over.

use std::collections::BTreeMap;
use std::time::Duration;

use tidings_core::trust::Evidence;

use super::dice::Dice;
use super::node::{Ending, LabSealer};
use super::reach::{Disturbance, Reached};
use super::shape::Figures;
use super::trace::Mark;
use super::wire::Quality;
use super::world::{BEGIN, Happening, World};
use crate::log::Entry;
use crate::scenario::{Fault as Plan, FaultKind, Link, Scenario, Span};

/// A fault at its moment, its places chosen.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub(crate) plan: Plan,
    /// Microseconds of the run.
    pub(crate) begins: u64,
    /// How long it lasts, in microseconds.
    pub(crate) lasts: u64,
    pub(crate) node: usize,
    pub(crate) road: usize,
    /// Which direction, if only one.
    pub(crate) way: Option<usize>,
    /// The roads between the groups of a split.
    pub(crate) between: Vec<usize>,
    begun: bool,
    /// Of a flapping link: whether it is down now.
    down: bool,
}

/// What a run has seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) faults: BTreeMap<FaultKind, u64>,
    pub(crate) hostile: usize,
    pub(crate) forged: u64,
    pub(crate) links: u64,
    pub(crate) resets: u64,
    pub(crate) bytes: u64,
    /// That engines wrote.
    pub(crate) frames: u64,
    /// By kind: how many, and their bytes.
    pub(crate) by_kind: BTreeMap<u8, [u64; 2]>,
    /// Bytes of routing's frames.
    pub(crate) routing_bytes: u64,
    /// Next hops taken or changed; ways from them that were followed, and those over second next hops too.
    pub(crate) installed: u64,
    pub(crate) followed: u64,
    pub(crate) followed_all: u64,
    /// Recorded routes that were followed, at recipients and at senders.
    pub(crate) recorded: [u64; 2],
    pub(crate) reached: Reached,
    /// Of each run of an open topology, what its nodes made of it.
    pub(crate) shapes: Vec<Figures>,
    /// The most updates of a node far from all flapping links, in the median minute.
    pub(crate) far_updates: Option<u64>,
    /// The most bytes of others' parcels that a relay held.
    pub(crate) held_bytes: u64,
    /// Parcels that relays carried, of those that went to another next hop, and those that were given back.
    pub(crate) relayed: u64,
    pub(crate) rerouted: u64,
    pub(crate) given_back: u64,
    /// Frames that a link's queue had no room for.
    pub(crate) frames_dropped: u64,
    /// Searches of the DHT that engines wanted.
    pub(crate) searches: u64,
    pub(crate) submitted: u64,
    pub(crate) refused: u64,
    pub(crate) shown: u64,
    /// What honest nodes were accused of, and others.
    pub(crate) accused: BTreeMap<Evidence, u64>,
    pub(crate) convicted: BTreeMap<Evidence, u64>,
    pub(crate) degraded: BTreeMap<&'static str, u64>,
}

impl Tally {
    pub(super) fn accuse(&mut self, honest: bool, evidence: Evidence) {
        let counts = if honest { &mut self.accused } else { &mut self.convicted };
        *counts.entry(evidence).or_default() += 1;
    }

    pub(super) fn degraded(&mut self, reason: &'static str) {
        *self.degraded.entry(reason).or_default() += 1;
    }
}

/// How long a fault lasts that does not say.
fn usual_length(kind: FaultKind) -> u64 {
    match kind {
        FaultKind::Kill | FaultKind::Stop => 1_000_000,
        FaultKind::PowerCut => 3_000_000,
        FaultKind::DiskError => 50_000,
        FaultKind::Reset | FaultKind::ClockJump => 0,
        FaultKind::Freeze => 10_000_000,
        FaultKind::DiskFull
        | FaultKind::DiskSlow
        | FaultKind::ClockDrift
        | FaultKind::Cut
        | FaultKind::Flap
        | FaultKind::Silent
        | FaultKind::Worse
        | FaultKind::Split => 30_000_000,
        FaultKind::Hostile => u64::MAX,
    }
}

/// Chooses moments and places of a scenario's faults.
pub(crate) fn plan(scenario: &Scenario, roads: &[[usize; 2]], dice: &mut Dice) -> Vec<Fault> {
    let mut faults = Vec::new();
    for plan in &scenario.fault {
        for time in 0..plan.times.unwrap_or(1) {
            let begins = match (plan.at, plan.between) {
                (Some(at), _) => at.micros() + u64::from(time) * plan.every.unwrap_or(Span::ZERO).micros(),
                (None, Some([first, last])) => dice.between(first.micros(), last.micros()),
                (None, None) => 0,
            };
            if begins <= scenario.length.micros() {
                faults.push(place(plan, begins, scenario.topology.nodes, roads, dice));
            }
        }
    }
    faults
}

/// Chooses the place of a fault, and writes it into its plan.
pub(crate) fn place(plan: &Plan, begins: u64, nodes: usize, roads: &[[usize; 2]], dice: &mut Dice) -> Fault {
    let mut plan = plan.clone();
    // All is drawn whether it is needed or not: a place that is given does not shift the others.
    let (node, road, turned) = (dice.index(nodes), dice.index(roads.len()), dice.below(2) == 1);
    let halves: Vec<_> = (0..nodes).map(|_| dice.index(2)).collect();
    (plan.at, plan.between, plan.times, plan.every) = (Some(Span(Duration::from_micros(begins))), None, None, None);
    let found = |[a, b]: [usize; 2]| roads.iter().position(|ends| *ends == [a.min(b), a.max(b)]);
    let road = plan.link.and_then(found).unwrap_or(road);
    let [a, b] = roads[road];
    let ends = plan.link.unwrap_or(if turned { [b, a] } else { [a, b] });
    if plan.kind.is_of_links() {
        plan.link = Some(ends);
    } else if plan.kind == FaultKind::Split {
        let half = |half| (0..nodes).filter(|node| halves[*node] == half).collect();
        plan.groups.get_or_insert_with(|| vec![half(0), half(1)]);
    } else {
        plan.node.get_or_insert(node);
    }
    let groups = plan.groups.as_deref().unwrap_or_default();
    let group_of = |node: usize| groups.iter().position(|group| group.contains(&node));
    let apart = |[a, b]: [usize; 2]| group_of(a) != group_of(b);
    Fault {
        begins: BEGIN + begins,
        lasts: plan.lasts.map_or_else(|| usual_length(plan.kind), |lasts| lasts.micros()),
        node: plan.node.unwrap_or(node),
        road,
        way: plan.one_way.then(|| usize::from(ends[0] != a)),
        between: (0..roads.len()).filter(|road| apart(roads[*road])).collect(),
        begun: false,
        down: false,
        plan,
    }
}

impl Fault {
    /// How long after the beginning of the run it begins, in microseconds.
    pub(crate) fn begins_after(&self) -> u64 {
        self.begins - BEGIN
    }
}

impl<S: LabSealer> World<S> {
    /// Has faults happen at their times.
    pub(super) fn schedule(&mut self, faults: Vec<Fault>) {
        for (number, fault) in faults.iter().enumerate() {
            self.queue.push(fault.begins, Happening::Begin { fault: number });
        }
        self.faults = faults;
    }

    pub(super) fn begin(&mut self, number: usize) {
        if self.healed {
            return;
        }
        let fault = self.faults[number].clone();
        let kind = fault.plan.kind;
        *self.tally.faults.entry(kind).or_default() += 1;
        self.faults[number].begun = true;
        self.trace.note(self.now, fault.node, Mark::Fault, kind as u64, fault.road as u64);
        self.trace.tell(self.now, fault.node, || format!("fault: {} ({} us)", kind.name(), fault.lasts));
        match kind {
            FaultKind::Kill | FaultKind::DiskError => self.fell(&fault, Ending::Killed),
            FaultKind::PowerCut => self.fell(&fault, Ending::PowerCut),
            FaultKind::Stop => self.fell(&fault, Ending::Stopped),
            FaultKind::Freeze => {
                self.disturb(Disturbance::Loss);
                self.nodes[fault.node].freezes += 1;
            }
            FaultKind::DiskFull => self.nodes[fault.node].disk.full += 1,
            FaultKind::DiskSlow => {
                self.nodes[fault.node].disk.commit = fault.plan.commit.map_or(0, |commit| commit.micros());
            }
            FaultKind::ClockJump => self.jump(&fault),
            FaultKind::ClockDrift => {
                let (now, ppm) = (self.now, fault.plan.ppm.unwrap_or(0));
                self.nodes[fault.node].clock.drift(now, ppm);
                self.rearm(fault.node);
            }
            FaultKind::Reset => self.sever(fault.road),
            FaultKind::Cut => self.cut(fault.road),
            FaultKind::Flap => {
                self.on_flapping(fault.road);
                self.flap(number);
            }
            FaultKind::Silent => self.silence(&fault),
            FaultKind::Worse => self.worsen(&fault),
            FaultKind::Split => fault.between.iter().for_each(|road| self.cut(*road)),
            FaultKind::Hostile => {}
        }
        if !matches!(kind, FaultKind::Reset | FaultKind::ClockJump | FaultKind::Hostile) {
            self.queue.push(fault.begins.saturating_add(fault.lasts).max(self.now), Happening::Over { fault: number });
        }
    }

    pub(super) fn over(&mut self, number: usize) {
        let fault = self.faults[number].clone();
        let kind = fault.plan.kind;
        if !std::mem::take(&mut self.faults[number].begun) {
            return;
        }
        self.trace.note(self.now, fault.node, Mark::Fault, 100 + kind as u64, fault.road as u64);
        self.trace.tell(self.now, fault.node, || format!("over: {}", kind.name()));
        let index = fault.node;
        match kind {
            FaultKind::Kill | FaultKind::PowerCut | FaultKind::Stop | FaultKind::DiskError => {
                self.nodes[index].downs -= 1;
                let life = self.nodes[index].life;
                self.queue.push(self.now, Happening::Restart { node: index, life });
            }
            FaultKind::Freeze => self.thaw(index),
            FaultKind::DiskFull => {
                self.nodes[index].disk.full -= 1;
                self.disk_ready(index);
            }
            FaultKind::DiskSlow => {
                self.nodes[index].disk.commit = self.scenario.disk.commit.map_or(2_000, |commit| commit.micros());
            }
            FaultKind::ClockDrift => {
                let now = self.now;
                self.nodes[index].clock.drift(now, 0);
                self.rearm(index);
            }
            FaultKind::Cut => self.join(fault.road),
            FaultKind::Flap => {
                if fault.down {
                    self.join(fault.road);
                }
            }
            FaultKind::Silent => {
                for way in ways(&fault) {
                    self.roads[fault.road].silences[way] -= 1;
                }
                self.disturb(Disturbance::Gain);
                self.speak(fault.road);
            }
            FaultKind::Worse => {
                let road = &mut self.roads[fault.road];
                road.now = road.usual;
            }
            FaultKind::Split => fault.between.iter().for_each(|road| self.join(*road)),
            FaultKind::Reset | FaultKind::ClockJump | FaultKind::Hostile => {}
        }
    }
}

fn ways(fault: &Fault) -> Vec<usize> {
    fault.way.map_or_else(|| vec![0, 1], |way| vec![way])
}

impl<S: LabSealer> World<S> {
    fn fell(&mut self, fault: &Fault, ending: Ending) {
        self.nodes[fault.node].downs += 1;
        self.end_node(fault.node, ending);
    }

    /// A process moves again: everything that happened meanwhile happens to it now.
    fn thaw(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        node.freezes -= 1;
        if node.freezes > 0 {
            return;
        }
        let life = node.life;
        self.disturb(Disturbance::Gain);
        let node = &mut self.nodes[index];
        for input in std::mem::take(&mut node.stash) {
            if self.is_alive(index, life) {
                self.input(index, input);
            }
        }
        self.rearm(index);
    }

    fn jump(&mut self, fault: &Fault) {
        let Some(by) = fault.plan.by else { return };
        let by_ms = i64::try_from(by.by.as_millis()).unwrap_or(i64::MAX);
        let now = self.now;
        self.nodes[fault.node].clock.jump(now, if by.back { -by_ms } else { by_ms });
    }

    /// A clock's speed has changed, so its alarms ring at other times.
    fn rearm(&mut self, index: usize) {
        self.nodes[index].armed = u64::MAX;
        self.arm(index);
    }

    /// The links over a road end, and both ends are told.
    fn sever(&mut self, road: usize) {
        for wire in self.wires_over(road) {
            for end in 0..2 {
                self.down(wire, end);
            }
        }
    }

    fn cut(&mut self, road: usize) {
        self.roads[road].cuts += 1;
        self.on_road(Disturbance::Loss);
        self.sever(road);
    }

    fn join(&mut self, road: usize) {
        self.roads[road].cuts -= 1;
        self.on_road(Disturbance::Gain);
    }

    /// A flapping link's next turn.
    fn flap(&mut self, number: usize) {
        let fault = self.faults[number].clone();
        let turn = if fault.down {
            self.join(fault.road);
            fault.plan.up.map_or(3_000_000, |up| up.micros())
        } else {
            self.cut(fault.road);
            fault.plan.down.map_or(2_000_000, |down| down.micros())
        };
        self.faults[number].down = !fault.down;
        self.queue.push(self.now + turn.max(1_000), Happening::Turn { fault: number });
    }

    /// A flapping link turns, unless that is over.
    pub(super) fn turn(&mut self, number: usize) {
        if self.faults[number].begun {
            self.flap(number);
        }
    }

    fn silence(&mut self, fault: &Fault) {
        self.disturb(Disturbance::Loss);
        for way in ways(fault) {
            self.roads[fault.road].silences[way] += 1;
        }
    }

    fn worsen(&mut self, fault: &Fault) {
        let Plan { delay, jitter, rate, loss, burst, .. } = fault.plan;
        let worse = Link { delay, jitter, rate, loss, burst, mtu: None };
        let road = &mut self.roads[fault.road];
        for way in ways(fault) {
            let worse: Quality = road.usual[way].with(&worse);
            road.now[way] = worse;
        }
    }

    /// All faults end, and stay ended.
    pub(super) fn heal(&mut self) {
        self.measure_shape();
        for number in 0..self.faults.len() {
            self.over(number);
        }
        self.healed = true;
        for node in &mut self.nodes {
            node.clock.set_right(self.now);
        }
        let settle_micros = self.scenario.settle.micros();
        self.write(None, Entry::Healed { settle_micros });
    }
}
