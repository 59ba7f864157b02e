//! Delivery to recipients: flows, receipts, parcels, retries, the inbox. docs/spec/delivery.md.
//!
//! The sender's half is [`outgoing`] (flows and what became of their messages) and [`parcels`] (what is sealed
//! and on its way); the recipient's half is [`incoming`]. Everything both ends need to agree on is interval
//! arithmetic on sequence numbers, so nothing here grows with the number of messages.

mod figures;
mod idempotency;
mod incoming;
mod outgoing;
mod parcels;
mod pending;
mod quota;
mod reminders;
mod routes;
mod submit;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use rand_chacha::ChaCha12Rng;
use rand_core::{Rng, SeedableRng};
use tidings_crypto::{PeerKey, SessionId};

use crate::class::Class;
use crate::ids::{At, CommandId, FlowId, LoadId, MessageId, OutParcelNo};
use crate::interval::IntervalSet;
use crate::message::{Accepted, Change, Refusal, Submission};
use crate::record::{InboxBatch, Loaded, Query, Record, Snapshot};
use crate::time::{Age, Instant, Wall};
use crate::view::Counters;
use crate::wire::{Content, Control, FlowStatement, Path, Receipt, RefusedReason};

pub(crate) use incoming::Precheck;

/// How delivery behaves.
#[derive(Clone, Debug)]
pub struct Config {
    /// Bytes of payload that may wait in the outbox. [`Class::Bulk`] may fill half of it, `critical` all.
    pub outbox_bytes: u64,
    /// The shortest wait for a receipt before a parcel is sent again. It doubles to [`Self::retry_max`].
    pub retry_min: Duration,
    /// The longest wait between two attempts on a live link.
    pub retry_max: Duration,
    /// How long a message waits for company while parcels are on their way. An idle link sends at once.
    pub linger: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            outbox_bytes: 4 << 30,
            retry_min: Duration::from_secs(1),
            retry_max: Duration::from_mins(5),
            linger: Duration::from_millis(5),
        }
    }
}

/// What happens to delivery.
#[derive(Debug)]
pub(crate) enum Event {
    Tick,
    Submit(CommandId, Vec<Submission>),
    /// A message of the node's own kinds.
    SubmitOwn(Submission),
    Consume(CommandId, Vec<MessageId>),
    Cancel(CommandId, MessageId),
    Loaded(LoadId, Loaded),
    /// A neighbour said hello, or a better link to it is there.
    Reachable(PeerKey),
    Unreachable(PeerKey),
    /// Its card is known now.
    CardKnown(PeerKey),
    /// It has no usable card; sealing waits for [`Event::CardKnown`].
    CardMissing(PeerKey),
    Sealed {
        parcel: OutParcelNo,
        session: SessionId,
        turns: u64,
        inner: Bytes,
    },
    /// A parcel could not be sealed for another reason; it is tried again.
    NotSealed {
        parcel: OutParcelNo,
    },
    Sent(OutParcelNo),
    Got(OutParcelNo),
    Lost(OutParcelNo),
    Refused(OutParcelNo, RefusedReason, Refuser),
    Receipt(PeerKey, Receipt),
    FlowState(PeerKey, FlowStatement),
    Query(PeerKey, Vec<FlowId>),
    /// What a session sealed cannot be opened any more; its parcels are sealed anew.
    SessionReset {
        peer: PeerKey,
        session: SessionId,
    },
    /// A peer's session has turned so often since it was begun.
    Turned {
        peer: PeerKey,
        session: SessionId,
        turns: u64,
    },
    /// A parcel was opened.
    Arrived(Arrived),
    DiskFull,
    DiskReady,
}

/// The messages of a parcel, proven to come from their sender.
#[derive(Debug)]
pub(crate) struct Arrived {
    pub(crate) sender: PeerKey,
    pub(crate) class: Class,
    pub(crate) content: Content,
    pub(crate) messages: Vec<Bytes>,
    pub(crate) hops: u32,
    pub(crate) path: Option<Path>,
}

/// What delivery wants.
#[derive(Debug)]
pub(crate) enum Effect {
    Record(Record),
    Load(LoadId, Query),
    /// Seal these messages; answered in the same call.
    Seal {
        parcel: OutParcelNo,
        peer: PeerKey,
        content: Content,
        flow_random: [u8; 8],
        messages: Vec<Bytes>,
    },
    /// Hand a sealed parcel to a link.
    Send {
        parcel: OutParcelNo,
        peer: PeerKey,
        class: Class,
        session: SessionId,
        content: Content,
        inner: Bytes,
        left_seconds: u32,
        record_route: bool,
    },
    /// Take a parcel out of the link's queue if it has not begun to leave.
    Withdraw(OutParcelNo),
    /// Tell a peer about this node's own flows.
    State {
        peer: PeerKey,
        controls: Vec<Control>,
    },
    /// Whether something waits for a peer.
    Wanted(PeerKey, bool),
    Accepted(CommandId, Vec<Result<Accepted, Refusal>>),
    Consumed(CommandId, Vec<MessageId>),
    Cancelled(CommandId, Result<(), Refusal>),
    /// A receipt's good news, told before it is durable here.
    Delivered {
        flow: FlowId,
        seqs: IntervalSet,
    },
    Changed {
        at: At,
        flow: FlowId,
        peer: PeerKey,
        seqs: IntervalSet,
        change: Change,
    },
    Received(InboxBatch),
    Released(At),
    /// A message of the node's own kinds arrived.
    Own {
        sender: PeerKey,
        kind: String,
        payload: Bytes,
    },
    Evidence(PeerKey, crate::trust::Evidence),
}

/// Counts since the start.
pub(crate) type Stats = Counters;

/// What every handler needs to know.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) mono: Instant,
    pub(crate) wall: Wall,
    pub(crate) age: Age,
}

/// Sender and recipient of this node's messages.
#[derive(Debug)]
pub(crate) struct State {
    own: PeerKey,
    config: Config,
    boot: u64,
    incarnation: u64,
    next_event: u64,
    rng: ChaCha12Rng,
    effects: VecDeque<Effect>,
    stats: Stats,
    figures: figures::Figures,
    disk_full: bool,
    next_load: u64,
    outgoing: outgoing::Outgoing,
    parcels: parcels::Parcels,
    submissions: submit::Submissions,
    quota: quota::Quota,
    incoming: incoming::Incoming,
    /// Peers with a link now.
    reachable: BTreeMap<PeerKey, Reach>,
    /// Those of them that were `busy`: nothing goes to them before this.
    pauses: BTreeMap<PeerKey, Instant>,
    expiry: outgoing::Expiry,
}

/// A peer with a link.
#[derive(Debug, Default)]
struct Reach {
    /// Its card is missing: nothing can be sealed for it.
    no_card: bool,
    /// How long nothing goes to it after the next `busy`.
    pause: Duration,
    /// After a `busy`, how many parcels may be on their way to it; one more with each receipt.
    room: Option<usize>,
    /// When it was last `busy`.
    busy_at: Instant,
}

/// Who does not take a parcel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refuser {
    /// Its recipient, a neighbour.
    Recipient,
    /// Somebody on the way, or the recipient through somebody on the way.
    OnTheWay,
}

impl State {
    /// Starts from what the database holds.
    pub(crate) fn new(config: Config, own: PeerKey, boot: u64, snapshot: &Snapshot, age: Age, seed: [u8; 32]) -> Self {
        let outgoing = outgoing::Outgoing::restore(snapshot);
        let mut state = Self {
            own,
            boot,
            incarnation: snapshot.incarnation,
            next_event: 1,
            rng: ChaCha12Rng::from_seed(seed),
            effects: VecDeque::new(),
            stats: Stats::default(),
            figures: figures::Figures::default(),
            disk_full: false,
            next_load: 0,
            parcels: parcels::Parcels::restore(snapshot),
            submissions: submit::Submissions::restore(snapshot, age),
            quota: quota::Quota::restore(outgoing.bytes(), config.outbox_bytes),
            incoming: incoming::Incoming::restore(snapshot),
            reachable: BTreeMap::new(),
            pauses: BTreeMap::new(),
            expiry: outgoing::Expiry::new(snapshot.next_deadline),
            outgoing,
            config,
        };
        state.outgoing.mark_sealed(&state.parcels);
        state.want_all(age);
        state
    }

    /// Takes what happened.
    pub(crate) fn handle(&mut self, now: Moment, event: Event) {
        match event {
            Event::Tick => self.on_tick(now),
            Event::Submit(command, submissions) => self.on_submit(now, command, submissions),
            Event::SubmitOwn(submission) => self.on_submit_own(now, submission),
            Event::Consume(command, ids) => self.on_consume(now, command, &ids),
            Event::Cancel(command, id) => self.on_cancel(now, command, id),
            Event::Loaded(load, loaded) => self.on_loaded(now, load, loaded),
            Event::Reachable(peer) => self.on_reachable(now, peer),
            Event::Unreachable(peer) => self.on_unreachable(peer),
            Event::CardKnown(peer) => self.on_card(now, peer, false),
            Event::CardMissing(peer) => self.on_card(now, peer, true),
            Event::Sealed { parcel, session, turns, inner } => self.on_sealed(now, parcel, session, turns, inner),
            Event::NotSealed { parcel } => self.on_not_sealed(parcel),
            Event::Sent(parcel) => self.on_sent(now, parcel),
            Event::Got(parcel) => self.on_got(now, parcel),
            Event::Lost(parcel) => self.on_lost(now, parcel),
            Event::Refused(parcel, reason, by) => self.on_refused(now, parcel, reason, by),
            Event::Receipt(peer, receipt) => self.on_receipt(now, peer, &receipt),
            Event::FlowState(peer, statement) => self.on_flow_state(now, peer, &statement),
            Event::Query(peer, flows) => self.on_query(peer, &flows),
            Event::SessionReset { peer, session } => self.on_session_reset(now, peer, session),
            Event::Turned { peer, session, turns } => self.parcels.on_turned(peer, session, turns),
            Event::Arrived(arrived) => self.on_arrived(now, arrived),
            Event::DiskFull => self.disk_full = true,
            Event::DiskReady => self.disk_full = false,
        }
    }

    pub(crate) fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When to call [`Self::handle`] with [`Event::Tick`] at the latest.
    pub(crate) fn next_deadline(&self, instant_of: impl Fn(Age) -> Instant) -> Option<Instant> {
        let expiry = self.expiry.due().map(instant_of);
        let pauses = self.pauses.values().copied().min();
        [expiry, pauses, self.parcels.next_deadline(), self.outgoing.next_deadline()].into_iter().flatten().min()
    }

    /// Records that need no batch of their own: they ride with the next one.
    pub(crate) fn riders(&mut self) -> Vec<Record> {
        let mut records = self.parcels.take_timeline();
        records.extend(self.outgoing.take_touched());
        records
    }

    pub(crate) fn stats(&self) -> Stats {
        Stats {
            outbox_messages: self.outgoing.waiting(),
            outbox_bytes: self.quota.bytes(),
            inbox_messages: self.incoming.unacknowledged(),
            ..self.stats
        }
    }

    /// How well what this node sends arrives.
    pub(crate) fn figures(&self) -> crate::view::DeliveryView {
        self.figures.view()
    }

    /// Messages for a peer that are not done.
    pub(crate) fn waiting_for(&self, peer: &PeerKey) -> u64 {
        self.outgoing.waiting_for(peer)
    }

    fn record(&mut self, record: Record) {
        self.effects.push_back(Effect::Record(record));
    }

    fn load(&mut self, query: Query) -> LoadId {
        let load = LoadId(self.next_load);
        self.next_load += 1;
        self.effects.push_back(Effect::Load(load, query));
        load
    }

    /// The places of the next `count` events.
    fn places(&mut self, count: u64) -> At {
        let at = At { boot: self.boot, n: self.next_event };
        self.next_event += count;
        at
    }

    fn random8(&mut self) -> [u8; 8] {
        self.rng.next_u64().to_le_bytes()
    }

    /// A duration of 75 to 125 % of the given one.
    fn jittered(&mut self, duration: Duration) -> Duration {
        let percent = 75 + u32::try_from(self.rng.next_u64() % 51).unwrap_or(0);
        duration * percent / 100
    }

    /// Whether something may be sealed for or sent to a peer now.
    fn can_send(&self, now: Instant, peer: &PeerKey) -> bool {
        self.reachable.contains_key(peer) && self.pauses.get(peer).is_none_or(|until| *until <= now)
    }

    fn on_tick(&mut self, now: Moment) {
        self.expire_due(now);
        let over = self.pauses.extract_if(.., |_, until| *until <= now.mono);
        for peer in over.map(|(peer, _)| peer).collect::<Vec<_>>() {
            self.resend_idle(now, peer);
            self.pump(now, peer);
        }
        self.retry_due(now);
        self.remind_due(now);
        for peer in self.parcels.lingering_due(now.mono) {
            self.pump(now, peer);
        }
    }

    fn on_reachable(&mut self, now: Moment, peer: PeerKey) {
        self.reachable.entry(peer).or_default();
        self.remind_all(now, peer);
        self.resend_idle(now, peer);
        self.pump(now, peer);
    }

    fn on_unreachable(&mut self, peer: PeerKey) {
        self.reachable.remove(&peer);
        self.pauses.remove(&peer);
        self.parcels.on_unreachable(&peer);
        self.outgoing.forget_loaded(&peer);
        self.outgoing.ends.end(&peer);
        self.outgoing.questions.end(&peer);
    }

    fn on_card(&mut self, now: Moment, peer: PeerKey, missing: bool) {
        if let Some(reach) = self.reachable.get_mut(&peer) {
            reach.no_card = missing;
            if !missing {
                self.pump(now, peer);
            }
        }
    }

    fn on_loaded(&mut self, now: Moment, load: LoadId, loaded: Loaded) {
        match loaded {
            Loaded::OutMessages { messages, .. } => self.on_messages_loaded(now, load, messages),
            Loaded::OutParcels(parcels) => self.on_parcels_loaded(now, parcels),
            Loaded::Idempotent(answer) => self.on_first_answer(now, load, answer),
            Loaded::Expiring { batches, after, next } => self.on_expiring(now, &batches, after, next),
        }
    }
}

/// Whole seconds of lifetime left, at least one.
fn left_seconds(age: Age, deadline: Age) -> u32 {
    u32::try_from(age.until(deadline).as_millis().div_ceil(1000)).unwrap_or(u32::MAX).max(1)
}
