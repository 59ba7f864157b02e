//! What is left after losses becomes one again.

use std::time::Duration;

use crate::topology::{Config, Kind};

use super::net::{Net, millis, secs};

/// Kills a share of the nodes at once and gives how long it took until the rest was one: nothing if it always was.
fn healing_time(seed: u64, kind: Kind, addresses_learned: u64, silent: u64) -> (bool, Duration) {
    let config = Config { kind, ..Config::default() };
    let mut net = Net::new(seed, 100, &config);
    net.addresses_learned = addresses_learned;
    net.silent = silent;
    net.run(secs(120));
    for _ in 0..30 {
        let up = net.up();
        let victim = up[net.draw(up.len() as u64) as usize];
        net.kill(victim);
    }
    let broken = !net.is_whole();
    let healed = net.run_until(secs(60), Net::is_whole);
    let healed = healed.unwrap_or_else(|| {
        let parts: Vec<_> = net.components().iter().map(Vec::len).collect();
        panic!("{kind}, seed {seed}: in parts of {parts:?} after a minute")
    });
    net.run(secs(30));
    assert!(net.is_whole(), "{kind}, seed {seed}: apart again");
    (broken, healed)
}

/// The time below which a share of the values lies.
fn percentile(times: &[Duration], percent: usize) -> Duration {
    times[(times.len() * percent / 100).min(times.len() - 1)]
}

fn heals(kind: Kind, seeds: u64, addresses_learned: u64, silent: u64) {
    let outcomes: Vec<_> = (0..seeds).map(|seed| healing_time(seed, kind, addresses_learned, silent)).collect();
    let broken = outcomes.iter().filter(|(broken, _)| *broken).count();
    let mut times: Vec<_> = outcomes.iter().map(|(_, time)| *time).collect();
    times.sort_unstable();
    println!(
        "{kind}, {addresses_learned} % of addresses known, {silent} % of the dead silent: 30 of 100 killed in {seeds} seeds, {broken} fell apart; whole after {:?} (median), {:?} (99 %), {:?} (worst)",
        percentile(&times, 50),
        percentile(&times, 99),
        times[times.len() - 1],
    );
    assert!(percentile(&times, 99) <= secs(10), "{kind}: {times:?}");
}

#[test]
fn a_mesh_is_whole_within_seconds_after_a_third_is_killed() {
    heals(Kind::Mesh, 60, 100, 33);
}

#[test]
fn a_mesh_that_knows_few_addresses_heals_too() {
    heals(Kind::Mesh, 30, 25, 33);
}

#[test]
fn what_does_not_answer_at_all_holds_nothing_up() {
    for kind in [Kind::Mesh, Kind::Ring, Kind::Hierarchical, Kind::Star] {
        heals(kind, 10, 100, 100);
    }
}

#[test]
fn a_ring_is_whole_within_seconds_after_a_third_is_killed() {
    heals(Kind::Ring, 30, 100, 33);
}

#[test]
fn a_hierarchy_is_whole_within_seconds_after_a_third_is_killed() {
    heals(Kind::Hierarchical, 30, 100, 33);
}

#[test]
fn a_star_is_whole_within_seconds_after_a_third_is_killed() {
    heals(Kind::Star, 30, 100, 33);
}

#[test]
fn a_star_finds_another_centre() {
    for seed in 0..20 {
        let mut net = Net::new(seed, 20, &Config { kind: Kind::Star, ..Config::default() });
        net.run(secs(120));
        let centre = net.up().into_iter().max_by_key(|node| net.nodes[*node].links.len()).expect("nodes are up");
        assert_eq!(net.nodes[centre].links.len(), 19, "seed {seed}");
        net.kill(centre);
        let healed = net.run_until(secs(30), |net| net.is_whole() && net.degrees().contains(&18));
        assert!(healed.is_some(), "seed {seed}: {:?}", net.degrees());
    }
}

#[test]
fn two_islands_become_one_when_they_may() {
    for kind in [Kind::Mesh, Kind::Ring, Kind::Hierarchical, Kind::Star] {
        let mut net = Net::new(3, 60, &Config { kind, ..Config::default() });
        net.run(secs(60));
        net.cut((0..60).map(|node| node % 2).collect());
        net.run(secs(300));
        let parts = net.components().len();
        assert_eq!(parts, 2, "{kind}: each island is one");
        net.parts = None;
        let joined = net.run_until(secs(600), Net::is_whole);
        println!("{kind}: two islands of 30, five minutes apart, join after {joined:?}");
        assert!(joined.is_some(), "{kind}");
    }
}

#[test]
fn a_neighbour_that_goes_is_replaced_within_seconds() {
    for seed in 0..10 {
        let config = Config { kind: Kind::Mesh, ..Config::default() };
        let mut net = Net::new(seed, 40, &config);
        net.run(secs(120));
        for round in 0..8 {
            let up = net.up();
            let victim = up[net.draw(up.len() as u64) as usize];
            net.kill(victim);
            net.run(millis(1500));
            let enough = |net: &Net| net.degrees().iter().all(|degree| *degree >= config.min_degree);
            assert!(net.run_until(secs(5), enough).is_some(), "seed {seed}, round {round}: {:?}", net.degrees());
        }
    }
}
