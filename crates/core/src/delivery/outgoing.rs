//! The sender's flows: which messages wait, which are done, and what their recipients are told.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use tidings_crypto::PeerKey;

use super::parcels::{Parcels, Settled};
use super::reminders::Reminders;
use super::submit::numbered;
use super::{Effect, Moment, State};
use crate::class::Class;
use crate::ids::{FlowId, LoadId, MessageId, OutParcelNo, Seq};
use crate::interval::IntervalSet;
use crate::message::{Change, DEFAULT_LIFETIME, Ending, FailureCode, FlowName, OutMessage};
use crate::record::{ExpiryPlace, OutFlow, Query, Record, Snapshot};
use crate::time::{Age, Instant};
use crate::wire::{Control, FlowStatement, MAX_FLOW_INTERVALS, Receipt, RecordedRoute};

/// Bytes of accepted messages that are held in memory for one flow, beyond a first message.
const READY_BYTES: usize = 256 * 1024;
/// Batches of ended messages that are asked for at once.
const EXPIRY_PAGE: usize = 256;

/// A flow to a recipient in memory.
#[derive(Debug)]
pub(super) struct Flow {
    pub(super) record: OutFlow,
    /// In a parcel that has no receipt yet.
    pub(super) sealed: IntervalSet,
    /// Messages to be sealed next, rising; those that ended meanwhile are skipped when they are taken.
    pub(super) ready: VecDeque<OutMessage>,
    ready_bytes: usize,
    /// What lies below is sealed, done or ready.
    loaded_to: Seq,
    loading: Option<LoadId>,
    /// Messages of several parts that are not acknowledged: first part and how many.
    multipart: BTreeMap<Seq, u32>,
    /// Bytes of the messages that are not done.
    bytes: u64,
    /// When the first of `ready` became so.
    pub(super) ready_since: Instant,
}

/// All flows to recipients.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) flows: BTreeMap<FlowId, Flow>,
    by_peer: BTreeMap<(PeerKey, Class), FlowId>,
    /// To be stored with this call's batch.
    changed: BTreeSet<FlowId>,
    /// To be stored with any batch.
    touched: BTreeSet<FlowId>,
    /// Pages asked for: the flow, and the end of it when it was asked.
    loads: BTreeMap<LoadId, (FlowId, Seq)>,
    /// When to tell a peer again what ended.
    pub(super) ends: Reminders,
    /// When to ask a peer again what is consumed.
    pub(super) questions: Reminders,
}

/// The deadlines of the outbox: the earliest in memory, the rest asked for page by page.
#[derive(Debug)]
pub(super) struct Expiry {
    next: Option<Age>,
    after: ExpiryPlace,
    asked: bool,
    /// The earliest that was accepted since the question: the answer does not know it.
    meanwhile: Option<Age>,
}

impl Expiry {
    pub(super) fn new(next: Option<Age>) -> Self {
        Self { next, after: ExpiryPlace::default(), asked: false, meanwhile: None }
    }

    pub(super) fn due(&self) -> Option<Age> {
        if self.asked { None } else { self.next }
    }

    pub(super) fn at_latest(&mut self, deadline: Age) {
        let earliest = if self.asked { &mut self.meanwhile } else { &mut self.next };
        *earliest = Some(earliest.map_or(deadline, |next| next.min(deadline)));
    }

    fn answered(&mut self, after: ExpiryPlace, next: Option<Age>) {
        self.asked = false;
        self.after = after;
        self.next = [next, self.meanwhile.take()].into_iter().flatten().min();
    }
}

impl Flow {
    fn new(record: OutFlow) -> Self {
        Self {
            sealed: IntervalSet::new(),
            ready: VecDeque::new(),
            ready_bytes: 0,
            loaded_to: record.floor,
            loading: None,
            multipart: BTreeMap::new(),
            bytes: 0,
            ready_since: Instant(0),
            record,
        }
    }

    /// Whether a seq needs nothing more: delivered, void, or below the floor.
    pub(super) fn is_done(&self, seq: Seq) -> bool {
        seq < self.record.floor || self.record.delivered.contains(seq) || self.record.void.contains(seq)
    }

    /// Whether a seq is to be sealed.
    pub(super) fn is_unsealed(&self, seq: Seq) -> bool {
        !self.is_done(seq) && !self.sealed.contains(seq) && !self.record.partial.contains(seq)
    }

    /// Of these seqs, those that still have to reach the recipient.
    pub(super) fn outstanding(&self, seqs: &IntervalSet) -> IntervalSet {
        let mut rest = seqs.difference(&self.record.delivered);
        rest.subtract(&self.record.void);
        rest.subtract(&self.record.partial);
        rest.remove_below(self.record.floor);
        rest
    }

    /// Whether its recipient is needed: something is not done, or the application there may not have consumed it.
    fn is_open(&self, age: Age) -> bool {
        self.undone() > 0 || self.is_asked_for(age)
    }

    /// Whether its recipient is asked what is consumed: something may not be, and there was news of late.
    pub(super) fn is_asked_for(&self, age: Age) -> bool {
        !self.record.unacknowledged.is_empty() && self.record.touched.until(age) < DEFAULT_LIFETIME
    }

    fn undone(&self) -> u64 {
        let record = &self.record;
        (record.next - record.floor).saturating_sub(record.delivered.count() + record.void.count())
    }

    /// All parts of the message that a seq belongs to.
    fn whole(&self, seq: Seq) -> (Seq, Seq) {
        match self.multipart.range(..=seq).next_back() {
            Some((first, parts)) if seq - first < u64::from(*parts) => (*first, first + u64::from(*parts) - 1),
            _ => (seq, seq),
        }
    }

    /// The messages that seqs belong to, by their first parts.
    fn by_first_part(&self, seqs: &IntervalSet) -> IntervalSet {
        if self.multipart.is_empty() {
            return seqs.clone();
        }
        let mut firsts = seqs.clone();
        for (first, parts) in &self.multipart {
            firsts.remove(first + 1, first + u64::from(*parts) - 1);
        }
        firsts
    }

    /// Takes seqs that the recipient has. Returns those whose message is whole there now.
    fn deliver(&mut self, mut seqs: IntervalSet) -> IntervalSet {
        let parts: Vec<_> = self.multipart.iter().map(|(first, parts)| (*first, u64::from(*parts))).collect();
        for (first, parts) in parts {
            let message = IntervalSet::of(first, first + parts - 1);
            let arrived = seqs.intersection(&message);
            if arrived.is_empty() {
                continue;
            }
            self.record.partial.union_with(&arrived);
            if self.record.partial.covers(&message) {
                self.record.partial.subtract(&message);
                seqs.union_with(&message);
            } else {
                seqs.subtract(&message);
            }
        }
        self.record.delivered.union_with(&seqs);
        self.record.unacknowledged.union_with(&seqs);
        seqs
    }

    /// What had ended here and is whole at the recipient all the same: it has not ended.
    fn take_late(&mut self, receipt: &Receipt) -> IntervalSet {
        let held = held_by(receipt);
        let mut late = held.intersection(&self.record.untold);
        for (first, parts) in &self.multipart {
            let message = IntervalSet::of(*first, first + u64::from(*parts) - 1);
            // Parts that arrived before word of the end do not make a message.
            if !held.covers(&message) {
                late.subtract(&message);
            }
        }
        self.record.untold.subtract(&late);
        self.record.void.subtract(&late);
        late
    }

    /// Parts that another database held are not in the one that answers now: they are sent again.
    fn forget_partial(&mut self) {
        let partial = std::mem::take(&mut self.record.partial);
        if let Some(first) = partial.first() {
            self.rewind(first);
        }
    }

    /// Raises the floor over everything that is done.
    fn raise_floor(&mut self) {
        let record = &mut self.record;
        let mut done = record.delivered.clone();
        done.union_with(&record.void);
        record.floor = done.first_missing(record.floor).min(record.next);
        for set in [&mut record.delivered, &mut record.void, &mut record.partial, &mut record.in_flight] {
            set.remove_below(record.floor);
        }
        self.sealed.remove_below(record.floor);
        let record = &self.record;
        self.multipart.retain(|first, parts| is_in_use(record, *first, *parts));
    }

    /// The bytes that so many of the undone messages take, on average.
    fn share(&mut self, before: u64, done: u64) -> u64 {
        let share = if before <= done { self.bytes } else { self.bytes / before.max(1) * done };
        self.bytes -= share.min(self.bytes);
        share
    }

    pub(super) fn take_ready(&mut self) -> Option<OutMessage> {
        let message = self.ready.pop_front()?;
        self.ready_bytes -= message.encoded.len();
        Some(message)
    }

    /// Takes back messages that could not be sealed.
    pub(super) fn put_back(&mut self, messages: Vec<OutMessage>) {
        for message in messages.into_iter().rev() {
            self.ready_bytes += message.encoded.len();
            self.ready.push_front(message);
        }
    }

    /// Reads again from a seq on: what was sealed there is to be sealed anew.
    fn rewind(&mut self, seq: Seq) {
        let lowest = self.ready.front().map_or(seq, |message| message.seq.min(seq));
        self.loaded_to = self.loaded_to.min(lowest);
        self.ready.clear();
        self.ready_bytes = 0;
        self.loading = None;
    }

    pub(super) fn statement(&self) -> FlowStatement {
        let mut voids = self.record.void.clone();
        // Beyond the bound the highest wait for the next statement.
        while voids.intervals() > MAX_FLOW_INTERVALS {
            let highest = voids.iter().next_back();
            if let Some((from, to)) = highest {
                voids.remove(from, to);
            }
        }
        FlowStatement { flow: self.record.flow, floor: self.record.floor, voids }
    }
}

impl Outgoing {
    pub(super) fn restore(snapshot: &Snapshot) -> Self {
        let mut flows: BTreeMap<_, _> =
            snapshot.out_flows.iter().map(|record| (record.flow, Flow::new(record.clone()))).collect();
        for (flow, first, parts) in &snapshot.out_multipart {
            if let Some(flow) = flows.get_mut(flow)
                && is_in_use(&flow.record, *first, *parts)
            {
                flow.multipart.insert(*first, *parts);
            }
        }
        // What waits by class is known, not by flow: each flow of a class gets its share by count.
        for class in Class::ALL {
            let of_class = || flows.values().filter(|flow| flow.record.class == class);
            let undone: u64 = of_class().map(Flow::undone).sum();
            let average = snapshot.outbox_bytes[class.index()] / undone.max(1);
            for flow in flows.values_mut().filter(|flow| flow.record.class == class) {
                flow.bytes = average * flow.undone();
            }
        }
        let by_peer = flows.values().map(|flow| ((flow.record.peer, flow.record.class), flow.record.flow)).collect();
        Self {
            flows,
            by_peer,
            changed: BTreeSet::new(),
            touched: BTreeSet::new(),
            loads: BTreeMap::new(),
            ends: Reminders::of_ends(),
            questions: Reminders::of_questions(),
        }
    }

    /// What waits, by class.
    pub(super) fn bytes(&self) -> [u64; 5] {
        let mut bytes = [0; 5];
        for flow in self.flows.values() {
            bytes[flow.record.class.index()] += flow.bytes;
        }
        bytes
    }

    /// Tells the flows which of their messages stand in sealed parcels.
    pub(super) fn mark_sealed(&mut self, parcels: &Parcels) {
        for (flow, seqs) in parcels.sealed() {
            if let Some(flow) = self.flows.get_mut(&flow) {
                flow.sealed.union_with(seqs);
            }
        }
    }

    /// The flow to a recipient in a class, opened by its first message.
    pub(super) fn flow_for(
        &mut self,
        own: &PeerKey,
        peer: PeerKey,
        class: Class,
        random: [u8; 8],
        age: Age,
    ) -> FlowName {
        let id = *self.by_peer.entry((peer, class)).or_insert_with(|| FlowId::derive(own, &peer, &random));
        self.flows.entry(id).or_insert_with(|| {
            Flow::new(OutFlow {
                flow: id,
                peer,
                class,
                random,
                next: 0,
                floor: 0,
                delivered: IntervalSet::new(),
                partial: IntervalSet::new(),
                void: IntervalSet::new(),
                untold: IntervalSet::new(),
                unacknowledged: IntervalSet::new(),
                in_flight: IntervalSet::new(),
                incarnation: None,
                touched: age,
            })
        });
        FlowName { flow: id, peer }
    }

    /// Gives messages their places at the end of a flow.
    pub(super) fn append(
        &mut self,
        name: FlowName,
        encoded: Vec<Bytes>,
        deadline: Age,
        bytes: u64,
        now: Instant,
    ) -> Vec<OutMessage> {
        let Some(flow) = self.flows.get_mut(&name.flow) else { return Vec::new() };
        self.changed.insert(name.flow);
        let messages = numbered(flow.record.next, deadline, encoded);
        let count = messages.len() as u64;
        if count > 1 {
            flow.multipart.insert(flow.record.next, u32::try_from(count).unwrap_or(u32::MAX));
        }
        // Kept in memory if nothing before it is on disk only, and there is room.
        if flow.loaded_to == flow.record.next && flow.loading.is_none() && flow.ready_bytes < READY_BYTES {
            if flow.ready.is_empty() {
                flow.ready_since = now;
            }
            flow.ready_bytes += messages.iter().map(|message| message.encoded.len()).sum::<usize>();
            flow.ready.extend(messages.iter().cloned());
            flow.loaded_to += count;
        }
        flow.record.next += count;
        flow.bytes += bytes;
        messages
    }

    /// Whether a message still keeps what follows it in its stream waiting. One that is delivered may itself wait
    /// at the recipient for its predecessor, until it is known to be consumed; one that is void may follow another
    /// one of its flow that has yet to arrive.
    pub(super) fn orders(&self, id: MessageId) -> bool {
        self.flows.get(&id.flow).is_some_and(|Flow { record, .. }| {
            let reaches = |set: &IntervalSet| set.first().is_some_and(|first| first <= id.seq);
            record.floor <= id.seq || reaches(&record.unacknowledged) || reaches(&record.untold)
        })
    }

    /// The flows to a peer, most urgent first.
    pub(super) fn of_peer(&self, peer: &PeerKey) -> Vec<FlowId> {
        Class::ALL.iter().filter_map(|class| self.by_peer.get(&(*peer, *class)).copied()).collect()
    }

    /// What a peer is to be told of messages that ended: at most one statement for each class.
    pub(super) fn untold(&self, peer: &PeerKey) -> Vec<Control> {
        let flows = self.of_peer(peer).into_iter().filter_map(|id| self.flows.get(&id));
        let untold = flows.filter(|flow| !flow.record.untold.is_empty());
        untold.map(|flow| Control::FlowState(flow.statement())).collect()
    }

    pub(super) fn waiting(&self) -> u64 {
        self.flows.values().map(Flow::undone).sum()
    }

    pub(super) fn waiting_for(&self, peer: &PeerKey) -> u64 {
        self.of_peer(peer).iter().filter_map(|flow| self.flows.get(flow)).map(Flow::undone).sum()
    }

    pub(super) fn touch(&mut self, flow: FlowId) {
        self.touched.insert(flow);
    }

    fn records_of(&self, ids: &BTreeSet<FlowId>) -> Vec<Record> {
        ids.iter().filter_map(|id| self.flows.get(id)).map(|flow| Record::OutFlow(flow.record.clone())).collect()
    }

    /// The flows that this call changed.
    pub(super) fn take_changed(&mut self) -> Vec<Record> {
        if self.changed.is_empty() {
            return Vec::new();
        }
        let changed = std::mem::take(&mut self.changed);
        self.touched.retain(|flow| !changed.contains(flow));
        self.records_of(&changed)
    }

    pub(super) fn take_touched(&mut self) -> Vec<Record> {
        let touched = std::mem::take(&mut self.touched);
        self.records_of(&touched)
    }

    /// What waits for a peer without a link is kept on disk only.
    pub(super) fn forget_loaded(&mut self, peer: &PeerKey) {
        for id in self.of_peer(peer) {
            if let Some(flow) = self.flows.get_mut(&id)
                && let Some(first) = flow.ready.front().map(|message| message.seq)
            {
                flow.rewind(first);
            }
        }
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        [self.ends.next_deadline(), self.questions.next_deadline()].into_iter().flatten().min()
    }
}

impl State {
    /// Flow records that belong to this call's batch.
    pub(crate) fn take_flow_records(&mut self) -> Vec<Record> {
        let mut records = self.outgoing.take_changed();
        records.extend(self.incoming.take_changed());
        records
    }

    pub(super) fn want_all(&mut self, age: Age) {
        let mut peers: Vec<_> =
            self.outgoing.flows.values().filter(|flow| flow.is_open(age)).map(|flow| flow.record.peer).collect();
        peers.sort_unstable();
        peers.dedup();
        self.effects.extend(peers.into_iter().map(|peer| Effect::Wanted(peer, true)));
    }

    /// Asks the store for the messages that a flow seals next, if they are not in memory.
    pub(super) fn load_ready(&mut self, id: FlowId) {
        let Some(flow) = self.outgoing.flows.get(&id) else { return };
        let missing = flow.ready.is_empty() && flow.loading.is_none() && flow.loaded_to < flow.record.next;
        if missing {
            let from = flow.loaded_to.max(flow.record.floor);
            let end = flow.record.next;
            let load = self.load(Query::OutMessages { flow: id, from, max_bytes: READY_BYTES });
            if let Some(flow) = self.outgoing.flows.get_mut(&id) {
                flow.loading = Some(load);
            }
            self.outgoing.loads.insert(load, (id, end));
        }
    }

    pub(super) fn on_messages_loaded(&mut self, now: Moment, load: LoadId, messages: Vec<OutMessage>) {
        let Some((id, end)) = self.outgoing.loads.remove(&load) else { return };
        let Some(flow) = self.outgoing.flows.get_mut(&id) else { return };
        if flow.loading != Some(load) {
            return;
        }
        flow.loading = None;
        flow.loaded_to = messages.last().map_or(end, |last| last.seq + 1);
        flow.ready_since = now.mono;
        for message in messages {
            if flow.is_unsealed(message.seq) {
                flow.ready_bytes += message.encoded.len();
                flow.ready.push_back(message);
            }
        }
        let peer = flow.record.peer;
        self.pump(now, peer);
    }

    /// Takes a receipt: what it names as delivered or void is done.
    pub(super) fn on_receipt(&mut self, now: Moment, peer: PeerKey, receipt: &Receipt) {
        let Some(flow) = self.outgoing.flows.get_mut(&receipt.flow).filter(|flow| flow.record.peer == peer) else {
            self.effects.push_back(Effect::Evidence(peer, crate::trust::Evidence::BadFlow));
            return;
        };
        let next = flow.record.next;
        let beyond = |set: &IntervalSet| set.last().is_some_and(|last| last >= next);
        if receipt.floor > next || beyond(&receipt.delivered) || beyond(&receipt.void) {
            self.effects.push_back(Effect::Evidence(peer, crate::trust::Evidence::BadFlow));
            return;
        }
        let renewed = flow.record.incarnation.is_some_and(|known| known != receipt.incarnation);
        if flow.record.incarnation != Some(receipt.incarnation) {
            flow.forget_partial();
            flow.record.incarnation = Some(receipt.incarnation);
            self.outgoing.changed.insert(receipt.flow);
        }
        let before = flow.undone();
        let told = flow.record.untold.clone();
        let late = flow.take_late(receipt);
        let mut news = receipt.delivered.difference(&flow.record.delivered);
        news.subtract(&flow.record.partial);
        news.subtract(&flow.record.void);
        news.remove_below(flow.record.floor);
        news.union_with(&late);
        let whole = flow.deliver(news.clone());
        let lost = outcome_unknown(flow, receipt);
        flow.record.untold.subtract(&receipt.void);
        flow.record.untold.remove_below(receipt.floor);
        let acknowledged = acknowledged_by(flow, receipt);
        flow.record.unacknowledged.subtract(&acknowledged);
        if renewed {
            self.tell_floors(peer);
        }
        let Some(flow) = self.outgoing.flows.get_mut(&receipt.flow) else { return };
        let settled = news.is_empty() && acknowledged.is_empty() && lost.is_empty() && told == flow.record.untold;
        if settled && !renewed {
            return;
        }
        flow.record.touched = now.age;
        let routes = routes_of(&news, receipt);
        let delivered = flow.by_first_part(&whole);
        let belated = flow.by_first_part(&late);
        let consumed = flow.by_first_part(&acknowledged);
        let class = flow.record.class;
        let share = flow.share(before, whole.count());
        flow.raise_floor();
        self.quota.give(class, share);
        self.outgoing.changed.insert(receipt.flow);
        if self.outgoing.untold(&peer).is_empty() {
            self.outgoing.ends.end(&peer);
        }
        for route in routes {
            self.record(Record::Route { peer, flow: receipt.flow, route, wall: now.wall });
        }
        if !delivered.is_empty() {
            self.stats.delivered += delivered.count();
            self.figures.in_time += delivered.difference(&belated).count();
            self.effects.push_back(Effect::Delivered { flow: receipt.flow, seqs: delivered.clone() });
            self.changed(now, receipt.flow, peer, delivered, Change::Delivered);
            self.outgoing.questions.begin_if_none(now.mono, peer);
        }
        if !consumed.is_empty() {
            self.stats.acknowledged += consumed.count();
            self.changed(now, receipt.flow, peer, consumed, Change::Acknowledged);
        }
        self.settle_parcels(now, receipt.flow, Settled::ByReceipt);
        self.end(now, receipt.flow, &lost, Ending::Failed(FailureCode::OutcomeUnknown));
        self.unwant(now, peer);
        self.fill_room(now, peer);
        self.pump(now, peer);
    }

    /// A peer is not needed any more once everything for it is done and known to be consumed.
    pub(super) fn unwant(&mut self, now: Moment, peer: PeerKey) {
        let flows = self.outgoing.of_peer(&peer);
        let open = flows.iter().any(|id| self.outgoing.flows.get(id).is_some_and(|flow| flow.is_open(now.age)));
        if !open {
            self.effects.push_back(Effect::Wanted(peer, false));
        }
    }

    fn changed(&mut self, now: Moment, flow: FlowId, peer: PeerKey, seqs: IntervalSet, change: Change) {
        let at = self.places(1);
        self.record(Record::Changed { at, flow, peer, seqs: seqs.clone(), change, wall: now.wall });
        self.effects.push_back(Effect::Changed { at, flow, peer, seqs, change });
    }

    /// Ends messages that are not done, with all their parts.
    pub(super) fn end(&mut self, now: Moment, id: FlowId, seqs: &IntervalSet, ending: Ending) {
        let Some(flow) = self.outgoing.flows.get_mut(&id) else { return };
        let mut ended = IntervalSet::new();
        for (from, to) in seqs.iter() {
            ended.insert(flow.whole(from).0, flow.whole(to).1);
        }
        ended.subtract(&flow.record.delivered);
        ended.subtract(&flow.record.void);
        ended.remove_below(flow.record.floor);
        if ended.is_empty() {
            return;
        }
        let before = flow.undone();
        let firsts = flow.by_first_part(&ended);
        flow.record.partial.subtract(&ended);
        flow.record.void.union_with(&ended);
        flow.record.untold.union_with(&ended);
        flow.record.touched = now.age;
        let (peer, class) = (flow.record.peer, flow.record.class);
        let share = flow.share(before, ended.count());
        flow.raise_floor();
        self.quota.give(class, share);
        self.stats.ended += firsts.count();
        match ending {
            Ending::Expired | Ending::Failed(FailureCode::TooBig) => self.figures.missed += firsts.count(),
            Ending::Cancelled | Ending::Failed(FailureCode::OutcomeUnknown) => {}
        }
        self.outgoing.changed.insert(id);
        self.record(Record::Ended { flow: id, seqs: ended, ending, wall: now.wall });
        self.changed(now, id, peer, firsts, Change::Ended(ending));
        self.settle_parcels(now, id, Settled::ByEnd);
        self.tell(now, peer);
        self.unwant(now, peer);
    }

    pub(super) fn on_cancel(&mut self, now: Moment, command: crate::ids::CommandId, id: MessageId) {
        let found = self.outgoing.flows.get(&id.flow).filter(|flow| id.seq < flow.record.next);
        let result = match found {
            None => Err(crate::message::Refusal::Unknown),
            Some(flow) if flow.is_done(id.seq) => Err(crate::message::Refusal::Ended),
            Some(_) => Ok(()),
        };
        if result.is_ok() {
            self.end(now, id.flow, &IntervalSet::of(id.seq, id.seq), Ending::Cancelled);
        }
        self.effects.push_back(Effect::Cancelled(command, result));
    }

    pub(super) fn expire_due(&mut self, now: Moment) {
        if self.expiry.due().is_some_and(|due| due <= now.age) {
            self.expiry.asked = true;
            self.load(Query::Expiring { after: self.expiry.after, until: now.age, limit: EXPIRY_PAGE });
        }
    }

    pub(super) fn on_expiring(
        &mut self,
        now: Moment,
        batches: &[(FlowId, Seq, u64)],
        after: ExpiryPlace,
        next: Option<Age>,
    ) {
        self.expiry.answered(after, next);
        for (flow, first, count) in batches {
            self.end(now, *flow, &IntervalSet::of(*first, first + count.saturating_sub(1)), Ending::Expired);
        }
        self.expire_due(now);
    }

    /// Messages that stood in a parcel are to be sealed anew.
    pub(super) fn unseal(&mut self, id: FlowId, seqs: &IntervalSet) {
        if let Some(flow) = self.outgoing.flows.get_mut(&id) {
            flow.sealed.subtract(seqs);
            if let Some(first) = flow.outstanding(seqs).first() {
                flow.rewind(first);
            }
        }
    }

    /// Marks a parcel's messages as handed to a link.
    pub(super) fn mark_in_flight(&mut self, id: FlowId, seqs: &IntervalSet, _parcel: OutParcelNo) {
        if let Some(flow) = self.outgoing.flows.get_mut(&id) {
            let outstanding = flow.outstanding(seqs);
            if !flow.record.in_flight.covers(&outstanding) {
                flow.record.in_flight.union_with(&outstanding);
                self.outgoing.touch(id);
            }
        }
    }
}

/// Whether the parts of a message still matter: it is not done, not known to be consumed, or its end is not told.
fn is_in_use(record: &OutFlow, first: Seq, parts: u32) -> bool {
    let end = first + u64::from(parts);
    end > record.floor || record.unacknowledged.contains(first) || record.untold.contains(first)
}

/// A recipient whose floor is above ours has taken messages as done that we have not finished: this database was
/// restored, and whether they arrived cannot be known.
fn outcome_unknown(flow: &Flow, receipt: &Receipt) -> IntervalSet {
    if receipt.floor <= flow.record.floor {
        return IntervalSet::new();
    }
    let below = IntervalSet::of(flow.record.floor, receipt.floor - 1);
    below.difference(&flow.record.delivered).difference(&flow.record.void)
}

/// The ways on which what a receipt is the first to confirm went.
fn routes_of(news: &IntervalSet, receipt: &Receipt) -> Vec<RecordedRoute> {
    let confirmed =
        receipt.recorded.iter().map(|route| RecordedRoute { seqs: route.seqs.intersection(news), ..route.clone() });
    confirmed.filter(|route| !route.seqs.is_empty()).collect()
}

/// What a receipt says is on the recipient's disk: delivered, or, where the floor has passed it, not yet consumed.
fn held_by(receipt: &Receipt) -> IntervalSet {
    let mut held = receipt.delivered.clone();
    if let Some((from, to)) = receipt.acknowledged_range {
        held.union_with(&IntervalSet::of(from, to).intersection(&receipt.unacknowledged));
    }
    held
}

/// What a receipt says was consumed, of what is known as delivered. One that was overtaken by a newer receipt says
/// nothing of what arrived between the two, though its range may span it.
fn acknowledged_by(flow: &Flow, receipt: &Receipt) -> IntervalSet {
    let Some((from, to)) = receipt.acknowledged_range else { return IntervalSet::new() };
    let mut arrived = receipt.delivered.clone();
    if let Some(below) = receipt.floor.checked_sub(1) {
        arrived.insert(0, below);
    }
    let spoken_of = IntervalSet::of(from, to).intersection(&arrived);
    spoken_of.intersection(&flow.record.unacknowledged).difference(&receipt.unacknowledged)
}
