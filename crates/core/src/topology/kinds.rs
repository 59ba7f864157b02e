//! Which links each kind wants; docs/spec/topology.md §3.
//!
//! Each is a pure function of a [`View`]: the same view, the same links. What is random comes in with the view, so
//! that nodes that see the same do not all choose the same.

mod hierarchical;
mod hubs;
mod mesh;
mod ring;
mod star;

use std::collections::BTreeSet;

use tidings_crypto::PeerKey;

use super::config::Config;
use super::event::Kind;

/// What a node sees when it chooses links.
#[derive(Debug)]
pub(super) struct View<'a> {
    pub(super) own: PeerKey,
    /// How well this node would serve as a hub.
    pub(super) own_rank: Rank,
    pub(super) config: &'a Config,
    /// How many nodes there are, this one included, smoothed: it changes only when it has changed by a quarter.
    pub(super) size: usize,
    /// Decides what is random.
    pub(super) draw: u64,
    /// Everybody who is linked, can be reached or may be there, in the order of keys.
    pub(super) candidates: Vec<Candidate>,
}

/// A peer that may be linked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    pub(super) peer: PeerKey,
    pub(super) tie: Tie,
    pub(super) presence: Presence,
    /// Whether it can be sent to: over a link or by a route.
    pub(super) alive: bool,
    pub(super) lan: bool,
    /// How many neighbours it says it has.
    pub(super) degree: Option<u32>,
    pub(super) rank: Rank,
}

/// How near to a link a peer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Presence {
    /// It cannot be dialled now.
    Away,
    /// It can be dialled.
    Dialable,
    /// It is being dialled, longer than an answer takes.
    Slow,
    /// It is being dialled.
    Dialling,
    /// It is linked.
    Linked,
}

/// How well a node serves as a hub: its fitness, raised if it acts as one; negative if it is not trusted to.
pub(super) type Rank = i8;

/// Decides between equals, the same for everybody.
pub(super) type Tie = u64;

/// What decides between peers of the same rank: 8 bytes of the routing id, which nobody chooses freely.
pub(super) fn tie(peer: &PeerKey) -> Tie {
    peer.routing_id().0[4..12].iter().fold(0, |n, byte| (n << 8) | u64::from(*byte))
}

impl View<'_> {
    fn present(&self) -> impl Iterator<Item = &Candidate> {
        self.candidates.iter().filter(|candidate| candidate.presence > Presence::Away)
    }

    fn linked(&self) -> impl Iterator<Item = &Candidate> {
        self.candidates.iter().filter(|candidate| candidate.presence == Presence::Linked)
    }

    /// Those among whom hubs are sought: who can be reached, or everybody if nobody can.
    fn pool(&self) -> impl Iterator<Item = &Candidate> {
        let alone = self.candidates.iter().all(|candidate| !candidate.alive);
        self.present().filter(move |candidate| alone || candidate.alive)
    }

    /// Whether to look for somebody else because a peer has more than so many neighbours: it cannot drop those who have
    /// no more than they need, so some leave by themselves. Each does with the probability that brings the peer to nine
    /// tenths.
    fn leaves(&self, candidate: &Candidate, most: usize) -> bool {
        let (degree, most) = (u64::from(candidate.degree.unwrap_or_default()), most as u64);
        let draw = mix(tie(&self.own) ^ mix(candidate.tie ^ degree));
        degree > most && draw % degree < degree - most * 9 / 10
    }

    /// Everybody's place in a random order: the view's, another for every draw.
    fn shuffled(&self, candidate: &Candidate) -> u64 {
        mix(self.draw ^ candidate.tie)
    }
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood 2014): spreads a number over all 64 bits.
pub(super) fn mix(mut n: u64) -> u64 {
    n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

/// The peers that a node of this kind wants links to. Those that it has and not needs are not among them.
pub(super) fn wanted(kind: Kind, view: &View<'_>) -> BTreeSet<PeerKey> {
    match kind {
        Kind::Mesh | Kind::Adaptive => mesh::wanted(view),
        Kind::Ring => ring::wanted(view),
        Kind::Hierarchical => hierarchical::wanted(view),
        Kind::Star => star::wanted(view),
    }
}

/// The fewest links that a node keeps, where there are enough peers.
pub(super) fn floor(kind: Kind, view: &View<'_>) -> usize {
    match kind {
        Kind::Mesh | Kind::Ring | Kind::Adaptive => view.config.min_degree,
        Kind::Hierarchical => hierarchical::floor(view),
        Kind::Star => 1,
    }
}

/// The most links that a node keeps.
pub(super) fn ceiling(kind: Kind, view: &View<'_>) -> usize {
    let hub = match kind {
        Kind::Mesh | Kind::Ring | Kind::Adaptive => false,
        Kind::Hierarchical => hierarchical::is_hub(view),
        Kind::Star => star::is_centre(view),
    };
    if hub { view.config.max_hub_degree } else { view.config.max_degree }
}
