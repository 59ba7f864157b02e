//! Links that come, go, fall silent and change their cost.

use std::time::Duration;

use rand_core::Rng as _;
use tidings_crypto::{PeerKey, RoutingId};

use super::config::MAX_LINKS;
use super::link::{Link, Urgency};
use super::{State, Timer};
use crate::ids::LinkId;

impl State {
    pub(super) fn on_link_up(&mut self, id: LinkId, peer: PeerKey, cost: u8) {
        if self.links.contains_key(&id) {
            self.on_link_down(id);
        }
        if self.links.len() >= MAX_LINKS || peer == self.own.peer {
            self.stats.refused += 1;
            return;
        }
        let mut link = Link::new(peer, cost);
        for to in self.destinations.keys().chain([&self.own.id]) {
            link.news.add(*to, Urgency::Urgent);
        }
        self.links.insert(id, link);
        let interval = self.config.digest_interval;
        let early = interval.as_micros().min(u128::from(u64::MAX / 4));
        let jitter = self.rng.next_u64() % (u64::try_from(early).unwrap_or(u64::MAX) / 4).max(1);
        let due = self.now + interval.saturating_sub(Duration::from_micros(jitter));
        self.timers.set_at_latest(&Timer::Digest(id), due);
    }

    pub(super) fn on_link_down(&mut self, id: LinkId) {
        let Some(link) = self.links.remove(&id) else { return };
        self.heard -= link.heard.len();
        self.timers.set(&Timer::News(id), None);
        self.timers.set(&Timer::Digest(id), None);
        for to in link.said.destinations() {
            self.sources.touch(to, self.now);
            self.changed.insert(*to);
        }
        for to in link.indices.keys() {
            self.drop_route(id, to);
        }
        let waited: Vec<RoutingId> = self.requested_by(id).collect();
        for to in waited {
            self.stop_waiting(id, &to);
        }
        self.withdraw_offers(id);
        if link.answers {
            self.on_departure(link.peer);
        }
    }

    pub(super) fn on_silent(&mut self, id: LinkId) {
        let Some(link) = self.links.get_mut(&id).filter(|link| link.answers) else { return };
        link.answers = false;
        let peer = link.peer;
        self.changed.extend(link.indices.keys());
        self.on_departure(peer);
    }

    pub(super) fn on_answers(&mut self, id: LinkId) {
        if let Some(link) = self.links.get_mut(&id) {
            link.answers = true;
            self.changed.extend(link.indices.keys());
        }
    }

    /// A link of this peer does not carry any more; if it was the last, the peer may be flapping.
    fn on_departure(&mut self, peer: PeerKey) {
        if self.links.values().any(|link| link.peer == peer && link.answers) {
            return;
        }
        if let Some(until) = self.damping.on_departure(peer, self.now) {
            self.stats.held_back += 1;
            self.timers.set_at_latest(&Timer::Thaw(peer), until);
        }
    }

    /// What was held back because of this peer is looked at, unless it went again meanwhile.
    pub(super) fn on_thaw(&mut self, peer: &PeerKey) {
        if let Some(until) = self.damping.held_until(peer, self.now) {
            self.timers.set_at_latest(&Timer::Thaw(*peer), until);
            return;
        }
        let through = |link: &Link| link.said.through(peer).collect::<Vec<_>>();
        let held: Vec<RoutingId> = self.links.values().flat_map(through).collect();
        self.changed.extend(held);
    }

    pub(super) fn on_cost(&mut self, id: LinkId, cost: u8) {
        let cost = cost.clamp(1, super::cost::MAX_LINK_COST);
        let Some(link) = self.links.get_mut(&id).filter(|link| link.cost != cost) else { return };
        link.cost = cost;
        for to in link.indices.keys() {
            if let Some(route) = self.destinations.get_mut(to).and_then(|to| to.routes.get_mut(&id)) {
                route.total = route.cost.saturating_add(cost);
                self.changed.insert(*to);
            }
        }
    }

    pub(super) fn drop_route(&mut self, link: LinkId, to: &RoutingId) {
        if let Some(destination) = self.destinations.get_mut(to) {
            destination.routes.remove(&link);
            self.changed.insert(*to);
        }
    }
}
