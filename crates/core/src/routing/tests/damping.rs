//! A link that flaps is felt by its two ends, not by the rest.

use std::time::Duration;

use super::super::config::MAX_FLAPPING;
use super::super::damping::Damping;
use super::convergence::{DELAY, MINUTE, grid, line};
use super::net::Net;
use crate::time::Instant;
use tidings_crypto::PeerKey;

const FLAP: Duration = Duration::from_secs(5);

/// Lets the link between two nodes go and come every 5 s for 10 minutes, and counts the updates that any other node
/// sent meanwhile, and those that its ends sent to others: the most that one node sent about one destination.
fn flap(net: &mut Net, a: usize, b: usize) -> usize {
    net.run_for(2 * MINUTE);
    net.said.clear();
    for _ in 0..60 {
        let link = net.link_between(a, b).expect("it is up");
        net.cut(link, [Duration::ZERO; 2]);
        net.run_for(FLAP);
        net.connect(a, b, DELAY);
        net.run_for(FLAP);
    }
    let beyond = net.said.iter().filter(|((from, to, _), _)| [*from, *to] != [a, b] && [*from, *to] != [b, a]);
    beyond.map(|(_, at)| at.len()).max().unwrap_or_default()
}

#[test]
fn a_flapping_link_causes_at_most_two_updates_a_minute_beyond_its_ends() {
    for (name, a, b) in [("in the middle", 6, 7), ("at the edge", 0, 1)] {
        let mut net = Net::new(25, 3);
        grid(&mut net, 5);
        let most = flap(&mut net, a, b);
        println!("grid, {name}: {most} updates in 10 minutes");
        assert!(most <= 20, "{most}");
        net.run_for(2 * MINUTE);
        assert!(net.is_converged());
    }
    // The only way to a leaf, and to the other half of a line.
    for (a, b) in [(0, 1), (4, 5)] {
        let mut net = Net::new(10, 3);
        line(&mut net);
        let most = flap(&mut net, a, b);
        println!("line at {a}: {most} updates in 10 minutes");
        assert!(most <= 20, "{most}");
        net.run_for(2 * MINUTE);
        assert!(net.is_optimal());
    }
}

#[test]
fn who_stays_away_after_flapping_is_retracted_in_the_end() {
    let mut net = Net::new(4, 3);
    line(&mut net);
    net.run_for(MINUTE);
    for _ in 0..4 {
        let link = net.link_between(2, 3).expect("it is up");
        net.cut(link, [Duration::ZERO; 2]);
        net.run_for(Duration::from_secs(1));
        net.connect(2, 3, DELAY);
        net.run_for(Duration::from_secs(1));
    }
    let link = net.link_between(2, 3).expect("it is up");
    net.cut(link, [Duration::ZERO; 2]);
    net.run_for(Duration::from_secs(1));
    assert!(net.cost(0, 3).is_some(), "its return is waited for");
    assert!(net.cost(2, 3).is_none(), "its neighbour knows better");
    let took = net.run_until(MINUTE, |net| net.cost(0, 3).is_none()).expect("it is retracted");
    assert!(took <= Duration::from_secs(31), "{took:?}");
}

#[test]
fn the_table_of_flapping_neighbours_is_bounded() {
    let mut damping = Damping::default();
    for number in 0..=MAX_FLAPPING as u64 {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&number.to_be_bytes());
        for _ in 0..3 {
            damping.on_departure(PeerKey::from_bytes(key), Instant(1_000_000));
        }
    }
    assert_eq!(damping.len(), MAX_FLAPPING);
}
