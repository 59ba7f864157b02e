//! The ways to peers that are no neighbours: what routing wants, and what is carried for others.
//! docs/spec/routing.md, docs/spec/relay.md.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tidings_crypto::{MAX_LABEL_BYTES, MAX_LABELS, PeerKey, RoutingId, Sealer, SignedAnnouncement};

use super::Engine;
use super::departures::{Departure, Load};
use crate::delivery::{self, Moment, Refuser};
use crate::ids::LinkId;
use crate::links;
use crate::message::Refusal;
use crate::output::{Event, Output};
use crate::record::Record;
use crate::relay;
use crate::routing::cost::{LinkCost, Measured};
use crate::routing::{self, NextHop, Preference};
use crate::time::Instant;
use crate::topology;
use crate::view::{RouteView, TopologyView, Way};
use crate::wire::{Frame, RefusedReason, Routing};

/// Routing learns of a new link when its round trip is measured, or after so long: a cost that is guessed too low would
/// rise later, and what rises costs routes.
const FIRST_LOOK: Duration = Duration::from_millis(500);
/// The most frames of routing, at most 16 KiB each, that wait for that.
const MAX_EARLY: usize = 32;
/// A measurement that says something else is looked at again after so long: a cost changes only by what lasts.
const SECOND_LOOK: Duration = Duration::from_secs(10);
/// How long a next hop that was `busy` for a destination is avoided; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest such pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// A next hop that was not `busy` for so long begins with the first pause again.
const PAUSE_MEMORY: Duration = Duration::from_secs(10);
/// The most pauses remembered; the oldest begins anew.
const MAX_PAUSES: usize = 1024;
/// How often in an hour this node may hear itself announced with a boot that is not below its own before it says that
/// its identity is in use elsewhere.
const MAX_BOOT_JUMPS: u32 = 2;

/// What is known of the ways.
#[derive(Debug, Default)]
pub(super) struct Ways {
    roads: BTreeMap<LinkId, Road>,
    /// Neighbours by the name that stands in headers.
    neighbours: BTreeMap<RoutingId, PeerKey>,
    /// Peers with a route, neighbours among them, and its next hop.
    routed: BTreeMap<PeerKey, PeerKey>,
    pauses: BTreeMap<(RoutingId, PeerKey), Pause>,
    /// Peers whose parcels are to go another way, since the one they were on is gone.
    stranded: BTreeSet<PeerKey>,
    pub(super) boot_jumps: u32,
}

/// A link as routing sees it.
#[derive(Debug)]
struct Road {
    peer: PeerKey,
    cost: LinkCost,
    measured: Measured,
    /// Whether routing knows of it.
    told: bool,
    /// Whether it owes an answer.
    silent: bool,
    /// What the neighbour's routing said before this node's knew of the link.
    early: Vec<Routing>,
    look_again: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Pause {
    length: Duration,
    until: Instant,
}

impl Ways {
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.roads.values().filter_map(|road| road.look_again).min()
    }

    pub(super) fn has_stranded(&self) -> bool {
        !self.stranded.is_empty()
    }

    /// Until when a next hop that is `busy` for a destination is avoided.
    fn pause(&mut self, now: Instant, to: RoutingId, next: PeerKey) -> Instant {
        if self.pauses.len() >= MAX_PAUSES && !self.pauses.contains_key(&(to, next)) {
            let oldest = self.pauses.iter().min_by_key(|(_, pause)| pause.until).map(|(key, _)| *key);
            self.pauses.retain(|key, _| Some(*key) != oldest);
        }
        let pause = self.pauses.entry((to, next)).or_insert(Pause { length: FIRST_PAUSE, until: now });
        let is_fresh = now.since(pause.until) > PAUSE_MEMORY;
        let length = if is_fresh { FIRST_PAUSE } else { pause.length };
        *pause = Pause { length: (length * 2).min(LONGEST_PAUSE), until: now + length };
        pause.until
    }
}

impl<S: Sealer> Engine<S> {
    // --- links ---

    pub(super) fn on_link_up(&mut self, now: Moment, link: LinkId, peer: PeerKey, round_trip: Duration) {
        let measured = Measured { round_trip, ..Measured::default() };
        let look_again = Some(now.mono + FIRST_LOOK);
        self.ways.roads.insert(
            link,
            Road {
                peer,
                cost: LinkCost::default(),
                measured,
                told: false,
                silent: false,
                early: Vec::new(),
                look_again,
            },
        );
        self.links.handle(now.mono, links::Event::Measure { link });
    }

    pub(super) fn on_link_down(&mut self, now: Moment, link: LinkId) {
        if self.ways.roads.remove(&link).is_some_and(|road| road.told) {
            self.routing.handle(now.mono, routing::Event::LinkDown { link });
        }
    }

    pub(super) fn on_link_silent(&mut self, now: Moment, link: LinkId) {
        if let Some(road) = self.ways.roads.get_mut(&link) {
            road.silent = true;
            self.routing.handle(now.mono, routing::Event::Silent { link });
        }
    }

    pub(super) fn on_link_answers(&mut self, now: Moment, link: LinkId) {
        if let Some(road) = self.ways.roads.get_mut(&link) {
            road.silent = false;
            self.routing.handle(now.mono, routing::Event::Answers { link });
        }
    }

    pub(super) fn on_routing_left_out(&mut self, now: Moment, link: LinkId) {
        self.routing.handle(now.mono, routing::Event::LeftOut { link });
    }

    pub(super) fn on_round_trip(&mut self, now: Moment, link: LinkId, round_trip: Duration) {
        if let Some(road) = self.ways.roads.get_mut(&link) {
            road.measured.round_trip = round_trip;
            self.weigh(now, link);
        }
    }

    fn weigh(&mut self, now: Moment, link: LinkId) {
        let Some(road) = self.ways.roads.get_mut(&link) else { return };
        let cost = road.cost.on_measured(now.mono, &road.measured);
        road.look_again = match (cost, road.look_again) {
            (None, None) => Some(now.mono + SECOND_LOOK),
            (Some(_), _) | (None, Some(_)) => None,
        };
        match cost {
            Some(cost) if road.told => self.routing.handle(now.mono, routing::Event::Cost { link, cost }),
            Some(cost) => self.tell_link(now, link, cost),
            None => {}
        }
    }

    /// Tells routing of a link, and what has come over it.
    fn tell_link(&mut self, now: Moment, link: LinkId, cost: u8) {
        let Some(road) = self.ways.roads.get_mut(&link) else { return };
        road.told = true;
        let (peer, silent, early) = (road.peer, road.silent, std::mem::take(&mut road.early));
        self.routing.handle(now.mono, routing::Event::LinkUp { link, peer, cost });
        for frame in early {
            self.routing.handle(now.mono, routing::Event::Frame { link, frame });
        }
        if silent {
            self.routing.handle(now.mono, routing::Event::Silent { link });
        }
    }

    pub(super) fn on_routing_frame(&mut self, now: Moment, link: LinkId, frame: Routing) {
        match self.ways.roads.get_mut(&link).filter(|road| !road.told) {
            Some(road) => {
                road.early.push(frame);
                if road.early.len() >= MAX_EARLY {
                    self.weigh(now, link);
                }
            }
            None => self.routing.handle(now.mono, routing::Event::Frame { link, frame }),
        }
    }

    pub(super) fn ways_due(&mut self, now: Moment) {
        let due = |road: &Road| road.look_again.is_some_and(|at| at <= now.mono);
        let links: Vec<_> = self.ways.roads.iter().filter(|(_, road)| due(road)).map(|(link, _)| *link).collect();
        for link in links {
            self.weigh(now, link);
        }
        self.routing.handle(now.mono, routing::Event::Tick);
        self.relay.handle(now.mono, relay::Event::Tick);
    }

    // --- neighbours and routes ---

    /// Tells the island what this node says of itself now.
    pub(super) fn announce(&mut self, now: Moment) {
        let facts = routing::Facts {
            card_seq: self.own_card_seq,
            power: self.told.power,
            labels: self.told.labels.clone(),
            capabilities: self.wants.capabilities(),
            topics: Vec::new(),
            neighbours: self.wants.neighbours.clone(),
        };
        self.routing.handle(now.mono, routing::Event::Facts(facts));
    }

    pub(super) fn on_neighbour(&mut self, now: Moment, peer: PeerKey) {
        self.topology.handle(now.mono, topology::Event::Linked { peer });
        if self.ways.neighbours.is_empty() {
            self.seek_anew(now);
        }
        self.ways.neighbours.insert(peer.routing_id(), peer);
    }

    /// A neighbour is gone; there may be another way to it.
    pub(super) fn on_neighbour_gone(&mut self, now: Moment, peer: PeerKey) {
        self.topology.handle(now.mono, topology::Event::Unlinked { peer });
        self.ways.neighbours.remove(&peer.routing_id());
        self.delivery.handle(now, delivery::Event::Unreachable(peer));
        if self.way_to(&peer).is_some() {
            self.delivery.handle(now, delivery::Event::Reachable(peer));
        } else {
            self.seek(now, peer);
        }
    }

    /// Whom to hand what is for a peer: itself, else the next hop of the best route.
    pub(super) fn way_to(&self, peer: &PeerKey) -> Option<PeerKey> {
        if self.links.is_up(peer) { Some(*peer) } else { self.next_but(&peer.routing_id(), &[]) }
    }

    /// The best next hop that is none of these.
    fn next_but(&self, to: &RoutingId, except: &[PeerKey]) -> Option<PeerKey> {
        let direct = self.ways.neighbours.get(to).copied();
        let hops = self.routing.next_hops(to);
        let routed = [hops.best, hops.second].into_iter().flatten().map(|hop| hop.peer);
        let mut all = direct.into_iter().chain(routed);
        all.find(|next| !except.contains(next) && self.links.is_up(next))
    }

    pub(super) fn on_routing(&mut self, now: Moment, effect: routing::Effect) {
        use routing::Effect;
        match effect {
            Effect::Send { link, frame } => {
                if let Some(peer) = self.ways.roads.get(&link).map(|road| road.peer) {
                    self.volatile_frame(Some(link), peer, Frame::Routing(frame));
                }
            }
            Effect::Sign(announcement) => {
                // Its parts come from this node and are within their bounds.
                if let Ok(signed) = SignedAnnouncement::sign(&announcement, &self.identity) {
                    self.routing.handle(now.mono, routing::Event::Signed(signed));
                }
            }
            Effect::Verify { hash, bytes } => {
                let announcement = self.sessions.sealer().verify_announcement(&bytes);
                self.routing.handle(now.mono, routing::Event::Verified { hash, announcement });
            }
            Effect::Route { peer, next } => self.on_route(now, peer, next),
            Effect::Announced(announcement) => {
                self.on_facts(now, announcement.announcement());
                self.on_announced(now, announcement.announcement());
            }
            Effect::Forgotten { peer } => {
                self.topology.handle(now.mono, topology::Event::Forgotten { peer });
                if !self.links.is_up(&peer) {
                    self.sessions.vouch(peer, None);
                }
            }
            Effect::OwnBoot { boot } => self.on_own_boot_seen(now, boot),
            Effect::Evidence { peer, evidence } => self.misconduct(peer, evidence),
        }
    }

    fn on_route(&mut self, now: Moment, peer: PeerKey, next: Option<NextHop>) {
        let before = match next {
            Some(next) => self.ways.routed.insert(peer, next.peer),
            None => self.ways.routed.remove(&peer),
        };
        match (before, next) {
            (None, Some(_)) => self.topology.handle(now.mono, topology::Event::Routed { peer }),
            (Some(_), None) => self.topology.handle(now.mono, topology::Event::Unrouted { peer }),
            (Some(_), Some(_)) | (None, None) => {}
        }
        let way = next.map(|next| Way { next: next.peer, cost: next.cost, hops: next.hops });
        self.gate.pass(Output::Event(Event::Route { peer, way }));
        if self.links.is_up(&peer) {
            return;
        }
        match (before, next) {
            (Some(before), Some(next)) if before == next.peer => {}
            (_, Some(_)) => {
                // What is for it can go, or can go another way.
                self.delivery.handle(now, delivery::Event::Reachable(peer));
            }
            (Some(_), None) => {
                self.delivery.handle(now, delivery::Event::Unreachable(peer));
                self.seek(now, peer);
            }
            (None, None) => {}
        }
    }

    /// This node is announced with a boot that is not below its own: a database was restored, or its identity runs
    /// twice.
    fn on_own_boot_seen(&mut self, now: Moment, boot: u64) {
        if self.ways.boot_jumps >= MAX_BOOT_JUMPS {
            self.event(Event::Degraded { reason: "identity_in_use" });
            return;
        }
        self.ways.boot_jumps += 1;
        let boot = boot.saturating_add(1);
        self.records.push(Record::Booted { boot });
        self.routing.handle(now.mono, routing::Event::Boot { boot });
    }

    /// How much a peer matters to the table of routes.
    pub(super) fn prefer(&mut self, now: Moment, peer: PeerKey, in_use: bool) {
        let preference = match (in_use, self.contacts.contains_key(&peer)) {
            (true, _) => Preference::InUse,
            (false, true) => Preference::Contact,
            (false, false) => Preference::None,
        };
        self.routing.handle(now.mono, routing::Event::Prefer { peer, preference });
    }

    /// Tells everybody something else about this node.
    pub(super) fn set_labels(&mut self, now: Moment, labels: Vec<String>) -> Result<(), Refusal> {
        if labels.len() > MAX_LABELS {
            return Err(Refusal::TooLarge { what: "labels", limit: MAX_LABELS });
        }
        if labels.iter().any(|label| label.len() > MAX_LABEL_BYTES) {
            return Err(Refusal::TooLarge { what: "label", limit: MAX_LABEL_BYTES });
        }
        self.told.labels = labels;
        self.announce(now);
        Ok(())
    }

    /// Which links are wanted, and why.
    pub fn topology_view(&self) -> TopologyView {
        let topology = &self.topology;
        TopologyView {
            kind: topology.kind(),
            shape: topology.shape(),
            reason: topology.reason().to_owned(),
            stats: topology.stats(),
        }
    }

    /// The ways to everybody who can be reached.
    pub fn route_views(&self) -> Vec<RouteView> {
        let view = |(peer, best): (PeerKey, NextHop)| {
            let second = self.routing.next_hops(&peer.routing_id()).second;
            RouteView { peer, next: best.peer, cost: best.cost, hops: best.hops, second: second.map(|hop| hop.peer) }
        };
        self.routing.routes().map(view).collect()
    }

    // --- carrying ---

    pub(super) fn on_relay(&mut self, now: Moment, effect: relay::Effect) {
        use relay::Effect;
        match effect {
            Effect::Route { no, to, except } => {
                let next = self.next_but(&to, &except);
                self.relay.handle(now.mono, relay::Event::Next { no, next });
            }
            Effect::Send { no, next, class, bytes } => {
                let token = Load::Relayed(no).token();
                self.volatile.push_back(Departure::Parcel { peer: next, class, token, bytes });
            }
            Effect::Withdraw(no) => {
                self.links.handle(now.mono, links::Event::Withdraw { token: Load::Relayed(no).token() });
            }
            Effect::Refuse { to, parcel, reason } => self.volatile_frame(None, to, Frame::Refused { parcel, reason }),
            Effect::Avoid { next, to } => self.avoid(now, next, to),
        }
    }

    fn avoid(&mut self, now: Moment, next: PeerKey, to: RoutingId) {
        let until = self.ways.pause(now.mono, to, next);
        self.routing.handle(now.mono, routing::Event::Avoid { to, next, until });
    }

    /// A neighbour does not take a parcel: one of this node's own, or one that it carries.
    pub(super) fn on_refused(&mut self, now: Moment, by: PeerKey, id: crate::ids::ParcelId, reason: RefusedReason) {
        match self.attempts.refused(&id, by) {
            Some((parcel, peer)) => {
                if reason == RefusedReason::Busy && by != peer {
                    self.avoid(now, by, peer.routing_id());
                }
                let by = if by == peer { Refuser::Recipient } else { Refuser::OnTheWay };
                self.delivery.handle(now, delivery::Event::Refused(parcel, reason, by));
            }
            None => self.relay.handle(now.mono, relay::Event::Refused { by, parcel: id, reason }),
        }
    }

    /// The links gave up a parcel of this node's own. If there is another way to its recipient, that is taken at once.
    pub(super) fn on_own_lost(&mut self, parcel: crate::ids::OutParcelNo) {
        if let Some((peer, next)) = self.attempts.way_of(parcel)
            && self.way_to(&peer).is_some_and(|way| way != next)
        {
            self.ways.stranded.insert(peer);
        }
    }

    /// Sends what has lost its way another way. Says whether there was any.
    pub(super) fn resend_stranded(&mut self, now: Moment) -> bool {
        let stranded = std::mem::take(&mut self.ways.stranded);
        let any = !stranded.is_empty();
        for peer in stranded {
            self.delivery.handle(now, delivery::Event::Reachable(peer));
        }
        any
    }

    /// Says something that depends on nothing stored.
    fn volatile_frame(&mut self, link: Option<LinkId>, peer: PeerKey, frame: Frame) {
        self.volatile.push_back(Departure::Frame { link, peer, frame });
    }

    /// Carries on what is for somebody else.
    pub(super) fn carry(&mut self, now: Moment, from: PeerKey, passage: crate::wire::Passage) {
        self.relay.handle(now.mono, relay::Event::Arrived { from, passage: Box::new(passage) });
    }
}
