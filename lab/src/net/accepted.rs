//! Which messages were accepted, from whom and for whom, and when they were first shown, by the clients' logs.

use std::collections::BTreeMap;

use crate::log::{Entry, Id, Line, Outcome};

/// An accepted message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Accepted {
    pub(super) id: Id,
    pub(super) from: u32,
    pub(super) to: u32,
    /// When its sender was told, in microseconds.
    pub(super) at: u64,
}

pub(super) fn accepted(log: &[Line]) -> Vec<Accepted> {
    let (mut calls, mut accepted) = (BTreeMap::new(), Vec::new());
    for line in log {
        match (&line.entry, line.node) {
            (Entry::Submit { call, messages, .. }, Some(node)) => {
                calls.insert((node, *call), messages.iter().map(|message| message.to).collect::<Vec<_>>());
            }
            (Entry::Answer { call, results }, Some(from)) => {
                for (result, to) in results.iter().zip(calls.remove(&(from, *call)).unwrap_or_default()) {
                    if let Outcome::Accepted(id) = result {
                        accepted.push(Accepted { id: *id, from, to, at: line.at });
                    }
                }
            }
            _ => {}
        }
    }
    accepted
}

/// When each message was first shown, in microseconds.
pub(super) fn shown(log: &[Line]) -> BTreeMap<Id, u64> {
    let mut shown = BTreeMap::new();
    for line in log {
        if let Entry::Shown { id, .. } = &line.entry {
            shown.entry(*id).and_modify(|at| *at = line.at.min(*at)).or_insert(line.at);
        }
    }
    shown
}
