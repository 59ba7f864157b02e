//! One centre, or as few as can serve everybody; docs/spec/topology.md §3.4.

use std::collections::BTreeSet;

use tidings_crypto::PeerKey;

use super::{View, hubs};

/// One if it has room for everybody; else as many as need four fifths of their room, because what nodes choose is not
/// quite even.
fn centre_count(view: &View<'_>) -> usize {
    let others = view.size.saturating_sub(1);
    if others <= view.config.max_hub_degree {
        return 1;
    }
    let room = (view.config.max_hub_degree * 4 / 5).max(1);
    // Centres hold one another, which takes room again.
    let count = others.div_ceil(room);
    others.div_ceil(room.saturating_sub(count).max(1))
}

fn elected(view: &View<'_>) -> Vec<hubs::Hub> {
    hubs::elected(view, centre_count(view))
}

pub(super) fn is_centre(view: &View<'_>) -> bool {
    elected(view).iter().any(|centre| centre.peer == view.own)
}

/// A centre wants the other centres, everybody else one of them.
pub(super) fn wanted(view: &View<'_>) -> BTreeSet<PeerKey> {
    let centres = elected(view);
    if centres.iter().any(|centre| centre.peer == view.own) {
        return centres.iter().map(|centre| centre.peer).filter(|peer| *peer != view.own).collect();
    }
    hubs::held(view, &centres, 1).into_iter().collect()
}
