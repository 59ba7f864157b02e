//! Whom a node dials, when, and what the book keeps.

use std::time::Duration;

use super::net::{Net, Reach, key, quic, tcp};
use crate::ids::CommandId;
use crate::links::book::{MAX_ADDRESSES, MAX_PEERS};
use crate::links::dialling::{MAX_COMMANDS, MAX_PLANS};
use crate::links::{Address, Config, Effect, Event, LinkKind, Source};
use crate::record::BookAddress;
use crate::time::{Age, Instant};

const SOON: Duration = Duration::from_secs(5);

fn dials(net: &Net, node: usize) -> Vec<(Instant, Address)> {
    let log = net.nodes[node].log.iter();
    log.filter_map(|(at, effect)| match effect {
        Effect::Dial { address, .. } => Some((*at, address.clone())),
        _ => None,
    })
    .collect()
}

fn books(net: &Net, node: usize) -> Vec<Vec<BookAddress>> {
    net.seen(node, |effect| match effect {
        Effect::Book { addresses, .. } => Some(addresses.clone()),
        _ => None,
    })
}

#[test]
fn a_peer_seen_on_the_local_network_is_dialled_and_kept_in_the_book() {
    let mut net = Net::new(2);
    net.tell(0, 1, &[tcp(1), quic(1)], Source::Lan);
    net.until(SOON, Net::both_up);
    let dialled: Vec<_> = dials(&net, 0).into_iter().map(|dial| dial.1).collect();
    assert_eq!(dialled, [quic(1)], "QUIC first, and nothing beside it");
    let kept = |address, reached| BookAddress { address, reached };
    let book = vec![kept(quic(1), Some(Age(7))), kept(tcp(1), None)];
    assert_eq!(books(&net, 0), [book]);
    net.run(Duration::from_mins(10));
    assert_eq!(dials(&net, 0).len(), 1);
    assert_eq!(books(&net, 0).len(), 1);
}

#[test]
fn both_ends_discover_one_another_and_one_link_remains() {
    let mut net = Net::new(2);
    net.tell(0, 1, &[tcp(1), quic(1)], Source::Lan);
    net.tell(1, 0, &[tcp(0), quic(0)], Source::Lan);
    net.until(SOON, Net::both_up);
    net.run(Duration::from_secs(15));
    assert!(net.both_up());
    assert_eq!((net.links(0), net.links(1)), (1, 1));
    assert_eq!(net.pipes(), 1, "the larger key waited");
}

#[test]
fn tcp_is_tried_half_a_second_after_quic_that_hangs() {
    let mut net = Net::new(2);
    net.reach.insert(quic(1), Reach::Hangs);
    net.tell(0, 1, &[tcp(1), quic(1)], Source::Lan);
    let time = net.until(SOON, Net::both_up);
    assert!(time < Duration::from_millis(600), "{time:?}");
    // And QUIC is used once it works.
    net.reach.insert(quic(1), Reach::Node(1));
    net.run(Duration::from_mins(2));
    let views = net.nodes[0].state.peer_views();
    assert_eq!(views[0].2.len(), 1);
    assert_eq!(views[0].2[0].kind, LinkKind::Quic);
    assert_eq!(net.ups_and_downs(0), (1, 0));
}

#[test]
fn tcp_is_tried_at_once_after_quic_that_fails() {
    let mut net = Net::new(2);
    net.reach.insert(quic(1), Reach::Fails);
    net.tell(0, 1, &[tcp(1), quic(1)], Source::Lan);
    let time = net.until(SOON, Net::both_up);
    assert!(time < Duration::from_millis(10), "{time:?}");
}

#[test]
fn a_wanted_peer_is_dialled_ever_more_rarely_and_never_given_up() {
    let mut net = Net::new(2);
    net.reach.insert(tcp(1), Reach::Fails);
    net.tell(0, 1, &[tcp(1)], Source::Card);
    assert_eq!(dials(&net, 0), [], "an address alone is no reason");
    net.want(0, 1);
    net.run(Duration::from_hours(2));
    let begun = dials(&net, 0);
    let pauses: Vec<_> = begun.windows(2).map(|two| two[1].0.since(two[0].0)).collect();
    assert!(pauses[0] >= Duration::from_millis(750) && pauses[0] <= Duration::from_secs(2));
    let longest = pauses.iter().max().expect("several");
    assert!(*longest <= Duration::from_secs(376), "{longest:?}");
    let last = pauses.last().expect("several");
    assert!(*last >= Duration::from_secs(225), "{last:?}");
    assert!((25..45).contains(&begun.len()), "{}", begun.len());
    net.input(0, Event::Wanted { peer: key(2), wanted: false });
    let before = begun.len();
    net.run(Duration::from_hours(1));
    assert_eq!(dials(&net, 0).len(), before);
}

#[test]
fn a_peer_that_is_wanted_again_and_again_is_dialled_no_more_often() {
    let mut net = Net::new(2);
    net.reach.insert(tcp(1), Reach::Fails);
    net.tell(0, 1, &[tcp(1)], Source::Card);
    // As it is for a peer to whom a message goes by a route every 50 ms.
    let unwanted = Event::Wanted { peer: net.nodes[1].key, wanted: false };
    for _ in 0..20 * 60 * 20 {
        net.want(0, 1);
        net.run(Duration::from_millis(30));
        net.input(0, unwanted.clone());
        net.run(Duration::from_millis(20));
    }
    let begun = dials(&net, 0).len();
    assert!((8..16).contains(&begun), "{begun} in 20 minutes");
    // After a while without it begins anew, and at once.
    net.run(Duration::from_mins(6));
    assert_eq!(dials(&net, 0).len(), begun);
    net.want(0, 1);
    net.run(Duration::from_secs(2));
    assert_eq!(dials(&net, 0).len(), begun + 2, "at once, and after the first pause");
}

#[test]
fn a_message_over_a_worse_link_is_no_reason_to_try_quic_at_once() {
    let mut net = Net::new(2);
    net.reach.insert(quic(1), Reach::Fails);
    net.tell(0, 1, &[tcp(1), quic(1)], Source::Lan);
    net.until(SOON, Net::both_up);
    let begun = dials(&net, 0).len();
    for _ in 0..100 {
        net.want(0, 1);
        net.run(Duration::from_millis(50));
        net.input(0, Event::Wanted { peer: net.nodes[1].key, wanted: false });
        net.run(Duration::from_millis(50));
    }
    assert_eq!(dials(&net, 0).len(), begun);
}

#[test]
fn a_network_change_ends_the_pause() {
    let mut net = Net::new(2);
    net.reach.insert(tcp(1), Reach::Fails);
    net.tell(0, 1, &[tcp(1)], Source::Card);
    net.want(0, 1);
    net.run(Duration::from_mins(30));
    net.reach.insert(tcp(1), Reach::Node(1));
    net.input(0, Event::NetworkChanged);
    let time = net.until(SOON, Net::both_up);
    assert!(time < Duration::from_millis(10), "{time:?}");
}

#[test]
fn a_link_that_ended_is_back_within_three_seconds_of_the_road() {
    for away in [2, 10, 45] {
        let mut net = Net::new(2);
        net.tell(0, 1, &[tcp(1), quic(1)], Source::Lan);
        net.tell(1, 0, &[tcp(0), quic(0)], Source::Lan);
        net.until(SOON, Net::both_up);
        net.run(SOON);
        for pipe in 0..net.pipes() {
            net.cut(pipe);
        }
        for node in [0, 1] {
            net.reach.insert(quic(node), Reach::Hangs);
            net.reach.insert(tcp(node), Reach::Hangs);
            net.input(node, Event::NetworkChanged);
        }
        net.run(Duration::from_secs(away));
        for node in [0, 1] {
            net.reach.insert(quic(node), Reach::Node(node));
            net.reach.insert(tcp(node), Reach::Node(node));
        }
        let time = net.until(SOON, Net::both_up);
        assert!(time < Duration::from_secs(3), "{time:?} after {away} s");
        net.run(Duration::from_secs(20));
        assert_eq!((net.links(0), net.links(1)), (1, 1));
    }
}

#[test]
fn a_restarted_node_is_back_in_touch_from_the_book_alone() {
    let mut net = Net::new(2);
    net.tell(0, 1, &[tcp(1), quic(1)], Source::Lan);
    net.want(0, 1);
    net.until(SOON, Net::both_up);
    let book = books(&net, 0).pop().expect("kept");
    net.kill(0);
    net.run(Duration::from_secs(30));
    net.restart(0, 2);
    let peer = key(2);
    net.input(0, Event::Book { peer, addresses: book });
    net.want(0, 1);
    let time = net.until(SOON, |net| net.is_up(0, 1));
    assert!(time < Duration::from_millis(100), "{time:?}");
}

#[test]
fn a_persons_dial_is_answered() {
    let mut net = Net::new(2);
    net.dial_command(0, 1, tcp(1));
    net.until(SOON, Net::both_up);
    let answers = |net: &Net| -> Vec<Effect> {
        net.seen(0, |effect| {
            let is_answer = matches!(effect, Effect::Dialled { .. } | Effect::DialFailed { .. });
            is_answer.then(|| effect.clone())
        })
    };
    let dialled = Effect::Dialled { command: CommandId(1), peer: key(2), kind: LinkKind::Tcp };
    assert_eq!(answers(&net), [dialled]);
    net.reach.insert(tcp(1), Reach::Fails);
    net.dial_command(0, 2, tcp(1));
    net.run(SOON);
    let reason = "connection refused".to_owned();
    let failed = Effect::DialFailed { command: CommandId(2), reason };
    assert_eq!(answers(&net).pop(), Some(failed));
}

#[test]
fn a_persons_dial_that_hangs_is_answered_within_ten_seconds() {
    let mut net = Net::new(1);
    let command = CommandId(1);
    // An address whose dial the runtime never answers.
    let event = Event::Dial { command, address: tcp(3) };
    let start = net.now;
    net.nodes[0].state.handle(start, event);
    while net.nodes[0].state.poll_effect().is_some() {}
    net.run(Duration::from_secs(11));
    let failed = net.seen(0, |effect| match effect {
        Effect::DialFailed { command, .. } => Some(*command),
        _ => None,
    });
    assert_eq!(failed, [command]);
    let (at, _) = net.nodes[0].log.last().expect("answered");
    assert!(at.since(start) <= Duration::from_secs(10));
}

#[test]
fn an_address_that_a_person_named_is_dialled_until_somebody_is_there() {
    let mut net = Net::new(2);
    net.reach.insert(tcp(1), Reach::Fails);
    net.input(0, Event::Discovered { peer: None, addresses: vec![tcp(1)], source: Source::Person, age: Age(1) });
    net.run(Duration::from_secs(20));
    net.reach.insert(tcp(1), Reach::Node(1));
    net.until(Duration::from_mins(1), Net::both_up);
    assert_eq!(net.nodes[0].state.peer_views()[0].3, [tcp(1)]);
    // Gone and back: the address is dialled again.
    net.kill(1);
    net.run(Duration::from_mins(1));
    net.restart(1, 2);
    net.until(Duration::from_mins(1), Net::both_up);
}

#[test]
fn with_no_dial_only_a_persons_addresses_are_dialled() {
    let config = Config { no_dial: true, ..Config::default() };
    let mut net = Net::with(2, config);
    net.tell(0, 1, &[tcp(1), quic(1)], Source::Lan);
    net.want(0, 1);
    net.run(Duration::from_mins(1));
    assert_eq!(dials(&net, 0), []);
    net.tell(0, 1, &[tcp(1)], Source::Person);
    net.until(SOON, Net::both_up);
    assert_eq!(dials(&net, 0).len(), 1);
}

#[test]
fn a_peer_that_was_sent_away_stays_away_for_the_pause() {
    let mut net = Net::new(2);
    for (node, peer) in [(0, 1), (1, 0)] {
        net.tell(node, peer, &[tcp(peer), quic(peer)], Source::Lan);
        net.want(node, peer);
    }
    net.until(SOON, Net::both_up);
    let pause = Duration::from_mins(2);
    net.input(0, Event::ClosePeer { peer: key(2), pause });
    assert!(!net.is_up(0, 1));
    net.run(Duration::from_secs(119));
    assert!(!net.is_up(0, 1) && !net.is_up(1, 0));
    assert!(dials(&net, 1).len() < 6, "the peer does not insist");
    net.until(Duration::from_mins(2), Net::both_up);
}

#[test]
fn a_paused_node_has_no_links_and_resumes_them() {
    let mut net = Net::new(2);
    for (node, peer) in [(0, 1), (1, 0)] {
        net.tell(node, peer, &[tcp(peer), quic(peer)], Source::Lan);
        net.want(node, peer);
    }
    net.until(SOON, Net::both_up);
    net.input(0, Event::Pause);
    net.run(Duration::from_secs(30));
    assert_eq!((net.links(0), net.links(1)), (0, 0));
    net.input(0, Event::Resume);
    net.until(SOON, Net::both_up);
    net.input(0, Event::Stop);
    net.input(0, Event::Resume);
    net.run(Duration::from_secs(30));
    assert_eq!((net.links(0), net.links(1)), (0, 0));
}

#[test]
fn a_node_never_dials_itself() {
    let mut net = Net::new(1);
    let own = Address::new(format!("/ip4/10.0.0.9/tcp/1/p2p/{}", key(1))).expect("an address");
    for peer in [None, Some(key(1)), Some(key(2))] {
        net.input(0, Event::Discovered { peer, addresses: vec![own.clone()], source: Source::Person, age: Age(1) });
    }
    net.dial_command(0, 1, own);
    net.run(SOON);
    assert_eq!(dials(&net, 0), []);
}

#[test]
fn dials_under_way_are_bounded() {
    let config = Config { max_dials: 4, ..Config::default() };
    let mut net = Net::with(1, config);
    for number in 10..60 {
        let address = tcp(usize::from(number));
        net.reach.insert(address.clone(), Reach::Hangs);
        net.input(
            0,
            Event::Discovered { peer: Some(key(number)), addresses: vec![address], source: Source::Lan, age: Age(1) },
        );
    }
    net.run(Duration::from_secs(60));
    let begun = dials(&net, 0).len();
    // Each hangs for 5 s, so in 60 s at most 12 times 4 can have begun.
    assert!((40..=52).contains(&begun), "{begun}");
}

#[test]
fn the_book_keeps_a_few_addresses_and_prefers_those_that_work() {
    let mut net = Net::new(2);
    let stale: Vec<_> = (0..20).map(|n| tcp(100 + n)).collect();
    net.tell(0, 1, &stale, Source::Card);
    net.tell(0, 1, &[tcp(1)], Source::Person);
    net.until(Duration::from_mins(1), Net::both_up);
    let kept = books(&net, 0).pop().expect("kept");
    assert_eq!(kept.len(), MAX_ADDRESSES);
    assert_eq!(kept[0].address, tcp(1));
    assert_eq!(net.nodes[0].state.peer_views()[0].3.len(), MAX_ADDRESSES);
}

#[test]
fn tables_of_peers_are_bounded() {
    let mut net = Net::new(1);
    let number_key = |number: u32| {
        let mut bytes = [7; 32];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        tidings_crypto::PeerKey::from_bytes(bytes)
    };
    let more = u32::try_from(MAX_PEERS.max(MAX_PLANS)).expect("a small table") + 100;
    for number in 0..more {
        let peer = number_key(number);
        let event = Event::Discovered { peer: Some(peer), addresses: vec![tcp(1)], source: Source::Card, age: Age(1) };
        net.nodes[0].state.handle(net.now, event);
    }
    assert_eq!(net.nodes[0].state.peer_views().len(), MAX_PEERS);
    for number in 0..more {
        let peer = number_key(number);
        let event = Event::Wanted { peer, wanted: true };
        net.nodes[0].state.handle(net.now, event);
    }
    assert_eq!(net.nodes[0].state.stats().table_full, 100);
    for number in 0..MAX_COMMANDS as u64 + 3 {
        net.dial_command(0, number, tcp(200));
    }
    let refused = net.seen(0, |effect| match effect {
        Effect::DialFailed { reason, .. } => reason.starts_with("too many").then_some(()),
        _ => None,
    });
    assert_eq!(refused.len(), 3);
}
