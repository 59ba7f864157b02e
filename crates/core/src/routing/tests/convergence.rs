//! Networks come up, find the cheapest ways, and are silent then.

use std::time::Duration;

use super::net::Net;

pub(super) const DELAY: Duration = Duration::from_millis(2);
pub(super) const MINUTE: Duration = Duration::from_mins(1);

pub(super) fn line(net: &mut Net) {
    for node in 1..net.nodes.len() {
        net.connect(node - 1, node, DELAY);
    }
}

pub(super) fn grid(net: &mut Net, width: usize) {
    for node in 0..net.nodes.len() {
        if node % width + 1 < width {
            net.connect(node, node + 1, DELAY);
        }
        if node + width < net.nodes.len() {
            net.connect(node, node + width, DELAY);
        }
    }
}

/// A ring with random chords: about `degree` links for each node.
pub(super) fn random(net: &mut Net, first: usize, count: usize, degree: usize) {
    for node in 0..count {
        net.connect(first + node, first + (node + 1) % count, DELAY);
    }
    for _ in 0..count * (degree - 2) / 2 {
        let (a, b) = (first + net.below(count), first + net.below(count));
        if a != b && net.link_between(a, b).is_none() {
            net.connect(a, b, DELAY);
        }
    }
}

#[test]
fn a_line_of_ten_converges_within_a_tenth_of_a_second() {
    let mut net = Net::new(10, 1);
    net.encodes = true;
    line(&mut net);
    let took = net.run_until(MINUTE, Net::is_converged).expect("it converges");
    assert!(took <= Duration::from_millis(100), "{took:?}");
    assert!(net.is_optimal());
    net.assert_no_evidence();
    println!("line of 10: {took:?}, {:?}", net.counts);
}

#[test]
fn a_grid_of_a_hundred_converges_to_the_cheapest_ways() {
    let mut net = Net::new(100, 2);
    net.encodes = true;
    grid(&mut net, 10);
    let took = net.run_until(MINUTE, Net::is_converged).expect("it converges");
    let optimal = net.run_until(MINUTE, Net::is_optimal).expect("it finds the cheapest ways");
    println!("grid of 100: {took:?}, optimal after {optimal:?} more, {:?}", net.counts);
    assert!(took <= Duration::from_millis(300), "{took:?}");
    assert!(optimal <= Duration::from_secs(10), "{optimal:?}");
    net.check_all();
    net.assert_no_evidence();
}

#[test]
fn random_graphs_converge_and_are_silent_but_for_the_digests() {
    for seed in 0..4 {
        let mut net = Net::new(50, seed);
        net.encodes = true;
        random(&mut net, 0, 50, 5);
        let took = net.run_until(MINUTE, Net::is_converged).expect("it converges");
        net.run_for(MINUTE);
        assert!(net.is_optimal(), "seed {seed}");
        let before = net.counts;
        net.run_for(60 * MINUTE);
        let (frames, bytes) = (net.counts.frames - before.frames, net.counts.bytes - before.bytes);
        // Each end of each link says a digest every ten minutes, and nothing else.
        let expected = net.edges.len() as u64 * 2 * 6;
        assert!(frames.abs_diff(expected) <= net.edges.len() as u64 * 2, "{frames} frames, {expected} digests");
        assert_eq!(net.counts.updates, before.updates);
        assert_eq!(net.stat(|stats| stats.digests_differed), 0);
        println!("seed {seed}: {took:?}, then {} bytes per node and minute", bytes / 60 / 50);
        net.assert_no_evidence();
    }
}
