//! What comes and goes moves few links.

use tidings_crypto::Power;

use crate::topology::{Config, Effect, Event, Kind, Reach, Standing};

use super::net::{Net, secs};

/// One node of 100 goes every 20 s and another comes.
#[test]
fn churn_moves_few_links() {
    for kind in [Kind::Mesh, Kind::Ring, Kind::Hierarchical, Kind::Star] {
        let config = Config { kind, ..Config::default() };
        let mut net = Net::new(11, 100, &config);
        net.run(secs(800));
        let before = net.link_changes;
        let mut apart = 0;
        let mut gone = 0;
        for _ in 0..90 {
            let up = net.up();
            let victim = up[net.draw(up.len() as u64) as usize];
            // What the departure itself takes and the arrival itself brings.
            gone += net.nodes[victim].links.len() as u64;
            net.kill(victim);
            net.add(config.clone(), Power::Mains);
            net.run(secs(20));
            apart += u64::from(!net.is_whole());
        }
        let changes = net.link_changes - before;
        let each = changes as f64 / 90.0;
        println!(
            "{kind}: {each:.1} link changes for each node that goes and comes, {gone} of {changes} were its own; apart at {apart} of 90 looks"
        );
        assert!(each <= 30.0, "{kind}: {each}");
        assert!(apart <= 2, "{kind}: {apart}");
    }
}

#[test]
fn a_change_of_kind_settles_in_the_new_shape() {
    let shapes = [Kind::Ring, Kind::Star, Kind::Hierarchical, Kind::Mesh];
    let mut net = Net::new(5, 60, &Config { kind: Kind::Mesh, ..Config::default() });
    net.run(secs(900));
    for kind in shapes {
        let before = net.link_changes;
        for node in net.up() {
            net.tell(node, Event::Kind(kind));
        }
        let mut apart = 0;
        for _ in 0..240 {
            net.run(secs(10));
            apart += u64::from(!net.is_whole());
        }
        let changes = net.link_changes - before;
        let quiet = net.link_changes;
        net.run(secs(1800));
        println!("to {kind}: {changes} link changes, apart at {apart} of 240 looks, degrees {:?}", net.degrees());
        assert_eq!(net.link_changes, quiet, "{kind} settles");
        assert_eq!(apart, 0, "{kind}");
        assert!(changes <= 60 * 14, "{kind}: {changes}");
    }
}

#[test]
fn nodes_of_different_kinds_are_one_network() {
    for seed in 0..10 {
        let mut net = Net::empty(seed);
        for node in 0..60 {
            let kind = [Kind::Mesh, Kind::Ring, Kind::Hierarchical, Kind::Star][node % 4];
            net.add(Config { kind, ..Config::default() }, Power::Mains);
        }
        net.run(secs(2400));
        assert!(net.is_whole(), "seed {seed}");
        let before = net.link_changes;
        net.run(secs(7200));
        assert!(net.is_whole(), "seed {seed}");
        let changes = net.link_changes - before;
        println!("seed {seed}: {changes} link changes of 60 nodes in two hours");
        // Who asks a node of another kind to be its hub, in vain, asks again, but seldom.
        assert!(changes <= 120, "seed {seed}: {changes}");
    }
}

#[test]
fn a_node_that_everybody_joins_sheds_what_others_can_spare() {
    let mut net = Net::new(2, 60, &Config { kind: Kind::Mesh, ..Config::default() });
    for node in 1..60 {
        net.introduce(node, 0, Standing::Stranger);
    }
    net.run(secs(1500));
    assert!(net.is_whole());
    let degrees = net.degrees();
    assert!(degrees.iter().all(|degree| (3..=10).contains(degree)), "{degrees:?}");
}

/// Takes all effects of one node.
fn effects(net: &mut Net, node: usize, event: Event) -> Vec<Effect> {
    let now = net.now;
    let state = net.nodes[node].state.as_mut().expect("it is up");
    state.handle(now, event);
    std::iter::from_fn(|| state.poll_effect()).collect()
}

#[test]
fn news_without_news_moves_nothing() {
    let mut net = Net::new(9, 10, &Config { kind: Kind::Mesh, ..Config::default() });
    net.run(secs(1500));
    for other in 1..10 {
        let peer = net.nodes[other].key;
        assert_eq!(effects(&mut net, 0, Event::Known { peer, reach: Reach::Address }), []);
        assert_eq!(effects(&mut net, 0, Event::Routed { peer }), []);
    }
}
