//! Each kind settles within its bounds, whole, and then leaves the network alone.

use tidings_crypto::Power;

use crate::topology::{Config, Event, Kind};

use super::net::{Net, secs};

const SHAPES: [Kind; 4] = [Kind::Mesh, Kind::Ring, Kind::Hierarchical, Kind::Star];
const SIZES: [usize; 5] = [2, 3, 10, 100, 300];

fn of_kind(kind: Kind) -> Config {
    Config { kind, ..Config::default() }
}

/// The fewest and the most links of a node that is no hub, the most of a hub, and the most hops between two nodes.
fn bounds(kind: Kind, size: usize, config: &Config) -> (usize, usize, usize, usize) {
    match kind {
        Kind::Mesh | Kind::Ring | Kind::Adaptive => (config.min_degree, config.max_degree, config.max_degree, 8),
        Kind::Hierarchical => (2, config.max_degree, config.max_hub_degree, 6),
        // Two between centres, where one is not enough; and who a full one refused holds whoever is next.
        Kind::Star => (1, config.max_degree, config.max_hub_degree, if size <= 100 { 2 } else { 6 }),
    }
}

#[test]
fn each_kind_settles_whole_and_within_its_bounds() {
    for kind in SHAPES {
        for size in SIZES {
            let config = of_kind(kind);
            let mut net = Net::new(size as u64, size, &config);
            net.run(secs(5));
            let whole = net.run_until(secs(60), Net::is_whole).expect("it becomes one");
            net.run(secs(900));
            let degrees = net.degrees();
            let (least, most, hub, most_hops) = bounds(kind, size, &config);
            let mut sorted = degrees.clone();
            sorted.sort_unstable();
            let mean = degrees.iter().sum::<usize>() as f64 / size as f64;
            println!(
                "{kind} of {size}: whole {whole:?} after the last start, degrees {}..{}, mean {mean:.2}, diameter {}, {} link changes, {} dials",
                sorted[0],
                sorted[size - 1],
                net.diameter(),
                net.link_changes,
                net.dials
            );
            assert!(net.is_whole(), "{kind} of {size}");
            assert!(sorted[0] >= least.min(size - 1), "{kind} of {size}: {sorted:?}");
            assert!(sorted[size - 1] <= hub, "{kind} of {size}: {sorted:?}");
            let diameter = net.diameter();
            assert!(diameter <= most_hops, "{kind} of {size}: {diameter} hops");
            let hubs = sorted.iter().filter(|degree| **degree > most).count();
            assert!(hubs <= 2 * size.isqrt(), "{kind} of {size}: {hubs} act as hubs: {sorted:?}");
        }
    }
}

#[test]
fn a_settled_network_changes_no_link() {
    for kind in SHAPES {
        let mut net = Net::new(7, 100, &of_kind(kind));
        net.run(secs(1800));
        let before = (net.link_changes, net.dials);
        net.run(secs(2 * 3600));
        assert_eq!((net.link_changes, net.dials), before, "{kind}");
    }
}

/// Nodes that start over two hours grow older for a day and a half: their fitness rises at different times.
#[test]
fn age_moves_few_links() {
    for kind in [Kind::Hierarchical, Kind::Star] {
        let mut net = Net::empty(12);
        for _ in 0..40 {
            net.add(of_kind(kind), Power::Mains);
            net.run(secs(180));
        }
        net.run(secs(3600));
        let before = net.link_changes;
        net.run(secs(36 * 3600));
        let told = net.up().iter().filter_map(|node| net.nodes[*node].announced.as_ref()?.fitness).collect::<Vec<_>>();
        assert!(told.iter().all(|fitness| *fitness == 13), "6 of power, 4 of age, 3 of bandwidth: {told:?}");
        let changes = net.link_changes - before;
        println!("{kind}: {changes} link changes of 40 nodes in a day and a half");
        assert!(changes <= 40, "{kind}: {changes}");
    }
}

#[test]
fn hubs_are_on_mains_and_trusted() {
    let mut net = Net::empty(13);
    for node in 0..60 {
        net.add(of_kind(Kind::Hierarchical), if node % 4 == 0 { Power::Mains } else { Power::Battery });
    }
    let untrusted = net.nodes[8].key;
    net.run(secs(60));
    for node in 0..60 {
        net.tell(node, Event::Trust { peer: untrusted, permille: 100 });
    }
    net.run(secs(1800));
    let hubs: Vec<_> = net.up().into_iter().filter(|node| net.nodes[*node].links.len() > 10).collect();
    println!("hubs: {hubs:?}");
    assert!(hubs.len() >= 3);
    assert!(hubs.iter().all(|hub| hub % 4 == 0), "on mains: {hubs:?}");
    assert!(!hubs.contains(&8), "trusted: {hubs:?}");
}
