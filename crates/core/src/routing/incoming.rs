//! What neighbours say of routes, and what of it is believed; docs/spec/routing.md §3.

use std::time::Duration;

use tidings_crypto::{AnnouncementHash, PeerKey, RoutingId};

use super::config::{MAX_HEARD, MAX_HELD, RENEWALS, UPDATES_READ};
use super::destination::{Destination, Route};
use super::link::Heard;
use super::{State, Timer};
use crate::ids::LinkId;
use crate::time::Instant;
use crate::trust::Evidence;
use crate::wire::{MAX_HOPS, Named, RouteUpdate, UNREACHABLE, Version};

impl State {
    pub(super) fn on_updates(&mut self, id: LinkId, restart: bool, updates: &[RouteUpdate]) {
        if restart {
            self.forget_heard(id);
        }
        for update in updates {
            let now = self.now;
            let Some(link) = self.links.get_mut(&id) else { return };
            if !link.reading.take(now, UPDATES_READ) {
                self.stats.refused += 1;
                self.misconduct(id, Evidence::Flood);
                return;
            }
            self.stats.updates_received += 1;
            self.on_update(id, update);
        }
    }

    /// What was heard on a link means nothing any more.
    fn forget_heard(&mut self, id: LinkId) {
        let Some(link) = self.links.get_mut(&id) else { return };
        link.wants_all = false;
        self.heard -= link.heard.len();
        let offered: Vec<_> = std::mem::take(&mut link.heard).into_values().map(|heard| heard.named.hash).collect();
        for to in std::mem::take(&mut link.indices).into_keys() {
            self.drop_route(id, &to);
        }
        for hash in offered {
            self.withdraw_offer(id, &hash);
        }
    }

    fn on_update(&mut self, id: LinkId, update: &RouteUpdate) {
        let Some(link) = self.links.get(&id) else { return };
        let before = link.heard.get(&update.index).copied();
        let Some(named) = update.named.or(before.map(|before| before.named)) else {
            // A frame was left out where a queue was full, there or here: all is said anew.
            self.ask_for_all_routes(id);
            return;
        };
        if before.is_none() && self.heard >= MAX_HEARD {
            self.stats.refused += 1;
            return;
        }
        let at = before.filter(|_| update.named.is_none()).map_or(self.now, |before| before.at);
        let heard = Heard { named, cost: update.cost, hops: update.hops, chain: update.chain, at };
        self.remember(id, update.index, heard, before.as_ref());
        if update.cost == UNREACHABLE {
            self.drop_route(id, &named.to);
            return;
        }
        let older = |before: &Heard| before.named.to == named.to && before.named.version > named.version;
        if before.as_ref().is_some_and(older) {
            self.drop_route(id, &named.to);
            self.misconduct(id, Evidence::RolledBackRoute);
            return;
        }
        self.consider(id, update.index);
    }

    fn remember(&mut self, id: LinkId, index: u16, heard: Heard, before: Option<&Heard>) {
        if let Some(before) = before.filter(|before| heard.cost == UNREACHABLE || before.named.hash != heard.named.hash)
        {
            self.withdraw_offer(id, &before.named.hash);
        }
        let Some(link) = self.links.get_mut(&id) else { return };
        self.heard += usize::from(link.heard.insert(index, heard).is_none());
        if let Some(before) = before.filter(|before| before.named.to != heard.named.to) {
            link.indices.remove(&before.named.to);
            self.drop_route(id, &before.named.to);
        }
        let Some(link) = self.links.get_mut(&id) else { return };
        if let Some(other) = link.indices.insert(heard.named.to, index).filter(|other| *other != index) {
            self.heard -= usize::from(link.heard.remove(&other).is_some());
        }
    }

    /// Takes up what was heard under an index, or asks for what is missing to judge it.
    pub(super) fn consider(&mut self, id: LinkId, index: u16) {
        let Some(heard) = self.links.get(&id).and_then(|link| link.heard.get(&index)).copied() else { return };
        let Named { to, version, hash, follows, .. } = heard.named;
        if heard.cost == UNREACHABLE {
            return;
        }
        if to == self.own.id {
            if self.own.is_overtaken(version, &hash) {
                self.fetch(id, hash, follows);
            }
            return;
        }
        if self.announcements.held.contains_key(&hash) {
            self.accept(id, &heard);
        } else if self.is_worth_fetching(id, &heard) {
            self.fetch(id, hash, follows);
        }
    }

    fn is_worth_fetching(&mut self, id: LinkId, heard: &Heard) -> bool {
        let Named { to, version, .. } = heard.named;
        let Some(link) = self.links.get(&id) else { return false };
        let reachable = self.destinations.get(&to).is_some_and(|to| to.selected.is_some());
        if self.is_older(&to, version) && (link.id == to || reachable) {
            // Not believed beside a route as new as this node's own word; without one, it tells whom to ask for a
            // newer one. Its owner ought to know.
            if link.id == to {
                self.show_newest(id, &to);
            }
            self.stats.infeasible += 1;
            self.drop_route(id, &to);
            return false;
        }
        let total = heard.cost.saturating_add(link.cost);
        let leads_nowhere = total == UNREACHABLE || u32::from(heard.hops) >= MAX_HOPS;
        let over = self.sources.end_of(&to, version).is_some_and(|end| end <= self.now);
        if leads_nowhere || over || !self.has_room(&to, total) {
            self.stats.refused += u64::from(!leads_nowhere);
            self.drop_route(id, &to);
            return false;
        }
        let now = self.now;
        let Some(destination) = self.destinations.get_mut(&to) else { return true };
        // Each new announcement travels through the whole network: so many, and no more.
        let taken = destination.renewals.take(now, RENEWALS);
        if !taken {
            self.timers.set_at_latest(&Timer::Destination(to), destination.renewals.ready_at(RENEWALS));
        }
        taken
    }

    /// Whether this node has announced something newer.
    fn is_older(&self, to: &RoutingId, version: Version) -> bool {
        let distance = self.sources.get(to).and_then(|source| source.distance);
        distance.is_some_and(|distance| version < distance.version)
    }

    /// Shows a neighbour that announces itself with an older announcement than was seen of it the newer one.
    fn show_newest(&mut self, id: LinkId, to: &RoutingId) {
        if let Some((_, hash)) = self.sources.get(to).and_then(|source| source.newest)
            && self.announcements.held.contains_key(&hash)
        {
            self.send_announcement(id, &hash);
        }
    }

    /// Looks again at what all links offer for a destination.
    pub(super) fn reconsider_heard(&mut self, to: &RoutingId) {
        let offered: Vec<_> = self.links.iter().filter_map(|(id, link)| Some((*id, *link.indices.get(to)?))).collect();
        for (id, index) in offered {
            self.consider(id, index);
        }
    }
}

/// What is believed.
impl State {
    /// Takes up a route whose announcement is held, if the neighbour can prove its cost.
    fn accept(&mut self, id: LinkId, heard: &Heard) {
        let Named { to, version, hash, age_s, .. } = heard.named;
        let Some(link) = self.links.get(&id) else { return };
        let (peer, neighbour, link_cost) = (link.peer, link.id, link.cost);
        let Some(held) = self.announcements.held.get_mut(&hash) else { return };
        if (held.to, held.version) != (to, version) {
            self.drop_route(id, &to);
            self.misconduct(id, Evidence::ForgedRoute);
            return;
        }
        // A neighbour may claim a greater age than another, never make it live longer.
        let left = Duration::from_secs(u64::from(held.signed.announcement().lifetime_s.saturating_sub(age_s)));
        held.expires = held.expires.min(heard.at + left);
        let expires = held.expires;
        self.timers.set_at_latest(&Timer::Sweep, expires);
        if (heard.cost == 0 && neighbour != to) || !held.signed.proves(heard.cost, heard.chain) {
            self.drop_route(id, &to);
            self.misconduct(id, Evidence::CheapRoute);
            return;
        }
        let (owner, total) = (held.signed.announcement().peer, heard.cost.saturating_add(link_cost));
        let hops = heard.hops.saturating_add(1);
        if expires <= self.now || total == UNREACHABLE || u32::from(hops) > MAX_HOPS {
            self.drop_route(id, &to);
            return;
        }
        if !self.admit(&to, owner, total) {
            self.stats.refused += 1;
            self.drop_route(id, &to);
            return;
        }
        if !self.sources.admits(&to, version, heard.cost) {
            self.stats.infeasible += 1;
        }
        let route = Route { peer, version, hash, cost: heard.cost, total, hops, chain: heard.chain };
        self.sources.seen(&to, version, hash, expires);
        let Some(destination) = self.destinations.get_mut(&to) else { return };
        let before = destination.routes.insert(id, route);
        if before.is_none_or(|before| before.version < version) {
            // Who did not answer may be behind this one.
            destination.unanswered_until = Instant::default();
        }
        if !destination.held.contains(&hash) {
            destination.held.push(hash);
        }
        self.changed.insert(to);
        self.prune(&to);
    }

    /// Forgets announcements of a destination that no route goes by, and of too many the oldest with their routes.
    pub(super) fn prune(&mut self, to: &RoutingId) {
        let newest = self.sources.get(to).and_then(|source| source.newest).map(|(_, hash)| hash);
        let Some(destination) = self.destinations.get_mut(to) else { return };
        let held = std::mem::take(&mut destination.held);
        let selected = destination.selected().map(|route| route.hash);
        let announcements = &mut self.announcements.held;
        let version = |hash: &AnnouncementHash| announcements.get(hash).map(|held| held.version);
        let mut kept: Vec<_> =
            held.iter().filter(|hash| destination.routes.values().any(|route| route.hash == **hash)).copied().collect();
        kept.sort_by_key(|hash| (Some(*hash) == newest || Some(*hash) == selected, version(hash)));
        let many = kept.len().saturating_sub(MAX_HELD);
        for hash in kept.drain(..many) {
            destination.routes.retain(|route| route.hash != hash);
        }
        for hash in held.iter().filter(|hash| !kept.contains(hash) && Some(**hash) != newest) {
            announcements.remove(hash);
        }
        destination.held = kept;
    }

    /// Whether a destination at this cost would find a place in the table.
    fn has_room(&self, to: &RoutingId, total: u8) -> bool {
        self.destinations.contains_key(to) || !self.is_full() || self.farthest(to, total).is_some()
    }

    fn is_full(&self) -> bool {
        let max = self.config.max_destinations.min(super::config::MAX_DESTINATIONS);
        self.destinations.len() >= max && self.destinations.values().filter(|to| !to.routes.is_empty()).count() >= max
    }

    /// Who makes room for this destination: the farthest that matters less. Contacts and destinations in use matter
    /// more than others, the near more than the far.
    fn farthest(&self, to: &RoutingId, total: u8) -> Option<RoutingId> {
        let strangers = self.destinations.iter().filter(|(to, _)| !self.is_preferred(to));
        let (cost, farthest) = strangers
            .filter_map(|(to, known)| Some((known.routes.values().map(|route| route.total).min()?, to)))
            .max()?;
        (self.is_preferred(to) || cost > total).then_some(*farthest)
    }

    /// Gives a destination its place in the tables.
    fn admit(&mut self, to: &RoutingId, peer: PeerKey, total: u8) -> bool {
        if self.destinations.contains_key(to) {
            return true;
        }
        let (preference, now) = (self.preference(to), self.now);
        let destinations = &self.destinations;
        let out = if self.is_full() {
            let Some(out) = self.farthest(to, total) else { return false };
            Some(out)
        } else {
            None
        };
        if !self.sources.admit(*to, preference, now, |to| destinations.contains_key(to)) {
            return false;
        }
        if let Some(out) = out.and_then(|out| Some((out, self.destinations.get_mut(&out)?))) {
            let (out, destination) = out;
            destination.routes.clear();
            destination.request = None;
            self.changed.insert(out);
        }
        self.destinations.insert(*to, Destination::new(peer));
        true
    }

    /// Forgets what has lived long enough.
    pub(super) fn sweep(&mut self) {
        let now = self.now;
        let expired: Vec<_> =
            self.announcements.held.iter().filter(|(_, held)| held.expires <= now).map(|(hash, _)| *hash).collect();
        for hash in expired {
            let Some(held) = self.announcements.held.remove(&hash) else { continue };
            if let Some(destination) = self.destinations.get_mut(&held.to) {
                destination.routes.retain(|route| route.hash != hash);
                destination.held.retain(|held| *held != hash);
                self.changed.insert(held.to);
            }
        }
        let destinations = &self.destinations;
        let (gone, next) = self.sources.sweep(now, |to| destinations.contains_key(to));
        for hash in gone.into_iter().filter_map(|(_, hash)| hash) {
            self.announcements.held.remove(&hash);
        }
        let expiry = self.announcements.held.values().map(|held| held.expires).min();
        if let Some(due) = expiry.into_iter().chain(next).min() {
            self.timers.set_at_latest(&Timer::Sweep, due);
        }
    }
}
