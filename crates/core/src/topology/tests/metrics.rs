//! Figures beside the truth.

use std::collections::{BTreeSet, VecDeque};

use tidings_crypto::Power;

use crate::topology::{Config, Kind, Metrics};

use super::net::{Net, secs};

/// What a network really comes to, computed in the plainest way.
#[derive(Debug)]
struct Truth {
    size: u64,
    links: u64,
    average_degree: f64,
    clustering: f64,
    average_path_length: f64,
    diameter: u64,
}

fn truth(net: &Net, nodes: &[usize]) -> Truth {
    let size = nodes.len() as f64;
    let links: usize = nodes.iter().map(|node| net.nodes[*node].links.len()).sum();
    let mut local = Vec::new();
    for node in nodes {
        let around: Vec<_> = net.nodes[*node].links.iter().collect();
        let closed = around.iter().flat_map(|one| around.iter().map(move |other| (*one, *other)));
        let closed = closed.filter(|(one, other)| one < other && net.nodes[**one].links.contains(other)).count();
        let pairs = around.len() * around.len().saturating_sub(1) / 2;
        if pairs > 0 {
            local.push(closed as f64 / pairs as f64);
        }
    }
    let (mut total, mut longest) = (0, 0);
    for node in nodes {
        let mut seen = BTreeSet::from([*node]);
        let mut queue = VecDeque::from([(*node, 0u64)]);
        while let Some((at, far)) = queue.pop_front() {
            total += far;
            longest = longest.max(far);
            for next in &net.nodes[at].links {
                if seen.insert(*next) {
                    queue.push_back((*next, far + 1));
                }
            }
        }
    }
    Truth {
        size: nodes.len() as u64,
        links: (links / 2) as u64,
        average_degree: links as f64 / size,
        clustering: local.iter().sum::<f64>() / local.len().max(1) as f64,
        average_path_length: total as f64 / (size * (size - 1.0)),
        diameter: longest,
    }
}

fn metrics(net: &Net, node: usize) -> Metrics {
    net.nodes[node].state.as_ref().expect("it is up").metrics()
}

fn near(known: Option<f64>, truth: f64) -> bool {
    known.is_some_and(|known| (known - truth).abs() <= 0.1 * truth + 1e-9)
}

#[test]
fn figures_are_within_a_tenth_of_the_truth() {
    for (kind, size) in [(Kind::Mesh, 10), (Kind::Mesh, 100), (Kind::Ring, 100), (Kind::Ring, 300), (Kind::Star, 60)] {
        let mut net = Net::new(1, size, &Config { kind, ..Config::default() });
        net.run(secs(1500));
        let truth = truth(&net, &net.up());
        for node in [0, size / 2, size - 1] {
            let known = metrics(&net, node);
            println!("{kind} of {size}, node {node}: {known:?}\n  beside {truth:?}");
            assert_eq!((known.size, known.drawn), (truth.size, truth.size));
            assert_eq!((known.components, known.fragmentation), (1, 0.0));
            assert!(known.links.abs_diff(truth.links) * 10 <= truth.links);
            assert!(near(known.average_degree, truth.average_degree));
            assert!(near(known.density, truth.average_degree / (truth.size - 1) as f64));
            assert!(near(known.average_path_length, truth.average_path_length));
            assert!(known.diameter.is_some_and(|diameter| diameter.abs_diff(truth.diameter) * 10 <= truth.diameter));
            assert!(near(known.clustering, truth.clustering));
        }
    }
}

#[test]
fn a_centre_is_a_hotspot() {
    let mut net = Net::new(4, 30, &Config { kind: Kind::Star, ..Config::default() });
    net.run(secs(1500));
    let centre = net.up().into_iter().find(|node| net.nodes[*node].links.len() == 29).expect("there is a centre");
    for node in [(centre + 1) % 30, centre] {
        let hotspots = metrics(&net, node).hotspots;
        assert_eq!(hotspots.len(), 1);
        assert_eq!(hotspots[0].peer, net.nodes[centre].key);
        assert!(hotspots[0].share > 0.99, "{hotspots:?}");
    }
}

#[test]
fn a_network_cut_in_two_is_seen_as_two() {
    let mut net = Net::new(6, 60, &Config { kind: Kind::Mesh, ..Config::default() });
    net.run(secs(1500));
    // Every third node is cut off.
    net.cut((0..60).map(|node| usize::from(node % 3 == 0)).collect());
    net.run(secs(60));
    let known = metrics(&net, 1);
    println!("{known:?}");
    assert_eq!(known.size, 40);
    assert!((known.fragmentation - 20.0 / 60.0).abs() < 1e-9);
    assert!(known.components >= 2);
    net.run(secs(700));
    let later = metrics(&net, 1);
    assert_eq!(
        (later.size, later.components, later.fragmentation),
        (40, 1, 0.0),
        "what is lost for long does not count"
    );
}

#[test]
fn what_nobody_tells_is_unknown() {
    let mut net = Net::empty(8);
    for _ in 0..40 {
        net.add(Config { kind: Kind::Mesh, tell_neighbours: false, ..Config::default() }, Power::Battery);
    }
    net.run(secs(1500));
    let known = metrics(&net, 0);
    assert_eq!((known.size, known.components), (40, 1));
    assert!(known.drawn < 15);
    let unknown = (known.average_degree, known.density, known.clustering, known.average_path_length, known.diameter);
    assert_eq!(unknown, (None, None, None, None, None));
    assert_eq!(known.hotspots, []);
}

#[test]
fn a_few_that_tell_nothing_hide_little() {
    let mut net = Net::empty(8);
    for node in 0..60 {
        let tell_neighbours = node % 6 != 0;
        net.add(Config { kind: Kind::Mesh, tell_neighbours, ..Config::default() }, Power::Mains);
    }
    net.run(secs(2400));
    let truth = truth(&net, &net.up());
    let known = metrics(&net, 1);
    println!("{known:?}\n  beside {truth:?}");
    assert_eq!(known.drawn, 60);
    assert!(near(known.average_path_length, truth.average_path_length));
    assert!(near(known.average_degree, truth.average_degree));
}

#[test]
fn a_node_alone_is_a_network_of_one() {
    let mut net = Net::new(1, 1, &Config::default());
    net.run(secs(100));
    let known = metrics(&net, 0);
    assert_eq!((known.size, known.links, known.components, known.diameter), (1, 0, 1, Some(0)));
    assert_eq!((known.average_degree, known.density), (Some(0.0), None));
    assert_eq!((known.clustering, known.average_path_length), (None, None));
}

#[test]
fn links_that_the_other_end_denies_are_not_drawn() {
    use super::net::key;
    use super::solo::Solo;
    use crate::topology::{Event, Facts};
    use tidings_crypto::{Neighbours, PeerKey};

    let name = |peer: PeerKey| {
        let id = peer.routing_id().0;
        [id[0], id[1], id[2], id[3]]
    };
    let mut solo = Solo::new(Config { kind: Kind::Mesh, ..Config::default() });
    let says = |listed: &[u64], count: u32| {
        let listed = listed.iter().map(|draw| name(key(*draw))).collect();
        Facts { neighbours: Neighbours { count, listed }, ..Facts::default() }
    };
    // 1 lists everybody; 2 lists it too, 3 denies it, 4 has more than it lists, 5 lists nobody, 6 was lost.
    let facts = [(1, says(&[0, 2, 3, 4, 5, 6], 6)), (2, says(&[1], 1)), (3, says(&[2], 1)), (4, says(&[3], 20))];
    for (draw, facts) in facts.into_iter().chain([(5, Facts::default()), (6, says(&[1], 1))]) {
        let peer = key(draw);
        solo.tell(Event::Routed { peer });
        solo.tell(Event::Announced { peer, facts });
    }
    solo.tell(Event::Unrouted { peer: key(6) });
    let graph = solo.state.graph();
    let place = |draw: u64| graph.nodes.iter().position(|node| node.peer == key(draw)).expect("it is shown");
    let edge = |one: u64, other: u64| {
        let (one, other) = (place(one) as u32, place(other) as u32);
        graph.edges.contains(&(one.min(other), one.max(other)))
    };
    assert!(edge(1, 2) && edge(1, 4) && edge(1, 5));
    assert!(!edge(1, 3), "3 lists others");
    assert!(!edge(3, 4), "3 lists others, although 4 lists it");
    assert!(!edge(2, 3), "2 lists others");
    assert!(!edge(0, 1), "this node knows its own links");
    assert!(!edge(1, 6), "no route crosses it");
    assert_eq!(graph.edges.len(), 3);
}
