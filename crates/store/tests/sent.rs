//! What is told about sent messages, and when it is forgotten.
#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

mod common;

use common::{Database, FLOW, HOUR, PEER, at, checkpoint, encoded, out_batch, out_flow};
use tidings_core::ids::{At, MessageId, Seq};
use tidings_core::interval::IntervalSet;
use tidings_core::message::{Change, Ending, FailureCode, Idempotency, MessageState, OutMessage, Step};
use tidings_core::record::{OutFlow, Record};
use tidings_core::time::{Age, Wall};
use tidings_core::wire::PartOf;
use tidings_store::{MessageFilter, Place, TimelineEntry};

fn id(seq: Seq) -> MessageId {
    MessageId { flow: FLOW, seq }
}

/// A flow without anything delivered, void or under way.
fn quiet_flow(next: Seq, floor: Seq) -> OutFlow {
    let none = IntervalSet::new;
    OutFlow {
        delivered: none(),
        partial: none(),
        void: none(),
        untold: none(),
        unacknowledged: none(),
        in_flight: none(),
        ..out_flow(next, floor)
    }
}

fn changed(n: u64, from: Seq, to: Seq, change: Change) -> Record {
    Record::Changed { at: at(n), flow: FLOW, peer: PEER, seqs: IntervalSet::of(from, to), change, wall: Wall(100 + n) }
}

fn ended(from: Seq, to: Seq, ending: Ending) -> Record {
    Record::Ended { flow: FLOW, seqs: IntervalSet::of(from, to), ending, wall: Wall(90) }
}

fn state(database: &Database, seq: Seq) -> MessageState {
    database.store.message(id(seq)).unwrap().expect("a stored message").state
}

#[test]
fn a_message_has_its_state_and_timeline() {
    let mut database = Database::new();
    let mut accepted = out_batch(0, 8, 700);
    accepted.retry_of = vec![(2, id(99))];
    let seqs = IntervalSet::of(0, 3);
    database.apply(vec![
        Record::OutFlow(out_flow(8, 0)),
        Record::Accepted(accepted),
        Record::Timeline { flow: FLOW, seqs: seqs.clone(), step: Step::Sent, wall: Wall(60) },
        Record::Timeline { flow: FLOW, seqs: IntervalSet::of(0, 0), step: Step::Refused, wall: Wall(61) },
        Record::Timeline { flow: FLOW, seqs, step: Step::Sent, wall: Wall(62) },
        changed(1, 2, 3, Change::Delivered),
        ended(7, 7, Ending::Failed(FailureCode::TooBig)),
    ]);
    let database = database.reopen();
    let message = database.store.message(id(2)).unwrap().unwrap();
    assert_eq!((message.to, message.accepted_at, message.attempts), (PEER, Wall(50), 2));
    assert_eq!((message.content.payload.as_ref(), message.retry_of), (b"2".as_slice(), Some(id(99))));
    let expected = [
        (Wall(50), TimelineEntry::State(MessageState::Accepted)),
        (Wall(60), TimelineEntry::Step(Step::Sent)),
        (Wall(62), TimelineEntry::Step(Step::Sent)),
        (Wall(101), TimelineEntry::State(MessageState::Delivered)),
    ];
    assert_eq!(message.timeline, expected);
    let states = [0, 2, 3, 4, 7].map(|seq| state(&database, seq));
    let expected = [
        MessageState::InFlight,
        MessageState::Delivered,
        MessageState::Acknowledged,
        MessageState::Accepted,
        MessageState::Failed(FailureCode::TooBig),
    ];
    assert_eq!(states, expected);
    assert_eq!(database.store.message(id(8)).unwrap(), None);
}

#[test]
fn a_late_receipt_corrects_what_had_ended() {
    let mut database = Database::new();
    database.apply(vec![
        Record::OutFlow(quiet_flow(10, 10)),
        Record::Accepted(out_batch(0, 10, 700)),
        ended(2, 8, Ending::Expired),
    ]);
    database.apply(vec![changed(1, 4, 5, Change::Delivered)]);
    let states: Vec<bool> = (0..10).map(|seq| state(&database, seq) == MessageState::Expired).collect();
    let expected: Vec<bool> = (0..10).map(|seq| matches!(seq, 2 | 3 | 6..=8)).collect();
    assert_eq!(states, expected);
}

#[test]
fn the_payload_of_parts_is_whole() {
    let mut database = Database::new();
    let mut accepted = out_batch(0, 1, 700);
    for index in 0..3 {
        let encoded = encoded("parts", &[b'a' + index; 3], Some(PartOf { index: u32::from(index), count: 3 }));
        accepted.messages.push(OutMessage { seq: 1 + u64::from(index), deadline: Age(700), encoded });
    }
    accepted.multipart = vec![(1, 3)];
    database.apply(vec![Record::OutFlow(quiet_flow(4, 0)), Record::Accepted(accepted)]);
    let message = database.store.message(id(1)).unwrap().unwrap();
    assert_eq!((message.content.payload.as_ref(), message.content.part), (b"aaabbbccc".as_slice(), None));
    assert_eq!(database.store.message(id(2)).unwrap(), None);
    let page = database.store.messages(&MessageFilter::default(), None, 9).unwrap();
    assert_eq!(page.messages.iter().map(|message| message.id.seq).collect::<Vec<_>>(), [1, 0]);
}

#[test]
fn events_are_resumed_from_any_place() {
    let mut database = Database::new();
    database.apply(vec![changed(1, 0, 4, Change::Delivered), changed(3, 0, 4, Change::Acknowledged)]);
    database.apply(vec![changed(4, 5, 5, Change::Ended(Ending::Cancelled))]);
    let database = database.reopen();
    let page = database.store.changes(at(1), 9).unwrap();
    let found: Vec<(At, Change)> = page.changes.iter().map(|change| (change.at, change.change)).collect();
    assert_eq!(found, [(at(3), Change::Acknowledged), (at(4), Change::Ended(Ending::Cancelled))]);
    assert!(!page.lagged);
    assert_eq!(database.store.changes(At::default(), 2).unwrap().changes.len(), 2);
    assert!(database.store.changes(At { boot: 2, n: 0 }, 9).unwrap().changes.is_empty());
}

#[test]
fn a_hundred_thousand_messages_are_listed_page_by_page() {
    let mut database = Database::new();
    let total = 100_000;
    let batches = (0..total / 200).map(|n| vec![Record::Accepted(out_batch(n * 200, 200, 700))]);
    let mut all: Vec<_> = batches.collect();
    all.push(vec![Record::OutFlow(quiet_flow(total, 0))]);
    database.store.apply(&all).unwrap();
    let (mut place, mut expected): (Option<Place>, Seq) = (None, total);
    loop {
        let page = database.store.messages(&MessageFilter::default(), place, 777).unwrap();
        assert!(page.messages.len() <= 777);
        for message in page.messages {
            expected -= 1;
            assert_eq!(message.id.seq, expected);
        }
        place = page.next;
        if place.is_none() {
            break;
        }
    }
    assert_eq!(expected, 0);
    let nobody = MessageFilter { to: Some(tidings_crypto::PeerKey::from_bytes([1; 32])), states: Vec::new() };
    assert!(database.store.messages(&nobody, None, 9).unwrap().messages.is_empty());
    let delivered = MessageFilter { to: Some(PEER), states: vec!["delivered".into()] };
    assert!(database.store.messages(&delivered, None, 9).unwrap().messages.is_empty());
}

#[test]
fn pruning_forgets_what_is_done_and_old() {
    let mut database = Database::new();
    let mut old = out_batch(0, 4, 700);
    old.idempotency = vec![(Idempotency { key: [1; 16], body: [2; 16] }, 0)];
    old.retry_of = vec![(1, id(99))];
    database.apply(vec![
        Record::OutFlow(quiet_flow(12, 6)),
        Record::Accepted(old),
        Record::Accepted(out_batch(4, 4, 800)),
        ended(0, 5, Ending::Expired),
        checkpoint(HOUR),
    ]);
    let mut young = out_batch(8, 4, 900);
    young.idempotency = vec![(Idempotency { key: [3; 16], body: [2; 16] }, 8)];
    database.apply(vec![Record::Accepted(young), checkpoint(20 * HOUR)]);
    database.apply(vec![Record::Prune, checkpoint(25 * HOUR)]);
    assert!(database.store.message(id(0)).unwrap().is_some(), "kept for a day");
    database.apply(vec![Record::Prune, checkpoint(26 * HOUR)]);
    assert!(database.store.message(id(0)).unwrap().is_none());
    assert_eq!(state(&database, 4), MessageState::Expired, "its batch is not all done");
    assert_eq!(database.store.snapshot().unwrap().idempotency, [[3; 16]]);
    assert_eq!(database.store.snapshot().unwrap().next_deadline, Some(Age(800)));
}

#[test]
fn only_the_newest_events_are_kept() {
    let mut database = Database::new();
    let kept = 100_000;
    let events = (1..=kept + 5).map(|n| changed(n, n, n, Change::Delivered)).collect();
    database.apply(events);
    database.apply(vec![Record::Prune, checkpoint(1)]);
    let page = database.store.changes(At::default(), 1).unwrap();
    assert_eq!((page.changes[0].at, page.lagged), (at(6), true));
    assert!(!database.store.changes(at(5), 1).unwrap().lagged);
}
