//! Applies records.

use super::{InboxRow, ModelError, StoredAnswer, StoredBatch, StoredChange, StoredRoute, Tables};
use crate::ids::{At, FlowId, MessageId, Seq};
use crate::interval::IntervalSet;
use crate::message::{Change, IDEMPOTENCY_RETENTION, MAX_IDEMPOTENCY_KEYS};
use crate::record::{ExpiryPlace, FirstAnswer, InboxBatch, MAX_ROUTES, OutBatch, Record};
use crate::time::Age;
use crate::wire::{decode_content, encode_content};
use tidings_crypto::PeerKey;

/// The most events and timeline steps kept.
const MAX_EVENTS: usize = 100_000;

impl Tables {
    /// Applies one batch.
    pub(super) fn apply(&mut self, records: &[Record]) -> Result<(), ModelError> {
        // What a batch stores is dated by its own checkpoint, which stands last.
        for record in records {
            if let Record::Checkpoint { age, wall } = record {
                (self.age, self.wall) = (*age, *wall);
            }
        }
        records.iter().try_for_each(|record| self.apply_one(record))
    }

    fn apply_one(&mut self, record: &Record) -> Result<(), ModelError> {
        match record {
            Record::OutFlow(_)
            | Record::OutFlowDropped { .. }
            | Record::Accepted(_)
            | Record::ParcelSealed(_)
            | Record::ParcelDone { .. }
            | Record::Ended { .. }
            | Record::Changed { .. }
            | Record::Timeline { .. }
            | Record::Route { .. } => self.apply_out(record),
            Record::InFlow(_)
            | Record::InFlowDropped { .. }
            | Record::Inbox(_)
            | Record::Pended(_)
            | Record::Released { .. }
            | Record::PendedDropped { .. }
            | Record::Consumed { .. } => self.apply_in(record),
            Record::Booted { .. }
            | Record::Checkpoint { .. }
            | Record::Account(_)
            | Record::OwnCard { .. }
            | Record::Card { .. }
            | Record::CardForgotten { .. }
            | Record::Session(_)
            | Record::SessionDropped { .. }
            | Record::Contact(_)
            | Record::ContactRemoved { .. }
            | Record::Invite(_)
            | Record::InviteDone { .. }
            | Record::Prune
            | Record::Book { .. } => {
                self.apply_node(record);
                Ok(())
            }
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the caller has sorted the records")]
    fn apply_node(&mut self, record: &Record) {
        match record {
            Record::Booted { boot } => self.boot = *boot,
            Record::Account(account) => self.account = account.clone(),
            Record::OwnCard { seq, card } => self.own_card = Some((*seq, card.clone())),
            Record::Card { peer, card } => drop(self.cards.insert(*peer, card.clone())),
            Record::CardForgotten { peer } => drop(self.cards.remove(peer)),
            Record::Session(session) => drop(self.sessions.insert(session.session, session.clone())),
            Record::SessionDropped { session } => drop(self.sessions.remove(session)),
            Record::Contact(contact) => drop(self.contacts.insert(contact.peer, contact.clone())),
            Record::ContactRemoved { peer } => drop(self.contacts.remove(peer)),
            Record::Invite(invite) => drop(self.invites.insert(invite.secret, *invite)),
            Record::InviteDone { secret } => drop(self.invites.remove(secret)),
            Record::Prune => self.prune(),
            Record::Book { peer, addresses } if addresses.is_empty() => drop(self.book.remove(peer)),
            Record::Book { peer, addresses } => drop(self.book.insert(*peer, addresses.clone())),
            _ => {}
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the caller has sorted the records")]
    fn apply_out(&mut self, record: &Record) -> Result<(), ModelError> {
        match record {
            Record::OutFlow(flow) => drop(self.out_flows.insert(flow.flow, Box::new(flow.clone()))),
            Record::OutFlowDropped { flow } => self.drop_out_flow(*flow),
            Record::Accepted(batch) => self.accepted(batch)?,
            Record::ParcelSealed(parcel) => {
                self.last_parcel = self.last_parcel.max(parcel.parcel.0);
                self.out_parcels.insert(parcel.parcel, Box::new(parcel.clone()));
            }
            Record::ParcelDone { parcel } => drop(self.out_parcels.remove(parcel)),
            Record::Ended { flow, seqs, ending, .. } => {
                for (from, to) in seqs.iter() {
                    self.ended.insert((*flow, from), (to, *ending));
                }
            }
            Record::Changed { at, flow, peer, seqs, change, wall } => {
                if *change == Change::Delivered {
                    self.correct_ended(*flow, seqs);
                }
                let stored = StoredChange {
                    at: *at,
                    flow: *flow,
                    peer: *peer,
                    seqs: seqs.clone(),
                    change: *change,
                    wall: *wall,
                };
                self.changed.insert(*at, stored);
            }
            Record::Timeline { flow, seqs, step, wall } => {
                let row = self.row();
                self.timeline.insert(row, (*flow, seqs.clone(), *step, *wall));
            }
            Record::Route { peer, flow, route, .. } => {
                self.routes.push_back(StoredRoute { peer: *peer, flow: *flow, route: route.clone() });
                while self.routes.len() > MAX_ROUTES {
                    self.routes.pop_front();
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn row(&mut self) -> u64 {
        self.next_row += 1;
        self.next_row
    }

    fn drop_out_flow(&mut self, flow: FlowId) {
        self.out_flows.remove(&flow);
        self.out_batches.retain(|(of, _), _| *of != flow);
        self.by_deadline.retain(|_, (of, _)| *of != flow);
        self.out_multipart.retain(|(of, _), _| *of != flow);
        self.out_retry.retain(|(of, _), _| *of != flow);
        self.out_streams.retain(|(.., of), _| *of != flow);
        self.out_parcels.retain(|_, parcel| parcel.flow != flow);
        self.ended.retain(|(of, _), _| *of != flow);
        self.timeline.retain(|_, (of, ..)| *of != flow);
        self.routes.retain(|stored| stored.flow != flow);
    }

    fn accepted(&mut self, batch: &OutBatch) -> Result<(), ModelError> {
        let Some(first) = batch.messages.first().map(|message| message.seq) else { return Ok(()) };
        let flow = batch.flow;
        if !self.out_flows.contains_key(&flow) {
            return Err(ModelError::NoFlow(flow));
        }
        let row = self.row();
        self.by_deadline.insert(ExpiryPlace { deadline: batch.deadline, row }, (flow, first));
        let stored = StoredBatch { age: self.age, batch: batch.clone() };
        self.out_batches.insert((flow, first), Box::new(stored));
        self.out_multipart.extend(batch.multipart.iter().map(|(seq, parts)| ((flow, *seq), *parts)));
        self.out_retry.extend(batch.retry_of.iter().map(|(seq, old)| ((flow, *seq), *old)));
        for (stream, seq) in &batch.stream_tails {
            self.out_streams.insert((batch.peer, stream.clone(), flow), *seq);
        }
        for (named, seq) in &batch.idempotency {
            let id = MessageId { flow, seq: *seq };
            let answer = FirstAnswer { body: named.body, id, accepted_at: batch.accepted_at };
            let row = self.row();
            self.idempotency.insert(named.key, StoredAnswer { row, age: self.age, answer });
        }
        Ok(())
    }

    /// What ended here and was delivered all the same has not ended.
    fn correct_ended(&mut self, flow: FlowId, seqs: &IntervalSet) {
        let of_flow: Vec<_> =
            self.ended.range((flow, 0)..=(flow, Seq::MAX)).map(|((_, first), ended)| (*first, *ended)).collect();
        for (first, (last, ending)) in of_flow {
            let mut rest = IntervalSet::of(first, last);
            rest.subtract(seqs);
            self.ended.remove(&(flow, first));
            self.ended.extend(rest.iter().map(|(from, to)| ((flow, from), (to, ending))));
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the caller has sorted the records")]
    fn apply_in(&mut self, record: &Record) -> Result<(), ModelError> {
        match record {
            Record::InFlow(flow) => drop(self.in_flows.insert((flow.flow, flow.sender), Box::new(flow.clone()))),
            Record::InFlowDropped { sender, flow } => {
                self.in_flows.remove(&(*flow, *sender));
                self.routes.retain(|stored| (stored.flow, stored.peer) != (*flow, *sender));
            }
            Record::Inbox(batch) => self.show(batch, 1)?,
            Record::Pended(pended) => {
                self.pended.insert((pended.flow, pended.sender, pended.seq), pended.clone());
            }
            Record::Released { at, sender, flow, first, parts } => {
                self.released(*at, sender, *flow, *first, *parts)?;
            }
            Record::PendedDropped { sender, flow, seqs } => {
                self.pended.retain(|(of, from, seq), _| (of, from) != (flow, sender) || !seqs.contains(*seq));
            }
            Record::Consumed { sender, flow, seqs } => self.consumed(sender, *flow, seqs),
            _ => {}
        }
        Ok(())
    }

    fn show(&mut self, batch: &InboxBatch, parts: u32) -> Result<(), ModelError> {
        let mut seqs: IntervalSet = batch.messages.iter().map(|(seq, _)| *seq).collect();
        if parts > 1
            && let Some(first) = seqs.first()
        {
            seqs = IntervalSet::of(first, first + u64::from(parts) - 1);
        }
        let rows = self.inbox.values().filter(|row| row.batch.sender == batch.sender && row.batch.flow == batch.flow);
        for row in rows {
            if let Some(seq) = row.seqs.intersection(&seqs).first() {
                return Err(ModelError::ShownTwice(MessageId { flow: batch.flow, seq }));
            }
        }
        let row = InboxRow { batch: batch.clone(), seqs, consumed: IntervalSet::new() };
        self.inbox.insert(batch.at, Box::new(row));
        Ok(())
    }

    /// Moves a message from the pended to the inbox, its payloads joined.
    fn released(&mut self, at: At, sender: &PeerKey, flow: FlowId, first: Seq, parts: u32) -> Result<(), ModelError> {
        let last = first + u64::from(parts) - 1;
        let keys: Vec<_> =
            self.pended.range((flow, *sender, first)..=(flow, *sender, last)).map(|(key, _)| *key).collect();
        let pended: Vec<_> = keys.iter().filter_map(|key| self.pended.remove(key)).collect();
        let (Some(head), Some(tail)) = (pended.first(), pended.last()) else {
            return Err(ModelError::Released { flow, first, parts, got: 0 });
        };
        if pended.len() != parts as usize {
            return Err(ModelError::Released { flow, first, parts, got: pended.len() });
        }
        let mut content = decode_content(head.encoded.clone()).map_err(|_| ModelError::Unreadable)?;
        let mut payload = Vec::new();
        for part in &pended {
            let part = decode_content(part.encoded.clone()).map_err(|_| ModelError::Unreadable)?;
            payload.extend_from_slice(&part.payload);
        }
        content.payload = payload.into();
        content.part = None;
        let batch = InboxBatch {
            at,
            sender: *sender,
            flow,
            class: head.class,
            messages: vec![(first, encode_content(&content))],
            received_at: tail.received_at,
            hops: tail.hops,
            path: head.path.clone(),
        };
        self.show(&batch, parts)
    }

    /// Takes consumed messages out of the inbox: whole rows where all of a row is, else as exceptions.
    fn consumed(&mut self, sender: &PeerKey, flow: FlowId, seqs: &IntervalSet) {
        self.inbox.retain(|_, row| {
            if row.batch.sender == *sender && row.batch.flow == flow {
                row.consumed.union_with(&seqs.intersection(&row.seqs));
            }
            !row.consumed.covers(&row.seqs)
        });
    }

    /// Forgets what is done and older than its retention.
    fn prune(&mut self) {
        let kept = |age: Age, now: Age| age.until(now) <= IDEMPOTENCY_RETENTION;
        let now = self.age;
        let floors = &self.out_flows;
        self.out_batches.retain(|(flow, first), stored| {
            let done = floors.get(flow).is_some_and(|flow| stored.end(*first) <= flow.floor);
            kept(stored.age, now) || !done
        });
        let batches = &self.out_batches;
        self.by_deadline.retain(|_, place| batches.contains_key(place));
        let lowest = |flow: FlowId| {
            let oldest = batches.range((flow, 0)..=(flow, Seq::MAX)).next().map(|((_, first), _)| *first);
            oldest.or_else(|| floors.get(&flow).map(|flow| flow.floor)).unwrap_or(0)
        };
        self.out_multipart.retain(|(flow, first), _| *first >= lowest(*flow));
        self.out_retry.retain(|(flow, seq), _| *seq >= lowest(*flow));
        self.ended.retain(|(flow, _), (last, _)| *last >= lowest(*flow));
        let newest = self.idempotency.values().map(|stored| stored.row).max().unwrap_or(0);
        self.idempotency.retain(|_, stored| kept(stored.age, now) && stored.row + MAX_IDEMPOTENCY_KEYS as u64 > newest);
        while self.changed.len() > MAX_EVENTS {
            self.changed.pop_first();
        }
        while self.timeline.len() > MAX_EVENTS {
            self.timeline.pop_first();
        }
    }
}
