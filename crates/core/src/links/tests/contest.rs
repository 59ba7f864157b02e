//! One link per neighbour.

use std::time::Duration;

use super::net::{Net, Reach, Road, key, payload, tcp};
use crate::class::Class;
use crate::links::{Config, Effect, LinkKind};

const SOON: Duration = Duration::from_secs(5);

fn settled(net: &Net) -> bool {
    net.both_up() && net.links(0) == 1 && net.links(1) == 1
}

#[test]
fn crossing_dials_end_with_one_link_in_every_order() {
    for kinds in [[LinkKind::Quic, LinkKind::Quic], [LinkKind::Quic, LinkKind::Tcp], [LinkKind::Tcp, LinkKind::Quic]] {
        for first in [0, 1] {
            for gap_micros in [0, 50, 199, 200, 201, 350, 400, 401, 600, 1_000, 5_000, 50_000] {
                let mut net = Net::new(2);
                let second = 1 - first;
                net.connect(first, second, kinds[0], None);
                net.run(Duration::from_micros(gap_micros));
                net.connect(second, first, kinds[1], None);
                net.send(0, 1, Class::Normal, 1, payload(30_000, 1));
                net.send(1, 0, Class::Normal, 2, payload(30_000, 2));
                net.run(Duration::from_millis(20));
                net.send(0, 1, Class::Normal, 3, payload(30_000, 3));
                net.send(1, 0, Class::Normal, 4, payload(30_000, 4));
                net.run(SOON);
                let story = format!("{kinds:?} {first} first, {gap_micros} µs");
                assert!(settled(&net), "{story}");
                // The winner is the better kind, else the one that the smaller key dialled; and of two that
                // the same rule leaves equal the older.
                let views = net.nodes[0].state.peer_views();
                let view = &views.iter().find(|view| view.0 == key(2)).expect("up").2[0];
                if kinds[0] == kinds[1] {
                    assert!(view.dialled, "{story}");
                } else {
                    assert_eq!(view.kind, LinkKind::Quic, "{story}");
                }
                assert_eq!(net.ups_and_downs(0), (1, 0), "{story}");
                assert_eq!(net.ups_and_downs(1), (1, 0), "{story}");
                for node in [0, 1] {
                    let lost = net.lost(node).len();
                    assert_eq!(net.got(node).len() + lost, 2, "{story}");
                    assert!(net.parcels(1 - node).len() >= 2 - lost, "{story}");
                }
            }
        }
    }
}

#[test]
fn three_links_at_once_end_as_one() {
    let mut net = Net::new(2);
    net.connect(1, 0, LinkKind::Tcp, None);
    net.connect(0, 1, LinkKind::Tcp, None);
    net.connect(1, 0, LinkKind::Quic, None);
    net.until(SOON, settled);
    net.run(SOON);
    assert!(settled(&net));
    let views = net.nodes[0].state.peer_views();
    let links = &views.iter().find(|view| view.0 == key(2)).expect("up").2;
    assert_eq!(links[0].kind, LinkKind::Quic);
}

#[test]
fn a_restart_behind_a_silent_link_is_in_touch_again_soon() {
    for restarted in [0, 1] {
        let mut net = Net::new(2);
        let stays = 1 - restarted;
        net.connect(0, 1, LinkKind::Quic, None);
        net.until(SOON, Net::both_up);
        net.kill(restarted);
        net.restart(restarted, 2);
        net.connect(restarted, stays, LinkKind::Quic, None);
        let token = 7;
        net.send(stays, restarted, Class::Normal, token, payload(100, 0));
        let peer = net.nodes[restarted].key;
        let time = net.until(SOON, |net| {
            let up = net.seen(stays, |effect| match effect {
                Effect::PeerUp { hello, .. } => Some(hello.boot),
                _ => None,
            });
            up == [1, 2]
        });
        assert!(time < Duration::from_millis(400), "{time:?}");
        assert_eq!(net.ups_and_downs(stays), (2, 1));
        assert_eq!(net.lost(stays), [token], "what the old process may have had goes back");
        assert!(net.nodes[stays].state.is_up(&peer));
        net.run(SOON);
        assert_eq!(net.links(stays), 1);
    }
}

/// A second process with node 1's key, in this boot, beside a node 1 that answers.
fn with_second_holder(own: u8, boot: u64, kind: LinkKind) -> (Net, usize) {
    let mut net = Net::new(0);
    net.add(key(own), 1, Config::default());
    net.add(key(5), 4, Config::default());
    let thief = net.add(key(5), boot, Config::default());
    net.connect(1, 0, LinkKind::Tcp, None);
    net.run(Duration::from_secs(2));
    net.connect(thief, 0, kind, None);
    (net, thief)
}

#[test]
fn another_holder_of_a_neighbours_key_does_not_displace_it() {
    for own in [1, 9] {
        for boot in [1, 3, 5, u64::MAX] {
            let (mut net, thief) = with_second_holder(own, boot, LinkKind::Quic);
            for token in 0..50 {
                net.send(0, 1, Class::Normal, token, payload(100, 0));
                net.run(Duration::from_millis(20));
            }
            net.run(SOON);
            assert_eq!(net.parcels(1).len(), 50, "own {own}, boot {boot}");
            assert_eq!(net.parcels(thief), [], "own {own}, boot {boot}");
            assert_eq!(net.ups_and_downs(0), (1, 0));
            assert_eq!(net.links(0), 1);
            assert_eq!(net.nodes[0].state.stats().second_holders, 1);
        }
    }
}

#[test]
fn another_holder_in_the_same_boot_does_not_displace_an_equal_link() {
    let (mut net, thief) = with_second_holder(1, 4, LinkKind::Tcp);
    for token in 0..50 {
        net.send(0, 1, Class::Normal, token, payload(100, 0));
        net.run(Duration::from_millis(20));
    }
    net.run(SOON);
    assert_eq!(net.parcels(1).len(), 50);
    assert_eq!(net.parcels(thief), []);
}

#[test]
fn an_end_that_never_decides_is_not_waited_for() {
    // The own key is the larger one, so the other end decides; the second holder keeps silent about it.
    let (mut net, thief) = with_second_holder(9, 4, LinkKind::Quic);
    net.run(Duration::from_secs(11));
    let before = net.parcels(thief).len();
    net.send(0, 1, Class::Normal, 1, payload(100, 0));
    net.run(SOON);
    assert_eq!(net.parcels(1).len(), 1);
    assert_eq!(net.parcels(thief).len(), before);
}

#[test]
fn a_dead_older_link_gives_way_to_a_new_one_of_the_same_boot() {
    for dialler in [0, 1] {
        let mut net = Net::new(2);
        let old = net.connect(0, 1, LinkKind::Quic, None);
        net.until(SOON, Net::both_up);
        net.run(SOON);
        net.cut(old);
        // A worse kind, so that rank does not help it.
        net.connect(dialler, 1 - dialler, LinkKind::Tcp, None);
        for (token, node) in [(1, 0), (2, 1)] {
            net.send(node, 1 - node, Class::Normal, token, payload(30_000, 1));
        }
        net.until(SOON, |net| net.got(0) == [1] && net.got(1) == [2]);
        assert_eq!(net.lost(0), [0; 0]);
        assert_eq!(net.lost(1), [0; 0]);
        assert_eq!(net.ups_and_downs(0), (1, 0));
        assert_eq!(net.ups_and_downs(1), (1, 0));
    }
}

#[test]
fn a_better_kind_takes_over_without_loss() {
    let mut net = Net::new(2);
    net.road = Road { rate: 1_000_000, ..Road::LAN };
    net.connect(0, 1, LinkKind::Tcp, None);
    net.until(SOON, Net::both_up);
    for token in 0..20 {
        net.send(0, 1, Class::Normal, token, payload(60_000, 1));
    }
    net.run(Duration::from_millis(300));
    net.connect(1, 0, LinkKind::Quic, None);
    net.until(SOON, |net| net.got(0).len() == 20);
    net.run(Duration::from_secs(15));
    assert!(settled(&net));
    assert_eq!(net.lost(0), [0; 0]);
    let arrived = net.parcels(1).len();
    let moved = usize::try_from(net.nodes[0].state.stats().parcels_moved).expect("few");
    assert!(arrived >= 20 && arrived <= 20 + moved, "{arrived}");
    assert_eq!(net.ups_and_downs(0), (1, 0));
}

#[test]
fn more_links_than_a_peer_may_have_are_refused() {
    let mut net = Net::new(2);
    for _ in 0..6 {
        net.connect(1, 0, LinkKind::Tcp, None);
    }
    assert!(net.nodes[0].state.stats().refused >= 2);
    net.run(SOON);
    net.until(SOON, settled);
}

#[test]
fn a_node_has_no_link_to_itself() {
    let mut net = Net::new(1);
    net.reach.insert(tcp(7), Reach::Node(0));
    net.dial_command(0, 1, tcp(7));
    net.run(SOON);
    let failed = net.seen(0, |effect| match effect {
        Effect::DialFailed { reason, .. } => Some(reason.as_str()),
        _ => None,
    });
    assert_eq!(failed, ["the address is this node's own"]);
    assert_eq!(net.links(0), 0);
    let dials = net.nodes[0].state.stats().dials;
    net.dial_command(0, 2, tcp(7));
    assert_eq!(net.nodes[0].state.stats().dials, dials);
}
