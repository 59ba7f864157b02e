//! A database in a directory of its own, and records to fill it with.
#![expect(dead_code, reason = "each test file uses some of it")]

use bytes::Bytes;
use tempfile::TempDir;
use tidings_core::class::Class;
use tidings_core::ids::{At, FlowId, Seq};
use tidings_core::interval::IntervalSet;
use tidings_core::message::{FlowName, OutMessage};
use tidings_core::record::{InboxBatch, OutBatch, OutFlow, OutParcel, Record};
use tidings_core::time::{Age, Wall};
use tidings_core::wire::{MessageContent, PartOf, encode_content};
use tidings_crypto::{PeerKey, SessionId};
use tidings_store::{Key, Store};

pub(crate) const FLOW: FlowId = FlowId([0xf0, 1, 2, 3, 4, 5, 6, 7]);
pub(crate) const PEER: PeerKey = PeerKey::from_bytes([9; 32]);
pub(crate) const HOUR: u64 = 3_600_000;

/// A database that is deleted at the end.
pub(crate) struct Database {
    pub(crate) dir: TempDir,
    pub(crate) store: Store,
}

impl Database {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let store = Store::open(&dir.path().join("tidings.db"), &key()).expect("a new database");
        Self { dir, store }
    }

    pub(crate) fn reopen(self) -> Self {
        let Self { dir, store } = self;
        drop(store);
        let store = Store::open(&dir.path().join("tidings.db"), &key()).expect("the database again");
        Self { dir, store }
    }

    pub(crate) fn apply(&mut self, records: Vec<Record>) {
        self.store.apply(&[records]).expect("records that fit");
    }
}

pub(crate) fn key() -> Key {
    Key::new([7; 32])
}

pub(crate) fn at(n: u64) -> At {
    At { boot: 1, n }
}

pub(crate) fn checkpoint(age: u64) -> Record {
    Record::Checkpoint { age: Age(age), wall: Wall(1_000_000 + age) }
}

pub(crate) fn encoded(kind: &str, payload: &[u8], part: Option<PartOf>) -> Bytes {
    encode_content(&MessageContent {
        kind: kind.into(),
        payload: Bytes::copy_from_slice(payload),
        sent_at: Wall(5),
        expires_at: Wall(6),
        stream: None,
        predecessors: Vec::new(),
        headers: vec![("a".into(), "b".into())],
        reply_to: None,
        part,
        record_route: false,
    })
}

pub(crate) fn out_flow(next: Seq, floor: Seq) -> OutFlow {
    OutFlow {
        flow: FLOW,
        peer: PEER,
        class: Class::Normal,
        random: [3; 8],
        next,
        floor,
        delivered: IntervalSet::of(floor + 2, floor + 3),
        partial: IntervalSet::of(floor + 5, floor + 5),
        void: IntervalSet::of(floor + 7, floor + 7),
        untold: IntervalSet::of(floor + 7, floor + 7),
        unacknowledged: IntervalSet::of(floor + 2, floor + 2),
        in_flight: IntervalSet::of(floor, floor + 1),
        incarnation: Some(u64::MAX),
        touched: Age(77),
    }
}

/// Accepted messages of the seqs from `first` on, each with its seq as payload.
pub(crate) fn out_batch(first: Seq, count: u64, deadline: u64) -> OutBatch {
    let mut batch = OutBatch::empty(FlowName { flow: FLOW, peer: PEER }, Class::Normal, Age(deadline), Wall(50));
    batch.messages = (first..first + count)
        .map(|seq| OutMessage {
            seq,
            deadline: Age(deadline),
            encoded: encoded("test", seq.to_string().as_bytes(), None),
        })
        .collect();
    batch
}

pub(crate) fn inbox_batch(n: u64, seqs: impl IntoIterator<Item = Seq>) -> InboxBatch {
    InboxBatch {
        at: at(n),
        sender: PEER,
        flow: FLOW,
        class: Class::Normal,
        messages: seqs.into_iter().map(|seq| (seq, encoded("test", seq.to_string().as_bytes(), None))).collect(),
        received_at: Wall(60),
        hops: 2,
        path: None,
    }
}

pub(crate) fn parcel(no: u64) -> OutParcel {
    OutParcel {
        parcel: tidings_core::ids::OutParcelNo(no),
        peer: PEER,
        flow: FLOW,
        seqs: IntervalSet::of(0, 4),
        session: SessionId::from_bytes([4; 32]),
        floor: 0,
        deadline: Age(500),
        inner: Bytes::from_static(b"sealed"),
        record_route: true,
    }
}

/// The payloads of the inbox, in order.
pub(crate) fn shown(store: &Store) -> Vec<String> {
    let inbox = store.inbox(None, usize::MAX, u64::MAX, None).expect("a readable inbox");
    inbox.iter().map(|message| String::from_utf8_lossy(&message.payload).into_owned()).collect()
}
