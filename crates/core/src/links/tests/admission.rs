//! What peers do wrong.

use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;

use super::net::{Net, key, payload};
use super::solo::{PEER, Solo, hello};
use crate::class::Class;
use crate::ids::LinkId;
use crate::links::admission::MAX_REMEMBERED;
use crate::links::window::MAX_WINDOW_BYTES;
use crate::links::{Config, Effect, Event, LinkKind};
use crate::trust::Evidence;
use crate::wire::{Bye, Fragment, Frame, Hello, MAX_PARCEL_BYTES};

fn evidence(effects: &[Effect]) -> Vec<Evidence> {
    let evidence = effects.iter().filter_map(|effect| match effect {
        Effect::Evidence { evidence, .. } => Some(*evidence),
        _ => None,
    });
    evidence.collect()
}

fn closes(effects: &[Effect], link: u64) -> bool {
    let link = LinkId(link);
    effects.contains(&Effect::Close { link })
}

fn probe(nonce: u64) -> Frame {
    Frame::Probe { nonce, answer: false }
}

#[test]
fn frames_that_may_not_stand_where_they_do_close_the_link() {
    let piece = |total| Frame::Fragment(Fragment { class: Class::Low, total, bytes: payload(100, 0) });
    for (frames, expected) in [
        (vec![probe(1)], Evidence::MalformedFrame),
        (vec![hello(1), hello(1)], Evidence::MalformedFrame),
        (vec![hello(1), piece(None)], Evidence::MalformedFrame),
        (vec![hello(1), piece(Some(150)), piece(None)], Evidence::MalformedFrame),
        (vec![hello(1), Frame::Got(1)], Evidence::BadGot),
    ] {
        let mut solo = Solo::new();
        solo.up(1, PEER);
        for frame in &frames {
            solo.say(1, frame, false);
        }
        let effects = solo.effects();
        assert_eq!(evidence(&effects), [expected], "{frames:?}");
        assert!(closes(&effects, 1), "{frames:?}");
        assert_eq!(solo.state.stats().links, 0);
        assert!(!solo.state.is_up(&key(PEER)));
    }
}

#[test]
fn three_strikes_refuse_the_peer_for_a_minute() {
    let mut solo = Solo::new();
    for link in 1..=3 {
        solo.up(link, PEER);
        solo.say_bytes(link, Bytes::from_static(&[0, 0, 0, 0]));
    }
    assert_eq!(solo.state.stats().strikes, 3);
    solo.effects();
    solo.frames();
    solo.up(4, PEER);
    let frames = solo.frames();
    assert_eq!(frames.last().map(|frame| &frame.0), Some(&Frame::Bye(Bye::Refused)));
    assert!(closes(&solo.effects(), 4));
    solo.wait(Duration::from_secs(61));
    solo.up(5, PEER);
    solo.say(5, &hello(1), false);
    assert!(solo.state.is_up(&key(PEER)));
}

#[test]
fn no_hello_within_ten_seconds_closes_the_link() {
    let mut solo = Solo::new();
    solo.up(1, PEER);
    solo.wait(Duration::from_millis(9_900));
    assert_eq!(solo.state.stats().links, 1);
    solo.wait(Duration::from_millis(200));
    assert!(closes(&solo.effects(), 1));
    assert_eq!(solo.state.stats().links, 0);
}

#[test]
fn no_common_version_is_said_and_ends_the_link() {
    let mut solo = Solo::new();
    solo.up(1, PEER);
    let strange = Frame::Hello(Hello {
        versions: vec![7, 8],
        boot: 1,
        link: 1,
        capabilities: Vec::new(),
        card_seq: 0,
        name: String::new(),
    });
    solo.say(1, &strange, false);
    let frames = solo.frames();
    assert_eq!(frames.last().map(|frame| &frame.0), Some(&Frame::Bye(Bye::Incompatible)));
    let effects = solo.effects();
    assert!(closes(&effects, 1));
    assert_eq!(evidence(&effects), []);
}

#[test]
fn a_flood_of_probes_is_a_strike_and_honest_ones_are_answered() {
    let mut solo = Solo::joined();
    for nonce in 0..200 {
        solo.say(1, &probe(nonce), false);
        assert_eq!(solo.frames().last().map(|frame| frame.0.clone()), Some(Frame::Probe { nonce, answer: true }));
        solo.wait(Duration::from_secs(1));
        solo.frames();
    }
    assert_eq!(evidence(&solo.effects()), []);
    for nonce in 0..200 {
        solo.say(1, &probe(nonce), false);
    }
    let effects = solo.effects();
    assert_eq!(evidence(&effects), [Evidence::Flood]);
    assert!(closes(&effects, 1));
}

#[test]
fn more_than_the_largest_window_without_asking_is_a_flood() {
    let mut solo = Solo::joined();
    let piece = Frame::Fragment(Fragment { class: Class::Bulk, total: Some(16_000), bytes: payload(16_000, 0) });
    let mut said = 0;
    while solo.state.stats().links == 1 {
        said += solo.say(1, &piece, false) as u64;
        assert!(said < MAX_WINDOW_BYTES * 2);
    }
    assert!(said > MAX_WINDOW_BYTES);
    let effects = solo.effects();
    assert_eq!(evidence(&effects), [Evidence::Flood]);
}

#[test]
fn reassembly_holds_one_parcel_of_each_class() {
    let mut solo = Solo::joined();
    for class in Class::ALL {
        let mut total = u32::try_from(MAX_PARCEL_BYTES).ok();
        for _ in 0..4 {
            let piece = Frame::Fragment(Fragment { class, total: total.take(), bytes: payload(16_000, 0) });
            solo.say(1, &piece, true);
        }
    }
    assert_eq!(solo.state.held_bytes(), 5 * 4 * 16_000);
    assert_eq!(evidence(&solo.effects()), []);
}

#[test]
fn names_are_cleaned_before_anybody_sees_them() {
    let mut solo = Solo::new();
    solo.up(1, PEER);
    let Frame::Hello(mut hello) = hello(1) else {
        unreachable!("a hello");
    };
    hello.name = "evil\u{1b}[2J\nname".to_owned();
    solo.say(1, &Frame::Hello(hello), false);
    assert_eq!(solo.state.peer_views()[0].1, "evil[2Jname");
}

#[test]
fn strangers_are_refused_before_the_links_run_out() {
    let config = Config { max_links: 4, ..Config::default() };
    let mut solo = Solo::with(config);
    for number in 0..4 {
        solo.up(number, 20 + u8::try_from(number).expect("few"));
    }
    assert_eq!(solo.state.stats().refused, 0);
    solo.up(10, 40);
    assert_eq!(solo.state.stats().refused, 1);
    // Somebody that is waited for finds room, up to twice as many.
    for number in 0..5 {
        let peer = key(50 + number);
        solo.handle(Event::Wanted { peer, wanted: true });
        solo.up_to(100 + u64::from(number), peer);
    }
    assert_eq!(solo.state.stats().refused, 2);
    assert_eq!(solo.state.stats().links, 8);
}

#[test]
fn the_memory_of_strikes_is_bounded() {
    let mut solo = Solo::new();
    let strangers = u64::try_from(MAX_REMEMBERED).expect("small") + 50;
    for number in 1..=strangers {
        let mut bytes = [3; 32];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        solo.up_to(number, tidings_crypto::PeerKey::from_bytes(bytes));
        solo.say_bytes(number, Bytes::from_static(&[0, 0, 0, 0]));
    }
    assert_eq!(solo.state.remembered(), MAX_REMEMBERED);
}

#[test]
fn goodbyes_that_nobody_reads_are_bounded() {
    let mut solo = Solo::new();
    solo.handle(Event::Pause);
    for number in 0..500 {
        solo.put(Event::Up {
            link: LinkId(number),
            peer: key(PEER),
            kind: LinkKind::Tcp,
            dial: None,
            address: super::net::tcp(9),
            batch: crate::ids::BatchNo(1),
        });
    }
    assert!(solo.state.stats().links <= 64);
    solo.wait(Duration::from_secs(2));
    assert_eq!(solo.state.stats().links, 0);
}

proptest! {
    #[test]
    fn no_bytes_make_a_link_panic(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..20),
        says_hello in any::<bool>(),
    ) {
        let mut solo = Solo::new();
        solo.up(1, PEER);
        if says_hello {
            solo.say(1, &hello(1), false);
        }
        for chunk in chunks {
            solo.say_bytes(1, Bytes::from(chunk));
        }
        solo.wait(Duration::from_secs(30));
    }

    /// Frames that can be read, in any order and with any content.
    #[test]
    fn no_frames_make_a_link_panic_or_grow(frames in prop::collection::vec(frame(), 0..60)) {
        let mut net = Net::new(2);
        net.connect(0, 1, LinkKind::Quic, None);
        net.run(Duration::from_secs(1));
        let link = net.link(0, 0);
        net.send(0, 1, Class::Normal, 1, payload(5_000, 0));
        for (frame, wants_got) in frames {
            let mut bytes = bytes::BytesMut::new();
            frame.encode(wants_got, &mut bytes);
            net.input(0, Event::Bytes { link, bytes: bytes.freeze() });
            prop_assert!(net.nodes[0].state.held_bytes() <= 5 * MAX_PARCEL_BYTES);
        }
        net.run(Duration::from_secs(60));
    }
}

fn frame() -> impl Strategy<Value = (Frame, bool)> {
    let class = (0..5_u32).prop_map(|class| Class::from_wire(class).unwrap_or(Class::Bulk));
    let fragment = (class, prop::option::of(1..70_000_u32), 1..16_000_usize).prop_map(|(class, total, length)| {
        let total = total.map(|total| total.min(60_000));
        let length = length.min(total.unwrap_or(u32::MAX) as usize);
        Frame::Fragment(Fragment { class, total, bytes: payload(length, 0) })
    });
    let frame = prop_oneof![
        4 => fragment,
        1 => any::<u64>().prop_map(Frame::Got),
        1 => (0..6_000_u64).prop_map(Frame::Got),
        2 => (any::<u64>(), any::<bool>())
            .prop_map(|(nonce, answer)| Frame::Probe { nonce, answer }),
        1 => any::<u64>().prop_map(hello),
        1 => Just(Frame::Bye(Bye::ShuttingDown)),
        1 => any::<u64>().prop_map(|link| Frame::Bye(Bye::ReplacedBy { dialler: key(3), link })),
        1 => any::<u64>().prop_map(|nonce| Frame::FindCard { peer: key(3), nonce }),
        1 => Just(Frame::Skipped),
    ];
    (frame, any::<bool>())
}
