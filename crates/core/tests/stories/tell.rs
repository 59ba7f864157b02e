//! Words that stories use.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use tidings_core::Command;
use tidings_core::class::Class;
use tidings_core::ids::{CommandId, MessageId};
use tidings_core::message::{DEFAULT_LIFETIME, MessageState, Submission};
use tidings_core::trust::Evidence;
use tidings_crypto::PeerKey;

use crate::net::Net;

/// A message with this text.
pub fn note(to: PeerKey, text: impl Into<String>) -> Submission {
    Submission {
        to,
        class: Class::Normal,
        lifetime: DEFAULT_LIFETIME,
        kind: "note".to_owned(),
        payload: Bytes::from(text.into()),
        stream: None,
        headers: Vec::new(),
        reply_to: None,
        retry_of: None,
        record_route: false,
        idempotency: None,
    }
}

/// What a parcel of text looks like when it is large.
pub fn large(label: u8, bytes: usize) -> Bytes {
    (0..bytes).map(|at| label ^ (at % 251) as u8).collect::<Vec<_>>().into()
}

impl Net {
    /// A node submits messages in one call.
    pub fn submit(&mut self, node: usize, submissions: Vec<Submission>) -> CommandId {
        self.command(node, Command::Submit(submissions))
    }

    /// A node sends a text to another, and it is accepted.
    pub fn send(&mut self, from: usize, to: usize, text: &str) -> MessageId {
        let to = self.nodes[to].key();
        self.send_it(from, note(to, text))
    }

    pub fn send_it(&mut self, from: usize, submission: Submission) -> MessageId {
        let call = self.submit(from, vec![submission]);
        self.run_until("the call is answered", |net| net.nodes[from].app.replies.contains_key(&call));
        self.nodes[from].app.accepted(call)[0].expect("accepted").id
    }

    pub fn state(&self, node: usize, id: MessageId) -> MessageState {
        self.nodes[node].store.state(id).expect("a message of this node")
    }

    /// Runs until every message that was accepted anywhere is acknowledged, or has ended.
    #[track_caller]
    pub fn settle(&mut self) {
        let until = self.now + 3_600_000_000;
        while !self.is_settled() {
            if self.now > until {
                self.explain();
                panic!("within an hour: everything is acknowledged");
            }
            self.run_for(Duration::from_millis(10));
        }
        // The events that tell it follow when it is durable.
        self.run_for(Duration::from_millis(100));
    }

    fn is_settled(&self) -> bool {
        self.nodes.iter().filter(|node| node.has_lived()).all(|node| {
            node.engine.is_some()
                && node.app.is_answered()
                && node.app.sent.keys().all(|id| {
                    let state = node.store.state(*id);
                    state == Some(MessageState::Acknowledged) || state.is_some_and(MessageState::is_ended)
                })
        })
    }

    /// Checks that what was accepted for a node is what it was shown, that streams kept their order, and that
    /// nobody is accused of anything.
    #[track_caller]
    pub fn check(&self) {
        for (index, node) in self.nodes.iter().enumerate() {
            for (id, sent) in &node.app.sent {
                let recipient = self.nodes.iter().find(|other| other.key() == sent.to).expect("a recipient");
                let state = node.store.state(*id);
                match recipient.app.payload(node.key(), *id) {
                    Some(payload) => assert_eq!(payload, sent.payload, "{id:?}"),
                    None => {
                        assert!(state.is_some_and(MessageState::is_ended), "{id:?} of node {index} is lost: {state:?}")
                    }
                }
            }
            self.check_streams(index);
            for peer in node.engine().view().peers {
                // What a crash made an end forget may come too late to be opened.
                let accused = peer.evidence.keys().find(|evidence| **evidence != Evidence::CannotOpen);
                assert_eq!(accused, None, "node {index} accuses {peer:?}");
            }
        }
    }

    /// The messages of a stream were shown in the order in which they were accepted, whatever their class.
    #[track_caller]
    fn check_streams(&self, index: usize) {
        let node = &self.nodes[index];
        for from in &self.nodes {
            let place: BTreeMap<_, _> = from.app.order.iter().zip(0..).collect();
            let mut last = BTreeMap::new();
            let of_streams = node.app.shown.iter().filter(|shown| shown.from == from.key() && shown.stream.is_some());
            for (shown, place) in of_streams.filter_map(|shown| Some((shown, *place.get(&shown.id)?))) {
                let before: Option<u64> = last.insert(&shown.stream, place);
                assert!(
                    before.is_none_or(|before| before < place),
                    "out of order: {shown:?} is {place}, after {before:?}"
                );
            }
        }
    }

    /// Texts that a node was shown, of another one's.
    pub fn texts(&self, at: usize, from: usize) -> Vec<String> {
        self.nodes[at].app.texts(self.nodes[from].key())
    }

    pub fn seconds(&mut self, seconds: u64) {
        self.run_for(Duration::from_secs(seconds));
    }
}
