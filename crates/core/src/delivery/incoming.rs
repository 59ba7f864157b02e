//! The recipient's flows: what is here, what is shown, what the application has consumed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use tidings_crypto::PeerKey;

use super::pending::{MAX_PENDED, Pending};
use super::routes::Untold;
use super::{Arrived, Effect, Moment, State};
use crate::ids::{CommandId, FlowId, MessageId, Seq};
use crate::interval::IntervalSet;
use crate::message::OWN_KINDS;
use crate::record::{InFlow, InboxBatch, Pended, Record, Snapshot};
use crate::trust::Evidence;
use crate::wire::{
    Content, FlowStatement, MAX_FLOW_INTERVALS, MAX_PARCEL_SPAN, MessageContent, Receipt, RecordedRoute, decode_content,
};

/// The most flows of one sender: five classes, each with a dozen predecessors from before its restores.
const MAX_FLOWS_PER_SENDER: usize = 64;
/// The most flows of all senders.
const MAX_FLOWS: usize = 65_536;
/// A flow that is done is forgotten after so long: the longest lifetime of a parcel.
const FLOW_RETENTION: Duration = Duration::from_hours(14 * 24);
/// The most intervals of unacknowledged messages in a receipt; what lies above waits for the next.
const MAX_UNACKNOWLEDGED: usize = 512;

/// What to do with a parcel before its ratchet step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Precheck {
    /// Open it.
    Open,
    /// All of it is here: the flow's receipt answers it.
    Held,
    /// A bound is reached.
    Busy,
}

/// Flows from senders.
#[derive(Debug)]
pub(super) struct Incoming {
    flows: BTreeMap<(FlowId, PeerKey), InFlow>,
    per_sender: BTreeMap<PeerKey, usize>,
    pending: BTreeMap<PeerKey, Pending>,
    changed: BTreeSet<(FlowId, PeerKey)>,
    /// Flows whose receipt is due.
    due: BTreeSet<(PeerKey, FlowId)>,
    /// What receipts tell of the way on which messages came.
    untold: Untold,
}

impl Incoming {
    pub(super) fn restore(snapshot: &Snapshot) -> Self {
        let mut incoming = Self {
            flows: snapshot.in_flows.iter().map(|flow| ((flow.flow, flow.sender), flow.clone())).collect(),
            per_sender: BTreeMap::new(),
            pending: BTreeMap::new(),
            changed: BTreeSet::new(),
            due: BTreeSet::new(),
            untold: Untold::restore(snapshot),
        };
        for (_, sender) in incoming.flows.keys() {
            *incoming.per_sender.entry(*sender).or_default() += 1;
        }
        for pended in &snapshot.pended {
            incoming.pending.entry(pended.sender).or_default().add(pended);
        }
        incoming
    }

    pub(super) fn take_changed(&mut self) -> Vec<Record> {
        if self.changed.is_empty() {
            return Vec::new();
        }
        let changed = std::mem::take(&mut self.changed);
        changed.iter().filter_map(|key| self.flows.get(key)).map(|flow| Record::InFlow(flow.clone())).collect()
    }

    /// Messages that are shown and not consumed.
    pub(super) fn unacknowledged(&self) -> u64 {
        let of_flow = |flow: &InFlow| {
            let further_parts: u64 = flow.multipart.iter().map(|(_, parts)| u64::from(parts - 1)).sum();
            flow.unacknowledged.count().saturating_sub(flow.pended.count() + further_parts)
        };
        self.flows.values().map(of_flow).sum()
    }

    /// A flow whose sender states this floor.
    fn flow_at(&mut self, flow: FlowId, sender: PeerKey, floor: Seq, now: Moment) -> &mut InFlow {
        let is_new = !self.flows.contains_key(&(flow, sender));
        let flow = self.flow(flow, sender, now);
        if is_new {
            flow.since = floor;
        }
        raise_floor(flow, floor);
        flow
    }

    fn flow(&mut self, flow: FlowId, sender: PeerKey, now: Moment) -> &mut InFlow {
        self.changed.insert((flow, sender));
        self.flows.entry((flow, sender)).or_insert_with(|| {
            *self.per_sender.entry(sender).or_default() += 1;
            InFlow {
                flow,
                sender,
                since: 0,
                floor: 0,
                delivered: IntervalSet::new(),
                void: IntervalSet::new(),
                unacknowledged: IntervalSet::new(),
                pended: IntervalSet::new(),
                multipart: Vec::new(),
                touched: now.age,
            }
        })
    }

    fn has_room_for_flow(&self, flow: FlowId, sender: PeerKey) -> bool {
        self.flows.contains_key(&(flow, sender))
            || (self.flows.len() < MAX_FLOWS
                && self.per_sender.get(&sender).is_none_or(|flows| *flows < MAX_FLOWS_PER_SENDER))
    }

    /// Whether what follows a message in its stream has to wait: for itself, or, where it is void, for what it may
    /// have followed. That is not known any more; everything earlier in its flow counts.
    fn blocks(&self, sender: PeerKey, id: MessageId) -> bool {
        let Some(flow) = self.flows.get(&(id.flow, sender)) else { return true };
        if flow.delivered.contains(id.seq) && !flow.pended.contains(id.seq) {
            return false;
        }
        let mut done = flow.delivered.clone();
        done.union_with(&flow.void);
        done.first_missing(flow.floor) <= id.seq || flow.pended.first().is_some_and(|first| first <= id.seq)
    }

    pub(super) fn receipt(&self, sender: PeerKey, flow: FlowId, incarnation: u64) -> Option<Receipt> {
        let flow = self.flows.get(&(flow, sender))?;
        let mut unacknowledged = flow.unacknowledged.clone();
        let mut to = flow.delivered.last().max(flow.unacknowledged.last()).max(flow.floor.checked_sub(1));
        if unacknowledged.intervals() > MAX_UNACKNOWLEDGED {
            let cut = unacknowledged.iter().nth(MAX_UNACKNOWLEDGED).map_or(0, |(from, _)| from);
            to = cut.checked_sub(1);
            unacknowledged.remove(cut, Seq::MAX);
        }
        Some(Receipt {
            flow: flow.flow,
            incarnation,
            floor: flow.floor,
            delivered: flow.delivered.clone(),
            void: flow.void.clone(),
            acknowledged_range: to.filter(|to| *to >= flow.since).map(|to| (flow.since, to)),
            unacknowledged,
            recorded: self.untold.of((flow.flow, sender), flow.floor),
        })
    }
}

/// Raises a flow's floor: what lies below is done at the sender.
fn raise_floor(flow: &mut InFlow, floor: Seq) {
    if floor > flow.floor {
        flow.floor = floor;
        flow.delivered.remove_below(floor);
        flow.void.remove_below(floor);
    }
}

impl State {
    /// Decides what a parcel's clear header deserves, without believing it.
    pub(crate) fn precheck(&self, sender: PeerKey, content: &Content) -> Precheck {
        if self.disk_full || !self.incoming.has_room_for_flow(content.flow, sender) {
            return Precheck::Busy;
        }
        let Some(flow) = self.incoming.flows.get(&(content.flow, sender)) else { return Precheck::Open };
        let mut missing = content.seqs.difference(&flow.delivered);
        missing.subtract(&flow.void);
        missing.remove_below(flow.floor);
        if missing.is_empty() {
            return Precheck::Held;
        }
        // What lies close above the lowest missing seq is always taken, else nothing would ever merge.
        let mut known = flow.delivered.clone();
        known.union_with(&flow.void);
        let lowest = known.first_missing(flow.floor.max(content.floor));
        let near = missing.last().is_some_and(|last| last < lowest.saturating_add(MAX_PARCEL_SPAN));
        known.union_with(&missing);
        let pended = self.incoming.pending.get(&sender).map_or(0, Pending::len);
        let full = known.intervals() > MAX_FLOW_INTERVALS || pended >= MAX_PENDED;
        if full && !near { Precheck::Busy } else { Precheck::Open }
    }

    /// A flow's receipt is due.
    pub(crate) fn owe_receipt(&mut self, sender: PeerKey, flow: FlowId) {
        self.incoming.due.insert((sender, flow));
    }

    /// The receipts that are due, for peers with a link; the others ask again when they retry.
    pub(crate) fn take_receipts(&mut self) -> Vec<(PeerKey, Receipt)> {
        if self.incoming.due.is_empty() {
            return Vec::new();
        }
        let due = std::mem::take(&mut self.incoming.due);
        due.into_iter()
            .filter(|(sender, _)| self.reachable.contains_key(sender))
            .filter_map(|(sender, flow)| Some((sender, self.incoming.receipt(sender, flow, self.incarnation)?)))
            .collect()
    }

    /// Where a flow stands here.
    pub(crate) fn receipt_of(&self, sender: PeerKey, flow: FlowId) -> Option<Receipt> {
        self.incoming.receipt(sender, flow, self.incarnation)
    }

    pub(super) fn on_query(&mut self, peer: PeerKey, flows: &[FlowId]) {
        for flow in flows.iter().filter(|flow| self.incoming.flows.contains_key(&(**flow, peer))) {
            self.incoming.due.insert((peer, *flow));
        }
    }

    pub(super) fn on_arrived(&mut self, now: Moment, mut arrived: Arrived) {
        let (sender, id) = (arrived.sender, arrived.content.flow);
        let known = self.incoming.flows.get(&(id, sender));
        let is_new = |seq: &Seq| {
            known.is_none_or(|flow| *seq >= flow.floor && !flow.delivered.contains(*seq) && !flow.void.contains(*seq))
        };
        let mut news = Vec::new();
        for (seq, encoded) in arrived.content.seqs.seqs().zip(&arrived.messages) {
            if !is_new(&seq) {
                self.stats.duplicates += 1;
                continue;
            }
            let Ok(content) = decode_content(encoded.clone()) else {
                self.effects.push_back(Effect::Evidence(sender, Evidence::MalformedParcel));
                return;
            };
            news.push((seq, content, encoded.clone()));
        }
        let flow = self.incoming.flow_at(id, sender, arrived.content.floor, now);
        flow.touched = now.age;
        let floor = flow.floor;
        self.incoming.untold.forget_below((id, sender), floor);
        self.drop_incomplete(sender, id);
        self.note_route(now, &mut arrived, &news);
        let shown = news.into_iter().filter_map(|message| self.take_message(now, &arrived, message)).collect();
        self.show(now, &arrived, shown);
        self.release(sender);
        self.incoming.due.insert((sender, id));
    }

    /// Keeps the way of the messages that ask for it; that of a parcel without any is nobody's concern.
    fn note_route(&mut self, now: Moment, arrived: &mut Arrived, news: &[(Seq, MessageContent, Bytes)]) {
        let (peer, flow, hops) = (arrived.sender, arrived.content.flow, arrived.hops);
        let asking = |content: &MessageContent| content.record_route && !content.kind.starts_with(OWN_KINDS);
        let seqs: IntervalSet = news.iter().filter(|(_, content, _)| asking(content)).map(|(seq, ..)| *seq).collect();
        arrived.path = arrived.path.take().filter(|_| !seqs.is_empty());
        if let Some(path) = arrived.path.clone() {
            let route = RecordedRoute { seqs, hops, path };
            self.incoming.untold.add((flow, peer), route.clone());
            self.record(Record::Route { peer, flow, route, wall: now.wall });
        }
    }

    /// Takes a new message. Returns it if it is shown at once.
    fn take_message(
        &mut self,
        now: Moment,
        arrived: &Arrived,
        (seq, content, encoded): (Seq, MessageContent, Bytes),
    ) -> Option<(Seq, Bytes)> {
        let (sender, id) = (arrived.sender, arrived.content.flow);
        let blocked = content.predecessors.iter().any(|before| self.incoming.blocks(sender, *before));
        let own = content.kind.starts_with(OWN_KINDS);
        let flow = self.incoming.flow(id, sender, now);
        if seq < flow.floor {
            return None;
        }
        flow.delivered.insert(seq, seq);
        if own {
            self.effects.push_back(Effect::Own { sender, kind: content.kind, payload: content.payload });
            return None;
        }
        self.stats.received += u64::from(content.part.is_none_or(|part| part.index == 0));
        flow.unacknowledged.insert(seq, seq);
        if content.part.is_none() && !blocked {
            return Some((seq, encoded));
        }
        flow.pended.insert(seq, seq);
        let pended = Pended {
            sender,
            flow: id,
            seq,
            class: arrived.class,
            encoded,
            received_at: now.wall,
            hops: arrived.hops,
            path: arrived.path.clone().filter(|_| content.record_route),
            predecessors: content.predecessors,
            part: content.part.map(|part| (part.index, part.count)),
        };
        if self.incoming.pending.entry(sender).or_default().add(&pended) {
            self.record(Record::Pended(pended));
        } else {
            // Parts that contradict one another never become a message: the sender broke the protocol.
            self.effects.push_back(Effect::Evidence(sender, Evidence::MalformedParcel));
            let flow = self.incoming.flow(id, sender, now);
            flow.unacknowledged.remove(seq, seq);
            flow.pended.remove(seq, seq);
        }
        None
    }

    fn show(&mut self, now: Moment, arrived: &Arrived, messages: Vec<(Seq, Bytes)>) {
        if messages.is_empty() {
            return;
        }
        let batch = InboxBatch {
            at: self.places(messages.len() as u64),
            sender: arrived.sender,
            flow: arrived.content.flow,
            class: arrived.class,
            messages,
            received_at: now.wall,
            hops: arrived.hops,
            path: arrived.path.clone(),
        };
        self.record(Record::Inbox(batch.clone()));
        self.effects.push_back(Effect::Received(batch));
    }

    /// Shows what is whole and blocked no more; each may unblock others.
    fn release(&mut self, sender: PeerKey) {
        loop {
            let Some(mut pending) = self.incoming.pending.remove(&sender) else { return };
            let released = pending.release(|before| self.incoming.blocks(sender, before));
            if pending.len() > 0 {
                self.incoming.pending.insert(sender, pending);
            }
            let Some((id, first, parts)) = released else { return };
            if let Some(flow) = self.incoming.flows.get_mut(&(id, sender)) {
                flow.pended.remove(first, first + u64::from(parts) - 1);
                if parts > 1 {
                    flow.multipart.push((first, parts));
                }
            }
            self.incoming.changed.insert((id, sender));
            let at = self.places(1);
            self.record(Record::Released { at, sender, flow: id, first, parts });
            self.effects.push_back(Effect::Released(at));
        }
    }

    /// Drops the parts of messages that ended at the sender before they were whole.
    fn drop_incomplete(&mut self, sender: PeerKey, id: FlowId) {
        let Some(pending) = self.incoming.pending.get_mut(&sender) else { return };
        let Some(flow) = self.incoming.flows.get_mut(&(id, sender)) else { return };
        let ended = |first: Seq, last: Seq| {
            first < flow.floor || !flow.void.intersection(&IntervalSet::of(first, last)).is_empty()
        };
        let dropped = pending.drop_ended(id, ended);
        for (all, here) in dropped {
            for set in [&mut flow.delivered, &mut flow.unacknowledged, &mut flow.pended] {
                set.subtract(&here);
            }
            flow.void.union_with(&all);
            flow.void.remove_below(flow.floor);
            self.effects.push_back(Effect::Record(Record::PendedDropped { sender, flow: id, seqs: here }));
        }
    }

    pub(super) fn on_flow_state(&mut self, now: Moment, peer: PeerKey, statement: &FlowStatement) {
        if !self.incoming.has_room_for_flow(statement.flow, peer) {
            return;
        }
        let flow = self.incoming.flow_at(statement.flow, peer, statement.floor, now);
        let mut voids = statement.voids.clone();
        voids.remove_below(flow.floor);
        // What is whole here is delivered, whatever the sender gave up; parts that wait are not whole.
        voids.subtract(&flow.delivered.difference(&flow.pended));
        flow.void.union_with(&voids);
        self.drop_incomplete(peer, statement.flow);
        if let Some(flow) = self.incoming.flows.get_mut(&(statement.flow, peer)) {
            let whole = flow.delivered.clone();
            flow.void.subtract(&whole);
        }
        self.release(peer);
        self.incoming.due.insert((peer, statement.flow));
    }

    pub(super) fn on_consume(&mut self, now: Moment, command: CommandId, ids: &[MessageId]) {
        let mut unknown = Vec::new();
        let mut consumed: BTreeMap<(FlowId, PeerKey), IntervalSet> = BTreeMap::new();
        let lowest = PeerKey::from_bytes([0; 32]);
        let highest = PeerKey::from_bytes([255; 32]);
        for id in ids {
            let holders = self.incoming.flows.range_mut((id.flow, lowest)..=(id.flow, highest));
            let holder = holders
                .map(|(_, flow)| flow)
                .find(|flow| flow.unacknowledged.contains(id.seq) && !flow.pended.contains(id.seq));
            let Some(flow) = holder else {
                unknown.push(*id);
                continue;
            };
            let parts = flow.multipart.iter().find(|(first, _)| *first == id.seq).map_or(1, |(_, parts)| *parts);
            let last = id.seq + u64::from(parts) - 1;
            flow.unacknowledged.remove(id.seq, last);
            flow.multipart.retain(|(first, _)| *first != id.seq);
            consumed.entry((flow.flow, flow.sender)).or_default().insert(id.seq, last);
        }
        for ((flow, sender), seqs) in consumed {
            self.incoming.flow(flow, sender, now);
            self.incoming.due.insert((sender, flow));
            self.record(Record::Consumed { sender, flow, seqs });
        }
        self.effects.push_back(Effect::Consumed(command, unknown));
    }

    /// Forgets flows whose sender is done with them and which nothing has reached for 14 days.
    pub(crate) fn forget_old_flows(&mut self, now: Moment) {
        let old: Vec<_> = self
            .incoming
            .flows
            .values()
            .filter(|flow| flow.touched.until(now.age) >= FLOW_RETENTION)
            .filter(|flow| flow.delivered.is_empty() && flow.void.is_empty() && flow.unacknowledged.is_empty())
            .map(|flow| (flow.flow, flow.sender))
            .collect();
        for (flow, sender) in old {
            self.incoming.flows.remove(&(flow, sender));
            self.incoming.untold.forget_below((flow, sender), Seq::MAX);
            self.incoming.changed.remove(&(flow, sender));
            if let Some(count) = self.incoming.per_sender.get_mut(&sender) {
                *count -= 1;
            }
            self.record(Record::InFlowDropped { sender, flow });
        }
    }
}
