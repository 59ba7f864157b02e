//! How long messages wait after a node or a link on their way has gone.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::log::{Entry, Id, Line, Outcome};
use crate::scenario::FaultKind;

/// What was accepted so long after a loss, or was on its way then, tells how long the detour took.
const AFTER: Duration = Duration::from_secs(2);

/// Something that messages went through went.
#[derive(Clone, Copy, Debug)]
pub(super) struct Loss {
    /// Since the beginning of the run.
    pub(super) at: Duration,
    /// Which node, where it was no link: its own messages wait for itself.
    pub(super) node: Option<usize>,
}

/// What a message waited for is a way, if this happens to what it goes through.
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

/// For each loss that messages of others saw, how much longer than usual the slowest of them took, sorted.
pub(super) fn detours(log: &[Line], losses: &[Loss]) -> Vec<Duration> {
    let waits = waits(log);
    let mut usual: Vec<_> = waits.iter().map(|wait| wait.took).collect();
    usual.sort_unstable();
    let usual = usual.get(usual.len() / 2).copied().unwrap_or_default();
    let slowest = |loss: &Loss| {
        let seen = waits.iter().filter(|wait| {
            let alive = loss.node.is_none_or(|node| !wait.ends.contains(&u32::try_from(node).unwrap_or(u32::MAX)));
            alive && wait.from + wait.took >= loss.at && wait.from < loss.at + AFTER
        });
        seen.map(|wait| wait.took.saturating_sub(usual)).max()
    };
    let mut detours: Vec<_> = losses.iter().filter_map(slowest).collect();
    detours.sort_unstable();
    detours
}

/// From when a message was accepted until it was first shown.
struct Wait {
    ends: [u32; 2],
    from: Duration,
    took: Duration,
}

fn waits(log: &[Line]) -> Vec<Wait> {
    let (mut calls, mut accepted, mut shown) = (BTreeMap::new(), Vec::new(), BTreeMap::<Id, u64>::new());
    for line in log {
        match (&line.entry, line.node) {
            (Entry::Submit { call, messages, .. }, Some(node)) => {
                calls.insert((node, *call), messages.iter().map(|message| message.to).collect::<Vec<_>>());
            }
            (Entry::Answer { call, results }, Some(node)) => {
                for (result, to) in results.iter().zip(calls.remove(&(node, *call)).unwrap_or_default()) {
                    if let Outcome::Accepted(id) = result {
                        accepted.push((*id, [node, to], line.at));
                    }
                }
            }
            (Entry::Shown { id, .. }, _) => {
                shown.entry(*id).and_modify(|at| *at = line.at.min(*at)).or_insert(line.at);
            }
            _ => {}
        }
    }
    let wait = |(id, ends, from): (Id, [u32; 2], u64)| {
        let took = Duration::from_micros(shown.get(&id)?.saturating_sub(from));
        Some(Wait { ends, from: Duration::from_micros(from), took })
    };
    accepted.into_iter().filter_map(wait).collect()
}

#[cfg(test)]
mod tests {
    use tidings_core::ids::{FlowId, MessageId};

    use super::*;
    use crate::log::{Hash, Submitted};
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
        let loss = |at, node| Loss { at: Duration::from_millis(at), node };
        let found = detours(&log, &[loss(1_000, Some(2)), loss(9_001, None), loss(1_000, Some(1)), loss(5_000, None)]);
        assert_eq!(found, [Duration::ZERO, Duration::from_millis(408)], "not of its own, not where nothing was sent");
    }
}
