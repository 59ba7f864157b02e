//! What only the end of a run shows: what was lost, and what nobody was told.

use super::{Accepted, Checker, Rule, Verdict};
use crate::log::{Id, State};
use crate::scenario::Expect;

impl Checker {
    pub(super) fn finish(mut self, expect: Option<&Expect>) -> Verdict {
        let Some(finished) = self.finished else {
            self.violate(Rule::Log, 0, "the run has not finished".to_owned());
            return self.verdict;
        };
        for (id, accepted) in std::mem::take(&mut self.accepted) {
            if self.is_honest(accepted.sender, accepted.message.to) {
                self.judge_message(finished, id, &accepted);
            }
        }
        if self.healed.is_some() {
            self.judge_calls(finished);
        }
        if let Some(expect) = expect {
            self.judge_expectations(finished, expect);
        }
        self.verdict
    }

    fn judge_message(&mut self, finished: u64, id: Id, accepted: &Accepted) {
        let shown_at = self.shown.get(&(id, accepted.sender)).map(|shown| shown.first_at);
        let told = |state| accepted.told.contains(&state);
        let ended = told(State::Expired) || told(State::Failed) || told(State::Cancelled);
        let arrived = told(State::Delivered) || told(State::Acknowledged);
        match shown_at {
            Some(at) => {
                self.verdict.figures.delivered += 1;
                let took = at.saturating_sub(accepted.accepted_at);
                self.verdict.figures.latencies.entry(accepted.message.class).or_default().push(took);
            }
            None if ended => self.verdict.figures.ended += 1,
            None => {}
        }
        let (sender, to) = (accepted.sender, accepted.message.to);
        let name = || format!("{id:?} from node {sender} to node {to}");
        self.check(Rule::Told, finished, shown_at.is_some() || !arrived, || {
            format!("{} is told as delivered and was never shown", name())
        });
        let deadline = accepted.accepted_at.saturating_add(accepted.message.lifetime_ms.saturating_mul(1000));
        // Without a time to settle only what should have ended long ago is missing for certain.
        let due = self.healed.is_some() || deadline.saturating_add(finished / 2) < finished;
        if due {
            self.check(Rule::Lost, finished, shown_at.is_some() || ended || arrived, || {
                format!("{} was accepted, is not shown, and nobody is told why", name())
            });
            self.check(Rule::Untold, finished, ended || told(State::Acknowledged), || {
                format!("{} was accepted, and what became of it is not told: {:?}", name(), accepted.told)
            });
        }
    }

    fn judge_calls(&mut self, finished: u64) {
        for ((node, number), call) in std::mem::take(&mut self.calls) {
            let waits = !call.answered && call.life == self.life(node) && self.running.contains(&node);
            let honest = !self.hostile.contains(&node);
            self.check(Rule::Untold, finished, !waits || !honest, || {
                format!("call {number} of node {node} was never answered")
            });
        }
        for ((node, number), (_, life)) in std::mem::take(&mut self.acknowledgements) {
            let waits = life == self.life(node) && self.running.contains(&node) && !self.hostile.contains(&node);
            self.check(Rule::Untold, finished, !waits, || {
                format!("acknowledgement {number} of node {node} was never answered")
            });
        }
    }
}
