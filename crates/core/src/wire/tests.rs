//! Paths of parcels, and the routes that receipts tell.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use prost::Message as _;
use tidings_crypto::{PeerKey, ReceiptKeyId, RoutingId};

use super::*;
use crate::class::Class;
use crate::ids::FlowId;
use crate::interval::IntervalSet;

const BODY: &[u8] = &[7; 40];
const TO: RoutingId = RoutingId([8; 16]);

fn encode(path: Option<&Path>) -> Bytes {
    let suite = Suite::ReceiptKey { sender: PeerKey::from_bytes([1; 32]), key: ReceiptKeyId([2; 8]) };
    Parcel::encode(TO, Class::Normal, 5, &suite, Bytes::from_static(BODY), 60, path).1
}

/// The parcel, altered as a liar may.
fn altered(encoded: Bytes, alter: impl FnOnce(&mut proto::Parcel)) -> Result<Passage, ParcelError> {
    let mut parcel = proto::Parcel::decode(encoded).expect("a parcel");
    alter(&mut parcel);
    Passage::decode(parcel.encode_to_vec().into())
}

fn relay(n: u32) -> RoutingId {
    RoutingId([n as u8; 16])
}

#[test]
fn a_path_grows_by_each_relay_and_the_name_of_the_parcel_stays() {
    let mut passage = Passage::decode(encode(Some(&Path::default()))).expect("a parcel");
    let id = passage.id;
    for n in 1..MAX_HOPS {
        passage = Passage::decode(passage.onward(relay(n), 60)).expect("a parcel");
        assert_eq!((passage.id, passage.ttl), (id, MAX_HOPS - n));
    }
    let expected: Vec<_> = (1..MAX_HOPS).map(relay).collect();
    assert_eq!(passage.open().expect("a parcel").path.expect("a path").relays(), expected);
}

#[test]
fn a_parcel_that_asks_for_no_path_gets_none_and_costs_no_byte() {
    let mut plain = encode(None);
    let asking = encode(Some(&Path::default()));
    assert_eq!(plain.len() + 2, asking.len(), "one flag in the header");
    for n in 1..MAX_HOPS {
        let onward = Passage::decode(plain.clone()).expect("a parcel").onward(relay(n), 60);
        assert_eq!(onward.len(), plain.len());
        let parcel = proto::Parcel::decode(onward.clone()).expect("a parcel");
        assert!(parcel.path.is_empty());
        plain = onward;
    }
    assert_eq!(Passage::decode(plain).expect("a parcel").path, None);
}

#[test]
fn a_path_that_cannot_be_is_malformed() {
    let malformed = |part| Err(ParcelError::Malformed { part });
    let path = |relays: usize| Bytes::from(vec![3; 16 * relays]);
    let asking = || encode(Some(&Path::default()));
    let with = |ttl, path: Bytes| altered(asking(), |parcel| (parcel.ttl, parcel.path) = (ttl, path)).map(|_| ());
    assert_eq!(with(MAX_HOPS - 2, path(2)), Ok(()));
    assert_eq!(with(MAX_HOPS - 2, path(3)), malformed("its path"), "more relays than links crossed");
    assert_eq!(with(MAX_HOPS - 2, path(1)), Ok(()), "a relay may leave itself out");
    assert_eq!(with(MAX_HOPS, path(1)), malformed("its path"));
    assert_eq!(with(MAX_HOPS + 1, path(0)), malformed("its path"));
    assert_eq!(with(0, path(32)), Ok(()));
    assert_eq!(with(0, path(33)), malformed("its fields"), "refused before it is read");
    assert_eq!(with(20, path(1).slice(1..)), malformed("its path"));
    let unasked = altered(encode(None), |parcel| (parcel.ttl, parcel.path) = (20, path(1))).map(|_| ());
    assert_eq!(unasked, malformed("its path"));
}

#[test]
fn the_largest_parcel_has_room_for_the_longest_path() {
    let seqs: IntervalSet = (0..MAX_PARCEL_INTERVALS as u64).map(|n| u64::MAX / 2 + n * 2).collect();
    let content = Content { flow: FlowId([1; 8]), seqs, floor: 0 };
    let session = tidings_crypto::SessionId::from_bytes([3; 32]);
    let suite = Suite::Session(Clear { sender: PeerKey::from_bytes([1; 32]), session, content: Some(content) });
    let body = Bytes::from(vec![0; MAX_BODY_BYTES]);
    let path = Path::default();
    let (_, encoded) = Parcel::encode(TO, Class::Normal, u64::MAX, &suite, body, u32::MAX, Some(&path));
    let full = altered(encoded, |parcel| (parcel.ttl, parcel.path) = (0, vec![9; 512].into())).expect("a parcel");
    let bytes = full.onward(TO, u32::MAX);
    assert!(bytes.len() <= MAX_PARCEL_BYTES, "{}", bytes.len());
}

#[test]
fn a_flag_is_found_without_reading_a_message() {
    let mut message = MessageContent {
        kind: "data".to_owned(),
        payload: Bytes::from_static(&[0x50, 1]),
        sent_at: crate::time::Wall(1),
        expires_at: crate::time::Wall(2),
        stream: Some("s".to_owned()),
        predecessors: Vec::new(),
        headers: vec![("a".to_owned(), "b".to_owned())],
        reply_to: None,
        part: Some(PartOf { index: 0, count: 2 }),
        record_route: false,
    };
    assert!(!asks_for_route(&encode_content(&message)));
    message.record_route = true;
    let encoded = encode_content(&message);
    assert!(asks_for_route(&encoded));
    assert_eq!(decode_content(encoded), Ok(message));
    assert!(!asks_for_route(&[0x50]) && !asks_for_route(&[0xff; 12]));
}

fn receipt(recorded: Vec<RecordedRoute>) -> Control {
    Control::Receipt(Receipt {
        flow: FlowId([4; 8]),
        incarnation: 1,
        floor: 100,
        delivered: IntervalSet::of(100, 2_000),
        void: IntervalSet::new(),
        acknowledged_range: None,
        unacknowledged: IntervalSet::new(),
        recorded,
    })
}

fn decoded(recorded: Vec<RecordedRoute>) -> Result<Vec<Control>, ParcelError> {
    decode_controls(&encode_controls(&[receipt(recorded)]))
}

fn route(seqs: IntervalSet, hops: u32, relays: usize) -> RecordedRoute {
    RecordedRoute { seqs, hops, path: Path::from_bytes(&vec![6; 16 * relays]).expect("a path") }
}

#[test]
fn a_receipt_with_routes_beyond_their_bounds_is_malformed() {
    let seqs = || IntervalSet::of(100, 120);
    let many = |count: usize| vec![route(seqs(), 3, 2); count];
    assert_eq!(decoded(many(MAX_RECORDED)), Ok(vec![receipt(many(MAX_RECORDED))]));
    let wide = IntervalSet::of(100, 100 + MAX_PARCEL_SPAN);
    let split: IntervalSet = (0..=MAX_PARCEL_INTERVALS as u64).map(|n| 100 + 2 * n).collect();
    let wrong = [
        many(MAX_RECORDED + 1),
        vec![route(seqs(), 2, 2)],
        vec![route(seqs(), 0, 0)],
        vec![route(seqs(), MAX_HOPS + 1, 2)],
        vec![route(IntervalSet::new(), 3, 2)],
        vec![route(wide, 3, 2)],
        vec![route(split, 3, 2)],
    ];
    for recorded in wrong {
        assert_eq!(decoded(recorded.clone()), Err(ParcelError::Malformed { part: "a control item" }), "{recorded:?}");
    }
}

proptest! {
    #[test]
    fn what_a_relay_passes_on_is_what_came_and_itself(relays in vec(any::<[u8; 16]>(), 0..31), own: [u8; 16]) {
        let ttl = MAX_HOPS - relays.len() as u32;
        let bytes = Bytes::from(relays.concat());
        let came = altered(encode(Some(&Path::default())), |parcel| (parcel.ttl, parcel.path) = (ttl, bytes))?;
        let went = Passage::decode(came.onward(RoutingId(own), 9))?;
        let expected: Vec<_> = relays.into_iter().chain([own]).map(RoutingId).collect();
        prop_assert_eq!(went.path.as_ref().map(Path::relays), Some(&expected[..]));
        prop_assert_eq!((went.id, went.ttl, went.left_seconds), (came.id, ttl - 1, 9));
    }

    #[test]
    fn the_routes_of_a_receipt_are_read_as_written(
        routes in vec((100u64..2_000, 0u64..MAX_PARCEL_SPAN, 1u32..=MAX_HOPS, 0usize..MAX_HOPS as usize), 0..=MAX_RECORDED),
    ) {
        let recorded: Vec<_> = routes
            .into_iter()
            .map(|(first, span, hops, relays)| route(IntervalSet::of(first, first + span), hops, relays.min(hops as usize - 1)))
            .collect();
        prop_assert_eq!(decoded(recorded.clone()), Ok(vec![receipt(recorded)]));
    }
}
