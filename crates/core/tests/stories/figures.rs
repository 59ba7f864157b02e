//! What a node can say of how its messages arrive, and of what others tell about themselves.

use std::time::Duration;

use tidings_core::view::DeliveryView;
use tidings_core::{Command, Event};
use tidings_crypto::Power;

use crate::net::{Net, Road};
use crate::tell::note;

fn figures(net: &Net, node: usize) -> DeliveryView {
    net.nodes[node].engine().delivery_view()
}

#[test]
fn a_receipt_time_is_there_and_back_with_both_disks() {
    let mut net = Net::new(2);
    net.road = Road { delay: Duration::from_millis(20), rate: 100_000_000 };
    net.send(0, 1, "first");
    net.settle();
    for n in 0..9 {
        net.send(0, 1, &format!("{n}"));
        net.settle();
    }
    let figures = figures(&net, 0);
    assert_eq!((figures.in_time, figures.missed, figures.receipts), (10, 0, 10));
    let latest = figures.latest.expect("ten were measured");
    assert_eq!(latest.samples, 10);
    let (least, most) = (Duration::from_millis(40), Duration::from_millis(60));
    assert!(latest.p50 >= least && latest.max < most, "{latest:?}");
    assert!(figures.receipt_time >= least * 10 && figures.receipt_time < most * 10, "{figures:?}");
}

#[test]
fn what_expires_is_missed_and_what_is_withdrawn_is_not() {
    let mut net = Net::new(2);
    net.send(0, 1, "first");
    net.settle();
    net.part(0, 1);
    let mut short = note(net.nodes[1].key(), "short");
    short.lifetime = Duration::from_secs(5);
    net.send_it(0, short);
    let id = net.send(0, 1, "withdrawn");
    net.command(0, Command::Cancel(id));
    net.seconds(6);
    let before = figures(&net, 0);
    assert_eq!((before.in_time, before.missed), (1, 1));
    net.join(0, 1);
    net.send(0, 1, "next");
    net.settle();
    let after = figures(&net, 0);
    assert_eq!((after.in_time, after.missed), (2, 1));
    assert_eq!(after.receipts, 2, "a parcel whose messages ended has no receipt");
}

#[test]
fn what_arrived_although_it_had_ended_counts_as_it_ended() {
    let mut net = Net::new(2);
    net.send(0, 1, "first");
    net.settle();
    net.road = Road { delay: Duration::from_millis(600), rate: 1_000_000 };
    net.interrupt(0, 1);
    net.seconds(10);
    let mut late = note(net.nodes[1].key(), "late");
    late.lifetime = Duration::from_secs(1);
    // It arrives in time, its receipt after the deadline.
    net.send_it(0, late);
    net.seconds(30);
    assert_eq!(net.texts(1, 0), ["first", "late"]);
    let counters = net.nodes[0].engine().counters();
    assert_eq!((counters.delivered, counters.ended), (2, 1), "it is known to be there after all");
    let figures = figures(&net, 0);
    assert_eq!((figures.in_time, figures.missed), (1, 1));
}

#[test]
fn what_a_node_tells_about_itself_is_known_two_hops_away_and_changes() {
    let mut net = Net::stopped(3);
    net.part(0, 2);
    net.nodes[2].config.told.power = Power::Battery;
    net.nodes[2].config.told.labels = vec!["room=kitchen".to_owned()];
    for node in 0..3 {
        net.start(node);
    }
    net.seconds(5);
    let far = net.nodes[2].key();
    let told = |net: &Net| {
        let view = net.nodes[0].engine().view();
        let peer = view.peers.into_iter().find(|peer| peer.peer == far).expect("there is a way to it");
        peer.announced.expect("its announcement is known")
    };
    assert_eq!((told(&net).power, told(&net).labels), (Power::Battery, vec!["room=kitchen".to_owned()]));
    net.command(2, Command::SetLabels(vec!["room=hall".to_owned()]));
    net.seconds(10);
    assert_eq!(told(&net).labels, ["room=hall"]);
}

#[test]
fn a_way_that_comes_and_goes_is_told() {
    let mut net = Net::stopped(3);
    net.part(0, 2);
    for node in 0..3 {
        net.start(node);
    }
    net.seconds(5);
    let (middle, far) = (net.nodes[1].key(), net.nodes[2].key());
    let ways = |net: &Net| -> Vec<_> {
        let mut of_far = Vec::new();
        for event in &net.nodes[0].app.events {
            if let Event::Route { peer, way } = event
                && *peer == far
            {
                of_far.push(way.map(|way| (way.next, way.hops)));
            }
        }
        of_far
    };
    assert_eq!(ways(&net), [Some((middle, 2))]);
    net.part(1, 2);
    net.seconds(5);
    assert_eq!(ways(&net), [Some((middle, 2)), None]);
}
