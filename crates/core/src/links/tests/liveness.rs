//! Links that fall silent.

use std::time::Duration;

use super::net::{Net, Road, payload};
use crate::class::Class;
use crate::ids::BatchNo;
use crate::links::liveness::{Liveness, Silence};
use crate::links::{Effect, Event, LinkKind};
use crate::time::Instant;
use crate::wire::{Frame, Routing};

const SOON: Duration = Duration::from_secs(5);

fn joined() -> Net {
    let mut net = Net::new(2);
    net.connect(0, 1, LinkKind::Quic, None);
    net.until(SOON, Net::both_up);
    net.run(SOON);
    net
}

#[test]
fn silence_with_something_owed_is_noticed_within_a_second() {
    let mut net = joined();
    net.cut(0);
    net.send(0, 1, Class::Normal, 1, payload(100, 0));
    let time = net.until(SOON, |net| net.lost(0) == [1]);
    assert!(time < Duration::from_secs(1), "{time:?}");
    assert!(!net.is_up(0, 1));
    assert_eq!(net.links(0), 1, "suspect, and open still");
    net.until(Duration::from_secs(11), |net| net.links(0) == 0);
}

#[test]
fn an_idle_link_is_probed_and_stays() {
    let mut net = joined();
    let before = net.carried(0, 0) + net.carried(0, 1);
    net.run(Duration::from_mins(10));
    let bytes = net.carried(0, 0) + net.carried(0, 1) - before;
    assert!(net.both_up());
    assert_eq!(net.nodes[0].state.stats().suspects, 0);
    // A probe and an answer each 20 s.
    assert!(bytes <= 31 * 2 * 15, "{bytes}");
}

#[test]
fn a_dead_idle_link_is_noticed() {
    let mut net = joined();
    net.cut(0);
    net.until(Duration::from_secs(22), |net| !net.is_up(0, 1) && !net.is_up(1, 0));
    net.until(Duration::from_secs(11), |net| net.links(0) == 0 && net.links(1) == 0);
}

#[test]
fn what_routing_says_on_a_suspect_link_waits_for_its_answer() {
    let mut net = joined();
    net.cut(0);
    // Beyond the window, so that one frame waits in the queue when the link becomes suspect.
    net.send(0, 1, Class::Normal, 1, payload(50_000, 0));
    let say = |net: &mut Net, count| {
        let frame = Frame::Routing(Routing::Digest { digest: [0; 16], count });
        let (link, peer) = (Some(net.link(0, 0)), net.nodes[1].key);
        net.input(0, Event::Control { link, peer, frame, batch: BatchNo::default() });
    };
    for count in 0..500 {
        say(&mut net, count);
    }
    net.until(SOON, |net| net.lost(0) == [1]);
    say(&mut net, 500);
    net.mend(0);
    let heard = |net: &Net| {
        net.seen(1, |effect| match effect {
            Effect::Control { frame: Frame::Routing(Routing::Digest { count, .. }), .. } => Some(*count),
            _ => None,
        })
    };
    net.until(SOON, |net| heard(net).len() == 501);
    assert!(heard(&net).is_sorted());
}

#[test]
fn a_suspect_link_that_answers_is_used_again() {
    let mut net = joined();
    net.cut(0);
    net.send(0, 1, Class::Normal, 1, payload(50_000, 0));
    net.until(SOON, |net| net.lost(0) == [1]);
    net.mend(0);
    net.until(SOON, |net| net.is_up(0, 1));
    assert_eq!(net.ups_and_downs(0), (2, 1));
}

#[test]
fn what_a_suspect_link_holds_moves_to_another_one() {
    let mut net = joined();
    // Node 1 does not know that its end is silent: the pipe is cut, another one is there.
    for token in 0..30 {
        net.send(0, 1, Class::Normal, token, payload(60_000, 0));
    }
    net.run(Duration::from_millis(2));
    net.cut(0);
    net.run(Duration::from_millis(10));
    net.connect(1, 0, LinkKind::Quic, None);
    net.until(SOON, |net| net.got(0).len() == 30);
    assert_eq!(net.lost(0), [0; 0]);
    let arrived = net.parcels(1);
    let moved = usize::try_from(net.nodes[0].state.stats().parcels_moved).expect("few");
    assert!(arrived.len() >= 30 && arrived.len() <= 30 + moved);
    assert!(arrived.iter().all(|(_, bytes)| bytes.len() == 60_000));
}

#[test]
fn a_network_change_asks_every_link_at_once() {
    let mut net = joined();
    net.cut(0);
    net.input(0, Event::NetworkChanged);
    let time = net.until(SOON, |net| !net.is_up(0, 1));
    assert!(time < Duration::from_secs(1), "{time:?}");
}

#[test]
fn a_node_that_came_late_itself_blames_nobody() {
    let mut net = Net::new(2);
    net.connect(0, 1, LinkKind::Quic, None);
    net.until(SOON, Net::both_up);
    net.run(SOON);
    net.send(0, 1, Class::Normal, 1, payload(100, 0));
    // The process sleeps for an hour: the answer lies in the socket meanwhile.
    net.now = net.now + Duration::from_hours(1);
    net.input(0, Event::Tick);
    net.input(0, Event::Tick);
    net.run(SOON);
    assert_eq!(net.got(0), [1]);
    assert_eq!(net.nodes[0].state.stats().suspects, 0);
}

#[test]
fn a_slow_road_is_given_its_time() {
    let mut net = Net::new(2);
    net.road = Road { delay: Duration::from_secs(1), rate: 2_000, buffer: 16 * 1024 };
    net.connect(0, 1, LinkKind::Tcp, None);
    net.until(Duration::from_secs(10), Net::both_up);
    for token in 0..3 {
        net.send(0, 1, Class::Bulk, token, payload(20_000, 0));
    }
    net.until(Duration::from_mins(5), |net| net.got(0).len() == 3);
    assert_eq!(net.nodes[0].state.stats().suspects, 0);
}

#[test]
fn what_was_asked_during_an_outage_measures_it_too() {
    let millis = Duration::from_millis;
    let mut now = Instant(0);
    let mut liveness = Liveness::new(now, millis(60_000));
    liveness.measured(now, millis(1));
    liveness.on_owed(now);
    let mut asked = vec![now];
    // Four seconds of silence: three probes, then one a second.
    while liveness.due() < Instant(0) + millis(4_000) {
        now = liveness.due();
        if liveness.on_time(now) == Some(Silence::Probe) {
            asked.push(now);
        }
    }
    now = Instant(0) + millis(4_000);
    liveness.on_heard(now, false);
    assert!(asked.len() > 6, "{asked:?}");
    asked.iter().for_each(|asked| liveness.measured(now, now.since(*asked)));
    assert!(liveness.round_trip().is_some_and(|smoothed| smoothed < millis(2)), "{:?}", liveness.round_trip());
    // What is asked from then on counts.
    (0..8).for_each(|_| liveness.measured(now + millis(40), millis(39)));
    assert!(liveness.round_trip().is_some_and(|smoothed| smoothed > millis(20)), "{:?}", liveness.round_trip());
}

#[test]
fn an_outage_is_not_taken_for_a_round_trip() {
    let millis = Duration::from_millis;
    let mut now = Instant(0);
    let mut liveness = Liveness::new(now, millis(60_000));
    liveness.measured(now, millis(1));
    for _ in 0..6 {
        liveness.on_owed(now);
        let owed = now;
        now = liveness.due();
        assert_eq!(liveness.on_time(now), Some(Silence::Probe));
        now = now + millis(8_000);
        liveness.on_heard(now, false);
        for _ in 0..8 {
            liveness.measured(now, now.since(owed));
        }
    }
    assert!(liveness.round_trip().is_some_and(|smoothed| smoothed < millis(3)), "{:?}", liveness.round_trip());
    // One that has become slow for good is followed all the same.
    for _ in 0..60 {
        let asked = now;
        liveness.on_owed(now);
        now = now + millis(500);
        while liveness.due() <= now {
            liveness.on_time(liveness.due());
        }
        liveness.on_heard(now, false);
        liveness.measured(now, now.since(asked));
    }
    assert!(liveness.round_trip().is_some_and(|smoothed| smoothed > millis(400)), "{:?}", liveness.round_trip());
}
