//! A few hubs that form a mesh; everybody else holds two of them; docs/spec/topology.md §3.3.

use std::collections::BTreeSet;

use tidings_crypto::PeerKey;

use super::{View, hubs, mesh};

/// Hubs that a leaf holds, so that the loss of one costs it nothing.
const HELD: usize = 2;

/// The root of the number of nodes: a hub then serves as many leaves as there are hubs, twice over. More where
/// hubs could not serve that many.
pub(super) fn hub_count(view: &View<'_>) -> usize {
    let room = view.config.max_hub_degree.saturating_sub(view.config.max_degree).max(1);
    // Three quarters of the room: what leaves choose is not quite even.
    let needed = (HELD * view.size).div_ceil((room * 3 / 4).max(1));
    view.size.isqrt().max(needed).max(2)
}

fn elected(view: &View<'_>) -> Vec<hubs::Hub> {
    hubs::elected(view, hub_count(view))
}

pub(super) fn is_hub(view: &View<'_>) -> bool {
    elected(view).iter().any(|hub| hub.peer == view.own)
}

pub(super) fn floor(view: &View<'_>) -> usize {
    if is_hub(view) { view.config.min_degree } else { HELD.min(view.config.max_degree) }
}

pub(super) fn wanted(view: &View<'_>) -> BTreeSet<PeerKey> {
    let elected = elected(view);
    if elected.iter().all(|hub| hub.peer != view.own) {
        return hubs::held(view, &elected, HELD).into_iter().collect();
    }
    let peers: BTreeSet<_> = elected.iter().map(|hub| hub.peer).collect();
    let least = view.config.min_degree.min(peers.len() - 1);
    mesh::keep_and_fill(view, least, least + 1, |candidate| peers.contains(&candidate.peer))
}
