//! The gate: whatever depends on a batch leaves only when that batch is durable. docs/spec/engine.md §4.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::ids::{BatchNo, LinkId};
use crate::output::Output;
use crate::record::Record;

/// Outputs on their way out, in order.
#[derive(Debug, Default)]
pub(super) struct Gate {
    issued: BatchNo,
    durable: BatchNo,
    out: VecDeque<Output>,
    /// Rising batches: the first holds back all behind it.
    waiting: VecDeque<(BatchNo, Output)>,
    /// Writes and closings of links, in order for each link.
    links: VecDeque<(BatchNo, LinkId, Output)>,
}

impl Gate {
    /// The newest batch that was issued.
    pub(super) fn issued(&self) -> BatchNo {
        self.issued
    }

    /// Issues a batch.
    pub(super) fn persist(&mut self, records: Vec<Record>) {
        self.issued.0 += 1;
        self.out.push_back(Output::Persist { batch: self.issued, records });
    }

    /// Lets out what depends on nothing that is not durable: questions to the store, dials, the live notice that
    /// something is on another disk.
    pub(super) fn pass(&mut self, output: Output) {
        self.out.push_back(output);
    }

    /// Holds an output until a batch is durable.
    pub(super) fn push(&mut self, batch: BatchNo, output: Output) {
        if batch <= self.durable && self.waiting.is_empty() {
            self.out.push_back(output);
        } else {
            self.waiting.push_back((batch, output));
        }
    }

    /// Holds bytes for a link until the newest batch of any frame in them is durable; those behind them wait too.
    pub(super) fn transmit(&mut self, batch: BatchNo, link: LinkId, bytes: Bytes) {
        self.push_link(batch, link, Output::Transmit { link, bytes });
    }

    /// Closes a link after what was transmitted before.
    pub(super) fn close(&mut self, link: LinkId) {
        self.push_link(BatchNo(0), link, Output::Close { link });
    }

    fn push_link(&mut self, batch: BatchNo, link: LinkId, output: Output) {
        let blocked = self.links.iter().any(|(_, other, _)| *other == link);
        if batch <= self.durable && !blocked {
            self.out.push_back(output);
        } else {
            self.links.push_back((batch, link, output));
        }
    }

    /// Every batch up to this one is durable.
    pub(super) fn advance(&mut self, durable: BatchNo) {
        self.durable = self.durable.max(durable.min(self.issued));
        while self.waiting.front().is_some_and(|(batch, _)| *batch <= self.durable) {
            self.out.extend(self.waiting.pop_front().map(|(_, output)| output));
        }
        let held = std::mem::take(&mut self.links);
        for (batch, link, output) in held {
            self.push_link(batch, link, output);
        }
    }

    pub(super) fn poll(&mut self) -> Option<Output> {
        self.out.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::CommandId;
    use crate::output::Reply;

    fn reply(number: u64) -> Output {
        Output::Reply(CommandId(number), Reply::Done)
    }

    fn drain(gate: &mut Gate) -> Vec<Output> {
        std::iter::from_fn(|| gate.poll()).collect()
    }

    #[test]
    fn nothing_overtakes_what_waits() {
        let mut gate = Gate::default();
        gate.persist(vec![Record::Prune]);
        gate.push(BatchNo(1), reply(1));
        gate.push(BatchNo(0), reply(2));
        assert!(matches!(drain(&mut gate)[..], [Output::Persist { .. }]));
        gate.advance(BatchNo(1));
        assert_eq!(drain(&mut gate), vec![reply(1), reply(2)]);
    }

    #[test]
    fn a_link_keeps_its_order_and_others_pass() {
        let mut gate = Gate::default();
        gate.persist(vec![Record::Prune]);
        drain(&mut gate);
        let write = |link, byte: u8| Output::Transmit { link: LinkId(link), bytes: Bytes::from(vec![byte]) };
        gate.transmit(BatchNo(1), LinkId(1), Bytes::from(vec![1]));
        gate.transmit(BatchNo(0), LinkId(1), Bytes::from(vec![2]));
        gate.transmit(BatchNo(0), LinkId(2), Bytes::from(vec![3]));
        gate.close(LinkId(1));
        assert_eq!(drain(&mut gate), vec![write(2, 3)]);
        gate.advance(BatchNo(1));
        assert_eq!(drain(&mut gate), vec![write(1, 1), write(1, 2), Output::Close { link: LinkId(1) }]);
    }

    #[test]
    fn an_answer_for_a_batch_never_issued_opens_nothing() {
        let mut gate = Gate::default();
        gate.persist(vec![Record::Prune]);
        gate.advance(BatchNo(9));
        gate.persist(vec![Record::Prune]);
        gate.push(BatchNo(2), reply(1));
        assert_eq!(drain(&mut gate).len(), 2);
    }
}
