//! Routes to every node of the island: distance vector with the loop-freedom of Babel (RFC 8966), over signed
//! announcements; docs/spec/routing.md.
//!
//! [`Event`]s say what happened, [`Effect`]s what is to be done. Signatures are made and checked outside
//! ([`Effect::Sign`], [`Effect::Verify`]), so that they can be batched, moved to another thread or remembered.
//! Everything here is volatile: after a start routes are learned anew within seconds, and the boot, which the
//! engine persists, keeps what was said in an earlier life from being taken for news.
//!
//! * `feasibility`: the rule that keeps forwarding free of loops.
//! * `destination`, `offers`, `selection`: the routes to one node, and which is used.
//! * `announcements`, `fetching`: announcements by hash, each fetched once.
//! * `link`, `incoming`, `outgoing`, `digest`: what is heard and said on a link.
//! * `requests`, `own`: how a destination is asked for a newer announcement, and how this node makes its own.
//! * `damping`: how a flapping neighbour is kept from the rest; `cost`: what a link costs.

mod announcements;
mod bucket;
mod config;
pub(crate) mod cost;
mod damping;
mod destination;
mod digest;
mod event;
mod feasibility;
mod fetching;
mod incoming;
mod link;
mod neighbour;
mod offers;
mod outgoing;
mod own;
mod requests;
mod selection;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use rand_chacha::ChaCha12Rng;
use rand_core::SeedableRng as _;
use tidings_crypto::{AnnouncementHash, PeerKey, RoutingId};

pub use config::{Config, Stats};
pub(crate) use destination::NextHops;
pub(crate) use event::{Effect, Event, Facts, NextHop, Preference};

use crate::ids::LinkId;
use crate::time::Instant;
use crate::timers::Timers;
use crate::trust::Evidence;
use crate::wire::Routing;
use announcements::Announcements;
use config::MAX_PREFERRED;
use damping::Damping;
use destination::Destination;
use feasibility::Sources;
use link::Link;
use own::Own;

/// The routes of one node.
#[derive(Debug)]
pub(crate) struct State {
    config: Config,
    own: Own,
    rng: ChaCha12Rng,
    now: Instant,
    links: BTreeMap<LinkId, Link>,
    destinations: BTreeMap<RoutingId, Destination>,
    sources: Sources,
    announcements: Announcements,
    preferences: BTreeMap<RoutingId, Preference>,
    damping: Damping,
    timers: Timers<Timer>,
    /// Destinations to be looked at before this turn ends.
    changed: BTreeSet<RoutingId>,
    /// What links are to be asked for at the end of this turn.
    wanted: BTreeMap<LinkId, Vec<AnnouncementHash>>,
    /// Entries of all [`Link::heard`].
    heard: usize,
    effects: VecDeque<Effect>,
    stats: Stats,
}

/// Everything that waits for a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    /// A link has news that may go.
    News(LinkId),
    /// The two ends of a link compare.
    Digest(LinkId),
    /// A destination may change its next hop, or its request goes out again or ends.
    Destination(RoutingId),
    /// An announcement was not answered with.
    Fetch(AnnouncementHash),
    /// A link may be asked for announcements again.
    Fetches,
    /// What was held back because of a flapping neighbour may go.
    Thaw(PeerKey),
    /// This node may announce itself anew.
    Renew,
    /// This node's announcement has lived half its life.
    Refresh,
    /// Something expires.
    Sweep,
}

impl State {
    /// A node without links. `seed` is for the roots of hash chains and for jitter.
    pub(crate) fn new(config: Config, own: PeerKey, boot: u64, seed: [u8; 32]) -> Self {
        Self {
            config,
            own: Own::new(own, boot),
            rng: ChaCha12Rng::from_seed(seed),
            now: Instant::default(),
            links: BTreeMap::new(),
            destinations: BTreeMap::new(),
            sources: Sources::default(),
            announcements: Announcements::default(),
            preferences: BTreeMap::new(),
            damping: Damping::default(),
            timers: Timers::default(),
            changed: BTreeSet::new(),
            wanted: BTreeMap::new(),
            heard: 0,
            effects: VecDeque::new(),
            stats: Stats::default(),
        }
    }

    /// Takes what happened.
    pub(crate) fn handle(&mut self, now: Instant, event: Event) {
        self.now = now;
        match event {
            Event::Tick => {}
            Event::LinkUp { link, peer, cost } => self.on_link_up(link, peer, cost),
            Event::LinkDown { link } => self.on_link_down(link),
            Event::Silent { link } => self.on_silent(link),
            Event::Answers { link } => self.on_answers(link),
            Event::LeftOut { link } => self.on_left_out(link),
            Event::Cost { link, cost } => self.on_cost(link, cost),
            Event::Frame { link, frame } => self.on_frame(link, frame),
            Event::Facts(facts) => self.on_facts(facts),
            Event::Boot { boot } => self.on_boot(boot),
            Event::Signed(signed) => self.on_signed(&signed),
            Event::Verified { hash, announcement } => self.on_verified(hash, announcement),
            Event::Prefer { peer, preference } => self.on_prefer(&peer, preference),
            Event::Avoid { to, next, until } => {
                if let Some(destination) = self.destinations.get_mut(&to) {
                    destination.avoid(next, until, now);
                    self.timers.set_at_latest(&Timer::Destination(to), until);
                }
            }
        }
        self.on_time();
        self.settle();
    }

    /// Gives what is to be done.
    pub(crate) fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    pub(crate) fn has_effects(&self) -> bool {
        !self.effects.is_empty()
    }

    /// When to call [`Self::handle`] with [`Event::Tick`] at the latest. Ask after the effects.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.timers.next()
    }

    fn on_time(&mut self) {
        while let Some(timer) = self.timers.pop(self.now) {
            match timer {
                Timer::News(_) => {}
                Timer::Digest(link) => self.on_digest_due(link),
                Timer::Destination(to) => self.on_destination_due(to),
                Timer::Fetch(hash) => self.on_fetch_due(hash),
                Timer::Fetches => self.ask_for_all(),
                Timer::Thaw(peer) => self.on_thaw(&peer),
                Timer::Renew => self.renew_if_wanted(),
                Timer::Refresh => self.renew(),
                Timer::Sweep => self.sweep(),
            }
        }
    }

    /// Chooses anew where something changed, and says what may be said now.
    fn settle(&mut self) {
        while let Some(to) = self.changed.pop_first() {
            self.select(to);
        }
        self.say_all();
        self.send_wanted();
    }

    fn on_frame(&mut self, link: LinkId, frame: Routing) {
        if !self.links.contains_key(&link) {
            return;
        }
        match frame {
            Routing::Updates { restart, updates } => self.on_updates(link, restart, &updates),
            Routing::WantAnnouncements(hashes) => self.on_want(link, &hashes),
            Routing::Announcement(bytes) => self.on_announcement(link, bytes),
            Routing::SeqRequest(request) => self.on_seq_request(link, request),
            Routing::Digest { digest, count } => self.on_digest(link, digest, count),
            Routing::WantRoutes => self.on_want_routes(link),
        }
    }

    fn on_prefer(&mut self, peer: &PeerKey, preference: Preference) {
        let to = peer.routing_id();
        if preference == Preference::None {
            self.preferences.remove(&to);
            return;
        }
        if self.preferences.len() >= MAX_PREFERRED && !self.preferences.contains_key(&to) {
            self.stats.refused += 1;
            return;
        }
        self.preferences.insert(to, preference);
        // What was refused because the table was full is looked at again.
        if !self.destinations.contains_key(&to) {
            self.reconsider_heard(&to);
        }
        if preference == Preference::InUse {
            self.changed.insert(to);
        }
    }

    fn preference(&self, to: &RoutingId) -> Preference {
        self.preferences.get(to).copied().unwrap_or_default()
    }

    fn effect(&mut self, effect: Effect) {
        self.effects.push_back(effect);
    }

    fn send(&mut self, link: LinkId, frame: Routing) {
        self.effect(Effect::Send { link, frame });
    }

    fn misconduct(&mut self, link: LinkId, evidence: Evidence) {
        if let Some(peer) = self.links.get(&link).map(|link| link.peer) {
            self.effect(Effect::Evidence { peer, evidence });
        }
    }
}
