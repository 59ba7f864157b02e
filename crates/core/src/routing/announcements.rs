//! The announcements that are held, what their chains prove, and those that are under way.

use std::collections::{BTreeMap, BTreeSet};

use tidings_crypto::{AnnouncementHash, Chain, ChainValue, RoutingId, SignedAnnouncement};

use crate::ids::LinkId;
use crate::time::Instant;
use crate::wire::Version;

/// A verified announcement.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) to: RoutingId,
    pub(super) version: Version,
    pub(super) signed: SignedAnnouncement,
    /// When it has been relayed long enough. Never moves later, whatever age a neighbour claims.
    pub(super) expires: Instant,
    chain: Chain,
}

impl Held {
    pub(super) fn new(signed: SignedAnnouncement, expires: Instant) -> Self {
        let announcement = signed.announcement();
        Self {
            to: announcement.peer.routing_id(),
            version: Version { boot: announcement.boot, seq: announcement.seq },
            chain: announcement.chain(),
            expires,
            signed,
        }
    }

    /// The value `steps` further up.
    pub(super) fn advance(&self, value: ChainValue, steps: u8) -> ChainValue {
        self.chain.advance(value, steps)
    }

    /// Seconds for which it has been relayed.
    pub(super) fn age_s(&self, now: Instant) -> u32 {
        let left = u32::try_from(self.expires.since(now).as_secs()).unwrap_or(u32::MAX);
        self.signed.announcement().lifetime_s.saturating_sub(left)
    }
}

/// An announcement that is under way.
#[derive(Debug, Default)]
pub(super) struct Fetch {
    /// Who was asked last, and has not yet failed to answer.
    pub(super) asked: Option<LinkId>,
    /// How often somebody was asked.
    pub(super) tries: u32,
    /// Who offers it, in the order in which they are asked.
    pub(super) offers: BTreeSet<LinkId>,
    /// Who answered, while the signature is being checked.
    pub(super) checked: Option<LinkId>,
}

/// Announcements by hash.
#[derive(Debug, Default)]
pub(super) struct Announcements {
    pub(super) held: BTreeMap<AnnouncementHash, Held>,
    pub(super) fetches: BTreeMap<AnnouncementHash, Fetch>,
}
