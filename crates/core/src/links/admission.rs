//! What a peer may cost before it is heard no more; docs/spec/links.md §8.

use std::collections::BTreeMap;
use std::time::Duration;

use tidings_crypto::PeerKey;

use crate::time::Instant;

/// Frames outside the window that may come at once.
const BURST_FRAMES: u64 = 64;
/// One more may come each time, 16 a second. An honest end answers what was asked, which is not counted here,
/// and probes about once a second.
const REFILL_INTERVAL: Duration = Duration::from_micros(62_500);
/// Strikes after which a peer is refused.
const STRIKES: u32 = 3;
/// Strikes further apart than this are not added up.
const STRIKE_MEMORY: Duration = Duration::from_mins(10);
/// How long a peer is refused after its last strike.
const REFUSAL_TIME: Duration = Duration::from_mins(1);
/// The most peers whose conduct is remembered; beyond that the one that ends soonest is forgotten.
pub(super) const MAX_REMEMBERED: usize = 1024;

/// Bounds the frames of one link that stand outside the window.
#[derive(Debug)]
pub(super) struct Bucket {
    frames: u64,
    filled: Instant,
}

impl Bucket {
    pub(super) fn new(now: Instant) -> Self {
        Self { frames: BURST_FRAMES, filled: now }
    }

    /// This node asked for an answer.
    pub(super) fn on_asked(&mut self) {
        self.frames += 1;
    }

    /// Takes a frame; says whether it was within the bound.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let grown = now.since(self.filled).as_micros() / REFILL_INTERVAL.as_micros();
        if let Some(grown) = u32::try_from(grown).ok().filter(|grown| *grown > 0) {
            self.filled = self.filled + REFILL_INTERVAL * grown;
            if self.frames < BURST_FRAMES {
                self.frames = (self.frames + u64::from(grown)).min(BURST_FRAMES);
            }
        }
        let within = self.frames > 0;
        self.frames = self.frames.saturating_sub(1);
        within
    }
}

/// Peers that broke the rules, or that a person sent away.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    peers: BTreeMap<PeerKey, Record>,
}

#[derive(Clone, Copy, Debug)]
struct Record {
    strikes: u32,
    /// When it is forgotten.
    ends: Instant,
    refused_until: Option<Instant>,
}

/// What follows from a strike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strike {
    Counted,
    /// The peer is refused from now on.
    Out,
}

impl Refusals {
    pub(super) fn on_strike(&mut self, now: Instant, peer: PeerKey) -> Strike {
        let record = self.record(now, peer);
        record.strikes += 1;
        record.ends = record.ends.max(now + STRIKE_MEMORY);
        if record.strikes < STRIKES {
            return Strike::Counted;
        }
        record.strikes = 0;
        record.refused_until = record.refused_until.max(Some(now + REFUSAL_TIME));
        Strike::Out
    }

    /// A person wants no link to this peer for so long.
    pub(super) fn refuse(&mut self, now: Instant, peer: PeerKey, pause: Duration) {
        let until = now + pause;
        let record = self.record(now, peer);
        record.refused_until = Some(until);
        record.ends = record.ends.max(until);
    }

    /// Until when the peer gets no link.
    pub(super) fn refused_until(&self, now: Instant, peer: &PeerKey) -> Option<Instant> {
        let until = self.peers.get(peer)?.refused_until?;
        (until > now).then_some(until)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.peers.len()
    }

    fn record(&mut self, now: Instant, peer: PeerKey) -> &mut Record {
        if !self.peers.contains_key(&peer) && self.peers.len() >= MAX_REMEMBERED {
            self.peers.retain(|_, record| record.ends > now);
            if self.peers.len() >= MAX_REMEMBERED {
                let soonest = self.peers.iter().min_by_key(|(_, record)| record.ends).map(|(peer, _)| *peer);
                if let Some(soonest) = soonest {
                    self.peers.remove(&soonest);
                }
            }
        }
        let new = Record { strikes: 0, ends: now, refused_until: None };
        let record = self.peers.entry(peer).or_insert(new);
        if record.ends <= now {
            *record = new;
        }
        record
    }
}
