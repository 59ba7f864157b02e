//! What a neighbour writes that is no neighbour's business: it is counted, and nothing else happens.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use tidings_core::Input;
use tidings_core::class::Class;
use tidings_core::ids::{FlowId, LinkId};
use tidings_core::interval::IntervalSet;
use tidings_core::links::LinkKind;
use tidings_core::message::Submission;
use tidings_core::trust::Evidence;
use tidings_core::wire::{Clear, Content, Fragment, Frame, FrameDecoder, Hello, Parcel, Suite, VERSION};
use tidings_crypto::SessionId;

use crate::net::{Disk, Net, address};
use crate::tell::note;

/// As many as may be under way in this class.
const PARCELS: usize = 24;
/// The fake neighbour's link.
const LINK: LinkId = LinkId(1 << 40);

/// The parcels in what was written to a link.
pub fn parcels(written: &[Bytes]) -> Vec<(Class, Bytes)> {
    let mut decoder = FrameDecoder::default();
    let mut open: BTreeMap<Class, (usize, Vec<u8>)> = BTreeMap::new();
    let mut parcels = Vec::new();
    for bytes in written {
        decoder.push(bytes.clone());
        while let Ok(Some((frame, ..))) = decoder.next_frame() {
            let Frame::Fragment(Fragment { class, total, bytes }) = frame else { continue };
            let (length, parcel) = open.entry(class).or_default();
            if let Some(total) = total {
                *length = total as usize;
            }
            parcel.extend_from_slice(&bytes);
            if parcel.len() == *length {
                parcels.push((class, std::mem::take(parcel).into()));
            }
        }
    }
    parcels
}

/// Node 0, which the story plays itself from now on, opens a link to node 1.
pub fn say_hello(net: &mut Net) {
    let peer = net.nodes[0].key();
    net.input(1, Input::LinkUp { link: LINK, peer, kind: LinkKind::Tcp, dial: None, address: address(0) });
    net.input(1, Input::Writable { link: LINK, bytes: 1 << 30 });
    let hello = Hello {
        versions: vec![VERSION],
        boot: 9,
        link: 1,
        capabilities: Vec::new(),
        card_seq: 0,
        name: "zero".to_owned(),
    };
    write(net, &Frame::Hello(hello));
}

fn write(net: &mut Net, frame: &Frame) {
    let mut bytes = BytesMut::new();
    frame.encode(frame.is_counted(), &mut bytes);
    net.input(1, Input::Bytes { link: LINK, bytes: bytes.freeze() });
    net.run_for(Duration::from_micros(500));
}

pub fn carry(net: &mut Net, class: Class, parcel: &Bytes) {
    let mut total = u32::try_from(parcel.len()).ok();
    for piece in parcel.chunks(16_000) {
        let bytes = Bytes::copy_from_slice(piece);
        write(net, &Frame::Fragment(Fragment { class, total: total.take(), bytes }));
    }
}

pub fn evidence_of(net: &Net, node: usize) -> BTreeMap<Evidence, u64> {
    let peer = net.nodes[node].key();
    let peers = net.nodes[1].engine().view().peers;
    peers.into_iter().find(|view| view.peer == peer).map(|view| view.evidence).unwrap_or_default()
}

/// Parcels of a stream from node 0, on their way to node 1, which waits for them with node 0 gone.
fn on_their_way() -> (Net, Vec<(Class, Bytes)>) {
    let mut net = Net::stopped(3);
    net.start(0);
    net.start(1);
    net.send(0, 1, "first");
    net.settle();
    // What it takes is not durable: no receipt leaves, and the power fails.
    net.nodes[1].disk = Disk::ByHand;
    net.record = Some(0);
    let to = net.nodes[1].key();
    for n in 0..PARCELS {
        net.submit(0, vec![Submission { stream: Some("s".to_owned()), ..note(to, format!("{n}")) }]);
        net.run_for(Duration::from_millis(20));
    }
    let parcels = parcels(&net.recorded).into_iter().filter(|(_, bytes)| is_of_messages(bytes)).collect();
    net.stop(0);
    net.crash(1);
    net.nodes[1].disk = Disk::After(Duration::from_millis(1));
    net.start(1);
    say_hello(&mut net);
    (net, parcels)
}

pub fn is_of_messages(bytes: &Bytes) -> bool {
    let parcel = Parcel::decode(bytes.clone()).expect("a parcel");
    matches!(parcel.suite, Suite::Session(Clear { content: Some(_), .. }))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn parcels_may_come_in_any_order_and_twice(
        order in Just((0..PARCELS).collect::<Vec<_>>()).prop_shuffle(),
        twice in proptest::collection::vec(0..PARCELS, 10),
    ) {
        let (mut net, parcels) = on_their_way();
        prop_assert_eq!(parcels.len(), PARCELS);
        let taken: BTreeSet<_> = twice.iter().copied().collect();
        for number in order.iter().chain(&taken).copied() {
            carry(&mut net, parcels[number].0, &parcels[number].1);
        }
        net.run_for(Duration::from_secs(1));
        let expected: Vec<_> = ["first".to_owned()].into_iter().chain((0..PARCELS).map(|n| n.to_string())).collect();
        prop_assert_eq!(net.texts(1, 0), expected);
        prop_assert_eq!(evidence_of(&net, 0), BTreeMap::new());
    }

    #[test]
    fn an_altered_parcel_is_evidence_and_the_true_one_is_still_taken(
        at in any::<prop::sample::Index>(), by in 1..=255u8, number in 0..PARCELS,
    ) {
        let (mut net, parcels) = on_their_way();
        let (class, parcel) = &parcels[number];
        let mut altered = parcel.to_vec();
        altered[at.index(parcel.len())] ^= by;
        carry(&mut net, *class, &altered.into());
        for (class, parcel) in &parcels {
            carry(&mut net, *class, parcel);
        }
        net.run_for(Duration::from_secs(1));
        prop_assert_eq!(net.texts(1, 0).len(), PARCELS + 1);
    }

    #[test]
    fn altered_bytes_on_a_link_cost_time_and_nothing_else(
        faults in proptest::collection::vec((1..60u64, any::<u64>(), 0..4u8, any::<u8>()), 1..6),
    ) {
        bytes_are_altered(&faults);
    }
}

/// Two nodes send each other twenty messages while what their links carry is altered here and there.
fn bytes_are_altered(faults: &[(u64, u64, u8, u8)]) {
    let mut net = Net::new(2);
    net.faults = faults.iter().map(|(chunk, at, kind, by)| (*chunk, (*at, *kind, *by))).collect();
    let (a, b) = (net.nodes[0].key(), net.nodes[1].key());
    for n in 0..20 {
        net.submit(0, vec![note(b, format!("a{n}"))]);
        net.submit(1, vec![note(a, format!("b{n}"))]);
        net.run_for(Duration::from_millis(5));
    }
    net.settle();
    assert_eq!(net.texts(1, 0).len(), 20);
    assert_eq!(net.texts(0, 1).len(), 20);
}

/// What the property above once found: the receipt that told of consumption was lost, and nobody asked for another.
#[test]
fn a_receipt_altered_on_its_way_is_asked_for_again() {
    bytes_are_altered(&[
        (15, 0, 0, 1),
        (47, 1_418_980_313_362_273_202, 0, 1),
        (7, 614_891_469_123_651_721, 2, 43),
        (5, 14_189_803_133_622_732_013, 3, 0),
    ]);
}

#[test]
fn nobody_speaks_in_anothers_name_or_to_anybody_else() {
    let (mut net, parcels) = on_their_way();
    let (class, bytes) = &parcels[0];
    let parcel = Parcel::decode(bytes.clone()).expect("a parcel");
    let Suite::Session(clear) = &parcel.suite else { panic!("a session's") };
    let content = clear.content.clone().expect("messages");
    let (own, third) = (net.nodes[1].key(), net.nodes[2].key());
    let wrap = |to: tidings_crypto::PeerKey, clear: Clear| {
        Parcel::encode(to.routing_id(), *class, 7, &Suite::Session(clear), parcel.body.clone(), 60, None).1
    };
    let strange = |content: Content| Clear { content: Some(content), ..clear.clone() };
    let forged = [
        (wrap(own, Clear { sender: third, ..clear.clone() }), Evidence::Forged),
        (wrap(own, Clear { session: SessionId::from_bytes([1; 32]), ..clear.clone() }), Evidence::CannotOpen),
        (wrap(own, strange(Content { flow: FlowId([9; 8]), ..content.clone() })), Evidence::Forged),
        (wrap(own, strange(Content { seqs: IntervalSet::of(900, 900), ..content.clone() })), Evidence::Forged),
        (Bytes::from_static(b"nonsense"), Evidence::MalformedParcel),
    ];
    for (bytes, expected) in forged {
        let before = evidence_of(&net, 0);
        carry(&mut net, *class, &bytes);
        let after = evidence_of(&net, 0);
        assert_eq!(after.get(&expected), Some(&(before.get(&expected).unwrap_or(&0) + 1)), "{expected:?}");
    }
    // What is for somebody else is carried there, who cannot open it.
    carry(&mut net, *class, &wrap(third, clear.clone()));
    net.seconds(1);
    assert!(net.nodes[2].app.shown.is_empty());
    assert_eq!(net.texts(1, 0), ["first"]);
    for (class, parcel) in &parcels {
        carry(&mut net, *class, parcel);
    }
    net.seconds(1);
    assert_eq!(net.texts(1, 0).len(), PARCELS + 1);
}
