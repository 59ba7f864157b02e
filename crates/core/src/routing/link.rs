//! One link as routing sees it: what was heard on it, what was said, what is to be said.

use std::collections::{BTreeMap, BTreeSet};

use tidings_crypto::{AnnouncementHash, ChainValue, PeerKey, RoutingId};

use super::bucket::Bucket;
use super::config::URGENT;
use crate::time::Instant;
use crate::wire::{MAX_INDICES, Named, UNREACHABLE, Version};

/// One link to a neighbour.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) peer: PeerKey,
    pub(super) id: RoutingId,
    /// 1 to 15.
    pub(super) cost: u8,
    /// Not suspect.
    pub(super) answers: bool,
    pub(super) heard: BTreeMap<u16, Heard>,
    /// Under which index a destination was heard.
    pub(super) indices: BTreeMap<RoutingId, u16>,
    pub(super) said: Said,
    pub(super) news: News,
    /// Signature checks that this link may still cause.
    pub(super) verifications: Bucket,
    pub(super) sending: Bucket,
    pub(super) reading: Bucket,
    pub(super) demands: Bucket,
    pub(super) restarts: Bucket,
    /// Whether everything was asked for again and has not begun to come.
    pub(super) wants_all: bool,
}

/// The last update under an index.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heard {
    pub(super) named: Named,
    pub(super) cost: u8,
    pub(super) hops: u8,
    pub(super) chain: ChainValue,
    /// When the announcement was `named.age_s` old.
    pub(super) at: Instant,
}

/// What was said on a link and not retracted.
#[derive(Debug, Default)]
pub(super) struct Said {
    routes: BTreeMap<RoutingId, Announced>,
    free: Vec<u16>,
    used: u16,
}

/// The last update about a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Announced {
    pub(super) index: u16,
    pub(super) version: Version,
    pub(super) hash: AnnouncementHash,
    pub(super) cost: u8,
    pub(super) hops: u8,
    /// Through which neighbour the route went; for this node itself through nobody.
    pub(super) through: Option<PeerKey>,
}

/// Destinations about which there may be something to say.
#[derive(Debug, Default)]
pub(super) struct News {
    pub(super) urgent: BTreeSet<RoutingId>,
    pub(super) lazy: BTreeSet<RoutingId>,
    /// Of those, whose announcement the neighbour has asked for.
    pub(super) asked: BTreeSet<RoutingId>,
    pub(super) pace: Bucket,
    pub(super) lazy_at: Instant,
    /// Whether what is said next begins anew.
    pub(super) restart: bool,
}

impl Link {
    pub(super) fn new(peer: PeerKey, cost: u8) -> Self {
        Self {
            peer,
            id: peer.routing_id(),
            cost: cost.clamp(1, super::cost::MAX_LINK_COST),
            answers: true,
            heard: BTreeMap::new(),
            indices: BTreeMap::new(),
            said: Said::default(),
            news: News::default(),
            verifications: Bucket::default(),
            sending: Bucket::default(),
            reading: Bucket::default(),
            demands: Bucket::default(),
            restarts: Bucket::default(),
            wants_all: false,
        }
    }
}

impl Said {
    pub(super) fn get(&self, to: &RoutingId) -> Option<&Announced> {
        self.routes.get(to)
    }

    pub(super) fn destinations(&self) -> impl Iterator<Item = &RoutingId> {
        self.routes.keys()
    }

    /// What goes through a neighbour.
    pub(super) fn through(&self, peer: &PeerKey) -> impl Iterator<Item = RoutingId> {
        self.routes.iter().filter(|(_, said)| said.through.as_ref() == Some(peer)).map(|(to, _)| *to)
    }

    /// The index under which to say this: the one it has, or a free one.
    pub(super) fn index(&mut self, to: &RoutingId) -> Option<u16> {
        if let Some(announced) = self.routes.get(to) {
            return Some(announced.index);
        }
        self.free.pop().or_else(|| {
            let index = self.used;
            (usize::from(index) < MAX_INDICES).then(|| {
                self.used += 1;
                index
            })
        })
    }

    pub(super) fn insert(&mut self, to: RoutingId, announced: Announced) {
        self.routes.insert(to, announced);
    }

    /// Retracts; the index is free for another destination, which must be named then.
    pub(super) fn remove(&mut self, to: &RoutingId) -> Option<u16> {
        let index = self.routes.remove(to)?.index;
        self.free.push(index);
        Some(index)
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Digest and count of what was said.
    pub(super) fn digest(&self) -> ([u8; 16], u32) {
        let mut routes: Vec<_> = self.routes.values().collect();
        routes.sort_unstable_by_key(|announced| announced.index);
        digest(routes.into_iter().map(|route| (route.index, route.hash, route.cost, route.hops)))
    }
}

impl Link {
    /// Digest and count of what was heard.
    pub(super) fn heard_digest(&self) -> ([u8; 16], u32) {
        let reachable = self.heard.iter().filter(|(_, heard)| heard.cost != UNREACHABLE);
        digest(reachable.map(|(index, heard)| (*index, heard.named.hash, heard.cost, heard.hops)))
    }
}

/// docs/spec/routing.md §3.5.
fn digest(routes: impl Iterator<Item = (u16, AnnouncementHash, u8, u8)>) -> ([u8; 16], u32) {
    let (mut hasher, mut count) = (blake3::Hasher::new(), 0);
    for (index, hash, cost, hops) in routes {
        hasher.update(&index.to_be_bytes());
        hasher.update(&hash.0);
        hasher.update(&[cost, hops]);
        count += 1;
    }
    let mut digest = [0; 16];
    hasher.finalize_xof().fill(&mut digest);
    (digest, count)
}

impl News {
    pub(super) fn is_empty(&self) -> bool {
        self.urgent.is_empty() && self.lazy.is_empty() && !self.restart
    }

    /// When something may be said next; `None` if there is nothing to say.
    pub(super) fn due(&self) -> Option<Instant> {
        match (self.urgent.is_empty() && !self.restart, self.lazy.is_empty()) {
            (true, true) => None,
            (true, false) => Some(self.lazy_at),
            (false, _) => Some(self.pace.ready_at(URGENT)),
        }
    }

    pub(super) fn add(&mut self, to: RoutingId, urgency: Urgency) {
        match urgency {
            Urgency::Urgent => {
                self.lazy.remove(&to);
                self.urgent.insert(to);
            }
            Urgency::Lazy => {
                if !self.urgent.contains(&to) {
                    self.lazy.insert(to);
                }
            }
        }
    }

    pub(super) fn forget(&mut self, to: &RoutingId) {
        self.urgent.remove(to);
        self.lazy.remove(to);
        self.asked.remove(to);
    }
}

/// Whether news can wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Urgency {
    /// What is cheaper, or only newer.
    Lazy,
    /// What is gone, new, or dearer.
    Urgent,
}
