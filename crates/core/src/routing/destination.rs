//! One destination: the routes that neighbours offer, and which of them is used (RFC 8966 §3.6).

use std::collections::BTreeMap;

use tidings_crypto::{AnnouncementHash, ChainValue, PeerKey};

use super::bucket::Bucket;
use super::config::MAX_AVOIDED;
use super::event::NextHop;
use super::offers::Offers;
use crate::ids::LinkId;
use crate::time::Instant;
use crate::wire::Version;

/// A node that can be reached, or could a moment ago.
#[derive(Debug)]
pub(super) struct Destination {
    pub(super) peer: PeerKey,
    /// What neighbours offer and can prove, feasible or not; one for each link.
    pub(super) routes: Offers,
    /// The one that is used. Always feasible, over a link that answers.
    pub(super) selected: Option<LinkId>,
    /// What was last told of it.
    pub(super) told: Option<NextHop>,
    /// The version of the announcement last told of.
    pub(super) told_version: Option<Version>,
    /// The announcements held of it, oldest first.
    pub(super) held: Vec<AnnouncementHash>,
    /// Who waits for a newer announcement. Seldom anybody does.
    pub(super) request: Option<Box<Request>>,
    pub(super) requests: Bucket,
    pub(super) renewals: Bucket,
    pub(super) switches: Bucket,
    /// Until when nothing is asked for on its account, because nobody answered.
    pub(super) unanswered_until: Instant,
    avoided: Vec<(PeerKey, Instant)>,
}

/// What a neighbour offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) peer: PeerKey,
    pub(super) version: Version,
    pub(super) hash: AnnouncementHash,
    /// What it costs the neighbour.
    pub(super) cost: u8,
    /// What it costs this node.
    pub(super) total: u8,
    /// Links it crosses from here.
    pub(super) hops: u8,
    /// The chain's value at `cost`.
    pub(super) chain: ChainValue,
}

/// Who waits for a newer announcement of a destination.
#[derive(Debug)]
pub(super) struct Request {
    /// Neighbours that asked, and for what.
    pub(super) waiting: BTreeMap<LinkId, Version>,
    /// The one of them that asked last.
    pub(super) last: Option<PeerKey>,
    /// What this node itself wants, because it has no feasible route.
    pub(super) own: Option<Version>,
    /// When it was last sent on.
    pub(super) sent: Option<Instant>,
    /// The links it was last sent on.
    pub(super) through: Vec<LinkId>,
    /// Links that others' requests may still cross.
    pub(super) ttl: u8,
    /// When it goes out again.
    pub(super) again: Option<Instant>,
    /// How often this node's own has.
    pub(super) tries: u32,
    pub(super) until: Instant,
}

impl Request {
    /// One that nobody has asked for yet.
    pub(super) fn until(until: Instant) -> Self {
        let (waiting, through) = (BTreeMap::new(), Vec::new());
        Self { waiting, last: None, own: None, sent: None, through, ttl: 0, again: None, tries: 0, until }
    }

    /// Whether it may be sent out or on.
    pub(super) fn may_go(&self) -> bool {
        self.own.is_some() || (self.ttl > 0 && !self.waiting.is_empty())
    }

    /// The least that would help somebody.
    pub(super) fn least(&self) -> Option<Version> {
        self.waiting.values().copied().chain(self.own).min()
    }

    /// What would help everybody.
    pub(super) fn most(&self) -> Option<Version> {
        self.waiting.values().copied().chain(self.own).max()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.own.is_none()
    }
}

impl Destination {
    pub(super) fn new(peer: PeerKey) -> Self {
        Self {
            peer,
            routes: Offers::default(),
            selected: None,
            told: None,
            told_version: None,
            held: Vec::new(),
            request: None,
            requests: Bucket::default(),
            renewals: Bucket::default(),
            switches: Bucket::default(),
            unanswered_until: Instant::default(),
            avoided: Vec::new(),
        }
    }

    pub(super) fn selected(&self) -> Option<&Route> {
        self.routes.get(&self.selected?)
    }

    /// Avoids a next hop until then; of too many the one that ends first is forgotten.
    pub(super) fn avoid(&mut self, next: PeerKey, until: Instant, now: Instant) {
        self.avoided.retain(|(peer, end)| *end > now && *peer != next);
        if self.avoided.len() >= MAX_AVOIDED {
            let first = self.avoided.iter().enumerate().min_by_key(|(_, (_, end))| *end).map(|(at, _)| at);
            first.map(|at| self.avoided.remove(at));
        }
        self.avoided.push((next, until));
    }

    pub(super) fn avoids(&self, peer: &PeerKey, now: Instant) -> bool {
        self.avoided.iter().any(|(avoided, until)| avoided == peer && *until > now)
    }

    #[cfg(test)]
    pub(super) fn avoided(&self) -> usize {
        self.avoided.len()
    }
}

/// The best two feasible next hops of a destination, through different neighbours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct NextHops {
    /// Where to send.
    pub(crate) best: Option<NextHop>,
    /// Where to send instead.
    pub(crate) second: Option<NextHop>,
}
