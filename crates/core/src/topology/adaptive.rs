//! Which kind suits the situation, and why; docs/spec/topology.md §3.5.

use std::collections::VecDeque;
use std::time::Duration;

use tidings_crypto::Power;

use super::config::{KIND_INTERVAL, KIND_LOOK, KIND_SETTLE};
use super::event::Kind;
use super::{State, Timer};
use crate::time::Instant;

/// Departures count as churn for this long.
const CHURN_TIME: Duration = Duration::from_mins(10);
/// They are counted by the minute.
const CHURN_STEP: Duration = Duration::from_mins(1);
/// A network of this many nodes that lives on batteries can be served by one centre.
const STAR_SIZE: usize = 32;
/// From this many nodes on a hierarchy saves batteries.
const HIERARCHY_SIZE: usize = 48;
/// From this many nodes on paths on a ring with chords are short enough to be worth fewer links.
const RING_SIZE: usize = 128;
/// Of a thousand nodes, those that go within ten minutes, from which on redundancy is worth most.
const HIGH_CHURN: u64 = 100;
/// Of a thousand frames, those lost.
const HIGH_LOSS: u16 = 100;
/// Of a thousand nodes that say it, those on batteries, from which on links are to be few.
const ON_BATTERY: u64 = 500;
/// A network is left as it is until a figure is this much below or above what called for it, in thousandths.
const MARGIN: u64 = 250;

/// What `adaptive` goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Situation {
    /// Nodes that can be reached, this one included.
    pub(super) nodes: usize,
    /// Of a thousand nodes, those that went within the last ten minutes.
    pub(super) churn: u64,
    /// Of a thousand frames, those lost.
    pub(super) loss: u16,
    /// Of a thousand nodes that say where their energy comes from, those on batteries.
    pub(super) on_battery: u64,
    /// Nodes on mains that may serve as hubs.
    pub(super) on_mains: usize,
}

/// What was decided, and what leads to the next decision.
#[derive(Debug)]
pub(super) struct Adaptive {
    shape: Kind,
    reason: String,
    changed_at: Option<Instant>,
    /// The situation has asked for this kind since then.
    asked: Option<(Kind, Instant)>,
    loss: u16,
    /// Departures by the minute, the newest last.
    departures: VecDeque<(Instant, u64)>,
}

impl Adaptive {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            shape: Kind::Mesh,
            reason: "nothing is known yet".to_owned(),
            changed_at: None,
            asked: None,
            loss: 0,
            departures: VecDeque::from([(now, 0)]),
        }
    }

    pub(super) fn shape(&self) -> Kind {
        self.shape
    }

    pub(super) fn reason(&self) -> &str {
        &self.reason
    }

    pub(super) fn on_loss(&mut self, permille: u16) {
        self.loss = permille.min(1000);
    }

    pub(super) fn on_departures(&mut self, now: Instant, count: u64) {
        self.departed(now);
        match self.departures.back_mut() {
            Some((began, departed)) if now.since(*began) < CHURN_STEP => *departed += count,
            Some(_) | None => self.departures.push_back((now, count)),
        }
    }

    /// Departures within the last ten minutes.
    fn departed(&mut self, now: Instant) -> u64 {
        while self.departures.front().is_some_and(|(began, _)| now.since(*began) >= CHURN_TIME) {
            self.departures.pop_front();
        }
        self.departures.iter().map(|(_, count)| count).sum()
    }

    /// A person wants the kind to follow the situation, from the shape that there is.
    pub(super) fn begin(&mut self, shape: Kind) {
        self.shape = shape;
        self.asked = None;
    }

    /// A shape was chosen, here or by a person.
    pub(super) fn on_chosen(&mut self, shape: Kind, reason: String) {
        self.shape = shape;
        self.reason = reason;
        self.asked = None;
    }
}

/// The kind that suits a situation, and why. The kind that there is is judged by wider bounds than others.
pub(super) fn suited(situation: &Situation, shape: Kind) -> (Kind, String) {
    let Situation { nodes, churn, loss, on_battery, on_mains } = *situation;
    // A bound that keeps the kind that there is.
    let from = |kind: Kind, bound: u64| if shape == kind { bound * (1000 - MARGIN) / 1000 } else { bound };
    let up_to = |kind: Kind, bound: u64| if shape == kind { bound * (1000 + MARGIN) / 1000 } else { bound };
    let size = nodes as u64;
    if churn >= from(Kind::Mesh, HIGH_CHURN) {
        let reason = format!(
            "mesh: {churn} of 1,000 nodes went within 10 minutes (of {nodes}); random links survive most departures"
        );
        return (Kind::Mesh, reason);
    }
    if u64::from(loss) >= from(Kind::Mesh, u64::from(HIGH_LOSS)) {
        let reason = format!("mesh: {loss} of 1,000 frames are lost; several independent paths make up for it");
        return (Kind::Mesh, reason);
    }
    let batteries = |kind: Kind| on_battery >= from(kind, ON_BATTERY);
    if batteries(Kind::Star) && size > 2 && size <= up_to(Kind::Star, STAR_SIZE as u64) && on_mains >= 1 {
        let reason = format!(
            "star: {on_battery} of 1,000 nodes are on batteries, {nodes} nodes can be served by one of the {on_mains} on \
             mains, and one link each costs least"
        );
        return (Kind::Star, reason);
    }
    let enough = on_mains >= nodes.isqrt().max(2);
    if batteries(Kind::Hierarchical) && size >= from(Kind::Hierarchical, HIERARCHY_SIZE as u64) && enough {
        let reason = format!(
            "hierarchical: {on_battery} of 1,000 nodes are on batteries, and of {nodes} nodes {on_mains} on mains can \
             carry the rest"
        );
        return (Kind::Hierarchical, reason);
    }
    if size >= from(Kind::Ring, RING_SIZE as u64) {
        let reason = format!(
            "ring: {nodes} nodes, of 1,000 only {churn} go within 10 minutes and {loss} frames are lost; successors and \
             chords give short paths with the fewest links"
        );
        return (Kind::Ring, reason);
    }
    let reason = format!(
        "mesh: {nodes} nodes, of 1,000 are {on_battery} on batteries, {churn} go within 10 minutes and {loss} frames are \
         lost; nothing calls for another kind"
    );
    (Kind::Mesh, reason)
}

impl State {
    /// Looks at the situation, and changes the shape if it has asked for another long enough.
    pub(super) fn adapt(&mut self) {
        if self.kind != Kind::Adaptive {
            return;
        }
        self.timers.insert(Timer::Kind, self.now + KIND_LOOK);
        let now = self.now;
        let situation = self.situation();
        let (kind, reason) = suited(&situation, self.adaptive.shape);
        if kind == self.adaptive.shape {
            self.adaptive.asked = None;
            if self.adaptive.changed_at.is_none() {
                self.adaptive.reason = reason;
            }
            return;
        }
        let since = match self.adaptive.asked {
            Some((asked, since)) if asked == kind => since,
            Some(_) | None => now,
        };
        self.adaptive.asked = Some((kind, since));
        let settled = now.since(since) >= KIND_SETTLE;
        let due = self.adaptive.changed_at.is_none_or(|at| now.since(at) >= KIND_INTERVAL);
        if settled && due {
            self.adaptive.changed_at = Some(now);
            self.choose(kind, reason);
            self.look_soon();
        }
    }

    pub(super) fn situation(&mut self) -> Situation {
        let now = self.now;
        let nodes = self.alive();
        let powers = self.peers.iter().filter(|(_, peer)| peer.is_alive()).filter_map(|(_, peer)| peer.facts.as_ref());
        let powers: Vec<_> = powers.map(|facts| facts.power).chain([self.digest.power()]).collect();
        let count = |wanted: &[Power]| powers.iter().filter(|power| wanted.contains(power)).count();
        let batteries = count(&[Power::Battery, Power::BatteryLow]);
        let on_mains = count(&[Power::Mains]);
        let told = (batteries + on_mains).max(1) as u64;
        let departed = self.adaptive.departed(now);
        Situation {
            nodes,
            churn: departed * 1000 / (nodes as u64 + departed).max(1),
            loss: self.adaptive.loss,
            on_battery: batteries as u64 * 1000 / told,
            on_mains,
        }
    }
}
