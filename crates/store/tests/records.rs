//! Every record comes back: in the snapshot, in answers, in what people read.
#![expect(clippy::wildcard_enum_match_arm, reason = "a test fails where it stands")]

mod common;

use bytes::Bytes;
use common::{Database, FLOW, PEER, at, checkpoint, encoded, inbox_batch, out_batch, out_flow, parcel, shown};
use tidings_core::class::Class;
use tidings_core::ids::{At, FlowId, MessageId, OutParcelNo};
use tidings_core::interval::IntervalSet;
use tidings_core::links::Address;
use tidings_core::message::{Idempotency, OutMessage};
use tidings_core::record::{
    BookAddress, Contact, ExpiryPlace, InFlow, Invite, Loaded, Pended, Query, Record, StoredSession,
};
use tidings_core::time::{Age, Wall};
use tidings_core::wire::{PartOf, Path};
use tidings_crypto::SessionId;

fn pended(seq: u64, payload: &[u8], part: Option<PartOf>) -> Pended {
    Pended {
        sender: PEER,
        flow: FLOW,
        seq,
        class: Class::Bulk,
        encoded: encoded("parts", payload, part),
        received_at: Wall(60 + seq),
        hops: 3,
        path: Path::from_bytes(&[9; 32]),
        predecessors: vec![MessageId { flow: FLOW, seq: 1 }, MessageId { flow: FlowId([3; 8]), seq: 2 }],
        part: part.map(|part| (part.index, part.count)),
    }
}

fn in_flow() -> InFlow {
    InFlow {
        flow: FLOW,
        sender: PEER,
        since: 1,
        floor: 3,
        delivered: IntervalSet::of(4, 9),
        void: IntervalSet::of(12, 12),
        unacknowledged: IntervalSet::of(1, 9),
        pended: IntervalSet::of(8, 9),
        multipart: vec![(4, 2)],
        touched: Age(88),
    }
}

#[test]
fn a_snapshot_holds_every_record() {
    let mut database = Database::new();
    let incarnation = database.store.snapshot().unwrap().incarnation;
    let session =
        StoredSession { session: SessionId::from_bytes([4; 32]), peer: PEER, state: Bytes::from_static(b"ratchet") };
    let contact = Contact { peer: PEER, name: "ann".into(), verified: true, added: Wall(9) };
    let invite = Invite { secret: [5; 16], deadline: Age(99) };
    let known = BookAddress { address: Address::new("/ip4/127.0.0.1/tcp/1").unwrap(), reached: Some(Age(4)) };
    let mut accepted = out_batch(10, 3, 700);
    accepted.idempotency = vec![(Idempotency { key: [1; 16], body: [2; 16] }, 11)];
    accepted.multipart = vec![(11, 2)];
    accepted.stream_tails = vec![("s".into(), 12)];
    let bytes: usize = accepted.messages.iter().map(|message| message.encoded.len()).sum();
    database.apply(vec![
        Record::Booted { boot: 3 },
        Record::Account(Bytes::from_static(b"account")),
        Record::OwnCard { seq: 8, card: Bytes::from_static(b"own") },
        Record::Card { peer: PEER, card: Bytes::from_static(b"card") },
        Record::Session(session.clone()),
        Record::OutFlow(out_flow(13, 10)),
        Record::Accepted(accepted),
        Record::ParcelSealed(parcel(6)),
        Record::ParcelSealed(parcel(7)),
        Record::ParcelDone { parcel: OutParcelNo(7) },
        Record::InFlow(in_flow()),
        Record::Pended(pended(8, b"x", Some(PartOf { index: 0, count: 2 }))),
        Record::Contact(contact.clone()),
        Record::Invite(invite),
        Record::Book { peer: PEER, addresses: vec![known.clone()] },
        checkpoint(20),
    ]);
    let snapshot = database.reopen().store.snapshot().unwrap();
    assert_eq!((snapshot.boot, snapshot.incarnation), (3, incarnation));
    assert_eq!(snapshot.checkpoint, (Age(20), Wall(1_000_020)));
    assert_eq!(snapshot.account, "account");
    assert_eq!(snapshot.own_card, Some((8, Bytes::from_static(b"own"))));
    assert_eq!(snapshot.cards, [(PEER, Bytes::from_static(b"card"))]);
    assert_eq!(snapshot.sessions, [session]);
    assert_eq!(snapshot.out_flows, [out_flow(13, 10)]);
    let mut sealed = parcel(6);
    sealed.inner = Bytes::new();
    assert_eq!(snapshot.out_parcels, [sealed]);
    assert_eq!(snapshot.last_out_parcel, 7);
    assert_eq!(snapshot.in_flows, [in_flow()]);
    let mut waiting = pended(8, b"x", Some(PartOf { index: 0, count: 2 }));
    waiting.encoded = Bytes::new();
    assert_eq!(snapshot.pended, [waiting]);
    assert_eq!(snapshot.stream_tails, [(PEER, "s".into(), MessageId { flow: FLOW, seq: 12 })]);
    assert_eq!(snapshot.out_multipart, [(FLOW, 11, 2)]);
    assert_eq!(snapshot.idempotency, [[1; 16]]);
    assert_eq!(snapshot.contacts, [contact]);
    assert_eq!(snapshot.invites, [invite]);
    assert_eq!(snapshot.book, [(PEER, vec![known])]);
    assert_eq!(snapshot.next_deadline, Some(Age(700)));
    assert_eq!(snapshot.outbox_bytes[Class::Normal.index()], bytes as u64 + 3 * 64);
}

#[test]
fn what_is_dropped_is_gone() {
    let mut database = Database::new();
    let empty = database.store.snapshot().unwrap();
    let session = SessionId::from_bytes([4; 32]);
    database.apply(vec![
        Record::Card { peer: PEER, card: Bytes::from_static(b"card") },
        Record::Session(StoredSession { session, peer: PEER, state: Bytes::new() }),
        Record::OutFlow(out_flow(13, 10)),
        Record::Accepted(out_batch(10, 3, 700)),
        Record::InFlow(in_flow()),
        Record::Pended(pended(8, b"x", None)),
        Record::Contact(Contact { peer: PEER, name: "ann".into(), verified: false, added: Wall(9) }),
        Record::Invite(Invite { secret: [5; 16], deadline: Age(99) }),
        Record::Book {
            peer: PEER,
            addresses: vec![BookAddress { address: Address::new("/dns/a/tcp/1").unwrap(), reached: None }],
        },
    ]);
    assert_ne!(database.store.snapshot().unwrap(), empty);
    database.apply(vec![
        Record::CardForgotten { peer: PEER },
        Record::SessionDropped { session },
        Record::OutFlowDropped { flow: FLOW },
        Record::PendedDropped { sender: PEER, flow: FLOW, seqs: IntervalSet::of(7, 9) },
        Record::InFlowDropped { sender: PEER, flow: FLOW },
        Record::ContactRemoved { peer: PEER },
        Record::InviteDone { secret: [5; 16] },
        Record::Book { peer: PEER, addresses: Vec::new() },
    ]);
    assert_eq!(database.reopen().store.snapshot().unwrap(), empty);
}

#[test]
fn batches_of_one_call_are_applied_all_or_none() {
    let mut database = Database::new();
    let before = database.store.snapshot().unwrap();
    let twice = vec![vec![Record::Inbox(inbox_batch(1, [1]))], vec![Record::Inbox(inbox_batch(1, [2]))]];
    assert!(database.store.apply(&twice).is_err());
    assert_eq!(shown(&database.store), [""; 0]);
    assert_eq!(database.reopen().store.snapshot().unwrap(), before);
}

#[test]
fn messages_are_loaded_from_any_seq_up_to_a_size() {
    let mut database = Database::new();
    database.apply(vec![
        Record::OutFlow(out_flow(6, 0)),
        Record::Accepted(out_batch(0, 4, 700)),
        Record::Accepted(out_batch(4, 2, 800)),
    ]);
    let load = |from, max_bytes| match database.store.load(&Query::OutMessages { flow: FLOW, from, max_bytes }) {
        Ok(Loaded::OutMessages { messages, end }) => (messages, end),
        other => panic!("expected messages, got {other:?}"),
    };
    let expected: Vec<OutMessage> =
        out_batch(0, 4, 700).messages.into_iter().chain(out_batch(4, 2, 800).messages).collect();
    assert_eq!(load(0, usize::MAX), (expected.clone(), true));
    assert_eq!(load(3, usize::MAX), (expected[3..].to_vec(), true));
    assert_eq!(load(5, 1), (expected[5..].to_vec(), true));
    assert_eq!(load(2, 1), (expected[2..3].to_vec(), false));
    assert_eq!(load(6, usize::MAX), (Vec::new(), true));
}

#[test]
fn parcels_and_first_answers_are_loaded() {
    let mut database = Database::new();
    let mut accepted = out_batch(0, 1, 700);
    accepted.idempotency = vec![(Idempotency { key: [1; 16], body: [2; 16] }, 0)];
    database.apply(vec![Record::ParcelSealed(parcel(6)), Record::Accepted(accepted)]);
    let loaded = database.store.load(&Query::OutParcels(vec![OutParcelNo(5), OutParcelNo(6)])).unwrap();
    assert_eq!(loaded, Loaded::OutParcels(vec![(OutParcelNo(6), Bytes::from_static(b"sealed"))]));
    assert_eq!(database.store.load(&Query::Idempotent([9; 16])).unwrap(), Loaded::Idempotent(None));
    match database.store.load(&Query::Idempotent([1; 16])).unwrap() {
        Loaded::Idempotent(Some(answer)) => {
            assert_eq!((answer.body, answer.id.seq, answer.accepted_at), ([2; 16], 0, Wall(50)));
        }
        other => panic!("expected the first answer, got {other:?}"),
    }
}

#[test]
fn batches_expire_in_order_page_by_page() {
    let mut database = Database::new();
    let batches = [(0, 700), (2, 500), (4, 700), (6, 900)];
    database.apply(batches.map(|(first, deadline)| Record::Accepted(out_batch(first, 2, deadline))).to_vec());
    let mut after = ExpiryPlace::default();
    let mut seen = Vec::new();
    for expected_next in [Some(Age(700)), Some(Age(700)), Some(Age(900)), Some(Age(900))] {
        match database.store.load(&Query::Expiring { after, until: Age(700), limit: 1 }).unwrap() {
            Loaded::Expiring { batches, after: place, next } => {
                seen.extend(batches);
                after = place;
                assert_eq!(next, expected_next);
            }
            other => panic!("expected batches, got {other:?}"),
        }
    }
    assert_eq!(seen, [(FLOW, 2, 2), (FLOW, 0, 2), (FLOW, 4, 2)]);
}

#[test]
fn consumed_messages_leave_the_inbox_singly_and_by_rows() {
    let mut database = Database::new();
    database.apply(vec![Record::Inbox(inbox_batch(1, [1, 2, 5])), Record::Inbox(inbox_batch(4, [3, 4]))]);
    let consumed = |from, to| Record::Consumed { sender: PEER, flow: FLOW, seqs: IntervalSet::of(from, to) };
    database.apply(vec![consumed(2, 3)]);
    let mut database = database.reopen();
    assert_eq!(shown(&database.store), ["1", "5", "4"]);
    let after: Vec<At> = database.store.inbox(Some(at(1)), 9, u64::MAX, None).unwrap().iter().map(|m| m.at).collect();
    assert_eq!(after, [at(3), at(5)]);
    assert!(database.store.inbox(None, 9, u64::MAX, Some("other")).unwrap().is_empty());
    database.apply(vec![consumed(1, 1), consumed(5, 9)]);
    assert_eq!(shown(&database.store), ["4"]);
    database.apply(vec![consumed(0, 9)]);
    assert_eq!(shown(&database.store), [""; 0]);
}

#[test]
fn a_page_of_the_inbox_has_as_many_messages_as_its_bytes_allow() {
    let mut database = Database::new();
    let sizes = [400_000, 600_000, 700_000, 900_000, 10];
    for (n, size) in (1..).zip(sizes) {
        let mut batch = inbox_batch(n, [n]);
        batch.messages[0].1 = encoded("large", &vec![1; size], None);
        database.apply(vec![Record::Inbox(batch)]);
    }
    let page = |after, max_bytes| -> Vec<usize> {
        let page = database.store.inbox(after, 256, max_bytes, None).unwrap();
        page.iter().map(|message| message.payload.len()).collect()
    };
    assert_eq!(page(None, 1_000_000), [400_000, 600_000]);
    assert_eq!(page(Some(at(2)), 1_000_000), [700_000]);
    assert_eq!(page(Some(at(3)), 1), [900_000], "one that is too large comes alone");
    assert_eq!(page(None, u64::MAX), sizes);
}

#[test]
fn released_parts_are_one_message() {
    let mut database = Database::new();
    let part = |index| Some(PartOf { index, count: 3 });
    database.apply(vec![
        Record::Pended(pended(4, b"one ", part(0))),
        Record::Pended(pended(6, b"three", part(2))),
        Record::Pended(pended(5, b"two ", part(1))),
        Record::Pended(pended(7, b"other", None)),
    ]);
    database.apply(vec![Record::Released { at: at(1), sender: PEER, flow: FLOW, first: 4, parts: 3 }]);
    let mut database = database.reopen();
    let inbox = database.store.inbox(None, 9, u64::MAX, Some("parts")).unwrap();
    assert_eq!(inbox.len(), 1);
    assert_eq!((inbox[0].id.seq, inbox[0].payload.as_ref()), (4, b"one two three".as_slice()));
    assert_eq!((inbox[0].class, inbox[0].received_at, inbox[0].hops), (Class::Bulk, Wall(66), 3));
    assert_eq!(inbox[0].headers, [("a".into(), "b".into())]);
    assert_eq!(database.store.snapshot().unwrap().pended.len(), 1);
    database.apply(vec![Record::Consumed { sender: PEER, flow: FLOW, seqs: IntervalSet::of(4, 6) }]);
    assert_eq!(shown(&database.store), [""; 0]);
}
