//! The store of tests and simulations: the same records as the database, in memory, with a tail that a crash loses.
//!
//! [`ModelStore::apply`] is what a database does before its commit: questions see it, a crash takes it back.
//! [`ModelStore::sync`] is the commit. Tables, retention and answers follow `docs/spec/storage.md`, as the
//! database's do, so that a story told against this store holds for that one.

mod apply;
mod load;
mod read;

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use tidings_crypto::{PeerKey, SessionId};

pub use self::read::StoredChange;
use crate::ids::{At, BatchNo, FlowId, MessageId, OutParcelNo, Seq};
use crate::interval::IntervalSet;
use crate::message::{Ending, Step};
use crate::record::{
    BookAddress, Contact, ExpiryPlace, FirstAnswer, InFlow, InboxBatch, Invite, OutBatch, OutFlow, OutParcel, Pended,
    Record, StoredSession,
};
use crate::time::{Age, Wall};
use crate::wire::RecordedRoute;

/// A database in memory.
#[derive(Clone, Debug)]
pub struct ModelStore {
    /// What a crash leaves.
    durable: Tables,
    /// What questions see.
    current: Tables,
    /// Applied and not synced, in order.
    tail: Vec<(BatchNo, Vec<Record>)>,
}

/// A record that does not fit what is stored: the engine that wrote it is at fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// Batches come in order.
    #[error("expected batch {expected}, got {got}")]
    Order {
        /// The one after the last.
        expected: u64,
        /// The one that came.
        got: u64,
    },
    /// A message was released that is not pended whole.
    #[error("expected {parts} pended parts from {flow:?}#{first} on, got {got}")]
    Released {
        /// The flow.
        flow: FlowId,
        /// The first part.
        first: Seq,
        /// How many parts it has.
        parts: u32,
        /// How many are pended.
        got: usize,
    },
    /// A message stands in the inbox twice.
    #[error("expected {0:?} to be shown once")]
    ShownTwice(MessageId),
    /// A message of an unknown flow.
    #[error("expected the flow {0:?} before what belongs to it")]
    NoFlow(FlowId),
    /// A stored message cannot be read.
    #[error("expected an encoded message")]
    Unreadable,
}

impl ModelStore {
    /// Creates an empty database with this random name.
    pub fn new(incarnation: u64) -> Self {
        let empty = Tables { incarnation, ..Tables::default() };
        Self { durable: empty.clone(), current: empty, tail: Vec::new() }
    }

    /// Applies a batch, which a crash before the next [`Self::sync`] takes back.
    ///
    /// # Errors
    ///
    /// [`ModelError`] if a record contradicts what is stored.
    pub fn apply(&mut self, batch: BatchNo, records: Vec<Record>) -> Result<(), ModelError> {
        if let Some((last, _)) = self.tail.last()
            && batch.0 != last.0 + 1
        {
            return Err(ModelError::Order { expected: last.0 + 1, got: batch.0 });
        }
        self.current.apply(&records)?;
        self.tail.push((batch, records));
        Ok(())
    }

    /// Makes everything applied durable, and names the newest batch of it.
    pub fn sync(&mut self) -> Option<BatchNo> {
        let newest = self.tail.last().map(|(batch, _)| *batch)?;
        self.sync_to(newest);
        Some(newest)
    }

    /// Makes the batches up to this one durable.
    pub fn sync_to(&mut self, batch: BatchNo) {
        let later = self.tail.iter().position(|(no, _)| *no > batch).unwrap_or(self.tail.len());
        for (_, records) in self.tail.drain(..later) {
            self.durable.apply(&records).expect("what was applied once is applied again in the same order");
        }
    }

    /// Loses what is not synced.
    pub fn crash(&mut self) {
        self.tail.clear();
        self.current = self.durable.clone();
    }

    /// Keeps the batches up to this one, as if the power had failed right after its commit, and loses the rest.
    pub fn crash_at(&mut self, batch: BatchNo) {
        self.sync_to(batch);
        self.crash();
    }
}

/// The tables. Large rows have places of their own: the nodes of a tree have room for eleven, and a simulation has
/// thousands of stores with two or three rows each.
#[derive(Clone, Debug, Default)]
struct Tables {
    boot: u64,
    incarnation: u64,
    age: Age,
    wall: Wall,
    account: Bytes,
    own_card: Option<(u64, Bytes)>,
    cards: BTreeMap<PeerKey, Bytes>,
    sessions: BTreeMap<SessionId, StoredSession>,
    contacts: BTreeMap<PeerKey, Contact>,
    invites: BTreeMap<[u8; 16], Invite>,
    book: BTreeMap<PeerKey, Vec<BookAddress>>,

    out_flows: BTreeMap<FlowId, Box<OutFlow>>,
    out_batches: BTreeMap<(FlowId, Seq), Box<StoredBatch>>,
    by_deadline: BTreeMap<ExpiryPlace, (FlowId, Seq)>,
    out_multipart: BTreeMap<(FlowId, Seq), u32>,
    out_retry: BTreeMap<(FlowId, Seq), MessageId>,
    out_streams: BTreeMap<(PeerKey, String, FlowId), Seq>,
    out_parcels: BTreeMap<OutParcelNo, Box<OutParcel>>,
    last_parcel: u64,
    idempotency: BTreeMap<[u8; 16], StoredAnswer>,
    /// By first seq: the last one, and how they ended.
    ended: BTreeMap<(FlowId, Seq), (Seq, Ending)>,
    changed: BTreeMap<At, StoredChange>,
    timeline: BTreeMap<u64, (FlowId, IntervalSet, Step, Wall)>,
    /// Oldest first.
    routes: VecDeque<StoredRoute>,

    in_flows: BTreeMap<(FlowId, PeerKey), Box<InFlow>>,
    inbox: BTreeMap<At, Box<InboxRow>>,
    pended: BTreeMap<(FlowId, PeerKey, Seq), Pended>,
    next_row: u64,
}

/// The way of messages, with the other end.
#[derive(Clone, Debug)]
struct StoredRoute {
    peer: PeerKey,
    flow: FlowId,
    route: RecordedRoute,
}

/// Accepted messages as stored.
#[derive(Clone, Debug)]
struct StoredBatch {
    age: Age,
    batch: OutBatch,
}

impl StoredBatch {
    fn end(&self, first: Seq) -> Seq {
        first + self.batch.messages.len() as u64
    }

    fn bytes(&self) -> u64 {
        self.batch.messages.iter().map(|message| message.encoded.len() as u64).sum()
    }
}

/// The first answer to a call with an idempotency key.
#[derive(Clone, Copy, Debug)]
struct StoredAnswer {
    row: u64,
    age: Age,
    answer: FirstAnswer,
}

/// Messages that are shown.
#[derive(Clone, Debug)]
struct InboxRow {
    batch: InboxBatch,
    /// All their seqs, further parts included.
    seqs: IntervalSet,
    consumed: IntervalSet,
}
