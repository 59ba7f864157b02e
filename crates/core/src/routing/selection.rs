//! Which route is used, and what becomes of a destination without one; docs/spec/routing.md §4.

use std::cmp::Reverse;
use std::time::Duration;

use tidings_crypto::{PeerKey, RoutingId};

use super::config::{RENEWALS, SWITCHES};
use super::destination::{Destination, Route};
use super::feasibility::Distance;
use super::{Effect, NextHop, NextHops, Preference, State, Timer};
use crate::ids::LinkId;
use crate::time::Instant;
use crate::wire::{UNREACHABLE, Version};

/// What makes one route better than another, the most important first; the lowest is the best.
type Rank = (bool, u8, bool, u8, Reverse<Version>, LinkId);

impl State {
    /// Whether a route may be used: over a link that answers, and feasible at the distance announced.
    fn is_usable(&self, distance: Option<Distance>, link: LinkId, route: &Route) -> bool {
        self.is_open(link, route) && distance.is_none_or(|distance| distance.admits(route.version, route.cost))
    }

    /// Whether a route leads anywhere, feasible or not.
    pub(super) fn is_open(&self, link: LinkId, route: &Route) -> bool {
        route.total < UNREACHABLE && self.links.get(&link).is_some_and(|link| link.answers)
    }

    fn rank(destination: &Destination, link: LinkId, route: &Route) -> Rank {
        // While somebody waits for a newer announcement, a route that has it is the better one.
        let least = destination.request.as_ref().and_then(|request| request.least());
        let stale = least.is_some_and(|least| route.version < least);
        let other = destination.selected != Some(link);
        (stale, route.total, other, route.hops, Reverse(route.version), link)
    }

    fn best(&self, to: &RoutingId, destination: &Destination) -> Option<LinkId> {
        let distance = self.sources.distance(to);
        let usable = destination.routes.iter().filter(|(link, route)| self.is_usable(distance, **link, route));
        usable.min_by_key(|(link, route)| Self::rank(destination, **link, route)).map(|(link, _)| *link)
    }

    /// Chooses anew, tells of it, and prepares what neighbours are to be told.
    pub(super) fn select(&mut self, to: RoutingId) {
        let Some(destination) = self.destinations.get(&to) else {
            self.tell_neighbours(&to);
            return;
        };
        let best = self.best(&to, destination);
        let (best, again) = self.with_patience(&to, destination, best);
        let now = self.now;
        let Some(destination) = self.destinations.get_mut(&to) else { return };
        if let Some(again) = again {
            self.timers.set_at_latest(&Timer::Destination(to), again);
        } else if best != destination.selected && best.is_some() {
            self.stats.installed += 1;
            if destination.selected.is_some() {
                destination.switches.take(now, SWITCHES);
            }
        }
        if best.is_none() && destination.selected.is_some() {
            self.stats.lost += 1;
        }
        destination.selected = best;
        self.tell_of(to);
        self.request_if_better(to);
        self.ask_others_if_lost(to);
        self.tell_neighbours(&to);
        self.forget_if_unused(&to);
    }

    /// A cheaper route than the one in use may have to wait, so that what oscillates does not carry others along.
    fn with_patience(
        &self,
        to: &RoutingId,
        destination: &Destination,
        best: Option<LinkId>,
    ) -> (Option<LinkId>, Option<Instant>) {
        let distance = self.sources.distance(to);
        let is_usable = |link| destination.routes.get(&link).is_some_and(|route| self.is_usable(distance, link, route));
        let current = destination.selected.filter(|link| Some(*link) != best && is_usable(*link));
        let (Some(current), Some(link)) = (current, best) else { return (best, None) };
        let stale = |link: LinkId| destination.routes.get(&link).map(|route| Self::rank(destination, link, route).0);
        let ready = destination.switches.ready_at(SWITCHES);
        if stale(current) == stale(link) && ready > self.now { (Some(current), Some(ready)) } else { (best, None) }
    }

    /// Tells the engine where a destination's next hop is, if it is another one.
    fn tell_of(&mut self, to: RoutingId) {
        let Some(destination) = self.destinations.get(&to) else { return };
        let next = destination.selected.and_then(|link| self.next_hop(destination, link));
        let place = |next: Option<NextHop>| next.map(|next| (next.link, next.peer));
        let (peer, told) = (destination.peer, destination.told);
        if let Some(destination) = self.destinations.get_mut(&to) {
            destination.told = next;
        }
        if place(told) != place(next) {
            self.effect(Effect::Route { peer, next });
        }
        self.tell_announcement(to);
    }

    /// Tells what a reachable peer says of itself, if that is newer than what was told.
    fn tell_announcement(&mut self, to: RoutingId) {
        let Some(destination) = self.destinations.get_mut(&to) else { return };
        let Some((version, hash)) = self.sources.get(&to).and_then(|source| source.newest) else { return };
        if destination.told.is_none() || destination.told_version.is_some_and(|told| told >= version) {
            return;
        }
        let Some(held) = self.announcements.held.get(&hash) else { return };
        destination.told_version = Some(version);
        let announcement = held.signed.clone();
        self.effect(Effect::Announced(announcement));
    }

    fn next_hop(&self, destination: &Destination, link: LinkId) -> Option<NextHop> {
        let route = destination.routes.get(&link)?;
        Some(NextHop { link, peer: route.peer, cost: route.total, hops: route.hops })
    }

    /// Drops a destination that nobody offers, was told of or waits for. Its source stays.
    fn forget_if_unused(&mut self, to: &RoutingId) {
        let Some(destination) = self.destinations.get(to) else { return };
        let announced = || self.links.values().any(|link| link.said.get(to).is_some());
        if !destination.routes.is_empty() || destination.request.is_some() || announced() {
            return;
        }
        // Something newer may have been heard that had to wait.
        let ready = destination.renewals.ready_at(RENEWALS);
        if ready > self.now {
            self.timers.set_at_latest(&Timer::Destination(*to), ready);
            return;
        }
        let Some(destination) = self.destinations.remove(to) else { return };
        self.timers.set(&Timer::Destination(*to), None);
        let newest = self.sources.get(to).and_then(|source| source.newest).map(|(_, hash)| hash);
        for hash in destination.held.iter().filter(|hash| Some(**hash) != newest) {
            self.announcements.held.remove(hash);
        }
        for link in self.links.values_mut() {
            link.news.forget(to);
        }
        if destination.told_version.is_some() {
            self.effect(Effect::Forgotten { peer: destination.peer });
        }
    }
}

/// What the engine asks.
impl State {
    /// The best next hop and another one, both feasible, neither avoided, through different neighbours.
    pub(crate) fn next_hops(&self, to: &RoutingId) -> NextHops {
        let Some(destination) = self.destinations.get(to) else { return NextHops::default() };
        let distance = self.sources.distance(to);
        let mut usable: Vec<_> = destination
            .routes
            .iter()
            .filter(|(link, route)| {
                self.is_usable(distance, **link, route) && !destination.avoids(&route.peer, self.now)
            })
            .map(|(link, route)| (Self::rank(destination, *link, route), *link, route.peer))
            .collect();
        usable.sort_unstable();
        // The selected one is the best even while a cheaper one waits.
        if let Some(at) = usable.iter().position(|(_, link, _)| Some(*link) == destination.selected) {
            usable[..=at].rotate_right(1);
        }
        let best = usable.first().copied();
        let second = usable.iter().find(|(.., peer)| best.is_some_and(|(.., first)| first != *peer));
        NextHops {
            best: best.and_then(|(_, link, _)| self.next_hop(destination, link)),
            second: second.and_then(|(_, link, _)| self.next_hop(destination, *link)),
        }
    }

    /// Every destination that can be reached, with its next hop.
    pub(crate) fn routes(&self) -> impl Iterator<Item = (PeerKey, NextHop)> {
        self.destinations.values().filter_map(|to| Some((to.peer, self.next_hop(to, to.selected?)?)))
    }

    /// What a destination last said of itself, and how old that is.
    pub(crate) fn announcement(&self, to: &RoutingId) -> Option<(&tidings_crypto::Announcement, Duration)> {
        let (_, hash) = self.sources.get(to)?.newest?;
        let held = self.announcements.held.get(&hash)?;
        Some((held.signed.announcement(), Duration::from_secs(u64::from(held.age_s(self.now)))))
    }

    /// Counts.
    pub(crate) fn stats(&self) -> super::Stats {
        let reachable = self.destinations.values().filter(|to| to.selected.is_some()).count();
        super::Stats { destinations: reachable as u64, ..self.stats }
    }

    /// Whether a destination is a contact or in use.
    pub(super) fn is_preferred(&self, to: &RoutingId) -> bool {
        self.preference(to) != Preference::None
    }
}
