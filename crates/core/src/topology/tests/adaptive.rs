//! Which kind the situation calls for, and how seldom that changes.

use tidings_crypto::{Neighbours, Power};

use crate::topology::{Config, Effect, Event, Facts, Kind};

use super::net::{Net, key, secs};
use super::solo::Solo;

/// The changes that one node told, with their reasons and when, in seconds from the start.
fn changes(net: &Net, node: usize) -> Vec<(u64, Kind, String)> {
    let of = net.chosen.iter().filter(|chosen| chosen.node == node);
    of.map(|chosen| (chosen.at.0 / 1_000_000, chosen.kind, chosen.reason.clone())).collect()
}

/// A network of so many nodes on mains and on batteries that follows the situation.
fn network(seed: u64, on_mains: usize, on_battery: usize) -> Net {
    let mut net = Net::empty(seed);
    for node in 0..on_mains + on_battery {
        let power = if node * on_mains / (on_mains + on_battery) != (node + 1) * on_mains / (on_mains + on_battery) {
            Power::Mains
        } else {
            Power::Battery
        };
        net.add(Config { kind: Kind::Adaptive, ..Config::default() }, power);
    }
    net
}

fn shapes(net: &Net) -> Vec<Kind> {
    let shape = |node: usize| net.nodes[node].state.as_ref().map(super::super::State::shape);
    net.up().into_iter().filter_map(shape).collect()
}

fn settles_in(kind: Kind, net: &mut Net, because: &[&str]) {
    net.run(secs(1800));
    assert!(shapes(net).iter().all(|shape| *shape == kind), "{kind}: {:?}", shapes(net));
    assert!(net.is_whole());
    let (_, last, reason) = changes(net, 0).pop().expect("it changed");
    println!("{reason}");
    assert_eq!(last, kind);
    for figure in because {
        assert!(reason.contains(figure), "{reason:?} names {figure:?}");
    }
}

#[test]
fn a_few_on_batteries_form_a_star() {
    let mut net = network(1, 4, 16);
    settles_in(Kind::Star, &mut net, &["star: ", "800 of 1,000 nodes are on batteries", "20 nodes", "4 on mains"]);
}

#[test]
fn many_on_batteries_form_a_hierarchy() {
    let mut net = network(2, 20, 60);
    settles_in(Kind::Hierarchical, &mut net, &["hierarchical: ", "750 of 1,000", "of 80 nodes 20 on mains"]);
}

#[test]
fn many_that_stay_form_a_ring() {
    let mut net = network(3, 150, 0);
    settles_in(Kind::Ring, &mut net, &["ring: ", "150 nodes", "only 0 go"]);
}

#[test]
fn loss_makes_a_mesh_of_a_ring() {
    let mut net = network(4, 140, 0);
    settles_in(Kind::Ring, &mut net, &["ring: "]);
    for node in net.up() {
        net.tell(node, Event::Loss { permille: 200 });
    }
    settles_in(Kind::Mesh, &mut net, &["mesh: ", "200 of 1,000 frames are lost"]);
}

#[test]
fn churn_makes_a_mesh_of_a_star() {
    let mut net = network(5, 6, 18);
    settles_in(Kind::Star, &mut net, &["star: "]);
    for _ in 0..60 {
        let up = net.up();
        let victim = up[1 + net.draw(up.len() as u64 - 1) as usize];
        net.kill(victim);
        net.add(Config { kind: Kind::Adaptive, ..Config::default() }, Power::Battery);
        net.run(secs(20));
    }
    let (_, kind, reason) = changes(&net, 0).pop().expect("it changed");
    println!("{reason}");
    assert_eq!(kind, Kind::Mesh);
    assert!(reason.contains("of 1,000 nodes went within 10 minutes"), "{reason:?}");
}

/// A situation that turns every 40 s, for six hours.
#[test]
fn the_kind_changes_at_most_once_in_ten_minutes() {
    let mut solo = Solo::new(Config { kind: Kind::Adaptive, ..Config::default() });
    solo.tell(Event::Own { power: Power::Battery, bandwidth_kbps: 0 });
    for draw in 1..=20 {
        let power = if draw <= 5 { Power::Mains } else { Power::Battery };
        let facts = Facts { power, fitness: None, neighbours: Neighbours::default() };
        solo.tell(Event::Routed { peer: key(draw) });
        solo.tell(Event::Announced { peer: key(draw), facts });
    }
    let mut told = Vec::new();
    for turn in 0..270u16 {
        let phase = turn % 7;
        solo.tell(Event::Loss { permille: if phase < 4 { 300 } else { 0 } });
        for step in 0..8 {
            let before = solo.effects.len();
            solo.pass(secs(10));
            for effect in &solo.effects[before..] {
                if let Effect::Kind { kind, .. } = effect {
                    told.push((u64::from(turn) * 80 + step * 10, *kind));
                }
            }
        }
    }
    println!("{told:?}");
    assert!(told.len() >= 10, "the situation does change");
    assert!(told.windows(2).all(|pair| pair[1].0 - pair[0].0 >= 600), "{told:?}");
}

/// A situation at the edge of a bound does not move the kind to and fro.
#[test]
fn a_figure_at_a_bound_changes_nothing_twice() {
    let mut solo = Solo::new(Config { kind: Kind::Adaptive, ..Config::default() });
    solo.tell(Event::Own { power: Power::Mains, bandwidth_kbps: 0 });
    for draw in 1..=140 {
        solo.tell(Event::Routed { peer: key(draw) });
    }
    solo.pass(secs(1200));
    let kinds = |solo: &Solo| {
        let kind = |effect: &Effect| matches!(effect, Effect::Kind { .. });
        solo.effects.iter().filter(|effect| kind(effect)).count()
    };
    assert_eq!((solo.state.shape(), kinds(&solo)), (Kind::Ring, 1));
    for turn in 0..40u64 {
        // Between 127 and 141 nodes, around the bound of 128.
        for draw in 127..=140 {
            let peer = key(draw);
            solo.tell(if turn % 2 == 0 { Event::Unrouted { peer } } else { Event::Routed { peer } });
        }
        // Too seldom to be churn.
        solo.pass(secs(1800));
    }
    assert_eq!((solo.state.shape(), kinds(&solo)), (Kind::Ring, 1));
}
