//! How long messages wait after a node or a link on their way has gone.

use super::accepted::{Accepted, accepted, shown};
use crate::checker::percentile;
use crate::log::Line;
use crate::scenario::FaultKind;

/// What was accepted so long after a loss, or was on its way then, tells how long the detour took.
const AFTER_MICROS: u64 = 2_000_000;

/// Something that messages went through went.
#[derive(Clone, Copy, Debug)]
pub(super) struct Loss {
    /// Microseconds of the run.
    pub(super) at: u64,
    /// Which node, where it was no link: its own messages wait for itself.
    pub(super) node: Option<u32>,
}

/// Whether messages lose the way they go by, if this happens to a node or a link on it.
pub(super) fn loses_a_way(kind: FaultKind) -> bool {
    match kind {
        FaultKind::Kill
        | FaultKind::PowerCut
        | FaultKind::Stop
        | FaultKind::Freeze
        | FaultKind::Cut
        | FaultKind::Silent => true,
        FaultKind::DiskFull
        | FaultKind::DiskSlow
        | FaultKind::DiskError
        | FaultKind::ClockJump
        | FaultKind::ClockDrift
        | FaultKind::Reset
        | FaultKind::Flap
        | FaultKind::Worse
        | FaultKind::Split
        | FaultKind::Hostile => false,
    }
}

/// For each loss that messages of others saw, how much longer than usual the slowest of them took, in microseconds.
pub(super) fn detours(log: &[Line], losses: &[Loss]) -> Vec<u64> {
    let shown = shown(log);
    let took = |message: Accepted| Some((message, shown.get(&message.id)?.saturating_sub(message.at)));
    let messages: Vec<_> = accepted(log).into_iter().filter_map(took).collect();
    let mut usual: Vec<_> = messages.iter().map(|(_, took)| *took).collect();
    usual.sort_unstable();
    let usual = percentile(&usual, 50).unwrap_or(0);
    let slowest = |loss: &Loss| {
        let seen = messages.iter().filter(|(message, took)| {
            let alive = loss.node.is_none_or(|node| ![message.from, message.to].contains(&node));
            alive && message.at + took >= loss.at && message.at < loss.at + AFTER_MICROS
        });
        seen.map(|(_, took)| took.saturating_sub(usual)).max()
    };
    losses.iter().filter_map(slowest).collect()
}

#[cfg(test)]
mod tests {
    use tidings_core::ids::{FlowId, MessageId};

    use super::*;
    use crate::log::{Entry, Hash, Id, Outcome, Submitted};
    use crate::scenario::ClassName;

    /// Message `seq` of node 0 for node 1: accepted and shown at these milliseconds.
    fn message(seq: u64, accepted: u64, shown: u64) -> [Line; 3] {
        let id = Id(MessageId { flow: FlowId([0; 8]), seq });
        let hash = Hash::of(b"x");
        let message = Submitted { to: 1, class: ClassName::High, hash, bytes: 1, lifetime_ms: 1, stream: None };
        let line = |at, node, entry| Line { at: at * 1_000, node: Some(node), entry };
        [
            line(accepted, 0, Entry::Submit { call: seq, messages: vec![message], repeats: None }),
            line(accepted, 0, Entry::Answer { call: seq, results: vec![Outcome::Accepted(id)] }),
            line(shown, 1, Entry::Shown { id, from: 0, hash, stream: None }),
        ]
    }

    #[test]
    fn the_slowest_message_around_a_loss_tells_how_long_the_detour_took() {
        let times = [(0, 2), (990, 1_400), (1_100, 1_400), (9_000, 9_002), (9_500, 9_502)];
        let log: Vec<_> = (0..).zip(times).flat_map(|(seq, (accepted, shown))| message(seq, accepted, shown)).collect();
        let loss = |at: u64, node| Loss { at: at * 1_000, node };
        let found = detours(&log, &[loss(1_000, Some(2)), loss(9_001, None), loss(1_000, Some(1)), loss(5_000, None)]);
        assert_eq!(found, [408_000, 0], "not of its own, not where nothing was sent");
    }
}
