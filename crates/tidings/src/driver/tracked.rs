//! Messages whose state somebody follows.

use std::collections::BTreeMap;

use tidings_core::ids::{FlowId, MessageId};
use tidings_core::interval::IntervalSet;
use tidings_core::message::MessageState;
use tokio::sync::watch;

use super::call::States;

/// The most messages followed at once, about 250 bytes each. Handles that nobody waits on give up their place when it
/// is needed.
const MAX_TRACKED: usize = 65_536;

/// Watches by message.
#[derive(Debug, Default)]
pub(super) struct Tracked {
    watches: BTreeMap<MessageId, watch::Sender<Option<MessageState>>>,
}

impl Tracked {
    /// Follows a message; `None` if there is no room.
    pub(super) fn follow(&mut self, id: MessageId) -> Option<States> {
        if let Some(watch) = self.watches.get(&id) {
            return Some(watch.subscribe());
        }
        if self.watches.len() >= MAX_TRACKED {
            self.watches.retain(|_, watch| !watch.is_closed());
            if self.watches.len() >= MAX_TRACKED {
                return None;
            }
        }
        let (watch, states) = watch::channel(None);
        self.watches.insert(id, watch);
        Some(states)
    }

    /// Tells those who follow that messages changed, and lets go of those that are done or nobody follows any more.
    pub(super) fn on_change(&mut self, flow: FlowId, seqs: &IntervalSet, state: MessageState) {
        let done = state == MessageState::Acknowledged || state.is_ended();
        for (from, to) in seqs.iter() {
            let range = MessageId { flow, seq: from }..=MessageId { flow, seq: to };
            let mut gone = Vec::new();
            for (id, watch) in self.watches.range(range) {
                watch.send_replace(Some(state));
                if done || watch.is_closed() {
                    gone.push(*id);
                }
            }
            for id in gone {
                self.watches.remove(&id);
            }
        }
    }

    /// Lets go of all: those who wait ask again.
    pub(super) fn clear(&mut self) {
        self.watches.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(seq: u64) -> MessageId {
        MessageId { flow: FlowId([7; 8]), seq }
    }

    #[test]
    fn a_change_reaches_the_messages_it_names_and_no_others() {
        let mut tracked = Tracked::default();
        let states: Vec<States> = (0..10).map(|seq| tracked.follow(id(seq)).unwrap()).collect();
        let mut seqs = IntervalSet::of(2, 3);
        seqs.insert(7, 7);
        tracked.on_change(id(0).flow, &seqs, MessageState::Delivered);
        tracked.on_change(FlowId([8; 8]), &IntervalSet::of(0, 9), MessageState::Expired);
        for (seq, state) in states.iter().enumerate() {
            let expected = [2, 3, 7].contains(&seq).then_some(MessageState::Delivered);
            assert_eq!(*state.borrow(), expected, "seq {seq}");
        }
    }

    #[test]
    fn a_done_message_keeps_its_last_state_for_its_handle() {
        let mut tracked = Tracked::default();
        let states = tracked.follow(id(1)).unwrap();
        tracked.on_change(id(1).flow, &IntervalSet::of(1, 1), MessageState::Acknowledged);
        assert!(tracked.watches.is_empty());
        assert_eq!(*states.borrow(), Some(MessageState::Acknowledged));
    }

    #[test]
    fn a_full_table_drops_handles_that_are_gone_and_refuses_beyond() {
        let mut tracked = Tracked::default();
        let kept: Vec<States> = (0..MAX_TRACKED as u64 - 1).map(|seq| tracked.follow(id(seq)).unwrap()).collect();
        drop(tracked.follow(id(u64::MAX)));
        let last = tracked.follow(id(u64::MAX - 1));
        assert!(last.is_some());
        assert!(tracked.follow(id(u64::MAX - 2)).is_none());
        drop(kept);
        assert!(tracked.follow(id(u64::MAX - 2)).is_some());
    }
}
