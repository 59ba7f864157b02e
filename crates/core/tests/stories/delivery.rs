//! What becomes of messages between two nodes that run.

use std::time::Duration;

use tidings_core::message::{Change, MessageState};

use crate::app::Reading;
use crate::net::{Net, Road};
use crate::tell::{large, note};

#[test]
fn a_message_arrives_is_shown_and_is_known_to_be_consumed() {
    let mut net = Net::new(2);
    net.nodes[1].app.reading = Reading::ByHand;
    let id = net.send(0, 1, "hello");
    net.run_until("it is shown", |net| !net.nodes[1].app.shown.is_empty());
    net.run_until("it is delivered", |net| net.state(0, id) == MessageState::Delivered);
    net.seconds(30);
    assert_eq!(net.state(0, id), MessageState::Delivered);
    net.command(1, tidings_core::Command::Consume(vec![id]));
    net.settle();
    assert_eq!(net.nodes[0].app.changes_of(id), [Change::Delivered, Change::Acknowledged]);
    assert!(net.nodes[0].app.delivered_live.contains(&id));
    assert!(net.nodes[1].store.inbox().is_empty());
    net.check();
}

#[test]
fn both_directions_begin_at_once() {
    let mut net = Net::stopped(2);
    net.start(0);
    net.start(1);
    for round in 0..20 {
        let (a, b) = (net.nodes[0].key(), net.nodes[1].key());
        net.submit(0, vec![note(b, format!("a{round}"))]);
        net.submit(1, vec![note(a, format!("b{round}"))]);
        net.run_for(Duration::from_millis(1));
    }
    net.settle();
    assert_eq!(net.texts(0, 1).len(), 20);
    assert_eq!(net.texts(1, 0).len(), 20);
    net.check();
}

#[test]
fn an_idle_link_sends_at_once() {
    let mut net = Net::new(2);
    net.send(0, 1, "first");
    net.settle();
    net.seconds(5);
    let before = net.now;
    net.send(0, 1, "second");
    net.run_until("it is shown", |net| net.nodes[1].app.shown.len() == 2);
    // Two commits of 2 ms and a way of 0.3 ms.
    assert!(net.now - before < 6_000, "{} µs", net.now - before);
}

#[test]
fn two_thousand_small_messages_share_parcels() {
    let mut net = Net::new(2);
    net.send(0, 1, "first");
    net.settle();
    let to = net.nodes[1].key();
    for call in 0..2000 {
        net.submit(0, vec![note(to, format!("small {call}"))]);
        net.run_for(Duration::from_micros(50));
    }
    net.settle();
    net.check();
    let parcels = net.nodes[0].engine().view().counters.parcels_sent;
    assert!(parcels < 200, "{parcels} parcels");
    assert_eq!(net.nodes[0].engine().view().counters.parcels_resent, 0);
}

#[test]
fn a_mebibyte_arrives_in_parts_and_is_shown_once() {
    let mut net = Net::new(2);
    net.road = Road { delay: Duration::from_millis(5), rate: 2_000_000 };
    let to = net.nodes[1].key();
    let mut big = note(to, "");
    big.payload = large(7, 1 << 20);
    let id = net.send_it(0, big);
    let small = net.send(0, 1, "small");
    net.settle();
    net.check();
    assert_eq!(net.nodes[1].app.shown.len(), 2);
    assert_eq!(net.nodes[0].app.changes_of(id), [Change::Delivered, Change::Acknowledged]);
    assert_eq!(net.nodes[0].app.changes_of(small), [Change::Delivered, Change::Acknowledged]);
    let counters = net.nodes[0].engine().view().counters;
    assert_eq!((counters.accepted, counters.delivered, counters.acknowledged), (2, 2, 2));
    assert_eq!(net.nodes[1].store.pended(), 0);
    assert_eq!(counters.outbox_messages, 0);
}
