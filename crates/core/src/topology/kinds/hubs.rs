//! Who the hubs are; docs/spec/topology.md §4.

use std::cmp::Reverse;

use tidings_crypto::PeerKey;

use super::{Candidate, Presence, Rank, Tie, View};

/// A node that may be a hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hub {
    pub(super) peer: PeerKey,
    pub(super) tie: Tie,
}

/// The best `count` nodes, this one included. Who is not trusted to be a hub is one only if nobody else is left.
pub(super) fn elected(view: &View<'_>, count: usize) -> Vec<Hub> {
    let own = (view.own_rank, Hub { peer: view.own, tie: super::tie(&view.own) });
    let others = view.pool().map(|candidate| (candidate.rank, Hub { peer: candidate.peer, tie: candidate.tie }));
    let mut nodes: Vec<(Rank, Hub)> = others.chain([own]).collect();
    nodes.sort_by_key(|(rank, hub)| (Reverse(*rank), hub.tie));
    nodes.truncate(count);
    nodes.into_iter().map(|(_, hub)| hub).collect()
}

/// The hubs in the order in which a leaf prefers them: rendezvous hashing (Thaler and Ravishankar 1998) spreads leaves
/// evenly, and moves only the leaves of a hub that changes.
pub(super) fn preferred(view: &View<'_>, hubs: &[Hub]) -> Vec<PeerKey> {
    let own = super::tie(&view.own);
    let mut hubs = hubs.to_vec();
    hubs.sort_by_key(|hub| super::mix(own ^ super::mix(hub.tie)));
    hubs.into_iter().map(|hub| hub.peer).collect()
}

/// `count` hubs for a leaf: those it is linked to as long as they are hubs, else the first it prefers.
pub(super) fn held(view: &View<'_>, hubs: &[Hub], count: usize) -> Vec<PeerKey> {
    let candidate = |peer: &PeerKey| {
        let place = view.candidates.binary_search_by_key(peer, |candidate| candidate.peer).ok()?;
        view.candidates.get(place)
    };
    let order: Vec<_> = preferred(view, hubs)
        .iter()
        .filter_map(candidate)
        .filter(|hub| !view.leaves(hub, view.config.max_hub_degree))
        .collect();
    let (linked, others): (Vec<&Candidate>, Vec<_>) =
        order.into_iter().partition(|hub| hub.presence == Presence::Linked);
    let mut held: Vec<_> = linked.iter().take(count).map(|hub| hub.peer).collect();
    let mut missing = count - held.len();
    for hub in others {
        if missing == 0 {
            break;
        }
        held.push(hub.peer);
        // A hub that is slow to answer is waited for, beside another.
        missing -= usize::from(hub.presence != Presence::Slow);
    }
    held
}
