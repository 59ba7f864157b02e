//! Messages that ask for the way they take.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use tidings_core::Command;
use tidings_core::ids::MessageId;
use tidings_core::message::Submission;
use tidings_core::wire::Passage;
use tidings_crypto::RoutingId;

use crate::app::Reading;
use crate::hostile::{carry, evidence_of, is_of_messages, parcels, say_hello};
use crate::net::{Disk, Net};
use crate::routed::line;
use crate::tell::{large, note};

fn asking(net: &Net, to: usize, text: &str) -> Submission {
    Submission { record_route: true, ..note(net.nodes[to].key(), text) }
}

fn relays(net: &Net, nodes: &[usize]) -> Vec<RoutingId> {
    nodes.iter().map(|node| net.nodes[*node].key().routing_id()).collect()
}

/// Links and relays as a node has them on its disk.
fn route_at(net: &Net, node: usize, id: MessageId) -> Option<(u32, Vec<RoutingId>)> {
    net.nodes[node].store.route(id).map(|(hops, path)| (hops, path.relays().to_vec()))
}

#[test]
fn both_ends_know_the_relays_of_a_message_in_their_order() {
    let mut net = line(5);
    net.nodes[4].app.reading = Reading::ByHand;
    let id = net.send_it(0, asking(&net, 4, "by whom?"));
    net.run_until("it is there", |net| net.texts(4, 0).len() == 1);
    let inbox = net.nodes[4].store.inbox();
    let expected = Some((4, relays(&net, &[1, 2, 3])));
    assert_eq!(inbox[0].path.as_ref().map(|path| (inbox[0].hops, path.relays().to_vec())), expected);
    net.command(4, Command::Consume(vec![id]));
    net.settle();
    assert_eq!(route_at(&net, 4, id), expected, "it is known when the message is consumed");
    assert_eq!(route_at(&net, 0, id), expected);
    let near = net.send_it(0, asking(&net, 1, "you?"));
    net.settle();
    assert_eq!((route_at(&net, 0, near), route_at(&net, 1, near)), (Some((1, vec![])), Some((1, vec![]))));
    net.check();
}

#[test]
fn a_relay_writes_nothing_into_what_does_not_ask() {
    let mut net = line(4);
    for node in 1..3 {
        net.record = Some(node);
        let id = net.send(0, 3, &format!("past {node}"));
        net.settle();
        assert_eq!((route_at(&net, 0, id), route_at(&net, 3, id)), (None, None));
    }
    let relayed: Vec<_> = parcels(&net.recorded)
        .into_iter()
        .filter_map(|(_, bytes)| Passage::decode(bytes.clone()).ok().map(|passage| (passage, bytes)))
        .collect();
    let third = net.nodes[3].key().routing_id();
    assert!(relayed.iter().any(|(passage, _)| passage.to == third));
    for relay in [1, 2] {
        let own = net.nodes[relay].key().routing_id();
        assert!(relayed.iter().all(|(passage, _)| passage.path.is_none()));
        let carried = relayed.iter().filter(|(passage, _)| passage.to == third);
        let names = |bytes: &Bytes| bytes.windows(16).any(|window| window == own.0);
        assert!(carried.clone().all(|(_, bytes)| !names(bytes)));
    }
}

#[test]
fn of_messages_that_share_a_parcel_only_those_that_ask_are_told_of() {
    let mut net = line(3);
    net.send(0, 2, "first");
    net.settle();
    let to = net.nodes[2].key();
    let call = net.submit(0, vec![note(to, "before"), asking(&net, 2, "by whom?"), note(to, "after")]);
    net.settle();
    let ids: Vec<_> =
        net.nodes[0].app.accepted(call).into_iter().map(|accepted| accepted.expect("accepted").id).collect();
    let expected = Some((2, relays(&net, &[1])));
    for node in [0, 2] {
        assert_eq!(route_at(&net, node, ids[1]), expected);
        assert_eq!((route_at(&net, node, ids[0]), route_at(&net, node, ids[2])), (None, None));
    }
}

#[test]
fn a_message_in_parts_tells_the_way_of_its_first() {
    let mut net = line(3);
    let submission = Submission { payload: large(1, 300_000), ..asking(&net, 2, "") };
    let id = net.send_it(0, submission);
    net.run_until("it is shown", |net| !net.nodes[2].store.inbox().is_empty() || net.nodes[2].app.shown.len() == 1);
    net.settle();
    let expected = Some((2, relays(&net, &[1])));
    assert_eq!((route_at(&net, 0, id), route_at(&net, 2, id)), (expected.clone(), expected));
}

#[test]
fn a_relay_that_lies_misleads_whoever_reads_its_path_and_nothing_else() {
    let mut net = Net::stopped(2);
    net.start(0);
    net.start(1);
    net.send(0, 1, "first");
    net.settle();
    net.nodes[1].disk = Disk::ByHand;
    net.record = Some(0);
    let to = asking(&net, 1, "true");
    net.submit(0, vec![to]);
    net.run_for(Duration::from_millis(20));
    let (class, bytes) = parcels(&net.recorded).into_iter().find(|(_, bytes)| is_of_messages(bytes)).expect("a parcel");
    net.stop(0);
    net.crash(1);
    net.nodes[1].disk = Disk::After(Duration::from_millis(1));
    net.start(1);
    say_hello(&mut net);
    // It brings the parcel as if it had come from far away, by way of nodes that nobody knows.
    let rubbish: Vec<_> = (100..105).map(|n| RoutingId([n; 16])).collect();
    let lie = rubbish.iter().fold(bytes, |bytes, relay| Passage::decode(bytes).expect("a parcel").onward(*relay, 60));
    carry(&mut net, class, &lie);
    net.seconds(1);
    assert_eq!(net.texts(1, 0), ["first", "true"]);
    let id = net.nodes[1].app.shown[1].id;
    assert_eq!(route_at(&net, 1, id), Some((6, rubbish)));
    assert_eq!(evidence_of(&net, 0), BTreeMap::new());
}

#[test]
fn a_lost_receipt_tells_the_way_again_even_after_a_restart() {
    let mut net = line(3);
    net.send(0, 2, "first");
    net.settle();
    // The receipt cannot go back.
    let id = net.send_it(0, asking(&net, 2, "where?"));
    net.run_until("it is on the disk", |net| net.nodes[2].store.route(id).is_some());
    net.part(0, 1);
    net.part(1, 2);
    net.crash(2);
    net.start(2);
    net.run_for(Duration::from_secs(5));
    assert_eq!(route_at(&net, 0, id), None);
    net.join(0, 1);
    net.join(1, 2);
    net.settle();
    assert_eq!(route_at(&net, 0, id), Some((2, relays(&net, &[1]))));
    net.check();
}
