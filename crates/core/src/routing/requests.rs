//! Asking a destination for a newer announcement, which makes every route to it feasible again
//! (RFC 8966 §3.8; docs/spec/routing.md §4.4).

use tidings_crypto::{PeerKey, RoutingId};

use super::config::{DEMANDS, MAX_WAITING, REQUEST_LIFETIME, REQUEST_PAUSE, REQUEST_TTL, REQUESTS, UNANSWERED_PAUSE};
use super::destination::Request;
use super::link::Urgency;
use super::{Preference, State, Timer};
use crate::ids::LinkId;
use crate::trust::Evidence;
use crate::wire::{Routing, SeqRequest, Version};

impl State {
    /// Asks for a newer announcement if without one there is no way, or only a much dearer one.
    pub(super) fn request_if_better(&mut self, to: RoutingId) {
        let Some(destination) = self.destinations.get(&to) else { return };
        let Some(distance) = self.sources.distance(&to) else { return };
        let open = destination.routes.iter().filter(|(link, route)| self.is_open(**link, route));
        let infeasible =
            open.filter(|(_, route)| !distance.admits(route.version, route.cost)).map(|(_, route)| route.total);
        // A route that is newer than this node's own word will make the others feasible when they are renewed too.
        let better = infeasible.min().is_some_and(|offered| {
            destination.selected().is_none_or(|route| {
                route.version <= distance.version && u32::from(offered) * 5 / 4 + 1 < u32::from(route.total)
            })
        });
        let version = Version { boot: distance.version.boot, seq: distance.version.seq.saturating_add(1) };
        let in_use = self.preference(&to) == Preference::InUse;
        let heeded = in_use || destination.unanswered_until <= self.now || destination.request.is_some();
        let wanted = (better && heeded).then_some(version);
        let before = destination.request.as_ref().and_then(|request| request.own);
        if wanted == before {
            return;
        }
        let Some(wanted) = wanted else {
            if let Some(request) = self.destinations.get_mut(&to).and_then(|to| to.request.as_mut()) {
                request.own = None;
            }
            self.end_if_empty(&to);
            return;
        };
        let until = self.now + REQUEST_LIFETIME;
        let request = self.request_of(&to);
        let Some(request) = request else { return };
        (request.own, request.tries, request.until) = (Some(wanted), 0, until);
        self.stats.requests += 1;
        self.ask(to);
    }

    fn request_of(&mut self, to: &RoutingId) -> Option<&mut Request> {
        let until = self.now + REQUEST_LIFETIME;
        let destination = self.destinations.get_mut(to)?;
        Some(destination.request.get_or_insert_with(|| Box::new(Request::until(until))))
    }

    /// Sends a request out, or on: this node's own through two neighbours, others' through one.
    fn ask(&mut self, to: RoutingId) {
        let (now, held, through) = (self.now, self.is_held_back(&to), self.asked_for(&to));
        let Some(destination) = self.destinations.get_mut(&to) else { return };
        let Some(request) = destination.request.as_mut() else { return };
        let Some(version) = request.most() else { return };
        let own = request.own.is_some();
        // Behind a flapping neighbour each answer would reach the whole network.
        let pause = if held { REQUEST_LIFETIME } else { REQUEST_PAUSE * (1 << request.tries.min(5)) };
        let early = own && held && request.sent.is_some_and(|sent| sent + pause > now);
        let taken = !early && !through.is_empty() && destination.requests.take(now, REQUESTS);
        request.again = if taken || through.is_empty() {
            own.then_some(now + pause)
        } else {
            Some(destination.requests.ready_at(REQUESTS).max(if early { now + REQUEST_PAUSE } else { now }))
        };
        if let Some(again) = request.again {
            self.timers.set_at_latest(&Timer::Destination(to), again);
        }
        if taken {
            let ttl = if own { REQUEST_TTL } else { request.ttl };
            request.tries += u32::from(own);
            request.sent = Some(now);
            request.through.clone_from(&through);
            self.stats.requests_forwarded += u64::from(!own);
            for link in through {
                self.send(link, Routing::SeqRequest(SeqRequest { to, version, ttl }));
            }
        }
    }

    /// Asks others when none of those a request went to can answer it any more: what they were asked is lost.
    pub(super) fn ask_others_if_lost(&mut self, to: RoutingId) {
        let Some(destination) = self.destinations.get(&to) else { return };
        let Some(request) = destination.request.as_ref().filter(|request| request.may_go()) else { return };
        let answers = |link| destination.routes.get(link).is_some_and(|route| self.is_open(*link, route));
        if !request.through.iter().any(answers) && !self.asked_for(&to).is_empty() {
            self.ask(to);
        }
    }

    /// Through whom to ask: the route in use first, then through those who did not ask themselves, the cheapest first;
    /// what others ask never back to who asked last.
    fn asked_for(&self, to: &RoutingId) -> Vec<LinkId> {
        let Some(destination) = self.destinations.get(to) else { return Vec::new() };
        let Some(request) = destination.request.as_ref() else { return Vec::new() };
        let asks = |peer: &PeerKey| {
            request.waiting.keys().any(|link| self.links.get(link).is_some_and(|link| link.peer == *peer))
        };
        let open = destination.routes.iter().filter(|(link, route)| self.is_open(**link, route));
        let mut open: Vec<_> = open
            .filter(|(_, route)| request.own.is_some() || request.last != Some(route.peer))
            .map(|(link, route)| {
                (destination.selected != Some(*link), asks(&route.peer), route.total, *link, route.peer)
            })
            .collect();
        open.sort_unstable();
        let mut peers = Vec::new();
        open.retain(|(.., peer)| {
            let first = !peers.contains(peer);
            peers.push(*peer);
            first
        });
        let most = if request.own.is_some() { 2 } else { 1 };
        open.into_iter().take(most).map(|(.., link, _)| link).collect()
    }
}

/// What others ask.
impl State {
    pub(super) fn on_seq_request(&mut self, link: LinkId, request: SeqRequest) {
        let now = self.now;
        let Some(from) = self.links.get_mut(&link) else { return };
        if !from.demands.take(now, DEMANDS) {
            self.stats.refused += 1;
            self.misconduct(link, Evidence::Flood);
            return;
        }
        let (to, peer) = (request.to, from.peer);
        if to == self.own.id {
            self.on_own_requested(link, request.version);
            return;
        }
        let Some(destination) = self.destinations.get(&to) else { return };
        let answer = destination.selected().filter(|route| route.version >= request.version && route.peer != peer);
        if answer.is_some() {
            self.answer(link, &to);
            return;
        }
        let Some(pending) = self.request_of(&to) else { return };
        let known = pending.most();
        if pending.waiting.len() >= MAX_WAITING && !pending.waiting.contains_key(&link) {
            self.stats.refused += 1;
            return;
        }
        pending.waiting.insert(link, request.version);
        pending.last = Some(peer);
        pending.until = now + REQUEST_LIFETIME;
        pending.ttl = pending.ttl.max(request.ttl.saturating_sub(1));
        // Requests that another one on its way answers are not passed on.
        let same = known.is_some_and(|known| known >= request.version);
        let recent = pending.sent.is_some_and(|sent| sent + REQUEST_PAUSE > now);
        let goes = pending.may_go() && !(same && recent);
        self.timers.set_at_latest(&Timer::Destination(to), now + REQUEST_LIFETIME);
        if goes {
            self.ask(to);
        }
    }

    /// Says on a link what was asked for there, with the announcement itself.
    pub(super) fn answer(&mut self, link: LinkId, to: &RoutingId) {
        if let Some(link) = self.links.get_mut(&link) {
            link.news.asked.insert(*to);
            link.news.add(*to, Urgency::Urgent);
        }
    }

    /// Answers who waits for an announcement that is here now.
    pub(super) fn answer_waiting(&mut self, to: &RoutingId) {
        let Some(destination) = self.destinations.get_mut(to) else { return };
        let Some((version, through)) = destination.selected().map(|route| (route.version, route.peer)) else { return };
        let Some(request) = destination.request.as_mut() else { return };
        let links = &self.links;
        let mut answered = Vec::new();
        request.waiting.retain(|link, wanted| {
            let here = *wanted <= version && links.get(link).is_some_and(|link| link.peer != through);
            if here {
                answered.push(*link);
            }
            !here
        });
        if request.own.is_some_and(|wanted| wanted <= version) {
            request.own = None;
        }
        self.end_if_empty(to);
        for link in answered {
            self.answer(link, to);
        }
    }

    pub(super) fn on_destination_due(&mut self, to: RoutingId) {
        self.changed.insert(to);
        self.reconsider_heard(&to);
        let now = self.now;
        let Some(request) = self.destinations.get_mut(&to).and_then(|to| to.request.as_mut()) else { return };
        if request.until <= now {
            request.waiting.clear();
            let in_vain = request.own.take().is_some();
            if in_vain && let Some(destination) = self.destinations.get_mut(&to) {
                destination.unanswered_until = now + UNANSWERED_PAUSE;
                self.timers.set_at_latest(&Timer::Destination(to), destination.unanswered_until);
            }
            self.end_if_empty(&to);
            return;
        }
        let (again, until) = (request.again, request.until);
        if again.is_some_and(|again| again <= now) {
            self.ask(to);
        } else {
            self.timers.set_at_latest(&Timer::Destination(to), again.map_or(until, |again| again.min(until)));
        }
    }

    pub(super) fn requested_by(&self, link: LinkId) -> impl Iterator<Item = RoutingId> {
        let waits = move |request: &Request| request.waiting.contains_key(&link);
        self.destinations.iter().filter(move |(_, to)| to.request.as_deref().is_some_and(waits)).map(|(to, _)| *to)
    }

    pub(super) fn stop_waiting(&mut self, link: LinkId, to: &RoutingId) {
        if let Some(request) = self.destinations.get_mut(to).and_then(|to| to.request.as_mut()) {
            request.waiting.remove(&link);
        }
        self.end_if_empty(to);
    }

    fn end_if_empty(&mut self, to: &RoutingId) {
        if let Some(destination) = self.destinations.get_mut(to)
            && destination.request.as_deref().is_some_and(Request::is_empty)
        {
            destination.request = None;
            self.changed.insert(*to);
        }
    }
}
