//! What this node announces of itself; docs/spec/routing.md §2.

use std::collections::BTreeSet;

use bytes::Bytes;
use rand_core::Rng as _;
use tidings_crypto::{
    Announcement, AnnouncementHash, ChainValue, MAX_LIFETIME_S, PeerKey, RoutingId, SignedAnnouncement,
};

use super::bucket::Bucket;
use super::config::{MAX_WAITING, REQUESTS};
use super::{Effect, Facts, State, Timer};
use crate::ids::LinkId;
use crate::time::Instant;
use crate::wire::Version;

/// This node as a destination.
#[derive(Debug)]
pub(super) struct Own {
    pub(super) peer: PeerKey,
    pub(super) id: RoutingId,
    version: Version,
    facts: Option<Facts>,
    signed: Option<Signed>,
    /// The root of the chain of the announcement that is being signed.
    signing: Option<ChainValue>,
    /// Whether a newer announcement is to be made as soon as it may.
    wanted: bool,
    renewals: Bucket,
    /// Links that asked for a newer announcement.
    waiting: BTreeSet<LinkId>,
}

#[derive(Debug)]
struct Signed {
    version: Version,
    hash: AnnouncementHash,
    bytes: Bytes,
    root: ChainValue,
    at: Instant,
}

impl Own {
    pub(super) fn new(peer: PeerKey, boot: u64) -> Self {
        Self {
            peer,
            id: peer.routing_id(),
            version: Version { boot, seq: 0 },
            facts: None,
            signed: None,
            signing: None,
            wanted: false,
            renewals: Bucket::default(),
            waiting: BTreeSet::new(),
        }
    }

    /// The announcement and the root of its chain.
    pub(super) fn offer(&self) -> Option<(Version, AnnouncementHash, ChainValue)> {
        self.signed.as_ref().map(|signed| (signed.version, signed.hash, signed.root))
    }

    pub(super) fn age_s(&self, now: Instant) -> u32 {
        let age = self.signed.as_ref().map_or(0, |signed| now.since(signed.at).as_secs());
        u32::try_from(age).unwrap_or(u32::MAX)
    }

    pub(super) fn bytes(&self, hash: &AnnouncementHash) -> Option<Bytes> {
        self.signed.as_ref().filter(|signed| signed.hash == *hash).map(|signed| signed.bytes.clone())
    }

    /// Whether an announcement in this node's name is not older than its own, and not its own.
    pub(super) fn is_overtaken(&self, version: Version, hash: &AnnouncementHash) -> bool {
        let own = self.signed.as_ref().is_some_and(|signed| signed.hash == *hash);
        version >= self.version && !own
    }
}

impl State {
    pub(super) fn on_facts(&mut self, facts: Facts) {
        if self.own.facts.as_ref() != Some(&facts) {
            self.own.facts = Some(facts);
            self.renew();
        }
    }

    pub(super) fn on_boot(&mut self, boot: u64) {
        if boot > self.own.version.boot {
            self.own.version = Version { boot, seq: 0 };
            self.renew();
        }
    }

    /// Makes a newer announcement, at once or when the bucket has filled.
    pub(super) fn renew(&mut self) {
        self.own.wanted = true;
        self.renew_if_wanted();
    }

    pub(super) fn renew_if_wanted(&mut self) {
        let own = &mut self.own;
        let Some(facts) = own.facts.as_ref().filter(|_| own.wanted && own.signing.is_none()) else { return };
        if !own.renewals.take(self.now, REQUESTS) {
            self.timers.set_at_latest(&Timer::Renew, own.renewals.ready_at(REQUESTS));
            return;
        }
        own.wanted = false;
        own.version.seq += 1;
        let mut root = ChainValue([0; 16]);
        self.rng.fill_bytes(&mut root.0);
        own.signing = Some(root);
        let lifetime = u32::try_from(self.config.lifetime.as_secs()).unwrap_or(MAX_LIFETIME_S);
        let mut announcement = Announcement {
            peer: own.peer,
            boot: own.version.boot,
            seq: own.version.seq,
            lifetime_s: lifetime.clamp(1, MAX_LIFETIME_S),
            top: root,
            card_seq: facts.card_seq,
            power: facts.power,
            labels: facts.labels.clone(),
            capabilities: facts.capabilities.clone(),
            topics: facts.topics.clone(),
            neighbours: facts.neighbours.clone(),
        };
        announcement.top = announcement.chain().top(root);
        self.effect(Effect::Sign(Box::new(announcement)));
    }

    pub(super) fn on_signed(&mut self, signed: &SignedAnnouncement) {
        let Some(root) = self.own.signing.take() else { return };
        let announcement = signed.announcement();
        let version = Version { boot: announcement.boot, seq: announcement.seq };
        if version == self.own.version {
            let bytes = signed.bytes().clone();
            self.own.signed = Some(Signed { version, hash: signed.hash(), bytes, root, at: self.now });
            self.stats.signed += 1;
            self.timers.set(&Timer::Refresh, None);
            self.timers.set_at_latest(&Timer::Refresh, self.now + self.config.lifetime / 2);
            self.changed.insert(self.own.id);
            let id = self.own.id;
            for link in std::mem::take(&mut self.own.waiting) {
                self.answer(link, &id);
            }
        }
        self.renew_if_wanted();
    }

    /// A neighbour passes on that somebody has no feasible route to this node.
    pub(super) fn on_own_requested(&mut self, link: LinkId, wanted: Version) {
        let id = self.own.id;
        let Some((version, ..)) = self.own.offer() else { return };
        if wanted <= version {
            self.answer(link, &id);
        } else if wanted.boot == self.own.version.boot && self.own.waiting.len() < MAX_WAITING {
            self.own.waiting.insert(link);
            self.renew();
        }
    }

    /// Somebody announced this node: an earlier life of it that got further, or another holder of its key.
    pub(super) fn on_own_seen(&mut self, version: Version, hash: &AnnouncementHash) {
        if self.own.is_overtaken(version, hash) {
            self.effect(Effect::OwnBoot { boot: version.boot });
        }
    }
}
