//! What tests and simulations read back.

use tidings_crypto::PeerKey;

use super::ModelStore;
use crate::ids::{At, FlowId, MessageId};
use crate::interval::IntervalSet;
use crate::message::{Change, InboxMessage, MessageState, Step};
use crate::time::{Age, Wall};
use crate::wire::{Path, decode_content};

/// An event about sent messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredChange {
    /// Its place.
    pub at: At,
    /// The flow.
    pub flow: FlowId,
    /// The recipient.
    pub peer: PeerKey,
    /// Which messages, by first part.
    pub seqs: IntervalSet,
    /// What happened.
    pub change: Change,
    /// When.
    pub wall: Wall,
}

impl ModelStore {
    /// Reads what is shown and not consumed, in order.
    pub fn inbox(&self) -> Vec<InboxMessage> {
        self.inbox_after(At::default())
    }

    /// Reads what is shown after a place and not consumed, in order.
    pub fn inbox_after(&self, after: At) -> Vec<InboxMessage> {
        let mut messages = Vec::new();
        for row in self.current.inbox.values() {
            let batch = &row.batch;
            for (n, (seq, encoded)) in (batch.at.n..).zip(&batch.messages) {
                let at = At { boot: batch.at.boot, n };
                if at <= after || row.consumed.contains(*seq) {
                    continue;
                }
                let Ok(content) = decode_content(encoded.clone()) else { continue };
                messages.push(InboxMessage {
                    at,
                    id: MessageId { flow: batch.flow, seq: *seq },
                    from: batch.sender,
                    kind: content.kind,
                    payload: content.payload,
                    stream: content.stream,
                    headers: content.headers,
                    class: batch.class,
                    reply_to: content.reply_to,
                    sent_at: content.sent_at,
                    expires_at: content.expires_at,
                    received_at: batch.received_at,
                    hops: batch.hops,
                    path: batch.path.clone().filter(|_| content.record_route),
                });
            }
        }
        messages
    }

    /// Reads where a sent message stands.
    pub fn state(&self, id: MessageId) -> Option<MessageState> {
        let flow = self.current.out_flows.get(&id.flow).filter(|flow| id.seq < flow.next)?;
        let ended = self.current.ended.range((id.flow, 0)..=(id.flow, id.seq)).next_back();
        match ended {
            Some((_, (last, ending))) if *last >= id.seq => Some(ending.state()),
            Some(_) | None => Some(flow.state_of(id.seq)),
        }
    }

    /// Reads the events about sent messages after a place.
    pub fn changes(&self, after: At) -> Vec<StoredChange> {
        use std::ops::Bound::{Excluded, Unbounded};
        self.current.changed.range((Excluded(after), Unbounded)).map(|(_, change)| change.clone()).collect()
    }

    /// Reads the steps on a sent message's way.
    pub fn timeline(&self, id: MessageId) -> Vec<(Wall, Step)> {
        let of_message =
            self.current.timeline.values().filter(|(flow, seqs, ..)| *flow == id.flow && seqs.contains(id.seq));
        of_message.map(|(_, _, step, wall)| (*wall, *step)).collect()
    }

    /// Reads the way that a message went or came: links and relays.
    pub fn route(&self, id: MessageId) -> Option<(u32, Path)> {
        let of_message = |stored: &&super::StoredRoute| stored.flow == id.flow && stored.route.seqs.contains(id.seq);
        let stored = self.current.routes.iter().rev().find(of_message)?;
        Some((stored.route.hops, stored.route.path.clone()))
    }

    /// Reads the age of the newest checkpoint.
    pub fn age(&self) -> Age {
        self.current.age
    }

    /// Counts what is sealed and has no receipt yet.
    pub fn sealed_parcels(&self) -> usize {
        self.current.out_parcels.len()
    }

    /// Counts parts and messages that are here and not shown yet.
    pub fn pended(&self) -> usize {
        self.current.pended.len()
    }
}
