//! Which of two links of one peer stays; docs/spec/links.md §2.

use std::time::Duration;

use tidings_crypto::PeerKey;

use super::address::LinkKind;
use super::hello::LinkNumber;
use crate::time::Instant;

/// What an older link of the same boot has at least to answer a probe; spec §2.3.
const CONTEST_TIME: Duration = Duration::from_secs(1);
/// What a link of another boot has at least: a process that was replaced cannot answer at all, so nothing but
/// the time of a restart is at stake; spec §2.4.
const RESTART_TIME: Duration = Duration::from_millis(250);
/// How long an end that does not decide prefers the newest link before it returns to the oldest that answers;
/// spec §2.6.
pub(super) const DECISION_TIME: Duration = Duration::from_secs(10);
/// How long the end that decided reads a link that lost; spec §2.5.
pub(super) const LINGER_TIME: Duration = Duration::from_secs(10);
/// The most links of one peer, those without a hello included; spec §2.7.
pub(super) const MAX_LINKS_PER_PEER: usize = 4;

/// What the rule looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Contender {
    pub(super) boot: u64,
    pub(super) kind: LinkKind,
    pub(super) number: LinkNumber,
}

/// A decision under way: the older link was asked to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Contest<L> {
    pub(super) older: L,
    pub(super) newer: L,
    pub(super) nonce: u64,
    pub(super) due: Instant,
}

/// Which link stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The newer one is better.
    Newer,
    /// The older one is better.
    Older,
    /// The older one stays because the newer one leads to another holder of the same key.
    SecondHolder,
}

/// How long the older link has to answer.
pub(super) fn answer_time(older: &Contender, newer: &Contender, round_trip: Option<Duration>) -> Duration {
    let least = if older.boot == newer.boot { CONTEST_TIME } else { RESTART_TIME };
    (round_trip.unwrap_or_default() * 4).max(least)
}

/// Decides between two links that both answer; `smaller` is the smaller key of the two ends.
pub(super) fn decide(smaller: &PeerKey, older: &Contender, newer: &Contender) -> Verdict {
    if older.boot != newer.boot || older.number == newer.number {
        return Verdict::SecondHolder;
    }
    let rank = |contender: &Contender| (contender.kind, contender.number.dialler != *smaller);
    // Equal in kind and dialler the older one stays: moving would gain nothing, and would let whoever has
    // stolen the key and knows the boot take the place of a neighbour that answers.
    if rank(newer) < rank(older) { Verdict::Newer } else { Verdict::Older }
}
