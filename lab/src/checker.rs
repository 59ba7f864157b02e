//! Judges a run by what its clients wrote down, and by nothing else.
//!
//! It shares no code with the protocol but the names of messages. What it knows is the promise: what was accepted is
//! shown to its recipient or its end is told; what is shown was sent so; nothing is shown after its acknowledgement
//! is durable, or under a second id. docs/spec/scenario.md §6.

mod command;
mod expectations;
mod finish;
mod history;
mod rule;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

pub(crate) use self::command::Check;
#[cfg(feature = "net")]
pub(crate) use self::command::read;
pub(crate) use self::expectations::percentile;
pub(crate) use self::rule::{Rule, Violation};
use crate::log::{Entry, Hash, Id, Line, State, Submitted};
use crate::scenario::{ClassName, Expect};

/// What the checker concludes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Verdict {
    /// In the order found; at most [`MAX_VIOLATIONS`] of each rule.
    pub(crate) violations: Vec<Violation>,
    pub(crate) figures: Figures,
}

/// What was counted on the way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    /// Single facts that were checked.
    pub(crate) checks: u64,
    pub(crate) accepted: u64,
    pub(crate) refused: u64,
    /// Accepted and shown.
    pub(crate) delivered: u64,
    /// Accepted, not shown, and the sender knows why.
    pub(crate) ended: u64,
    /// Shown again in a later life, not acknowledged before.
    pub(crate) shown_again: u64,
    /// From acceptance to the first showing, in microseconds, by class; not sorted.
    pub(crate) latencies: BTreeMap<ClassName, Vec<u64>>,
}

/// The most violations of one rule that are told.
pub(crate) const MAX_VIOLATIONS: usize = 5;

/// Judges a run whose lines are ordered by time.
pub(crate) fn judge<'a>(lines: impl IntoIterator<Item = &'a Line>, expect: Option<&Expect>) -> Verdict {
    let mut checker = Checker::default();
    for line in lines {
        checker.read(line);
    }
    checker.finish(expect)
}

/// What is known of an accepted message.
#[derive(Clone, Debug)]
struct Accepted {
    sender: u32,
    message: Submitted,
    submitted_at: u64,
    accepted_at: u64,
    cancelled: bool,
    told: BTreeSet<State>,
}

/// What is known of a message that was shown.
#[derive(Clone, Debug)]
struct Shown {
    recipient: u32,
    hash: Hash,
    first_at: u64,
    /// The recipient's life in which it was shown last.
    life: u64,
    /// The recipient's client has asked to acknowledge it.
    asked: bool,
    acknowledged: bool,
}

/// A call that submits messages.
#[derive(Clone, Debug)]
struct Call {
    at: u64,
    messages: Vec<Submitted>,
    answered: bool,
    /// The life of the client that made it.
    life: u64,
}

/// What was ever submitted with a payload.
#[derive(Clone, Copy, Debug)]
struct Origin {
    sender: u32,
    to: u32,
    /// In the order of the sender's submissions.
    order: u64,
    /// Submissions of it that were answered by a refusal, and all.
    refused: u32,
    submitted: u32,
}

#[derive(Debug, Default)]
struct Checker {
    verdict: Verdict,
    told: BTreeMap<Rule, usize>,
    hostile: BTreeSet<u32>,
    clocks_jump: bool,
    healed: Option<(u64, u64)>,
    finished: Option<u64>,
    lives: BTreeMap<u32, u64>,
    running: BTreeSet<u32>,
    orders: u64,
    calls: BTreeMap<(u32, u64), Call>,
    acknowledgements: BTreeMap<(u32, u64), (Vec<Id>, u64)>,
    origins: BTreeMap<Hash, Origin>,
    accepted: BTreeMap<Id, Accepted>,
    /// By id and sender.
    shown: BTreeMap<(Id, u32), Shown>,
    /// Under which id a payload of a sender was shown.
    ids: BTreeMap<(u32, Hash), Id>,
    /// By sender, recipient and stream: the order of the last one shown first.
    streams: BTreeMap<(u32, u32, String), u64>,
}

impl Checker {
    fn read(&mut self, line: &Line) {
        match (&line.entry, line.node) {
            (Entry::Run { hostile, clocks_jump, .. }, None) => {
                self.hostile = hostile.iter().copied().collect();
                self.clocks_jump = *clocks_jump;
            }
            (Entry::Healed { settle_micros }, None) => self.healed = Some((line.at, *settle_micros)),
            (Entry::Finished, None) => self.finished = Some(line.at),
            (Entry::Plaintext { place }, None) => {
                self.verdict.figures.checks += 1;
                self.violate(Rule::Plaintext, line.at, format!("a payload in the clear on {place}"));
            }
            (entry, Some(node)) => self.read_client(node, line.at, entry),
            (entry, None) => self.violate(Rule::Log, line.at, format!("a line of no node: {entry:?}")),
        }
    }

    fn violate(&mut self, rule: Rule, at: u64, what: String) {
        let told = self.told.entry(rule).or_default();
        *told += 1;
        if *told <= MAX_VIOLATIONS {
            self.verdict.violations.push(Violation { rule, at, what });
        }
    }

    /// Counts a checked fact, and tells a violation if it does not hold.
    fn check(&mut self, rule: Rule, at: u64, holds: bool, what: impl FnOnce() -> String) {
        self.verdict.figures.checks += 1;
        if !holds {
            self.violate(rule, at, what());
        }
    }

    fn life(&self, node: u32) -> u64 {
        self.lives.get(&node).copied().unwrap_or(0)
    }

    /// Whether anything is promised between two nodes.
    fn is_honest(&self, a: u32, b: u32) -> bool {
        !self.hostile.contains(&a) && !self.hostile.contains(&b)
    }
}
