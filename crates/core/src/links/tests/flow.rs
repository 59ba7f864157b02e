//! Parcels over one link: classes, window, `Got`, the bounds.

use std::time::Duration;

use bytes::Bytes;

use super::net::{Net, Road, key, payload, tcp};
use super::solo::{PEER, Solo, hello};
use crate::class::Class;
use crate::ids::{BatchNo, LinkId, ParcelId};
use crate::links::queue::{MAX_QUEUE_BYTES, MAX_QUEUED_FRAMES};
use crate::links::{Effect, Event, LinkKind, Token};
use crate::wire::{Fragment, Frame, MAX_PARCEL_BYTES, RefusedReason, frame_bytes};

const MINUTE: Duration = Duration::from_mins(1);

fn joined(road: Road) -> Net {
    let mut net = Net::new(2);
    net.road = road;
    net.connect(0, 1, LinkKind::Quic, None);
    net.until(MINUTE, Net::both_up);
    net
}

/// The relay of the issue: 4 kB/s and 600 ms.
const SLOW: Road = Road { delay: Duration::from_millis(300), rate: 4_000, buffer: 64 * 1024 };

#[test]
fn parcels_arrive_whole_and_are_got_in_order() {
    let mut net = joined(Road::LAN);
    let sizes = [1, 300, 4_095, 16 * 1024, MAX_PARCEL_BYTES];
    for (token, size) in sizes.into_iter().enumerate() {
        let fill = u8::try_from(token).expect("few");
        net.send(0, 1, Class::Normal, token as u64, payload(size, fill));
    }
    net.until(MINUTE, |net| net.got(0).len() == sizes.len());
    assert_eq!(net.got(0), [0, 1, 2, 3, 4]);
    let arrived: Vec<_> = net.parcels(1).iter().map(|(_, bytes)| bytes.len()).collect();
    assert_eq!(arrived, sizes);
    let sent = net.seen(0, |effect| match effect {
        Effect::Sent { token } => Some(token.0),
        _ => None,
    });
    assert_eq!(sent, [0, 1, 2, 3, 4]);
    assert_eq!(net.lost(0), [0; 0]);
}

#[test]
fn critical_overtakes_bulk_on_a_slow_link_and_nothing_is_sent_twice() {
    let mut net = joined(SLOW);
    let bulk = 8;
    for token in 0..bulk {
        net.send(0, 1, Class::Bulk, token, payload(60_000, 1));
    }
    net.run(Duration::from_secs(40));
    net.send(0, 1, Class::Critical, 99, payload(500, 2));
    let waited = net.until(MINUTE, |net| net.parcels(1).iter().any(|(class, _)| *class == Class::Critical));
    assert!(waited < Duration::from_secs(4), "{waited:?}");
    net.until(MINUTE * 10, |net| net.got(0).len() == 9);
    assert_eq!(net.parcels(1).len(), 9);
    assert_eq!(net.nodes[0].state.stats().suspects, 0);
    let payloads = bulk * 60_000 + 500;
    let carried = net.carried(0, 0);
    assert!(carried < payloads + payloads / 50 + 1_000, "{carried}");
}

#[test]
fn a_slow_link_that_is_full_both_ways_is_not_suspected() {
    let mut net = joined(SLOW);
    for token in 0..4 {
        net.send(0, 1, Class::Bulk, token, payload(60_000, 1));
        net.send(1, 0, Class::Bulk, token, payload(60_000, 1));
    }
    net.until(MINUTE * 10, |net| net.got(0).len() == 4 && net.got(1).len() == 4);
    for node in [0, 1] {
        assert_eq!(net.nodes[node].state.stats().suspects, 0);
        assert_eq!(net.parcels(node).len(), 4);
    }
}

/// Keeps so many bytes queued until so many parcels are got; gives the time.
fn fill(net: &mut Net, parcels: u64) -> Duration {
    let start = net.now;
    let peer = net.nodes[1].key;
    let mut next = 0;
    while net.got(0).len() < usize::try_from(parcels).expect("few") {
        while next < parcels && net.nodes[0].state.queued_bytes(&peer, Class::Bulk) < 1024 * 1024 {
            net.send(0, 1, Class::Normal, next, payload(60_000, 3));
            next += 1;
        }
        net.run(Duration::from_millis(1));
    }
    net.now.since(start)
}

#[test]
fn the_window_ramps_up_to_what_a_fast_link_carries() {
    let mut net = joined(Road { delay: Duration::from_micros(500), rate: 400_000_000, buffer: 2 * 1024 * 1024 });
    let time = fill(&mut net, 1_000);
    let rate = 60_000_000 * 1_000 / u64::try_from(time.as_millis()).expect("short");
    assert!(rate > 200_000_000, "{rate} B/s");
}

#[test]
fn the_window_ramps_up_over_a_long_road() {
    let mut net = joined(Road { delay: Duration::from_millis(50), rate: 10_000_000, buffer: 2 * 1024 * 1024 });
    let time = fill(&mut net, 500);
    assert!(time < Duration::from_secs(5), "{time:?} for 30 MB at 10 MB/s");
}

#[test]
fn classes_share_by_weight_and_none_starves() {
    let mut net = joined(Road { rate: 100_000, ..Road::LAN });
    let mut token = 0;
    for class in [Class::High, Class::Normal, Class::Low, Class::Bulk] {
        for _ in 0..200 {
            token += 1;
            net.send(0, 1, class, token, payload(4_000, 0));
        }
    }
    net.run(Duration::from_secs(15));
    let arrived = net.parcels(1);
    let count = |class| arrived.iter().filter(|(other, _)| *other == class).count();
    let [high, normal, low, bulk] = [Class::High, Class::Normal, Class::Low, Class::Bulk].map(count);
    assert!(bulk >= 15, "{bulk}");
    for (more, less) in [(high, normal), (normal, low), (low, bulk)] {
        assert!((less * 2).abs_diff(more) <= 8, "{high} {normal} {low} {bulk}");
    }
}

#[test]
fn a_class_that_was_idle_has_saved_nothing_up() {
    let mut net = joined(Road { rate: 100_000, ..Road::LAN });
    for token in 0..50 {
        net.send(0, 1, Class::High, token, payload(4_000, 0));
    }
    net.run(Duration::from_secs(1));
    let before = net.parcels(1).len();
    for token in 100..150 {
        net.send(0, 1, Class::Bulk, token, payload(4_000, 0));
    }
    net.run(Duration::from_millis(500));
    let since = net.parcels(1).split_off(before);
    let bulk = since.iter().filter(|(class, _)| *class == Class::Bulk).count();
    assert!(bulk <= 3, "{bulk} of {}", since.len());
}

#[test]
fn what_waits_for_the_disk_blocks_nothing_behind_it() {
    let mut solo = Solo::joined();
    for (token, batch) in [(1, 5), (2, 2), (3, 4), (4, 6)] {
        solo.send(Class::Normal, token, payload(100, 0), batch);
    }
    assert_eq!(solo.sent(), [2]);
    solo.batches();
    solo.handle(Event::Durable(BatchNo(5)));
    assert_eq!(solo.sent(), [3, 1]);
    assert_eq!(solo.batches(), [BatchNo(5)], "the newest of the frames inside");
    solo.handle(Event::Withdraw { token: Token(4) });
    solo.handle(Event::Durable(BatchNo(9)));
    assert_eq!(solo.sent(), [0; 0]);
    assert_eq!(solo.state.queued_bytes(&key(PEER), Class::Bulk), 0);
}

#[test]
fn hello_waits_for_its_boot_to_be_durable() {
    let mut solo = Solo::new();
    solo.put(Event::Up {
        link: LinkId(1),
        peer: key(PEER),
        kind: LinkKind::Tcp,
        dial: None,
        address: tcp(9),
        batch: BatchNo(4),
    });
    let link = LinkId(1);
    solo.handle(Event::Writable { link, bytes: 10_000 });
    solo.say(1, &hello(1), false);
    solo.handle(Event::Durable(BatchNo(3)));
    assert_eq!(solo.batches(), []);
    solo.handle(Event::Durable(BatchNo(4)));
    assert_eq!(solo.batches(), [BatchNo(4)]);
    assert!(matches!(solo.frames()[0], (Frame::Hello(_), _, false)));
}

#[test]
fn what_one_turn_puts_in_leaves_together() {
    let mut solo = Solo::joined();
    solo.batches();
    for token in 0..20 {
        solo.send(Class::Normal, token, payload(300, 0), 1);
    }
    assert_eq!(solo.sent().len(), 20);
    assert_eq!(solo.batches().len(), 1);
    let frames = solo.frames();
    assert_eq!(frames.len(), 20);
    assert!(frames[19].2, "the last one queued asks for Got");
    assert!(!frames[0].2);
}

#[test]
fn never_more_is_handed_over_than_was_granted() {
    let mut solo = Solo::new();
    solo.put(Event::Up {
        link: LinkId(1),
        peer: key(PEER),
        kind: LinkKind::Tcp,
        dial: None,
        address: tcp(9),
        batch: BatchNo(1),
    });
    let mut granted = 0;
    let mut handed = 0;
    solo.say(1, &hello(1), false);
    solo.send(Class::Bulk, 1, payload(6_000, 0), 1);
    while solo.sent().is_empty() {
        granted += 100;
        let link = LinkId(1);
        solo.handle(Event::Writable { link, bytes: 100 });
        handed += solo.frames().iter().map(|frame| frame.1).sum::<usize>();
        assert!(handed <= granted);
        assert!(granted < 10_000);
    }
}

#[test]
fn the_window_is_8_kib_until_it_is_measured_and_got_opens_it() {
    let mut solo = Solo::joined();
    solo.send(Class::Bulk, 1, payload(60_000, 0), 1);
    let frames = solo.frames();
    let sent: usize = frames.iter().map(|frame| frame.1).sum();
    assert!((7 * 1024..=8 * 1024).contains(&sent), "{sent}");
    assert!(frames.iter().all(|frame| frame.1 <= 4 * 1024));
    assert!(frames.iter().all(|frame| frame.2), "each is a quarter window");
    solo.wait(Duration::from_millis(100));
    solo.frames();
    solo.say(1, &Frame::Got(sent as u64), false);
    let more: usize = solo.frames().iter().map(|frame| frame.1).sum();
    assert!((14 * 1024..=16 * 1024).contains(&more), "{more}: twice as much");
}

#[test]
fn got_is_cumulative_and_answers_at_once() {
    let mut solo = Solo::joined();
    let piece = |total, length| Frame::Fragment(Fragment { class: Class::Low, total, bytes: payload(length, 7) });
    let mut read = solo.say(1, &piece(Some(3_000), 2_000), false);
    assert_eq!(solo.frames(), []);
    read += solo.say(1, &piece(None, 1_000), true);
    let got = (Frame::Got(read as u64), frame_bytes(9), false);
    assert_eq!(solo.frames(), [got]);
    assert_eq!(
        solo.effects(),
        [Effect::Parcel { link: LinkId(1), peer: key(PEER), class: Class::Low, bytes: payload(3_000, 7) }]
    );
}

#[test]
fn a_frame_that_answers_goes_first_and_is_counted() {
    let mut solo = Solo::joined();
    solo.send(Class::Bulk, 1, payload(100, 0), 1);
    let refused = Frame::Refused { parcel: ParcelId([3; 16]), reason: RefusedReason::Busy };
    solo.put(Event::Control { link: Some(LinkId(1)), peer: key(PEER), frame: refused.clone(), batch: BatchNo(0) });
    let frames = solo.frames();
    assert_eq!(frames[0].0, refused);
    assert_eq!(frames.len(), 2);
    let length = frames[0].1 + frames[1].1;
    solo.say(1, &Frame::Got(length as u64), false);
    assert_eq!(solo.effects().last(), Some(&Effect::Got { token: Token(1) }));
}

#[test]
fn a_first_piece_ends_an_unfinished_parcel_of_its_class() {
    let mut solo = Solo::joined();
    let piece =
        |total, length, fill| Frame::Fragment(Fragment { class: Class::Low, total, bytes: payload(length, fill) });
    solo.say(1, &piece(Some(3_000), 2_000, 1), false);
    solo.say(1, &piece(Some(1_500), 1_000, 2), false);
    solo.say(1, &piece(None, 500, 2), false);
    let effects = solo.effects();
    assert!(matches!(&effects[..], [Effect::Parcel { bytes, .. }] if *bytes == payload(1_500, 2)), "{effects:?}");
}

#[test]
fn a_full_queue_gives_parcels_back() {
    let mut solo = Solo::joined();
    let parcels = MAX_QUEUE_BYTES / 65_536;
    for token in 0..parcels + 3 {
        solo.send(Class::Bulk, token, payload(65_536, 0), 9);
    }
    let lost: Vec<_> = (parcels..parcels + 3).map(|token| Effect::Lost { token: Token(token) }).collect();
    assert_eq!(solo.effects(), lost);
    let peer = key(PEER);
    assert_eq!(solo.state.queued_bytes(&peer, Class::Bulk), MAX_QUEUE_BYTES);
    assert_eq!(solo.state.queued_bytes(&peer, Class::Low), 0);
}

#[test]
fn a_full_queue_drops_answers_and_counts_them() {
    let mut solo = Solo::joined();
    for nonce in 0..MAX_QUEUED_FRAMES as u64 + 5 {
        solo.put(Event::Control {
            link: None,
            peer: key(PEER),
            frame: Frame::FindCard { peer: key(1), nonce },
            batch: BatchNo(9),
        });
    }
    assert_eq!(solo.state.stats().frames_dropped, 5);
}

#[test]
fn a_frame_that_cannot_be_cut_goes_even_where_nothing_in_flight_asks_for_got() {
    let mut solo = Solo::joined();
    let frames = [
        Frame::FindCard { peer: key(1), nonce: 1 },
        Frame::CardFound { nonce: 2, card: payload(12_000, 1) },
        Frame::FindCard { peer: key(1), nonce: 3 },
    ];
    for frame in frames {
        solo.put(Event::Control { link: None, peer: key(PEER), frame, batch: BatchNo::default() });
    }
    solo.handle(Event::Durable(BatchNo(3)));
    let asked: Vec<_> = solo.frames().into_iter().map(|(.., wants_got)| wants_got).collect();
    assert_eq!(asked, [false, true], "the long one goes beyond the window, and the rest waits for its `Got`");
}

#[test]
fn parcels_that_no_link_could_carry_are_given_back() {
    let mut solo = Solo::joined();
    solo.send(Class::Low, 1, Bytes::new(), 1);
    solo.send(Class::Low, 2, payload(MAX_PARCEL_BYTES + 1, 0), 1);
    solo.put(Event::Send {
        peer: key(77),
        class: Class::Low,
        token: Token(3),
        bytes: payload(1, 0),
        batch: BatchNo(1),
    });
    let lost = [1, 2, 3].map(|token| Effect::Lost { token: Token(token) });
    assert_eq!(solo.effects(), lost);
}
