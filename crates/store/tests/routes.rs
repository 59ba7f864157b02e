//! Recorded routes: at the sender, at the recipient, and how many are kept.

mod common;

use bytes::Bytes;
use common::{Database, FLOW, PEER, checkpoint, inbox_batch, out_batch, out_flow};
use tidings_core::ids::{FlowId, MessageId, Seq};
use tidings_core::interval::IntervalSet;
use tidings_core::record::{InFlow, InboxBatch, MAX_ROUTES, MAX_UNTOLD, Pended, Record};
use tidings_core::time::{Age, Wall};
use tidings_core::wire::{MessageContent, PartOf, Path, RecordedRoute, decode_content, encode_content};
use tidings_crypto::PeerKey;
use tidings_store::Arrival;

const OTHER: PeerKey = PeerKey::from_bytes([8; 32]);

fn path(relays: usize) -> Path {
    Path::from_bytes(&vec![relays as u8; 16 * relays]).expect("a path")
}

fn route_of(peer: PeerKey, seqs: IntervalSet, relays: usize) -> Record {
    let route = RecordedRoute { seqs, hops: relays as u32 + 1, path: path(relays) };
    Record::Route { peer, flow: FLOW, route, wall: Wall(70) }
}

fn asking(encoded: &Bytes) -> Bytes {
    encode_content(&MessageContent { record_route: true, ..decode_content(encoded.clone()).expect("a message") })
}

fn in_flow() -> Record {
    Record::InFlow(InFlow {
        flow: FLOW,
        sender: PEER,
        since: 0,
        floor: 0,
        delivered: IntervalSet::of(0, 9),
        void: IntervalSet::new(),
        unacknowledged: IntervalSet::new(),
        pended: IntervalSet::new(),
        multipart: Vec::new(),
        touched: Age(1),
    })
}

fn id(seq: Seq) -> MessageId {
    MessageId { flow: FLOW, seq }
}

#[test]
fn a_sent_message_that_asked_shows_the_route_its_recipient_told() {
    let mut database = Database::new();
    let mut batch = out_batch(10, 3, 700);
    for seq in [10, 11] {
        let message = &mut batch.messages[seq - 10];
        message.encoded = asking(&message.encoded);
    }
    database.apply(vec![
        Record::OutFlow(out_flow(13, 10)),
        Record::Accepted(batch),
        // Of somebody else's flow of this name, and of messages that did not ask.
        route_of(OTHER, IntervalSet::of(10, 12), 5),
        route_of(PEER, IntervalSet::of(11, 12), 2),
        checkpoint(1),
    ]);
    let database = database.reopen();
    let route = |seq| database.store.message(id(seq)).expect("readable").expect("a message").route;
    assert_eq!([route(10), route(11), route(12)], [None, Some((3, path(2))), None]);
    assert_eq!(database.store.snapshot().expect("readable").routes, []);
    assert_eq!(database.store.arrival(id(11)).expect("readable"), None, "it did not arrive here");
}

#[test]
fn a_received_message_shows_its_route_in_the_inbox_and_when_it_is_consumed() {
    let mut database = Database::new();
    let mut batch = InboxBatch { path: Some(path(1)), ..inbox_batch(1, [3, 4]) };
    batch.messages[1].1 = asking(&batch.messages[1].1);
    database.apply(vec![in_flow(), Record::Inbox(batch), route_of(PEER, IntervalSet::of(4, 4), 1), checkpoint(1)]);
    let mut database = database.reopen();
    let inbox = database.store.inbox(None, 9, u64::MAX, None).expect("readable");
    assert_eq!(inbox.iter().map(|message| message.path.clone()).collect::<Vec<_>>(), [None, Some(path(1))]);
    let arrival =
        |seq, path, consumed| Arrival { id: id(seq), from: PEER, received_at: Wall(60), hops: 2, path, consumed };
    assert_eq!(database.store.arrival(id(3)).expect("readable"), Some(arrival(3, None, false)));
    assert_eq!(database.store.arrival(id(4)).expect("readable"), Some(arrival(4, Some(path(1)), false)));
    let route = RecordedRoute { seqs: IntervalSet::of(4, 4), hops: 2, path: path(1) };
    assert_eq!(database.store.snapshot().expect("readable").routes, [(PEER, FLOW, route)]);
    let consumed = |from, to| Record::Consumed { sender: PEER, flow: FLOW, seqs: IntervalSet::of(from, to) };
    database.apply(vec![consumed(4, 4)]);
    assert_eq!(database.store.arrival(id(4)).expect("readable"), Some(arrival(4, Some(path(1)), true)));
    database.apply(vec![consumed(3, 3)]);
    assert_eq!(database.store.arrival(id(3)).expect("readable"), None, "no route of it was recorded");
    let kept = Arrival { received_at: Wall(70), ..arrival(4, Some(path(1)), true) };
    assert_eq!(database.store.arrival(id(4)).expect("readable"), Some(kept));
    database.apply(vec![Record::InFlowDropped { sender: PEER, flow: FLOW }]);
    assert_eq!(database.store.arrival(id(4)).expect("readable"), None);
}

#[test]
fn a_message_in_parts_has_the_path_of_its_first() {
    let mut database = Database::new();
    let part = |index, way| {
        let encoded = common::encoded("parts", b"x", Some(PartOf { index, count: 2 }));
        Record::Pended(Pended {
            sender: PEER,
            flow: FLOW,
            seq: u64::from(index),
            class: tidings_core::class::Class::Low,
            encoded: if index == 0 { asking(&encoded) } else { encoded },
            received_at: Wall(60),
            hops: 4,
            path: way,
            predecessors: Vec::new(),
            part: Some((index, 2)),
        })
    };
    let released = Record::Released { at: common::at(1), sender: PEER, flow: FLOW, first: 0, parts: 2 };
    database.apply(vec![in_flow(), part(0, Some(path(3))), part(1, None), released]);
    let inbox = database.store.inbox(None, 9, u64::MAX, None).expect("readable");
    assert_eq!((inbox[0].path.clone(), inbox[0].hops), (Some(path(3)), 4));
}

#[test]
fn the_oldest_routes_go() {
    let mut database = Database::new();
    let seqs = |n: usize| IntervalSet::of(n as u64, n as u64);
    let routes = (0..MAX_ROUTES + 5).map(|n| route_of(PEER, seqs(n), 1));
    database.apply([in_flow()].into_iter().chain(routes).collect());
    let hops = |n: usize| database.store.arrival(id(n as u64)).expect("readable").map(|arrival| arrival.hops);
    assert_eq!([hops(4), hops(5), hops(MAX_ROUTES + 4)], [None, Some(2), Some(2)]);
    let untold = database.store.snapshot().expect("readable").routes;
    assert_eq!(untold.len(), MAX_UNTOLD);
    let ends = [&untold[0], &untold[MAX_UNTOLD - 1]].map(|(_, _, route)| route.seqs.clone());
    assert_eq!(ends, [seqs(MAX_ROUTES + 5 - MAX_UNTOLD), seqs(MAX_ROUTES + 4)]);
    assert!(untold.iter().all(|(peer, flow, _): &(PeerKey, FlowId, _)| (*peer, *flow) == (PEER, FLOW)));
}
