//! Sealed parcels on their way: the window, adaptive batching, attempts and retries.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use tidings_crypto::{PeerKey, SessionId};

use super::{Effect, Moment, Refuser, State, left_seconds};
use crate::class::{Class, lifetime_bucket};
use crate::ids::{FlowId, OutParcelNo, Seq};
use crate::interval::IntervalSet;
use crate::message::{Ending, FailureCode, OutMessage, Step};
use crate::record::{OutParcel, Query, Record, Snapshot};
use crate::time::{Age, Instant};
use crate::wire::{Content, MAX_PARCEL_INTERVALS, MAX_PARCEL_SPAN, RefusedReason, asks_for_route};

/// Parcels without a receipt that a class and those less urgent may have under way to one peer.
const WINDOW: [usize; 5] = [32, 28, 24, 16, 12];
/// Bytes of encoded messages in one parcel: with card, header and seal it stays below 64 KiB.
const MAX_CONTENT_BYTES: usize = 54 * 1024;
/// From so many bytes on a parcel counts as full and need not wait for company.
const FULL_BYTES: usize = 40 * 1024;
/// So many parcels of a flow may be under way before the next one waits for company.
const EAGER_PARCELS: usize = 2;
/// A parcel is sealed anew when its session has turned so often since: later the ratchet could not open it.
const MAX_TURNS: u64 = 4;
/// The pause after a first `busy`; it doubles.
const MIN_PAUSE: Duration = Duration::from_millis(50);
/// The longest pause after `busy` from the recipient itself, and from a relay, where there is room again soon.
const MAX_PAUSE: Duration = Duration::from_mins(5);
const MAX_RELAY_PAUSE: Duration = Duration::from_secs(2);
/// How long after the last `busy` fewer parcels go at once.
const BUSY_MEMORY: Duration = Duration::from_secs(10);
/// Ciphertexts asked for at once.
const LOAD_PAGE: usize = 16;

/// Where a parcel is.
#[derive(Debug)]
enum Stage {
    /// Being sealed in this call.
    Sealing(Vec<OutMessage>),
    /// Waiting for a path, a pause to end, or its ciphertext.
    Idle,
    /// In a link's queue.
    Queued,
    /// Its last byte was handed to a link.
    Sent,
}

/// When a parcel left for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FirstSent {
    /// It has not, since it was sealed.
    NotYet,
    /// Then.
    At(Instant),
    /// Perhaps in an earlier life of the node, whose clock has ended.
    Earlier,
}

/// Why a parcel has nothing left to carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Settled {
    /// A receipt came.
    ByReceipt,
    /// Its messages ended.
    ByEnd,
}

/// A parcel without a receipt.
#[derive(Debug)]
struct Live {
    peer: PeerKey,
    flow: FlowId,
    class: Class,
    seqs: IntervalSet,
    session: SessionId,
    floor: Seq,
    deadline: Age,
    record_route: bool,
    /// `None` while only the store has it.
    inner: Option<Bytes>,
    loading: bool,
    turned: u64,
    attempts: u32,
    first_sent: FirstSent,
    sent_at: Option<Instant>,
    retry_at: Option<Instant>,
    stage: Stage,
}

/// All parcels without a receipt.
#[derive(Debug)]
pub(super) struct Parcels {
    live: BTreeMap<OutParcelNo, Live>,
    by_flow: BTreeMap<FlowId, BTreeSet<OutParcelNo>>,
    last: u64,
    retries: BTreeSet<(Instant, OutParcelNo)>,
    lingering: BTreeMap<PeerKey, Instant>,
    timeline: Vec<Record>,
    /// What each class of a peer has had, by weight.
    served: BTreeMap<PeerKey, [u64; 5]>,
    receipt_times: BTreeMap<PeerKey, Duration>,
}

impl Parcels {
    pub(super) fn restore(snapshot: &Snapshot) -> Self {
        let classes: BTreeMap<_, _> = snapshot.out_flows.iter().map(|flow| (flow.flow, flow.class)).collect();
        let mut parcels = Self {
            live: BTreeMap::new(),
            by_flow: BTreeMap::new(),
            last: snapshot.last_out_parcel,
            retries: BTreeSet::new(),
            lingering: BTreeMap::new(),
            timeline: Vec::new(),
            served: BTreeMap::new(),
            receipt_times: BTreeMap::new(),
        };
        for stored in &snapshot.out_parcels {
            let live = Live {
                peer: stored.peer,
                flow: stored.flow,
                class: classes.get(&stored.flow).copied().unwrap_or(Class::Normal),
                seqs: stored.seqs.clone(),
                session: stored.session,
                floor: stored.floor,
                deadline: stored.deadline,
                record_route: stored.record_route,
                inner: None,
                loading: false,
                turned: 0,
                attempts: 0,
                first_sent: FirstSent::Earlier,
                sent_at: None,
                retry_at: None,
                stage: Stage::Idle,
            };
            parcels.insert(stored.parcel, live);
        }
        parcels
    }

    fn insert(&mut self, no: OutParcelNo, live: Live) {
        self.by_flow.entry(live.flow).or_default().insert(no);
        self.live.insert(no, live);
    }

    fn remove(&mut self, no: OutParcelNo) -> Option<Live> {
        let live = self.live.remove(&no)?;
        if let Some(of_flow) = self.by_flow.get_mut(&live.flow) {
            of_flow.remove(&no);
        }
        if let Some(at) = live.retry_at {
            self.retries.remove(&(at, no));
        }
        Some(live)
    }

    pub(super) fn sealed(&self) -> impl Iterator<Item = (FlowId, &IntervalSet)> {
        self.live.values().map(|live| (live.flow, &live.seqs))
    }

    fn of_flow(&self, flow: &FlowId) -> Vec<OutParcelNo> {
        self.by_flow.get(flow).into_iter().flatten().copied().collect()
    }

    fn of_peer(&self, flows: &[FlowId]) -> Vec<OutParcelNo> {
        flows.iter().flat_map(|flow| self.of_flow(flow)).collect()
    }

    /// Whether the window has a place for one more parcel of a class.
    fn has_slot(&self, flows: &[(FlowId, Class)], class: Class) -> bool {
        let mut used = 0;
        // A class shares its window with those less urgent: 12 bulk, 16 bulk and low, and so on.
        Class::ALL.iter().rev().all(|bound| {
            used += flows
                .iter()
                .filter(|(_, of)| of == bound)
                .map(|(flow, _)| self.by_flow.get(flow).map_or(0, BTreeSet::len))
                .sum::<usize>();
            *bound > class || used < WINDOW[bound.index()]
        })
    }

    fn set_retry(&mut self, no: OutParcelNo, at: Option<Instant>) {
        if let Some(live) = self.live.get_mut(&no) {
            if let Some(old) = live.retry_at.take() {
                self.retries.remove(&(old, no));
            }
            live.retry_at = at;
            self.retries.extend(at.map(|at| (at, no)));
        }
    }

    pub(super) fn on_turned(&mut self, peer: PeerKey, session: SessionId, _turns: u64) {
        for live in self.live.values_mut().filter(|live| live.peer == peer && live.session == session) {
            live.turned += 1;
        }
    }

    pub(super) fn on_unreachable(&mut self, peer: &PeerKey) {
        self.lingering.remove(peer);
        self.served.remove(peer);
        let of_peer: Vec<_> = self.live.iter().filter(|(_, live)| live.peer == *peer).map(|(no, _)| *no).collect();
        for no in of_peer {
            self.set_retry(no, None);
            if let Some(live) = self.live.get_mut(&no) {
                live.stage = Stage::Idle;
                live.inner = None;
            }
        }
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let retry = self.retries.first().map(|(at, _)| *at);
        [retry, self.lingering.values().min().copied()].into_iter().flatten().min()
    }

    pub(super) fn lingering_due(&mut self, now: Instant) -> Vec<PeerKey> {
        self.lingering.iter().filter(|(_, at)| **at <= now).map(|(peer, _)| *peer).collect()
    }

    pub(super) fn take_timeline(&mut self) -> Vec<Record> {
        std::mem::take(&mut self.timeline)
    }

    fn note(&mut self, now: Moment, no: OutParcelNo, step: Step) {
        if let Some(live) = self.live.get(&no) {
            let (flow, seqs) = (live.flow, live.seqs.clone());
            self.timeline.push(Record::Timeline { flow, seqs, step, wall: now.wall });
        }
    }
}

impl State {
    /// Seals and sends what waits for a peer, as far as window and batching allow.
    pub(super) fn pump(&mut self, now: Moment, peer: PeerKey) {
        self.parcels.lingering.remove(&peer);
        if !self.reachable.contains_key(&peer) {
            self.outgoing.forget_loaded(&peer);
            return;
        }
        if !self.can_send(now.mono, &peer) || self.reachable.get(&peer).is_none_or(|reach| reach.no_card) {
            return;
        }
        let flows: Vec<_> = self
            .outgoing
            .of_peer(&peer)
            .into_iter()
            .filter_map(|id| self.outgoing.flows.get(&id).map(|flow| (id, flow.record.class)))
            .collect();
        let mut barred = BTreeSet::new();
        while let Some((flow, class)) = self.next_flow(now, &peer, &flows, &mut barred) {
            match self.take_parcel(now, flow) {
                Some(bytes) => {
                    let served = self.parcels.served.entry(peer).or_default();
                    served[class.index()] += bytes as u64 / class.weight().max(1);
                    // One parcel of a flow is sealed at a time; the next follows when it is.
                    barred.insert(flow);
                }
                None => {
                    barred.insert(flow);
                }
            }
        }
    }

    /// The flow whose turn it is: `critical` first, then whoever has had least for its weight.
    fn next_flow(
        &mut self,
        now: Moment,
        peer: &PeerKey,
        flows: &[(FlowId, Class)],
        barred: &mut BTreeSet<FlowId>,
    ) -> Option<(FlowId, Class)> {
        let mut best: Option<(u64, FlowId, Class)> = None;
        for (id, class) in flows {
            if barred.contains(id) || !self.parcels.has_slot(flows, *class) {
                continue;
            }
            self.load_ready(*id);
            if !self.is_ripe(now, peer, *id) {
                barred.insert(*id);
                continue;
            }
            let served = match class {
                Class::Critical => return Some((*id, *class)),
                Class::High | Class::Normal | Class::Low | Class::Bulk => {
                    self.parcels.served.get(peer).map_or(0, |served| served[class.index()])
                }
            };
            if best.is_none_or(|(least, ..)| served < least) {
                best = Some((served, *id, *class));
            }
        }
        best.map(|(_, id, class)| (id, class))
    }

    /// Whether a flow's next parcel leaves now: it is full, little is under way, or it has waited long enough.
    fn is_ripe(&mut self, now: Moment, peer: &PeerKey, id: FlowId) -> bool {
        let Some(flow) = self.outgoing.flows.get(&id) else { return false };
        if flow.ready.is_empty() {
            return false;
        }
        let under_way = self.parcels.by_flow.get(&id).map_or(0, BTreeSet::len);
        let sealing = self
            .parcels
            .of_flow(&id)
            .iter()
            .any(|no| self.parcels.live.get(no).is_some_and(|live| matches!(live.stage, Stage::Sealing(_))));
        if sealing {
            return false;
        }
        let waiting: usize = flow.ready.iter().map(|message| message.encoded.len()).take(1024).sum();
        let ripe_at = flow.ready_since + self.config.linger;
        if under_way < EAGER_PARCELS || waiting >= FULL_BYTES || ripe_at <= now.mono {
            return true;
        }
        let linger = self.parcels.lingering.entry(*peer).or_insert(ripe_at);
        *linger = (*linger).min(ripe_at);
        false
    }

    /// Forms a flow's next parcel and asks for its seal. Returns its bytes.
    fn take_parcel(&mut self, now: Moment, id: FlowId) -> Option<usize> {
        let flow = self.outgoing.flows.get_mut(&id)?;
        let (mut seqs, mut messages, mut bytes) = (IntervalSet::new(), Vec::new(), 0);
        let mut bucket = None;
        while let Some(next) = flow.ready.front() {
            if !flow.is_unsealed(next.seq) || next.deadline <= now.age {
                flow.take_ready();
                continue;
            }
            let of_next = lifetime_bucket(now.age.until(next.deadline));
            let first = seqs.first().unwrap_or(next.seq);
            let new_interval = seqs.last().is_some_and(|last| last + 1 != next.seq);
            let fits = bytes + next.encoded.len() <= MAX_CONTENT_BYTES || messages.is_empty();
            if !fits
                || bucket.is_some_and(|bucket| bucket != of_next)
                || next.seq - first >= MAX_PARCEL_SPAN
                || (new_interval && seqs.intervals() >= MAX_PARCEL_INTERVALS)
            {
                break;
            }
            bucket = Some(of_next);
            bytes += next.encoded.len() + 4;
            seqs.insert(next.seq, next.seq);
            messages.extend(flow.take_ready());
        }
        flow.ready_since = now.mono;
        let deadline = messages.iter().map(|message| message.deadline).min()?;
        let (peer, class, random) = (flow.record.peer, flow.record.class, flow.record.random);
        let content = Content { flow: id, seqs: seqs.clone(), floor: flow.record.floor };
        flow.sealed.union_with(&seqs);
        let no = OutParcelNo(self.parcels.last + 1);
        self.parcels.last += 1;
        let encoded: Vec<_> = messages.iter().map(|message| message.encoded.clone()).collect();
        let record_route = encoded.iter().any(|message| asks_for_route(message));
        let live = Live {
            peer,
            flow: id,
            class,
            seqs,
            session: SessionId::from_bytes([0; 32]),
            floor: content.floor,
            deadline,
            record_route,
            inner: None,
            loading: false,
            turned: 0,
            attempts: 0,
            first_sent: FirstSent::NotYet,
            sent_at: None,
            retry_at: None,
            stage: Stage::Sealing(messages),
        };
        self.parcels.insert(no, live);
        self.effects.push_back(Effect::Seal { parcel: no, peer, content, flow_random: random, messages: encoded });
        Some(bytes)
    }

    pub(super) fn on_sealed(&mut self, now: Moment, no: OutParcelNo, session: SessionId, _turns: u64, inner: Bytes) {
        let Some(live) = self.parcels.live.get_mut(&no) else { return };
        live.session = session;
        live.inner = Some(inner.clone());
        live.stage = Stage::Idle;
        let peer = live.peer;
        let record = Record::ParcelSealed(OutParcel {
            parcel: no,
            peer,
            flow: live.flow,
            seqs: live.seqs.clone(),
            session,
            floor: live.floor,
            deadline: live.deadline,
            inner,
            record_route: live.record_route,
        });
        self.record(record);
        self.attempt(now, no);
        self.pump(now, peer);
    }

    pub(super) fn on_not_sealed(&mut self, no: OutParcelNo) {
        let Some(live) = self.parcels.remove(no) else { return };
        match (live.stage, self.outgoing.flows.get_mut(&live.flow)) {
            (Stage::Sealing(messages), Some(flow)) => {
                flow.sealed.subtract(&live.seqs);
                flow.put_back(messages);
            }
            // The peer went away meanwhile: they are read again for the next path.
            _ => self.unseal(live.flow, &live.seqs),
        }
    }

    /// Sends a parcel, or finds that it has nothing left to carry or must be sealed anew.
    fn attempt(&mut self, now: Moment, no: OutParcelNo) {
        self.parcels.set_retry(no, None);
        let has_room = self.has_room(now.mono, no);
        let Some(live) = self.parcels.live.get_mut(&no) else { return };
        if !has_room {
            live.stage = Stage::Idle;
            let at = now.mono + self.jittered(BUSY_MEMORY);
            return self.parcels.set_retry(no, Some(at));
        }
        let Some(flow) = self.outgoing.flows.get(&live.flow) else { return };
        let outstanding = flow.outstanding(&live.seqs);
        if outstanding != live.seqs || live.turned >= MAX_TURNS {
            self.seal_anew(now, no);
            return;
        }
        let Some(inner) = live.inner.clone() else {
            self.load_parcels(no);
            return;
        };
        let content = Content { flow: live.flow, seqs: live.seqs.clone(), floor: live.floor };
        live.stage = Stage::Queued;
        live.attempts += 1;
        if live.sent_at.is_some() {
            self.stats.parcels_resent += 1;
        }
        let effect = Effect::Send {
            parcel: no,
            peer: live.peer,
            class: live.class,
            session: live.session,
            content,
            inner,
            left_seconds: left_seconds(now.age, live.deadline),
            record_route: live.record_route,
        };
        self.effects.push_back(effect);
    }

    fn seal_anew(&mut self, now: Moment, no: OutParcelNo) {
        self.parcels.note(now, no, Step::SealedAnew);
        let Some(live) = self.parcels.remove(no) else { return };
        self.record(Record::ParcelDone { parcel: no });
        self.unseal(live.flow, &live.seqs);
        self.load_ready(live.flow);
    }

    /// Asks for the ciphertexts of a parcel and of others of its peer that lack theirs.
    fn load_parcels(&mut self, no: OutParcelNo) {
        let Some(peer) = self.parcels.live.get(&no).map(|live| live.peer) else { return };
        let missing: Vec<_> = self
            .parcels
            .live
            .range_mut(no..)
            .filter(|(_, live)| live.peer == peer && live.inner.is_none() && !live.loading)
            .filter(|(_, live)| matches!(live.stage, Stage::Idle))
            .take(LOAD_PAGE)
            .map(|(no, live)| {
                live.loading = true;
                *no
            })
            .collect();
        if !missing.is_empty() {
            self.load(Query::OutParcels(missing));
        }
    }

    pub(super) fn on_parcels_loaded(&mut self, now: Moment, parcels: Vec<(OutParcelNo, Bytes)>) {
        for (no, inner) in parcels {
            let Some(live) = self.parcels.live.get_mut(&no) else { continue };
            live.loading = false;
            let peer = live.peer;
            if self.can_send(now.mono, &peer)
                && let Some(live) = self.parcels.live.get_mut(&no)
                && matches!(live.stage, Stage::Idle)
            {
                live.inner = Some(inner);
                self.attempt(now, no);
            }
        }
    }

    /// Sends what waits for the room that a receipt has made.
    pub(super) fn fill_room(&mut self, now: Moment, peer: PeerKey) {
        if self.reachable.get(&peer).is_some_and(|reach| reach.room.is_some()) {
            self.resend_idle(now, peer);
        }
    }

    /// Sends again everything that waits for a path to a peer.
    pub(super) fn resend_idle(&mut self, now: Moment, peer: PeerKey) {
        if !self.can_send(now.mono, &peer) {
            return;
        }
        for no in self.parcels.of_peer(&self.outgoing.of_peer(&peer)) {
            if self.parcels.live.get(&no).is_some_and(|live| matches!(live.stage, Stage::Idle) && !live.loading) {
                self.attempt(now, no);
            }
        }
    }

    pub(super) fn retry_due(&mut self, now: Moment) {
        while let Some((at, no)) = self.parcels.retries.first().copied().filter(|(at, _)| *at <= now.mono) {
            self.parcels.retries.remove(&(at, no));
            let Some(live) = self.parcels.live.get_mut(&no) else { continue };
            live.retry_at = None;
            let peer = live.peer;
            if self.can_send(now.mono, &peer) {
                self.attempt(now, no);
            } else if let Some(live) = self.parcels.live.get_mut(&no) {
                live.stage = Stage::Idle;
            }
        }
    }

    pub(super) fn on_sent(&mut self, now: Moment, no: OutParcelNo) {
        self.stats.parcels_sent += 1;
        self.parcels.note(now, no, Step::Sent);
        let Some(live) = self.parcels.live.get_mut(&no) else { return };
        live.stage = Stage::Sent;
        live.sent_at = Some(now.mono);
        if live.first_sent == FirstSent::NotYet {
            live.first_sent = FirstSent::At(now.mono);
        }
        let (flow, seqs) = (live.flow, live.seqs.clone());
        self.mark_in_flight(flow, &seqs, no);
    }

    /// The neighbour has read it all: from now on a receipt is due.
    pub(super) fn on_got(&mut self, now: Moment, no: OutParcelNo) {
        let Some(live) = self.parcels.live.get(&no) else { return };
        let measured = self.parcels.receipt_times.get(&live.peer).copied().unwrap_or_default();
        let base = self.config.retry_min.max(measured * 4);
        let doublings = live.attempts.saturating_sub(1).min(16);
        let wait = base.saturating_mul(1 << doublings).min(self.config.retry_max);
        let at = now.mono + self.jittered(wait);
        self.parcels.set_retry(no, Some(at));
    }

    pub(super) fn on_lost(&mut self, now: Moment, no: OutParcelNo) {
        if let Some(live) = self.parcels.live.get_mut(&no)
            && !matches!(live.stage, Stage::Sealing(_))
        {
            live.stage = Stage::Idle;
        }
        // A live link whose queue was full takes it later; a new path takes it at once.
        let at = now.mono + self.jittered(self.config.retry_min);
        self.parcels.set_retry(no, Some(at));
    }

    pub(super) fn on_refused(&mut self, now: Moment, no: OutParcelNo, reason: RefusedReason, by: Refuser) {
        let under_way = self.under_way(no);
        self.parcels.note(now, no, Step::Refused);
        self.on_lost(now, no);
        let Some(live) = self.parcels.live.get_mut(&no) else { return };
        let (peer, flow, seqs) = (live.peer, live.flow, live.seqs.clone());
        match reason {
            RefusedReason::Busy => {
                live.attempts = live.attempts.saturating_sub(1);
                self.on_busy(now, peer, by, under_way);
            }
            RefusedReason::TooBig => self.end(now, flow, &seqs, Ending::Failed(FailureCode::TooBig)),
            RefusedReason::NoRoute | RefusedReason::Expired | RefusedReason::Hops => {
                let at = now.mono + self.jittered(self.config.retry_min);
                self.parcels.set_retry(no, Some(at));
            }
        }
    }

    /// There was no room for a parcel: nothing goes for a while, and then half as many at once. What else is refused
    /// of those that had left before tells nothing new.
    fn on_busy(&mut self, now: Moment, peer: PeerKey, by: Refuser, under_way: usize) {
        let Some(reach) = self.reachable.get(&peer) else { return };
        if self.pauses.get(&peer).is_some_and(|until| *until > now.mono) {
            return;
        }
        let pause = reach.pause.max(MIN_PAUSE);
        let until = now.mono + self.jittered(pause);
        let longest = match by {
            Refuser::Recipient => MAX_PAUSE,
            Refuser::OnTheWay => MAX_RELAY_PAUSE,
        };
        self.pauses.insert(peer, until);
        if let Some(reach) = self.reachable.get_mut(&peer) {
            reach.pause = (pause * 2).min(longest);
            reach.room = Some((under_way / 2).max(1));
            reach.busy_at = now.mono;
        }
    }

    /// How many parcels are on their way to a parcel's recipient.
    fn under_way(&self, no: OutParcelNo) -> usize {
        let Some(peer) = self.parcels.live.get(&no).map(|live| live.peer) else { return 0 };
        let of_peer = self.parcels.of_peer(&self.outgoing.of_peer(&peer));
        let left = |no: &OutParcelNo| {
            self.parcels.live.get(no).is_some_and(|live| matches!(live.stage, Stage::Queued | Stage::Sent))
        };
        of_peer.into_iter().filter(left).count()
    }

    /// Whether one more parcel may be on its way to its recipient; what is `critical` always may.
    fn has_room(&self, now: Instant, no: OutParcelNo) -> bool {
        let Some(live) = self.parcels.live.get(&no) else { return false };
        let reach = self.reachable.get(&live.peer).filter(|reach| now.since(reach.busy_at) < BUSY_MEMORY);
        let Some(room) = reach.and_then(|reach| reach.room) else { return true };
        let itself = usize::from(matches!(live.stage, Stage::Queued | Stage::Sent));
        live.class == Class::Critical || self.under_way(no) < room + itself
    }

    /// A receipt came: there is room for one parcel more.
    fn on_settled(&mut self, peer: PeerKey) {
        if let Some(reach) = self.reachable.get_mut(&peer) {
            reach.pause = Duration::ZERO;
            reach.room = reach.room.map(|room| room + 1).filter(|room| *room < WINDOW[0]);
        }
    }

    /// Drops a flow's parcels that have nothing left to carry.
    pub(super) fn settle_parcels(&mut self, now: Moment, id: FlowId, settled: Settled) {
        for no in self.parcels.of_flow(&id) {
            let (Some(flow), Some(live)) = (self.outgoing.flows.get(&id), self.parcels.live.get(&no)) else { continue };
            if !flow.outstanding(&live.seqs).is_empty() {
                continue;
            }
            let Some(live) = self.parcels.remove(no) else { continue };
            if matches!(live.stage, Stage::Queued) {
                self.effects.push_back(Effect::Withdraw(no));
            }
            if let FirstSent::At(first) = live.first_sent
                && settled == Settled::ByReceipt
            {
                self.figures.on_receipt(now.mono.since(first));
            }
            if let Some(sent_at) = live.sent_at
                && settled == Settled::ByReceipt
            {
                let sample = now.mono.since(sent_at);
                let average = self.parcels.receipt_times.entry(live.peer).or_insert(sample);
                *average = (*average * 7 + sample) / 8;
            }
            if settled == Settled::ByReceipt {
                self.on_settled(live.peer);
            }
            self.record(Record::ParcelDone { parcel: no });
        }
    }

    /// What a session sealed is sealed anew by the next one.
    pub(super) fn on_session_reset(&mut self, now: Moment, peer: PeerKey, session: SessionId) {
        for no in self.parcels.of_peer(&self.outgoing.of_peer(&peer)) {
            if self.parcels.live.get(&no).is_some_and(|live| live.session == session) {
                self.effects.push_back(Effect::Withdraw(no));
                self.seal_anew(now, no);
            }
        }
        self.pump(now, peer);
    }
}
