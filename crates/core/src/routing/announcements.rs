//! The announcements that are held, what their chains prove, and those that are under way.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use tidings_crypto::{Announcement, AnnouncementHash, CHAIN_LENGTH, Chain, ChainValue, RoutingId, SignedAnnouncement};

use crate::ids::LinkId;
use crate::time::Instant;
use crate::wire::Version;

/// A verified announcement.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) to: RoutingId,
    pub(super) version: Version,
    pub(super) announcement: Announcement,
    pub(super) bytes: Bytes,
    /// When it has been relayed long enough. Never moves later, whatever age a neighbour claims.
    pub(super) expires: Instant,
    chain: Chain,
    /// The values of the chain with the lowest and the highest cost that are known to be right.
    proven: [(u8, ChainValue); 2],
}

impl Held {
    pub(super) fn new(signed: &SignedAnnouncement, expires: Instant) -> Self {
        let announcement = signed.announcement().clone();
        let top = (CHAIN_LENGTH, announcement.top);
        Self {
            to: announcement.peer.routing_id(),
            version: Version { boot: announcement.boot, seq: announcement.seq },
            chain: announcement.chain(),
            bytes: Bytes::copy_from_slice(signed.bytes()),
            proven: [top, top],
            expires,
            announcement,
        }
    }

    /// Whether `value` stands in the chain at `cost`. What is known to be right shortens the way.
    pub(super) fn proves(&mut self, cost: u8, value: ChainValue) -> bool {
        let [(low_cost, low), (high_cost, high)] = self.proven;
        if cost >= low_cost && cost <= high_cost && low_cost != high_cost {
            return self.chain.advance(low, cost - low_cost) == value;
        }
        if cost > high_cost {
            let right = self.chain.advance(high, cost - high_cost) == value;
            if right {
                self.proven[1] = (cost, value);
            }
            return right;
        }
        let right = self.chain.advance(value, low_cost - cost) == low;
        if right {
            self.proven[0] = (cost, value);
            if low_cost == high_cost {
                self.proven[1] = (cost, value);
            }
        }
        right
    }

    /// The value `steps` further up.
    pub(super) fn advance(&self, value: ChainValue, steps: u8) -> ChainValue {
        self.chain.advance(value, steps)
    }

    /// Seconds for which it has been relayed.
    pub(super) fn age_s(&self, now: Instant) -> u32 {
        let left = u32::try_from(self.expires.since(now).as_secs()).unwrap_or(u32::MAX);
        self.announcement.lifetime_s.saturating_sub(left)
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
