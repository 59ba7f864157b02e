//! The namespaces of a run, the wire between them, and what faults do to it.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Result, bail};

use super::nat::{self, Router};
use super::space::Space;
use super::wire::shape::{Loss, Shape};
use super::wire::{Figures, Pair, Wire};
use crate::scenario::{Link, Scenario};
use crate::sim::{Dice, Purpose, Quality};

/// An Ethernet header.
const HEADER_BYTES: u64 = 14;
/// What waits for a line that is no faster than this: half a second of it.
const QUEUE_TIME: Duration = Duration::from_millis(500);
/// The bounds of that.
const QUEUE_BYTES: [u64; 2] = [32 << 10, 4 << 20];

/// A link of the topology and how it is just now.
#[derive(Debug)]
struct Road {
    ends: [usize; 2],
    /// From the first end to the second, and back.
    usual: [Quality; 2],
    now: [Quality; 2],
    cuts: u32,
    silences: [u32; 2],
}

/// The network of a run.
#[derive(Debug)]
pub(super) struct Network {
    spaces: Vec<Space>,
    /// Where on the wire the others find a node, or the router before it.
    stands: Vec<u16>,
    /// They go with the network.
    _routers: Vec<Router>,
    roads: Vec<Road>,
    wire: Wire,
}

impl Network {
    /// Makes namespaces, interfaces and the wire, with all links as usual. With translation, all nodes but the first
    /// stand behind routers of their own.
    pub(super) fn lay(scenario: &Scenario, seed: u64, translation: Option<nat::Kind>) -> Result<Self> {
        let roads = roads(scenario, seed);
        if translation.is_some() && roads.iter().any(|road| road.ends[0] != 0) {
            bail!("{} links nodes that would both be behind routers; use a star", scenario.name);
        }
        let mtu = |node: usize| {
            let own = roads.iter().filter(|road| road.ends.contains(&node));
            own.flat_map(|road| road.usual).map(|quality| quality.mtu).max().unwrap_or(Quality::default().mtu)
        };
        let (mut spaces, mut ports, mut stands) = (Vec::new(), Vec::new(), Vec::new());
        let (mut routers, mut cables) = (Vec::new(), Vec::new());
        for node in 0..scenario.topology.nodes {
            let (free, mtu) = (u16::try_from(ports.len())?, u32::try_from(mtu(node))?);
            stands.push(free);
            match translation.filter(|_| node > 0) {
                Some(kind) => {
                    let behind = nat::behind(kind, free, mtu)?;
                    spaces.push(behind.space);
                    ports.extend(behind.ports);
                    routers.extend(behind.routers);
                    cables.extend(behind.cables);
                }
                None => {
                    let (space, port) = Space::create(free, mtu)?;
                    spaces.push(space);
                    ports.push(port);
                }
            }
        }
        let wire = Wire::start(ports, seed)?;
        for [a, b] in cables {
            wire.set(Pair { from: a, to: b }, Some(Shape::default()))?;
            wire.set(Pair { from: b, to: a }, Some(Shape::default()))?;
        }
        let network = Self { spaces, stands, _routers: routers, roads, wire };
        (0..network.roads.len()).try_for_each(|road| network.apply(road))?;
        Ok(network)
    }

    /// Where a node is dialled; nowhere, where it is behind a router.
    pub(super) fn address(&self, node: usize) -> Option<Ipv4Addr> {
        let space = &self.spaces[node];
        (space.number() == self.stands[node]).then(|| space.address())
    }

    pub(super) fn space(&self, node: usize) -> &Space {
        &self.spaces[node]
    }

    /// The links, each once.
    pub(super) fn links(&self) -> Vec<[usize; 2]> {
        self.roads.iter().map(|road| road.ends).collect()
    }

    /// Whom a node has a link to.
    pub(super) fn neighbours(&self, node: usize) -> Vec<usize> {
        let other = |road: &Road| match road.ends {
            [a, b] if a == node => Some(b),
            [a, b] if b == node => Some(a),
            _ => None,
        };
        self.roads.iter().filter_map(other).collect()
    }

    /// Nothing goes over a link any more, until [`Self::join`] has been called as often.
    pub(super) fn cut(&mut self, road: usize) -> Result<()> {
        self.roads[road].cuts += 1;
        self.apply(road)
    }

    pub(super) fn join(&mut self, road: usize) -> Result<()> {
        self.roads[road].cuts -= 1;
        self.apply(road)
    }

    /// What goes one way over a link vanishes, until [`Self::hear`] has been called as often.
    pub(super) fn silence(&mut self, road: usize, way: usize) -> Result<()> {
        self.roads[road].silences[way] += 1;
        self.apply(road)
    }

    pub(super) fn hear(&mut self, road: usize, way: usize) -> Result<()> {
        self.roads[road].silences[way] -= 1;
        self.apply(road)
    }

    /// One way of a link has another quality.
    pub(super) fn worsen(&mut self, road: usize, way: usize, link: &Link) -> Result<()> {
        self.roads[road].now[way] = self.roads[road].usual[way].with(link);
        self.apply(road)
    }

    pub(super) fn mend(&mut self, road: usize, way: usize) -> Result<()> {
        self.roads[road].now[way] = self.roads[road].usual[way];
        self.apply(road)
    }

    pub(super) fn figures(&self) -> Result<Figures> {
        self.wire.figures()
    }

    /// Tells the wire how a link is now.
    fn apply(&self, number: usize) -> Result<()> {
        let road = &self.roads[number];
        for (way, [from, to]) in [road.ends, [road.ends[1], road.ends[0]]].into_iter().enumerate() {
            let pair = Pair { from: self.stands[from], to: self.stands[to] };
            let mut shape = shape(road.now[way]);
            shape.blackhole = road.silences[way] > 0;
            self.wire.set(pair, (road.cuts == 0).then_some(shape))?;
        }
        Ok(())
    }
}

fn roads(scenario: &Scenario, seed: u64) -> Vec<Road> {
    let links = scenario.topology.links(&mut Dice::split(seed, Purpose::Topology));
    let usual = [Quality::default().with(&scenario.link); 2];
    let road = |(a, b)| Road { ends: [a, b], usual, now: usual, cuts: 0, silences: [0; 2] };
    let mut roads: Vec<_> = links.into_iter().map(road).collect();
    for between in &scenario.link_between {
        let ends = [between.from.min(between.to), between.from.max(between.to)];
        for road in roads.iter_mut().filter(|road| road.ends == ends) {
            let there = usize::from(road.ends[0] != between.from);
            for way in (0..2).filter(|way| *way == there || !between.one_way) {
                road.usual[way] = road.usual[way].with(&between.quality());
            }
            road.now = road.usual;
        }
    }
    roads
}

/// What the wire does for a link of a quality.
fn shape(quality: Quality) -> Shape {
    let queue = u128::from(quality.rate) * QUEUE_TIME.as_millis() / 1_000;
    let [least, most] = QUEUE_BYTES;
    Shape {
        delay: Duration::from_micros(quality.delay),
        jitter: Duration::from_micros(quality.jitter),
        bytes_per_second: Some(quality.rate),
        queue_bytes: u64::try_from(queue).unwrap_or(u64::MAX).clamp(least, most),
        loss: Loss::bursts(quality.loss.0, quality.burst),
        largest_frame: usize::try_from(quality.mtu + HEADER_BYTES).ok(),
        ..Shape::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quality_becomes_a_shape() {
        let quality = Quality { delay: 50_000, rate: 20_000, ..Quality::default() };
        let slow = shape(quality);
        assert_eq!(slow.delay, Duration::from_millis(50));
        assert_eq!((slow.bytes_per_second, slow.queue_bytes), (Some(20_000), 32 << 10));
        assert_eq!(slow.largest_frame, Some(1_414));
        assert_eq!(shape(Quality { rate: 1_000_000, ..quality }).queue_bytes, 500_000);
    }
}
