//! Successors by key, with chords across: a small world; docs/spec/topology.md §3.2.

use std::collections::BTreeSet;

use tidings_crypto::PeerKey;

use super::{Candidate, Presence, View, mesh, mix};

/// Chords that each node lays; as many come to it on average. Harmonic ones make paths of log² n / chords links
/// (Kleinberg 2000; Manku, Bawa and Raghavan 2003).
const CHORDS: u64 = 2;

/// The next peer each way round, chords, and what is missing to the minimum.
pub(super) fn wanted(view: &View<'_>) -> BTreeSet<PeerKey> {
    let mut wanted = BTreeSet::new();
    for direction in [Direction::Up, Direction::Down] {
        wanted.extend(next(view, direction, |candidate| candidate.alive));
        wanted.extend(nearer_missing(view, direction));
    }
    for number in 0..CHORDS {
        wanted.extend(chord(view, number));
    }
    let least = view.config.min_degree;
    let filled = mesh::keep_and_fill(view, least, least, |_| true);
    let (linked, others): (Vec<_>, Vec<_>) =
        filled.into_iter().partition(|peer| view.linked().any(|candidate| candidate.peer == *peer));
    for peer in linked.into_iter().chain(others) {
        if wanted.len() < least {
            wanted.insert(peer);
        }
    }
    wanted
}

/// Which way round the ring.
#[derive(Clone, Copy, Debug)]
enum Direction {
    Up,
    Down,
}

/// How far a peer is from a place, going up.
fn ahead(from: u64, to: u64) -> u64 {
    to.wrapping_sub(from)
}

/// A key's place on the ring of 2⁶⁴.
fn place(peer: &PeerKey) -> u64 {
    peer.as_bytes()[..8].iter().fold(0, |n, byte| (n << 8) | u64::from(*byte))
}

fn distance(view: &View<'_>, direction: Direction, candidate: &Candidate) -> u64 {
    let (own, other) = (place(&view.own), place(&candidate.peer));
    match direction {
        Direction::Up => ahead(own, other),
        Direction::Down => ahead(other, own),
    }
}

/// The nearest peer of a sort that can be linked.
fn next(view: &View<'_>, direction: Direction, sort: impl Fn(&Candidate) -> bool) -> Option<PeerKey> {
    let sorted = view.present().filter(|candidate| sort(candidate));
    sorted
        .min_by_key(|candidate| (distance(view, direction, candidate), candidate.peer))
        .map(|candidate| candidate.peer)
}

/// A peer that no route leads to, but that would be next if it is there.
fn nearer_missing(view: &View<'_>, direction: Direction) -> Option<PeerKey> {
    let missing = next(view, direction, |candidate| !candidate.alive)?;
    let to = |peer: &PeerKey| match direction {
        Direction::Up => ahead(place(&view.own), place(peer)),
        Direction::Down => ahead(place(peer), place(&view.own)),
    };
    let alive = next(view, direction, |candidate| candidate.alive);
    alive.is_none_or(|alive| to(&missing) < to(&alive)).then_some(missing)
}

/// The far end of one of this node's chords: any link about as long as the chord is meant to be, or the nearest peer
/// to where it should end.
fn chord(view: &View<'_>, number: u64) -> Option<PeerKey> {
    let own = place(&view.own);
    let draw = mix(own ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    // Lengths between the circle by the number of nodes and half the circle, each octave as likely.
    let octaves = u64::from((view.size.max(2) as u64).ilog2()).max(1);
    let octave = 1 + draw % octaves;
    let length = u64::MAX >> octave;
    let meant = length / 2 + mix(draw) % (length / 2 + 1);
    let about = |candidate: &&Candidate| {
        let at = ahead(own, place(&candidate.peer));
        (length / 2..=length).contains(&at)
    };
    let preferred = |presence| {
        let in_octave = view.candidates.iter().filter(about).filter(move |candidate| candidate.presence == presence);
        in_octave.min_by_key(|candidate| ahead(own, place(&candidate.peer)).abs_diff(meant))
    };
    let found =
        preferred(Presence::Linked).or_else(|| preferred(Presence::Dialling)).or_else(|| preferred(Presence::Slow));
    let found = found.or_else(|| {
        let free = view.pool().filter(|candidate| candidate.presence == Presence::Dialable);
        free.filter(|candidate| about(candidate))
            .min_by_key(|candidate| ahead(own, place(&candidate.peer)).abs_diff(meant))
    });
    found.map(|candidate| candidate.peer)
}
