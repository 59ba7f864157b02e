//! Everybody this node knows of, linked or not; docs/spec/topology.md §1.

use std::collections::BTreeMap;

use tidings_crypto::PeerKey;

use super::config::{LOST_TIME, MAX_PEERS, PATIENCE, SLOW_DIAL};
use super::digest::name;
use super::event::{Facts, Reach, Standing};
use super::kinds::{Tie, tie};
use crate::time::Instant;

/// Trust in a peer that was never judged.
pub(super) const UNJUDGED: u16 = 500;

/// A peer that is known.
#[derive(Clone, Debug, Default)]
pub(super) struct Peer {
    /// Decides between equals; see [`tie`].
    pub(super) tie: Tie,
    /// What digests call it; see [`name`].
    pub(super) name: [u8; 4],
    pub(super) reach: Reach,
    pub(super) standing: Standing,
    pub(super) facts: Option<Facts>,
    pub(super) trust: Option<u16>,
    pub(super) link: Option<Link>,
    pub(super) routed: bool,
    /// Since when it is dialled.
    pub(super) dial: Option<Instant>,
    /// It was told to the links module that this peer is wanted.
    pub(super) wanted: bool,
    /// Dials in a row that failed.
    pub(super) failures: u32,
    /// Not dialled before.
    pub(super) retry_at: Instant,
    /// It did not take a link though a route led to it, so often.
    pub(super) declines: u32,
    /// It is not asked to be a hub before.
    pub(super) declined_until: Instant,
    /// Nothing leads to it any more.
    pub(super) lost: Option<Lost>,
    /// When its link was dropped.
    pub(super) dropped_at: Option<Instant>,
    /// Its link is not dropped before: dropping it once cost a route.
    pub(super) essential_until: Instant,
}

/// A link to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) since: Instant,
    /// Who wanted it.
    pub(super) owner: Owner,
    /// Since when it has no use here.
    pub(super) unfit_since: Option<Instant>,
}

/// The loss of the last link and route to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lost {
    pub(super) since: Instant,
    /// It has lasted longer than routes take to be found anew, and what follows from it has been done.
    pub(super) judged: bool,
}

/// Which end wanted a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// This node, and maybe the other one too.
    Own,
    /// The other one alone.
    Other,
}

impl Peer {
    /// It can be sent to: over a link or by a route.
    pub(super) fn is_alive(&self) -> bool {
        self.link.is_some() || self.routed
    }

    /// No sign of it, but it may be there: it has an address and has not failed to answer.
    pub(super) fn is_missing(&self) -> bool {
        !self.is_alive() && self.reach > Reach::Nowhere && self.failures < PATIENCE
    }

    /// It may be dialled now.
    pub(super) fn is_dialable(&self, now: Instant) -> bool {
        self.reach > Reach::Nowhere && self.retry_at <= now
    }

    /// Its link was dropped and is not gone yet.
    pub(super) fn is_leaving(&self) -> bool {
        self.link.is_some_and(|link| self.dropped_at.is_some_and(|at| at >= link.since))
    }

    /// It is being dialled, and not yet so long that it does not count.
    pub(super) fn is_dialling(&self, now: Instant) -> bool {
        self.dial.is_some_and(|since| now.since(since) < SLOW_DIAL)
    }

    /// It could be sent to not long ago.
    pub(super) fn is_lost(&self, now: Instant) -> bool {
        !self.is_alive() && self.lost.is_some_and(|lost| now.since(lost.since) < LOST_TIME)
    }

    /// How many neighbours it says it has.
    pub(super) fn degree(&self) -> Option<u32> {
        self.facts.as_ref().map(|facts| facts.neighbours.count).filter(|count| *count > 0)
    }

    pub(super) fn trust(&self) -> u16 {
        self.trust.unwrap_or(UNJUDGED)
    }

    /// Nothing about it is worth a place in the table.
    fn is_blank(&self) -> bool {
        !self.is_alive()
            && self.reach == Reach::Nowhere
            && self.standing == Standing::Stranger
            && self.facts.is_none()
            && self.lost.is_none()
    }

    /// How much its place in the table is worth: the least goes first.
    fn worth(&self, now: Instant) -> Option<(bool, bool, bool, u32)> {
        if self.link.is_some() || self.dial.is_some() || self.standing > Standing::Stranger {
            return None;
        }
        let failures = u32::MAX - self.failures;
        Some((self.routed, self.is_lost(now), self.reach > Reach::Nowhere, failures))
    }
}

/// The table of peers, at most [`MAX_PEERS`].
#[derive(Debug, Default)]
pub(super) struct Peers {
    table: BTreeMap<PeerKey, Peer>,
    links: usize,
}

/// The table is full of peers that may not be forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

/// What came of asking for a place.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// It had one, or there was room.
    Free,
    /// This peer was forgotten for it.
    InsteadOf(PeerKey),
}

impl Peers {
    pub(super) fn get(&self, peer: &PeerKey) -> Option<&Peer> {
        self.table.get(peer)
    }

    pub(super) fn get_mut(&mut self, peer: &PeerKey) -> Option<&mut Peer> {
        self.table.get_mut(peer)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&PeerKey, &Peer)> {
        self.table.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (&PeerKey, &mut Peer)> {
        self.table.iter_mut()
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// How many have a link.
    pub(super) fn links(&self) -> usize {
        self.links
    }

    /// Those that have a link.
    pub(super) fn linked(&self) -> impl Iterator<Item = (&PeerKey, &Peer)> {
        self.table.iter().filter(|(_, peer)| peer.link.is_some())
    }

    /// Makes a place for a peer. For one that may not be left out somebody is always found, or there are more than
    /// [`MAX_PEERS`] that may not: links are bounded elsewhere.
    pub(super) fn place(&mut self, key: PeerKey, draw: u64, now: Instant) -> Result<Place, Full> {
        if self.table.contains_key(&key) {
            return Ok(Place::Free);
        }
        let mut place = Place::Free;
        if self.table.len() >= MAX_PEERS {
            let victim = self.least_worth(draw, now).ok_or(Full)?;
            self.table.remove(&victim);
            place = Place::InsteadOf(victim);
        }
        self.table.insert(key, Peer { tie: tie(&key), name: name(&key), ..Peer::default() });
        Ok(place)
    }

    /// The least of eight at random, so that nobody can aim at a place, and a full table costs little.
    fn least_worth(&self, draw: u64, now: Instant) -> Option<PeerKey> {
        let mut start = [0; 32];
        start[..8].copy_from_slice(&draw.to_be_bytes());
        let start = PeerKey::from_bytes(start);
        let around = self.table.range(start..).chain(self.table.range(..start));
        let ranked = around.filter_map(|(key, peer)| Some((peer.worth(now)?, *key)));
        ranked.take(8).min_by_key(|(worth, _)| *worth).map(|(_, key)| key)
    }

    pub(super) fn link(&mut self, key: &PeerKey, link: Option<Link>) -> Option<Link> {
        let peer = self.table.get_mut(key)?;
        let before = std::mem::replace(&mut peer.link, link);
        self.links = self.links + usize::from(link.is_some()) - usize::from(before.is_some());
        before
    }

    /// Forgets a peer about which nothing is known any more. Tells whether it was still wanted.
    pub(super) fn forget_blank(&mut self, key: &PeerKey) -> Option<Peer> {
        if self.table.get(key).is_some_and(Peer::is_blank) { self.table.remove(key) } else { None }
    }
}
