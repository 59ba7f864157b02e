//! Which shape nodes give to an open topology, as the links that there are show it, and what it costs them.
//!
//! Nothing here asks a node what it believes. Links are counted where they come up and go, and what nodes write where
//! they write it: from the moment on at which everybody reaches everybody, or a later one that the scenario names,
//! until the end of its length.

mod report;

use std::collections::BTreeMap;

use tidings_core::topology::Kind;
use tidings_crypto::Power;

use super::node::LabSealer;
use super::ways::distances;
use super::world::World;
use crate::scenario::Shape;

pub(super) use report::print;

/// The kind of frames that carry parcels; docs/spec/wire.md §2.
const FRAGMENT: u8 = 5;

/// What a network's shape came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Figures {
    /// Nodes that run at the end of the scenario's length, and how many parts links leave of them.
    pub(crate) living: usize,
    pub(crate) components: usize,
    /// Of the shortest ways between any two that are joined: the longest, and the mean.
    pub(crate) diameter: u32,
    pub(crate) mean_path: f64,
    /// Links of a node: the mean, the most, and the mean of those on batteries.
    pub(crate) mean_degree: f64,
    pub(crate) largest_degree: usize,
    pub(crate) battery_degree: Option<f64>,
    /// Per node and minute: links laid, links that ended while both ends ran, and links of nodes that ended.
    pub(crate) laid: f64,
    pub(crate) dropped: f64,
    pub(crate) lost: f64,
    /// Bytes that a node writes in a minute.
    pub(crate) written: Written,
    /// The same of those on batteries.
    pub(crate) battery_written: Option<Written>,
    /// How many nodes lay links in which kind at the end of the scenario's length.
    pub(crate) kinds: BTreeMap<Kind, usize>,
    pub(crate) changes: Changes,
}

/// Bytes per minute.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Written {
    pub(crate) all: f64,
    /// Without what carries parcels.
    pub(crate) control: f64,
}

/// How nodes changed their kinds in the whole run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// To which kind how often.
    pub(crate) to: BTreeMap<Kind, u64>,
    /// The most of one node in one of its lives: whoever starts begins anew.
    pub(crate) most: u64,
    /// The shortest time between two of a node's life, in microseconds.
    pub(crate) apart: Option<u64>,
}

/// What is counted while a network runs.
#[derive(Debug)]
pub(super) struct Shaping {
    open: bool,
    /// What happens before does not count.
    counts_from: u64,
    formed_at: Option<u64>,
    /// Until when time is added up, and how many nodes have run since: all, and those on batteries.
    passed: u64,
    running: [u64; 2],
    pub(super) node_micros: [u64; 2],
    pub(super) laid: u64,
    pub(super) dropped: u64,
    pub(super) lost: u64,
    /// Bytes by node: all, and those that carry no parcel.
    pub(super) written: Vec<[u64; 2]>,
    /// By node, when it changed its kind in this life.
    changed: Vec<Vec<u64>>,
    pub(super) changes: Changes,
    pub(super) figures: Option<Figures>,
}

impl Shaping {
    pub(super) fn new(open: bool, nodes: usize, counts_from: u64) -> Self {
        Self {
            open,
            counts_from,
            formed_at: None,
            passed: 0,
            running: [0; 2],
            node_micros: [0; 2],
            laid: 0,
            dropped: 0,
            lost: 0,
            written: vec![[0; 2]; if open { nodes } else { 0 }],
            changed: vec![Vec::new(); if open { nodes } else { 0 }],
            changes: Changes::default(),
            figures: None,
        }
    }

    /// From when on things count, once that is known.
    fn from(&self) -> Option<u64> {
        self.formed_at.map(|formed| formed.max(self.counts_from))
    }

    fn counts(&self, now: u64) -> bool {
        self.open && self.figures.is_none() && self.from().is_some_and(|from| from <= now)
    }

    /// Adds up the time of nodes that have run until now.
    pub(super) fn pass(&mut self, now: u64) {
        if let Some(from) = self.from().filter(|_| self.figures.is_none()) {
            let time = now.saturating_sub(self.passed.max(from));
            for (micros, running) in self.node_micros.iter_mut().zip(self.running) {
                *micros += time * running;
            }
        }
        self.passed = now;
    }

    pub(super) fn on_start(&mut self, now: u64, node: usize, power: Power) {
        self.pass(now);
        self.running[0] += 1;
        self.running[1] += u64::from(power == Power::Battery);
        if let Some(changed) = self.changed.get_mut(node) {
            changed.clear();
        }
    }

    pub(super) fn on_end(&mut self, now: u64, power: Power, links: u64) {
        self.pass(now);
        self.running[0] -= 1;
        self.running[1] -= u64::from(power == Power::Battery);
        if self.counts(now) {
            self.lost += links;
        }
    }

    pub(super) fn on_formed(&mut self, now: u64) {
        self.formed_at.get_or_insert(now);
    }

    pub(super) fn on_laid(&mut self, now: u64) {
        self.laid += u64::from(self.counts(now));
    }

    pub(super) fn on_dropped(&mut self, now: u64) {
        self.dropped += u64::from(self.counts(now));
    }

    /// A node has written these frames.
    pub(super) fn on_written(&mut self, now: u64, node: usize, frames: impl Iterator<Item = (u8, u64)>) {
        if !self.counts(now) {
            return;
        }
        for (kind, bytes) in frames {
            let control = if kind == FRAGMENT { 0 } else { bytes };
            let [all, others] = self.written[node];
            self.written[node] = [all + bytes, others + control];
        }
    }

    /// A node lays its links in another kind from now on.
    pub(super) fn on_kind(&mut self, now: u64, node: usize, kind: Kind) {
        let Some(changed) = self.changed.get_mut(node) else { return };
        let apart = changed.last().map(|before| now - before);
        changed.push(now);
        let changes = &mut self.changes;
        *changes.to.entry(kind).or_default() += 1;
        changes.most = changes.most.max(changed.len() as u64);
        changes.apart = [changes.apart, apart].into_iter().flatten().min();
    }

    /// What those nodes write in a minute that are of a sort, the first or the second that time is added up for.
    fn written(&self, sort: usize, is_of: impl Fn(usize) -> bool) -> Option<Written> {
        let minutes = self.minutes(sort).filter(|minutes| *minutes > 0.0)?;
        let of = || (0..self.written.len()).filter(|node| is_of(*node)).map(|node| self.written[node]);
        let sum = |which: usize| of().map(|bytes| bytes[which]).sum::<u64>() as f64 / minutes;
        Some(Written { all: sum(0), control: sum(1) })
    }

    fn minutes(&self, sort: usize) -> Option<f64> {
        self.from().map(|_| self.node_micros[sort] as f64 / 60e6)
    }
}

impl<S: LabSealer> World<S> {
    pub(super) fn is_open(&self) -> bool {
        self.scenario.topology.kind == Shape::Open
    }

    /// Measures the shape that the network has now, and what it cost until now.
    pub(super) fn measure_shape(&mut self) {
        if !self.is_open() {
            return;
        }
        self.shaping.pass(self.now);
        let on_battery = |node: usize| self.nodes[node].config.told.power == Power::Battery;
        let links = self.true_links();
        let living: Vec<_> = (0..self.nodes.len()).filter(|node| self.nodes[*node].is_running()).collect();
        let mean_of = |nodes: &[usize]| mean(nodes.iter().map(|node| links[*node].len() as u64));
        let on_batteries: Vec<_> = living.iter().copied().filter(|node| on_battery(*node)).collect();
        let mut figures = Figures {
            living: living.len(),
            mean_degree: mean_of(&living).unwrap_or_default(),
            largest_degree: living.iter().map(|node| links[*node].len()).max().unwrap_or_default(),
            battery_degree: mean_of(&on_batteries),
            written: self.shaping.written(0, |_| true).unwrap_or_default(),
            battery_written: self.shaping.written(1, on_battery),
            changes: self.shaping.changes.clone(),
            ..Figures::default()
        };
        let minutes = self.shaping.minutes(0).unwrap_or_default().max(f64::MIN_POSITIVE);
        figures.laid = self.shaping.laid as f64 / minutes;
        figures.dropped = self.shaping.dropped as f64 / minutes;
        figures.lost = self.shaping.lost as f64 / minutes;
        figures.measure_paths(&living, &links);
        for engine in self.nodes.iter().filter_map(|node| node.engine.as_ref()) {
            *figures.kinds.entry(engine.topology_view().shape).or_default() += 1;
        }
        self.shaping.figures = Some(figures);
    }

    /// The nodes at the other ends of each node's links that carry.
    fn true_links(&self) -> Vec<Vec<usize>> {
        let links = |node: usize| {
            let ends = self.nodes[node].links.values();
            let mut others: Vec<_> = ends.filter_map(|(wire, end)| self.carries(*wire, *end)).collect();
            others.sort_unstable();
            others.dedup();
            others
        };
        (0..self.nodes.len()).map(|node| if self.nodes[node].is_running() { links(node) } else { Vec::new() }).collect()
    }
}

impl Figures {
    /// Follows the shortest ways from every node.
    pub(super) fn measure_paths(&mut self, living: &[usize], links: &[Vec<usize>]) {
        let (mut ways, mut sum) = (0_u64, 0_u64);
        let mut seen = vec![false; links.len()];
        for from in living {
            self.components += usize::from(!seen[*from]);
            for (to, length) in
                distances(links.len(), *from, |node| links[node].iter().copied()).into_iter().enumerate()
            {
                let Some(length) = length else { continue };
                seen[to] = true;
                self.diameter = self.diameter.max(length);
                (ways, sum) = (ways + u64::from(length > 0), sum + u64::from(length));
            }
        }
        self.mean_path = sum as f64 / ways.max(1) as f64;
    }
}

fn mean(numbers: impl ExactSizeIterator<Item = u64>) -> Option<f64> {
    let count = numbers.len();
    (count > 0).then(|| numbers.sum::<u64>() as f64 / count as f64)
}
