//! What the engine persists and loads: semantic records, never SQL.
//!
//! All records of one [`Engine::handle`](crate::Engine::handle) call form one atomic batch. A store applies
//! batches in order and answers [`Query`]s in the same order, so that an answer reflects every earlier write.
//! docs/spec/engine.md §4.

use bytes::Bytes;
use tidings_crypto::{PeerKey, SessionId};

use crate::class::Class;
use crate::ids::{At, FlowId, MessageId, OutParcelNo, Seq};
use crate::interval::IntervalSet;
use crate::message::{Change, Ending, FlowName, Idempotency, MessageState, OutMessage, Step};
use crate::time::{Age, Wall};
use crate::wire::{Path, RecordedRoute};

/// One fact to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// The node has started; also the first record of a new database.
    Booted {
        /// One higher than at the start before.
        boot: u64,
    },
    /// The clocks at this moment. Every batch ends with one.
    Checkpoint {
        /// The age clock.
        age: Age,
        /// The wall clock.
        wall: Wall,
    },
    /// The ratchet account (secret).
    Account(Bytes),
    /// This node's own card, encoded and signed.
    OwnCard {
        /// Its number.
        seq: u64,
        /// An encoded `SignedCard`.
        card: Bytes,
    },
    /// A peer's verified card, newer than the one before.
    Card {
        /// Whose it is.
        peer: PeerKey,
        /// An encoded `SignedCard`.
        card: Bytes,
    },
    /// A peer's card was forgotten.
    CardForgotten {
        /// Whose it was.
        peer: PeerKey,
    },
    /// A session after a step of its ratchet.
    Session(StoredSession),
    /// A session is gone.
    SessionDropped {
        /// Its name.
        session: SessionId,
    },
    /// A flow to a recipient, after a change; a new one is opened by its first record.
    OutFlow(OutFlow),
    /// A flow to a recipient is forgotten: all of it is done and its retention is over.
    OutFlowDropped {
        /// Its name.
        flow: FlowId,
    },
    /// Messages were accepted, consecutive in their flow, with one deadline.
    Accepted(OutBatch),
    /// A parcel was sealed.
    ParcelSealed(OutParcel),
    /// A sealed parcel is no longer needed: receipted, void or sealed anew.
    ParcelDone {
        /// Its number.
        parcel: OutParcelNo,
    },
    /// Messages ended undelivered. A later [`Change::Delivered`] corrects it.
    Ended {
        /// Their flow.
        flow: FlowId,
        /// Which of it.
        seqs: IntervalSet,
        /// How.
        ending: Ending,
        /// When.
        wall: Wall,
    },
    /// An event about sent messages that can be resumed from.
    Changed {
        /// Its place.
        at: At,
        /// The flow.
        flow: FlowId,
        /// The recipient.
        peer: PeerKey,
        /// Which messages, by first part.
        seqs: IntervalSet,
        /// What happened.
        change: Change,
        /// When.
        wall: Wall,
    },
    /// A step on the way of a parcel's messages.
    Timeline {
        /// The flow.
        flow: FlowId,
        /// The parcel's messages.
        seqs: IntervalSet,
        /// What happened.
        step: Step,
        /// When.
        wall: Wall,
    },
    /// The way on which messages went, or came: known at both ends.
    Route {
        /// The other end.
        peer: PeerKey,
        /// The flow.
        flow: FlowId,
        /// Links and relays, and of which messages.
        route: RecordedRoute,
        /// When it became known here.
        wall: Wall,
    },
    /// A flow from a sender, after a change.
    InFlow(InFlow),
    /// A flow from a sender is forgotten: its sender is done with it and its retention is over.
    InFlowDropped {
        /// The sender.
        sender: PeerKey,
        /// Its name.
        flow: FlowId,
    },
    /// Messages arrived and are shown to the application.
    Inbox(InboxBatch),
    /// A message arrived that cannot be shown yet: a part, or one whose predecessor is missing.
    Pended(Pended),
    /// All parts of a pended message are here and nothing blocks it: it moves to the inbox, its payloads joined.
    Released {
        /// Its place among the events.
        at: At,
        /// The sender.
        sender: PeerKey,
        /// The flow.
        flow: FlowId,
        /// Its first part.
        first: Seq,
        /// How many parts, 1 if it is whole.
        parts: u32,
    },
    /// Pended messages ended at their sender.
    PendedDropped {
        /// The sender.
        sender: PeerKey,
        /// The flow.
        flow: FlowId,
        /// Which.
        seqs: IntervalSet,
    },
    /// The application has consumed messages: they leave the inbox.
    Consumed {
        /// The sender.
        sender: PeerKey,
        /// The flow.
        flow: FlowId,
        /// Which, parts included.
        seqs: IntervalSet,
    },
    /// A contact was added or changed.
    Contact(Contact),
    /// A contact was removed.
    ContactRemoved {
        /// Who.
        peer: PeerKey,
    },
    /// An invite was given out.
    Invite(Invite),
    /// An invite was used or has expired.
    InviteDone {
        /// Its secret.
        secret: [u8; 16],
    },
    /// What is done and older than its retention may be forgotten: outbox batches below their flow's floor,
    /// events, timelines and idempotency keys.
    Prune,
    /// What the address book knows of a peer.
    Book {
        /// The peer.
        peer: PeerKey,
        /// Best first; empty forgets the peer.
        addresses: Vec<BookAddress>,
    },
}

/// A ratchet session with what belongs to it.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredSession {
    /// Its name.
    pub session: SessionId,
    /// The other end.
    pub peer: PeerKey,
    /// What `core::sessions` keeps (secret).
    pub state: Bytes,
}

impl std::fmt::Debug for StoredSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "StoredSession({:?} with {:?})", self.session, self.peer)
    }
}

/// A flow to a recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutFlow {
    /// Its name.
    pub flow: FlowId,
    /// The recipient.
    pub peer: PeerKey,
    /// Its class.
    pub class: Class,
    /// What [`FlowId::derive`] takes.
    pub random: [u8; 8],
    /// The seq that the next accepted message gets.
    pub next: Seq,
    /// The lowest seq that is not done.
    pub floor: Seq,
    /// Named as delivered by a receipt, at or above the floor.
    pub delivered: IntervalSet,
    /// Parts on the recipient's disk whose message is not whole there yet, at or above the floor.
    pub partial: IntervalSet,
    /// Ended undelivered, at or above the floor.
    pub void: IntervalSet,
    /// Those of the void that no receipt has named yet.
    pub untold: IntervalSet,
    /// Delivered, and not known to be acknowledged.
    pub unacknowledged: IntervalSet,
    /// Handed to a link at least once, at or above the floor.
    pub in_flight: IntervalSet,
    /// The recipient's database, as its last receipt named it.
    pub incarnation: Option<u64>,
    /// When something last happened in it.
    pub touched: Age,
}

impl OutFlow {
    /// The state of a seq that has not ended undelivered.
    pub fn state_of(&self, seq: Seq) -> MessageState {
        if self.delivered.contains(seq) || seq < self.floor {
            if self.unacknowledged.contains(seq) { MessageState::Delivered } else { MessageState::Acknowledged }
        } else if self.in_flight.contains(seq) {
            MessageState::InFlight
        } else {
            MessageState::Accepted
        }
    }
}

/// Messages accepted together: one flow, one deadline, consecutive seqs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutBatch {
    /// Their flow.
    pub flow: FlowId,
    /// The recipient.
    pub peer: PeerKey,
    /// Their class.
    pub class: Class,
    /// Rising without gaps; parts of one message stand together.
    pub messages: Vec<OutMessage>,
    /// When they end undelivered.
    pub deadline: Age,
    /// When they were accepted.
    pub accepted_at: Wall,
    /// Keys to recognise repeated calls by, and the message each stands for.
    pub idempotency: Vec<(Idempotency, Seq)>,
    /// Messages that are sent again, and for which: (new seq, old id).
    pub retry_of: Vec<(Seq, MessageId)>,
    /// Messages of several parts: (first part, parts).
    pub multipart: Vec<(Seq, u32)>,
    /// The newest message of each stream among them.
    pub stream_tails: Vec<(String, Seq)>,
}

impl OutBatch {
    /// A batch without messages.
    pub fn empty(name: FlowName, class: Class, deadline: Age, accepted_at: Wall) -> Self {
        Self {
            flow: name.flow,
            peer: name.peer,
            class,
            messages: Vec::new(),
            deadline,
            accepted_at,
            idempotency: Vec::new(),
            retry_of: Vec::new(),
            multipart: Vec::new(),
            stream_tails: Vec::new(),
        }
    }
}

/// A sealed parcel that has no receipt yet.
#[derive(Clone, PartialEq, Eq)]
pub struct OutParcel {
    /// Its number.
    pub parcel: OutParcelNo,
    /// The recipient.
    pub peer: PeerKey,
    /// The flow of its messages.
    pub flow: FlowId,
    /// Its messages.
    pub seqs: IntervalSet,
    /// The session that sealed it.
    pub session: SessionId,
    /// The flow's floor when it was sealed.
    pub floor: Seq,
    /// The earliest deadline of its messages.
    pub deadline: Age,
    /// The ratchet ciphertext, resent unchanged.
    pub inner: Bytes,
    /// Whether a message of it asks for the way it takes.
    pub record_route: bool,
}

impl std::fmt::Debug for OutParcel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OutParcel({:?} of {:?}, {:?}, {} bytes)", self.parcel, self.flow, self.seqs, self.inner.len())
    }
}

/// A flow from a sender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InFlow {
    /// Its name.
    pub flow: FlowId,
    /// The sender.
    pub sender: PeerKey,
    /// What lies below was done before this database knew the flow: it cannot say whether that was consumed.
    pub since: Seq,
    /// The sender's floor as last stated: everything below is done.
    pub floor: Seq,
    /// On this disk, at or above the floor.
    pub delivered: IntervalSet,
    /// Ended at the sender, at or above the floor.
    pub void: IntervalSet,
    /// Delivered and not yet consumed by the application; may reach below the floor.
    pub unacknowledged: IntervalSet,
    /// Delivered and not shown yet: parts and messages whose predecessor is missing.
    pub pended: IntervalSet,
    /// Whole messages of several parts that are not yet consumed: (first part, parts).
    pub multipart: Vec<(Seq, u32)>,
    /// When a parcel of it last arrived.
    pub touched: Age,
}

/// Messages that arrived together and are shown.
#[derive(Clone, PartialEq, Eq)]
pub struct InboxBatch {
    /// The place of the first of them among the events; the others follow by one.
    pub at: At,
    /// The sender.
    pub sender: PeerKey,
    /// Their flow.
    pub flow: FlowId,
    /// Their class.
    pub class: Class,
    /// Each with its seq, an encoded `Message` (docs/spec/wire.proto).
    pub messages: Vec<(Seq, Bytes)>,
    /// When they arrived.
    pub received_at: Wall,
    /// Links they crossed.
    pub hops: u32,
    /// The relays they say they crossed, for those that ask; `None` where none does.
    pub path: Option<Path>,
}

impl std::fmt::Debug for InboxBatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let seqs: IntervalSet = self.messages.iter().map(|(seq, _)| *seq).collect();
        write!(f, "InboxBatch({} {:?} {:?})", self.at, self.flow, seqs)
    }
}

/// A message that cannot be shown yet.
#[derive(Clone, PartialEq, Eq)]
pub struct Pended {
    /// The sender.
    pub sender: PeerKey,
    /// Its flow.
    pub flow: FlowId,
    /// Its seq.
    pub seq: Seq,
    /// Its class.
    pub class: Class,
    /// An encoded `Message` (docs/spec/wire.proto).
    pub encoded: Bytes,
    /// When it arrived.
    pub received_at: Wall,
    /// Links it crossed.
    pub hops: u32,
    /// The relays it says it crossed; `None` where it does not ask for them.
    pub path: Option<Path>,
    /// What it waits for: the messages before it in its stream, one of a flow.
    pub predecessors: Vec<MessageId>,
    /// For a part: its index and how many there are.
    pub part: Option<(u32, u32)>,
}

impl std::fmt::Debug for Pended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pended({:?} #{} part {:?} after {:?})", self.flow, self.seq, self.part, self.predecessors)
    }
}

/// Somebody this node's person knows by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact {
    /// Who.
    pub peer: PeerKey,
    /// The local name, unique among contacts.
    pub name: String,
    /// Whether a person has compared the safety number.
    pub verified: bool,
    /// When it was added.
    pub added: Wall,
}

/// An invite that was given out and not used yet.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Invite {
    /// What the invited proves to have.
    pub secret: [u8; 16],
    /// When it ends.
    pub deadline: Age,
}

impl std::fmt::Debug for Invite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Invite").field("deadline", &self.deadline).finish_non_exhaustive()
    }
}

/// An address of a peer and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BookAddress {
    /// The address.
    pub address: crate::links::Address,
    /// When it last led to the peer.
    pub reached: Option<Age>,
}

/// A question to the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    /// Accepted messages of a flow from a seq on, up to about so many bytes, at least one if there is one.
    OutMessages {
        /// The flow.
        flow: FlowId,
        /// The lowest seq wanted.
        from: Seq,
        /// When to stop.
        max_bytes: usize,
    },
    /// The ciphertexts of sealed parcels.
    OutParcels(Vec<OutParcelNo>),
    /// The first answer to a call with this key.
    Idempotent([u8; 16]),
    /// Batches of accepted messages by deadline, earliest first, from a place in that order on.
    Expiring {
        /// The place after the last batch that was answered.
        after: ExpiryPlace,
        /// The latest deadline wanted.
        until: Age,
        /// The most batches.
        limit: usize,
    },
}

/// An answer to a [`Query`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Loaded {
    /// To [`Query::OutMessages`]: rising; nothing follows if `end`.
    OutMessages {
        /// The messages.
        messages: Vec<OutMessage>,
        /// Whether the flow has no more.
        end: bool,
    },
    /// To [`Query::OutParcels`]: those that still exist.
    OutParcels(Vec<(OutParcelNo, Bytes)>),
    /// To [`Query::Idempotent`].
    Idempotent(Option<FirstAnswer>),
    /// To [`Query::Expiring`].
    Expiring {
        /// The batches, as (flow, first seq, count), done ones included.
        batches: Vec<(FlowId, Seq, u64)>,
        /// Where the next question goes on.
        after: ExpiryPlace,
        /// The earliest deadline behind that place.
        next: Option<Age>,
    },
}

/// A place in the order of the outbox by deadline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ExpiryPlace {
    /// The deadline.
    pub deadline: Age,
    /// The store's own number among equal deadlines.
    pub row: u64,
}

/// The first answer to a call with an idempotency key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FirstAnswer {
    /// What was asked.
    pub body: [u8; 16],
    /// The message.
    pub id: MessageId,
    /// When it was accepted.
    pub accepted_at: Wall,
}

/// Recorded routes of received messages that are kept in memory until their senders know them.
pub const MAX_UNTOLD: usize = 4096;
/// Recorded routes that a store keeps; the oldest go first.
pub const MAX_ROUTES: usize = 10_000;

/// Everything the engine needs to start: what a database holds, without payloads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The last boot, 0 in a new database.
    pub boot: u64,
    /// This database's random name in receipts.
    pub incarnation: u64,
    /// The clocks at the last checkpoint.
    pub checkpoint: (Age, Wall),
    /// The ratchet account, empty in a new database.
    pub account: Bytes,
    /// The own card.
    pub own_card: Option<(u64, Bytes)>,
    /// Cards of peers.
    pub cards: Vec<(PeerKey, Bytes)>,
    /// Sessions.
    pub sessions: Vec<StoredSession>,
    /// Flows to recipients.
    pub out_flows: Vec<OutFlow>,
    /// Sealed parcels, `inner` left empty.
    pub out_parcels: Vec<OutParcel>,
    /// The highest parcel number ever used.
    pub last_out_parcel: u64,
    /// Flows from senders.
    pub in_flows: Vec<InFlow>,
    /// Pended messages, `encoded` left empty.
    pub pended: Vec<Pended>,
    /// The newest recorded routes of received messages, oldest first: at most [`MAX_UNTOLD`].
    pub routes: Vec<(PeerKey, FlowId, RecordedRoute)>,
    /// The newest message of each stream in each flow: (recipient, stream, id).
    pub stream_tails: Vec<(PeerKey, String, MessageId)>,
    /// Multi-part messages in the outbox: (flow, first part, parts).
    pub out_multipart: Vec<(FlowId, Seq, u32)>,
    /// Idempotency keys within their retention.
    pub idempotency: Vec<[u8; 16]>,
    /// Contacts.
    pub contacts: Vec<Contact>,
    /// Invites given out.
    pub invites: Vec<Invite>,
    /// The address book.
    pub book: Vec<(PeerKey, Vec<BookAddress>)>,
    /// The earliest deadline in the outbox.
    pub next_deadline: Option<Age>,
    /// Bytes that wait in the outbox by class.
    pub outbox_bytes: [u64; 5],
}
