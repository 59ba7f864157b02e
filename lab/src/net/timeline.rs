//! When faults begin, turn and end.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use crate::scenario::FaultKind;
use crate::sim::{BEGIN, Fault};

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Due {
    Over,
    Begin,
    /// A flapping link changes.
    Turn,
}

/// The faults of a run, in time since its beginning.
#[derive(Debug)]
pub(super) struct Timeline {
    pub(super) faults: Vec<Fault>,
    begun: Vec<bool>,
    queue: BinaryHeap<Reverse<(Duration, Due, usize)>>,
}

impl Timeline {
    pub(super) fn new(faults: Vec<Fault>) -> Self {
        let begins = |fault: &Fault| Duration::from_micros(fault.begins.saturating_sub(BEGIN));
        let queue = faults.iter().enumerate().map(|(number, fault)| Reverse((begins(fault), Due::Begin, number)));
        Self { begun: vec![false; faults.len()], queue: queue.collect(), faults }
    }

    /// When something is due next.
    pub(super) fn next_time(&self) -> Option<Duration> {
        self.queue.peek().map(|Reverse((time, ..))| *time)
    }

    /// Takes what is due next, unless that has lost its point.
    pub(super) fn pop(&mut self) -> Option<(Due, usize)> {
        let Reverse((time, due, number)) = self.queue.pop()?;
        match due {
            Due::Begin => {
                self.begun[number] = true;
                let fault = &self.faults[number];
                if !matches!(fault.plan.kind, FaultKind::Reset | FaultKind::ClockJump) {
                    let over = time.saturating_add(Duration::from_micros(fault.lasts));
                    self.queue.push(Reverse((over, Due::Over, number)));
                }
                Some((due, number))
            }
            Due::Over => std::mem::take(&mut self.begun[number]).then_some((due, number)),
            Due::Turn => self.begun[number].then_some((due, number)),
        }
    }

    /// Has a flapping link change in a while.
    pub(super) fn turn(&mut self, number: usize, at: Duration) {
        self.queue.push(Reverse((at, Due::Turn, number)));
    }

    /// Ends all faults that have begun, and has no other begin.
    pub(super) fn heal(&mut self) -> Vec<usize> {
        self.queue.clear();
        let begun = std::mem::take(&mut self.begun);
        begun.iter().enumerate().filter(|(_, begun)| **begun).map(|(number, _)| number).collect()
    }
}
