//! The application of a node: what it sent, was shown and acknowledged, and whether that keeps the promise.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use tidings_core::ids::{At, CommandId, MessageId};
use tidings_core::message::{Accepted, Change, InboxMessage, Refusal, Submission};
use tidings_core::model::ModelStore;
use tidings_core::record::InboxBatch;
use tidings_core::wire::decode_content;
use tidings_core::{Command, Event, Reply};
use tidings_crypto::PeerKey;

/// When the application acknowledges what it is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reading {
    #[default]
    AtOnce,
    /// When the story says so.
    ByHand,
}

/// A message as the application saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    pub id: MessageId,
    pub from: PeerKey,
    pub payload: Bytes,
    pub stream: Option<String>,
}

#[derive(Default)]
pub struct App {
    pub reading: Reading,
    /// Calls that are not answered: what they asked.
    asked: BTreeMap<CommandId, Command>,
    /// What was accepted.
    pub sent: BTreeMap<MessageId, Submission>,
    /// The same in the order of acceptance.
    pub order: Vec<MessageId>,
    pub replies: BTreeMap<CommandId, Reply>,
    /// In the order in which each was first shown.
    pub shown: Vec<Shown>,
    /// Shown, by id: how often in this life, and what it was.
    ids: BTreeMap<(PeerKey, MessageId), Bytes>,
    this_life: BTreeSet<(PeerKey, MessageId)>,
    payloads: BTreeMap<(PeerKey, Bytes), MessageId>,
    /// Acknowledgements that are durable.
    pub acknowledged: BTreeSet<MessageId>,
    wishes: VecDeque<MessageId>,
    pub changes: Vec<(MessageId, Change)>,
    /// Told before it was durable here.
    pub delivered_live: BTreeSet<MessageId>,
    pub events: Vec<Event>,
}

impl App {
    pub fn on_start(&mut self, inbox: Vec<InboxMessage>) {
        for message in inbox {
            self.show(Shown { id: message.id, from: message.from, payload: message.payload, stream: message.stream });
        }
    }

    pub fn on_end(&mut self) {
        self.asked.clear();
        self.wishes.clear();
        self.this_life.clear();
    }

    /// Its node has a new database: what it was shown before does not count any more.
    pub fn forget(&mut self) {
        self.shown.clear();
        self.ids.clear();
        self.payloads.clear();
        self.acknowledged.clear();
    }

    pub fn on_command(&mut self, id: CommandId, command: &Command) {
        self.asked.insert(id, command.clone());
    }

    /// What it wants to do now.
    pub fn wish(&mut self) -> Option<Command> {
        let ids: Vec<_> = self.wishes.drain(..).collect();
        (!ids.is_empty()).then_some(Command::Consume(ids))
    }

    pub fn on_reply(&mut self, id: CommandId, reply: Reply) {
        let asked = self.asked.remove(&id).expect("a call is answered once");
        match (&asked, &reply) {
            (Command::Submit(submissions), Reply::Submitted(results)) => {
                assert_eq!(submissions.len(), results.len());
                for (submission, result) in submissions.iter().zip(results) {
                    if let Ok(accepted) = result
                        && self.sent.insert(accepted.id, submission.clone()).is_none()
                    {
                        self.order.push(accepted.id);
                    }
                }
            }
            (Command::Consume(ids), Reply::Consumed { unknown }) => {
                self.acknowledged.extend(ids.iter().filter(|id| !unknown.contains(id)));
            }
            _ => {}
        }
        self.replies.insert(id, reply);
    }

    pub fn on_event(&mut self, store: &ModelStore, event: Event) {
        match &event {
            Event::Received(batch) => self.on_received(batch),
            Event::Released(at) => {
                let before = At { boot: at.boot, n: at.n - 1 };
                let message = store.inbox_after(before).into_iter().next().expect("what was released is in the inbox");
                assert_eq!(message.at, *at);
                self.show(Shown {
                    id: message.id,
                    from: message.from,
                    payload: message.payload,
                    stream: message.stream,
                });
            }
            Event::Delivered { flow, seqs } => {
                self.delivered_live.extend(seqs.seqs().map(|seq| MessageId { flow: *flow, seq }));
            }
            Event::Changed { flow, seqs, change, .. } => {
                self.changes.extend(seqs.seqs().map(|seq| (MessageId { flow: *flow, seq }, *change)));
            }
            Event::NeighbourUp { .. }
            | Event::NeighbourDown { .. }
            | Event::Contact(_)
            | Event::Topology { .. }
            | Event::Route { .. }
            | Event::Misconduct { .. }
            | Event::Degraded { .. } => {}
        }
        self.events.push(event);
    }

    fn on_received(&mut self, batch: &InboxBatch) {
        for (seq, encoded) in &batch.messages {
            let content = decode_content(encoded.clone()).expect("the engine has read it");
            self.show(Shown {
                id: MessageId { flow: batch.flow, seq: *seq },
                from: batch.sender,
                payload: content.payload,
                stream: content.stream,
            });
        }
    }

    fn show(&mut self, message: Shown) {
        let key = (message.from, message.id);
        assert!(!self.acknowledged.contains(&message.id), "shown after its acknowledgement was durable: {key:?}");
        assert!(self.this_life.insert(key), "shown twice in one life: {key:?}");
        if let Some(payload) = self.ids.insert(key, message.payload.clone()) {
            assert_eq!(payload, message.payload, "shown with another content: {key:?}");
        } else {
            let other = self.payloads.insert((message.from, message.payload.clone()), message.id);
            assert_eq!(other, None, "shown under another id: {key:?}");
            self.shown.push(message.clone());
        }
        if self.reading == Reading::AtOnce {
            self.wishes.push_back(message.id);
        }
    }

    // --- what stories ask ---

    /// The payloads that a peer's messages had, in order.
    pub fn texts(&self, from: PeerKey) -> Vec<String> {
        let of_peer = self.shown.iter().filter(|message| message.from == from);
        of_peer.map(|message| String::from_utf8_lossy(&message.payload).into_owned()).collect()
    }

    /// What a message that was shown had in it.
    pub fn payload(&self, from: PeerKey, id: MessageId) -> Option<Bytes> {
        self.ids.get(&(from, id)).cloned()
    }

    pub fn is_answered(&self) -> bool {
        self.asked.is_empty()
    }

    pub fn accepted(&self, call: CommandId) -> Vec<Result<Accepted, Refusal>> {
        match self.replies.get(&call) {
            Some(Reply::Submitted(results)) => results.clone(),
            other => panic!("expected the answer to a submission, got {other:?}"),
        }
    }

    pub fn changes_of(&self, id: MessageId) -> Vec<Change> {
        self.changes.iter().filter(|(of, _)| *of == id).map(|(_, change)| *change).collect()
    }
}
