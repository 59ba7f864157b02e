//! A random, nearly regular graph; docs/spec/topology.md §3.1.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use tidings_crypto::PeerKey;

use super::{Candidate, Presence, View};

/// How many candidates are drawn for each link: the best of several keeps degrees near one another, and is still
/// random (the power of choices: Mitzenmacher 2001).
const DRAWN: usize = 4;

/// All links there are, and when they are fewer than the minimum, enough to have one more than it: so the loss of one
/// calls for nothing. One more than the minimum also if a neighbour has too many, and could spare this node's link.
pub(super) fn wanted(view: &View<'_>) -> BTreeSet<PeerKey> {
    let (min, max) = (view.config.min_degree, view.config.max_degree);
    let one_more = (min + 1).min(max);
    let crowded = view.linked().any(|candidate| view.leaves(candidate, max));
    keep_and_fill(view, if crowded { one_more } else { min }, one_more, |_| true)
}

/// The links to peers of a sort, and others of that sort until there are `target`, if there are not `least`.
pub(super) fn keep_and_fill(
    view: &View<'_>,
    least: usize,
    target: usize,
    sort: impl Fn(&Candidate) -> bool,
) -> BTreeSet<PeerKey> {
    let have = |presence| {
        view.candidates
            .iter()
            .filter(|candidate| sort(candidate))
            .filter(move |candidate| candidate.presence >= presence)
    };
    let linked = have(Presence::Linked).count();
    let mut wanted: BTreeSet<_> = have(Presence::Linked).map(|candidate| candidate.peer).collect();
    if linked >= least {
        return wanted;
    }
    wanted.extend(have(Presence::Slow).map(|candidate| candidate.peer));
    let missing = target.saturating_sub(have(Presence::Dialling).count());
    wanted.extend(drawn(view, missing, sort));
    wanted
}

/// Peers to be dialled: who can be reached for sure before others, on the local network and elsewhere in turn, each the
/// best of several drawn at random.
fn drawn(view: &View<'_>, count: usize, sort: impl Fn(&Candidate) -> bool) -> Vec<PeerKey> {
    if count == 0 {
        return Vec::new();
    }
    let mut free: Vec<_> = view
        .candidates
        .iter()
        .filter(|candidate| candidate.presence == Presence::Dialable && sort(candidate))
        .collect();
    free.sort_by_key(|candidate| (Reverse(candidate.alive), view.shuffled(candidate)));
    let near = view.linked().filter(|candidate| candidate.lan).count();
    let mut nearer = 2 * near <= view.linked().count();
    let mut chosen = Vec::new();
    while chosen.len() < count && !free.is_empty() {
        let first = free[0].alive;
        let drawn = |lan: Option<bool>| {
            let fits =
                move |candidate: &Candidate| candidate.alive == first && lan.is_none_or(|lan| candidate.lan == lan);
            let places = (0..free.len()).filter(|place| fits(free[*place])).take(DRAWN);
            places.min_by_key(|place| merit(view, free[*place]))
        };
        let best = drawn(Some(nearer)).or_else(|| drawn(None)).unwrap_or_default();
        let candidate = free.remove(best);
        nearer = !candidate.lan;
        chosen.push(candidate.peer);
    }
    chosen
}

/// Smaller is better: not full, and few neighbours.
fn merit(view: &View<'_>, candidate: &Candidate) -> (bool, u32) {
    let degree = candidate.degree.unwrap_or_default();
    (degree as usize >= view.config.max_degree, degree)
}
