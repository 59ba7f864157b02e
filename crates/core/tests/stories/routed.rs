//! Messages to peers that are no neighbours.

use std::time::Duration;

use tidings_core::class::Class;

use crate::net::{Net, Road};
use crate::tell::{large, note};

/// Nodes of which each has a link to the next.
pub fn line(nodes: usize) -> Net {
    let mut net = Net::stopped(nodes);
    for a in 0..nodes {
        for b in a + 2..nodes {
            net.part(a, b);
        }
    }
    for node in 0..nodes {
        net.start(node);
    }
    net
}

#[test]
fn a_first_message_reaches_somebody_never_met_nine_hops_away() {
    let mut net = line(10);
    net.send(0, 9, "over the hills");
    net.settle();
    assert_eq!(net.texts(9, 0), ["over the hills"]);
    net.send(9, 0, "and back");
    net.settle();
    assert_eq!(net.texts(0, 9), ["and back"]);
    net.check();
}

#[test]
fn what_is_on_its_way_when_a_relay_dies_goes_another_way() {
    // A ring of five: 0-1-2 is the short way, 0-4-3-2 the long one.
    let mut net = Net::stopped(5);
    for (a, b) in [(0, 2), (0, 3), (1, 3), (1, 4), (2, 4)] {
        net.part(a, b);
    }
    for node in 0..5 {
        net.start(node);
    }
    net.send(0, 2, "first");
    net.settle();
    let mut expected = vec!["first".to_owned()];
    for n in 0..100 {
        expected.push(format!("{n}"));
        net.send(0, 2, &format!("{n}"));
        if n == 50 {
            net.crash(1);
        }
        net.run_for(Duration::from_millis(3));
    }
    net.run_until("everything arrives without the one that died", |net| net.texts(2, 0).len() == 101);
    net.start(1);
    net.settle();
    let mut shown = net.texts(2, 0);
    shown.sort();
    expected.sort();
    assert_eq!(shown, expected);
    net.check();
}

#[test]
fn a_large_message_crosses_slow_relays_and_an_urgent_one_overtakes_it() {
    let mut net = line(4);
    net.road = Road { rate: 200_000, ..Road::SLOW };
    net.send(0, 3, "begin");
    net.settle();
    let mut bulk = note(net.nodes[3].key(), "");
    bulk.class = Class::Bulk;
    bulk.payload = large(b'a', 900_000);
    net.send_it(0, bulk);
    net.run_for(Duration::from_millis(500));
    let mut urgent = note(net.nodes[3].key(), "urgent");
    urgent.class = Class::Critical;
    net.send_it(0, urgent);
    net.settle();
    let lengths: Vec<_> = net.nodes[3].app.shown.iter().map(|shown| shown.payload.len()).collect();
    assert_eq!(lengths, [5, 6, 900_000]);
    net.check();
}

#[test]
fn a_message_waits_for_a_way_and_goes_when_there_is_one() {
    let mut net = line(4);
    net.run_for(Duration::from_secs(2));
    net.part(1, 2);
    net.run_for(Duration::from_secs(20));
    net.send(0, 3, "queued");
    net.run_for(Duration::from_secs(60));
    assert!(net.texts(3, 0).is_empty());
    net.join(1, 2);
    net.settle();
    assert_eq!(net.texts(3, 0), ["queued"]);
    net.check();
}

#[test]
fn what_was_given_to_a_neighbour_that_died_silently_goes_another_way_within_seconds() {
    // Two ways of the same length: 0-1-2 and 0-3-2.
    let mut net = Net::stopped(4);
    for (a, b) in [(0, 2), (1, 3)] {
        net.part(a, b);
    }
    for node in 0..4 {
        net.start(node);
    }
    net.send(0, 2, "first");
    net.settle();
    let to = net.nodes[2].key();
    let next = net.nodes[0].engine().next_hop(&to).expect("there is a way");
    let next = (0..4).find(|node| net.nodes[*node].key() == next).expect("one of them");
    let vanished = net.now;
    net.vanish(next);
    for n in 0..100 {
        net.send(0, 2, &format!("{n}"));
        net.run_for(Duration::from_millis(10));
    }
    net.run_until("everything arrives by the other way", |net| net.texts(2, 0).len() == 101);
    let took = Duration::from_micros(net.now - vanished);
    assert!(took < Duration::from_secs(3), "{took:?}");
    net.start(next);
    net.settle();
    net.check();
}
