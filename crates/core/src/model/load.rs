//! Answers the engine's questions, and what it starts from.

use bytes::Bytes;
use tidings_crypto::PeerKey;

use super::{ModelStore, StoredRoute, Tables};
use crate::ids::{FlowId, MessageId, Seq};
use crate::record::{ExpiryPlace, Loaded, MAX_UNTOLD, OutParcel, Pended, Query, Snapshot};
use crate::time::Age;
use crate::wire::RecordedRoute;

impl ModelStore {
    /// Answers a question of the engine, as after every batch that was applied.
    pub fn load(&self, query: &Query) -> Loaded {
        let tables = &self.current;
        match query {
            Query::OutMessages { flow, from, max_bytes } => tables.out_messages(*flow, *from, *max_bytes),
            Query::OutParcels(parcels) => {
                let inner = |no| tables.out_parcels.get(no).map(|parcel| (*no, parcel.inner.clone()));
                Loaded::OutParcels(parcels.iter().filter_map(inner).collect())
            }
            Query::Idempotent(key) => Loaded::Idempotent(tables.idempotency.get(key).map(|stored| stored.answer)),
            Query::Expiring { after, until, limit } => tables.expiring(*after, *until, *limit),
        }
    }

    /// Reads what an engine starts from.
    pub fn snapshot(&self) -> Snapshot {
        let tables = &self.current;
        Snapshot {
            boot: tables.boot,
            incarnation: tables.incarnation,
            checkpoint: (tables.age, tables.wall),
            account: tables.account.clone(),
            own_card: tables.own_card.clone(),
            cards: tables.cards.iter().map(|(peer, card)| (*peer, card.clone())).collect(),
            sessions: tables.sessions.values().cloned().collect(),
            out_flows: tables.out_flows.values().map(|flow| (**flow).clone()).collect(),
            out_parcels: tables
                .out_parcels
                .values()
                .map(|parcel| OutParcel { inner: Bytes::new(), ..(**parcel).clone() })
                .collect(),
            last_out_parcel: tables.last_parcel,
            in_flows: tables.in_flows.values().map(|flow| (**flow).clone()).collect(),
            pended: tables.pended.values().map(|pended| Pended { encoded: Bytes::new(), ..pended.clone() }).collect(),
            routes: tables.untold_routes(),
            stream_tails: tables
                .out_streams
                .iter()
                .map(|((peer, stream, flow), seq)| (*peer, stream.clone(), MessageId { flow: *flow, seq: *seq }))
                .collect(),
            out_multipart: tables.out_multipart.iter().map(|((flow, first), n)| (*flow, *first, *n)).collect(),
            idempotency: tables.keys_by_row(),
            contacts: tables.contacts.values().cloned().collect(),
            invites: tables.invites.values().copied().collect(),
            book: tables.book.iter().map(|(peer, known)| (*peer, known.clone())).collect(),
            next_deadline: tables.by_deadline.keys().next().map(|place| place.deadline),
            outbox_bytes: tables.outbox_bytes(),
        }
    }
}

impl Tables {
    fn out_messages(&self, flow: FlowId, from: Seq, max_bytes: usize) -> Loaded {
        let begins =
            self.out_batches.range((flow, 0)..=(flow, from)).next_back().map_or(from, |((_, first), _)| *first);
        let (mut messages, mut bytes) = (Vec::new(), 0);
        for (_, stored) in self.out_batches.range((flow, begins)..=(flow, Seq::MAX)) {
            for message in stored.batch.messages.iter().filter(|message| message.seq >= from) {
                if bytes >= max_bytes && !messages.is_empty() {
                    return Loaded::OutMessages { messages, end: false };
                }
                bytes += message.encoded.len();
                messages.push(message.clone());
            }
        }
        Loaded::OutMessages { messages, end: true }
    }

    fn expiring(&self, after: ExpiryPlace, until: Age, limit: usize) -> Loaded {
        use std::ops::Bound::{Excluded, Unbounded};
        let (mut batches, mut place) = (Vec::new(), after);
        let due = self.by_deadline.range((Excluded(after), Unbounded)).filter(|(at, _)| at.deadline <= until);
        for (at, (flow, first)) in due.take(limit) {
            let count = self.out_batches.get(&(*flow, *first)).map_or(0, |stored| stored.end(*first) - first);
            batches.push((*flow, *first, count));
            place = *at;
        }
        let next = self.by_deadline.range((Excluded(place), Unbounded)).next().map(|(at, _)| at.deadline);
        Loaded::Expiring { batches, after: place, next }
    }

    fn untold_routes(&self) -> Vec<(PeerKey, FlowId, RecordedRoute)> {
        let received = |stored: &&StoredRoute| self.in_flows.contains_key(&(stored.flow, stored.peer));
        let received: Vec<_> = self.routes.iter().filter(received).collect();
        let newest = &received[received.len().saturating_sub(MAX_UNTOLD)..];
        newest.iter().map(|stored| (stored.peer, stored.flow, stored.route.clone())).collect()
    }

    fn keys_by_row(&self) -> Vec<[u8; 16]> {
        let mut keys: Vec<_> = self.idempotency.iter().map(|(key, stored)| (stored.row, *key)).collect();
        keys.sort_unstable();
        keys.into_iter().map(|(_, key)| key).collect()
    }

    /// What waits by class: whole batches, done messages of unfinished ones included.
    fn outbox_bytes(&self) -> [u64; 5] {
        let mut bytes = [0; 5];
        for ((flow, first), stored) in &self.out_batches {
            let Some(record) = self.out_flows.get(flow) else { continue };
            if stored.end(*first) > record.floor {
                bytes[record.class.index()] += stored.bytes() + 64 * stored.batch.messages.len() as u64;
            }
        }
        bytes
    }
}
