//! What neighbours are told, and when; docs/spec/routing.md §5.

use std::collections::BTreeSet;

use tidings_crypto::{AnnouncementHash, ChainValue, RoutingId};

use super::config::{LAZY_PAUSE, UPDATES_SENT, URGENT};
use super::destination::Route;
use super::link::{Announced, Link, Urgency};
use super::{State, Timer};
use crate::ids::LinkId;
use crate::time::Instant;
use crate::wire::{MAX_UPDATES, Named, RouteUpdate, Routing, UNREACHABLE, Version};

/// What a neighbour ought to be told of a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    /// Nothing else than what it was told: a flapping neighbour is on the way.
    Keep,
    /// That there is no route through this node.
    Nothing,
    /// This route.
    Route(Offer),
}

/// A route as this node offers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Offer {
    version: Version,
    hash: AnnouncementHash,
    cost: u8,
    hops: u8,
    /// The chain's value, this many steps below `cost`.
    chain: ChainValue,
    steps: u8,
}

impl Offer {
    fn is_said(&self, said: &Announced) -> bool {
        (self.hash, self.cost, self.hops) == (said.hash, said.cost, said.hops)
    }
}

impl State {
    /// Whether changes of this destination are held back.
    pub(super) fn is_held_back(&self, to: &RoutingId) -> bool {
        self.links.values().filter_map(|link| link.said.get(to)).any(|said| self.goes_through_flapping(said))
    }

    fn goes_through_flapping(&self, said: &Announced) -> bool {
        said.through.is_some_and(|peer| self.damping.held_until(&peer, self.now).is_some())
    }

    /// The route that is used to a destination.
    fn used(&self, to: &RoutingId) -> Option<Route> {
        self.destinations.get(to).and_then(|destination| destination.selected()).copied()
    }

    /// What a link's neighbour ought to be told of a destination to which this route is used.
    fn wish(&self, link: &Link, to: &RoutingId, route: Option<Route>) -> Wish {
        if *to == self.own.id {
            return self.own.offer().map_or(Wish::Nothing, |(version, hash, root)| {
                Wish::Route(Offer { version, hash, cost: 0, hops: 0, chain: root, steps: 0 })
            });
        }
        // A neighbour needs no route to itself, and none that leads back through itself.
        let route = route.filter(|route| *to != link.id && route.peer != link.peer);
        let offer = route.map(|route| Offer {
            version: route.version,
            hash: route.hash,
            cost: route.total,
            hops: route.hops,
            chain: route.chain,
            steps: route.total - route.cost,
        });
        if let Some(said) = link.said.get(to)
            && offer.is_none_or(|offer| offer.version.boot == said.version.boot)
            && self.goes_through_flapping(said)
        {
            return Wish::Keep;
        }
        offer.map_or(Wish::Nothing, Wish::Route)
    }

    /// Notes for each link whether there is something to say of this destination.
    pub(super) fn tell_neighbours(&mut self, to: &RoutingId) {
        self.answer_waiting(to);
        let route = self.used(to);
        let urgencies: Vec<_> = self.links.iter().map(|(id, link)| (*id, self.urgency(link, to, route))).collect();
        for (id, urgency) in urgencies {
            let Some(link) = self.links.get_mut(&id) else { continue };
            match urgency {
                Some(urgency) => link.news.add(*to, urgency),
                None if link.news.asked.contains(to) => {}
                None => link.news.forget(to),
            }
        }
    }

    fn urgency(&self, link: &Link, to: &RoutingId, route: Option<Route>) -> Option<Urgency> {
        match (self.wish(link, to, route), link.said.get(to)) {
            (Wish::Keep, _) | (Wish::Nothing, None) => None,
            (Wish::Nothing, Some(_)) | (Wish::Route(_), None) => Some(Urgency::Urgent),
            (Wish::Route(offer), Some(said)) if offer.is_said(said) => None,
            (Wish::Route(offer), Some(said)) if offer.cost > said.cost || offer.version.boot != said.version.boot => {
                Some(Urgency::Urgent)
            }
            (Wish::Route(_), Some(_)) => Some(Urgency::Lazy),
        }
    }

    /// Says on every link what is due.
    pub(super) fn say_all(&mut self) {
        let due: Vec<LinkId> = self.links.iter().filter(|(_, link)| !link.news.is_empty()).map(|(id, _)| *id).collect();
        for id in due {
            self.say(id);
            if let Some(due) = self.next_news(id) {
                self.timers.set_at_latest(&Timer::News(id), due);
            }
        }
    }

    /// When a link may be told more; `None` if there is nothing, or it does not answer.
    fn next_news(&self, id: LinkId) -> Option<Instant> {
        let link = self.links.get(&id).filter(|link| link.answers)?;
        Some(link.news.due()?.max(link.sending.ready_at(UPDATES_SENT)))
    }

    fn say(&mut self, id: LinkId) {
        let now = self.now;
        if self.next_news(id).is_none_or(|due| due > now) {
            return;
        }
        let Some(link) = self.links.get_mut(&id) else { return };
        let mut news = BTreeSet::new();
        if link.news.restart || !link.news.urgent.is_empty() {
            link.news.pace.take(now, URGENT);
            news.append(&mut link.news.urgent);
        }
        if link.news.lazy_at <= now {
            news.append(&mut link.news.lazy);
            link.news.lazy_at = now + LAZY_PAUSE;
        }
        let restart = std::mem::take(&mut link.news.restart);
        let (updates, follow) = self.updates(id, news);
        if updates.is_empty() && !restart {
            return;
        }
        self.stats.updates_sent += updates.len() as u64;
        let mut parts = updates.chunks(MAX_UPDATES);
        let first = parts.next().unwrap_or_default().to_vec();
        self.send(id, Routing::Updates { restart, updates: first });
        for part in parts {
            self.send(id, Routing::Updates { restart: false, updates: part.to_vec() });
        }
        for hash in follow {
            self.send_announcement(id, &hash);
        }
    }
}

impl State {
    /// Makes the updates for these destinations, as far as the link's bucket goes, and remembers them as said: the
    /// feasibility distance must never be above what a neighbour was told (docs/spec/routing.md §4.2).
    fn updates(&mut self, id: LinkId, news: BTreeSet<RoutingId>) -> (Vec<RouteUpdate>, Vec<AnnouncementHash>) {
        let (mut updates, mut follow) = (Vec::new(), Vec::new());
        for to in news {
            let Some(link) = self.links.get(&id) else { break };
            let (wish, asked) = (self.wish(link, &to, self.used(&to)), link.news.asked.contains(&to));
            let now = self.now;
            let Some(link) = self.links.get_mut(&id) else { break };
            let said = link.said.get(&to).copied();
            let needed = match wish {
                Wish::Keep => false,
                Wish::Nothing => said.is_some(),
                Wish::Route(offer) => said.is_none_or(|said| !offer.is_said(&said)),
            };
            if !needed {
                link.news.asked.remove(&to);
                continue;
            }
            if !link.sending.take(now, UPDATES_SENT) {
                link.news.urgent.insert(to);
                continue;
            }
            link.news.asked.remove(&to);
            match wish {
                Wish::Keep => {}
                Wish::Nothing => updates.extend(self.retract(id, &to)),
                Wish::Route(offer) => {
                    let update = self.offer(id, &to, &offer, asked);
                    follow.extend(update.and_then(|update| update.named).filter(|n| n.follows).map(|n| n.hash));
                    updates.extend(update);
                }
            }
        }
        (updates, follow)
    }

    fn retract(&mut self, id: LinkId, to: &RoutingId) -> Option<RouteUpdate> {
        let index = self.links.get_mut(&id)?.said.remove(to)?;
        self.stats.retractions_sent += 1;
        self.sources.touch(to, self.now);
        self.changed.insert(*to);
        Some(RouteUpdate::retraction(index))
    }

    fn offer(&mut self, id: LinkId, to: &RoutingId, offer: &Offer, asked: bool) -> Option<RouteUpdate> {
        let now = self.now;
        let (age_s, chain) = if *to == self.own.id {
            (self.own.age_s(now), offer.chain)
        } else {
            let held = self.announcements.held.get(&offer.hash)?;
            (held.age_s(now), held.advance(offer.chain, offer.steps))
        };
        let through = self.destinations.get(to).and_then(|to| to.selected()).map(|route| route.peer);
        let link = self.links.get_mut(&id)?;
        let Some(index) = link.said.index(to) else {
            self.stats.refused += 1;
            return None;
        };
        let before = link.said.get(to).map(|said| said.hash);
        let (version, hash) = (offer.version, offer.hash);
        let announced = Announced { index, version, hash, cost: offer.cost, hops: offer.hops, through };
        link.said.insert(*to, announced);
        let named = (before != Some(hash)).then_some(Named { to: *to, version, hash, age_s, follows: asked });
        if *to != self.own.id {
            self.sources.announce(to, version, offer.cost, now);
        }
        debug_assert!(offer.cost < UNREACHABLE);
        Some(RouteUpdate { index, cost: offer.cost, hops: offer.hops, chain, named })
    }

    pub(super) fn send_announcement(&mut self, link: LinkId, hash: &AnnouncementHash) {
        let own = self.own.bytes(hash);
        let Some(bytes) = own.or_else(|| self.announcements.held.get(hash).map(|held| held.signed.bytes().clone()))
        else {
            return;
        };
        self.stats.announcements_sent += 1;
        self.send(link, Routing::Announcement(bytes));
    }

    /// A neighbour wants announcements that it was told of.
    pub(super) fn on_want(&mut self, id: LinkId, hashes: &[AnnouncementHash]) {
        for hash in hashes {
            let Some(link) = self.links.get_mut(&id) else { return };
            if !link.demands.take(self.now, super::config::DEMANDS) {
                self.stats.refused += 1;
                self.misconduct(id, crate::trust::Evidence::Flood);
                return;
            }
            self.send_announcement(id, hash);
        }
    }
}
