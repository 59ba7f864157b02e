//! Islands that part and meet, and what that costs.

use std::time::Duration;

use super::convergence::{DELAY, MINUTE, random};
use super::net::Net;

#[test]
fn two_islands_of_two_hundred_merge_within_bounded_bytes() {
    let mut net = Net::new(400, 5);
    random(&mut net, 0, 200, 4);
    random(&mut net, 200, 200, 4);
    net.run_for(MINUTE);
    net.encodes = true;
    for bridge in 0..3 {
        net.connect(bridge * 60, 200 + bridge * 60, DELAY);
    }
    let whole = |net: &Net| (0..400).step_by(13).all(|from| (0..400).step_by(7).all(|to| net.arrives(from, to)));
    let took = net.run_until(MINUTE, whole).expect("they merge");
    net.run_for(MINUTE);
    let per_node = net.counts.bytes / 400;
    println!("200 + 200 merged in {took:?} with {per_node} bytes for each node");
    assert!(took <= Duration::from_secs(2), "{took:?}");
    // For each of 200 new destinations an announcement and, on each of four links, two updates.
    assert!(per_node <= 200 * (260 + 4 * 2 * 90), "{per_node}");
    net.check_all();
    net.assert_no_evidence();
}

#[test]
fn islands_that_part_forget_each_other_and_find_each_other_again() {
    let mut net = Net::new(60, 6);
    random(&mut net, 0, 30, 4);
    random(&mut net, 30, 30, 4);
    let bridges = [net.connect(0, 30, DELAY), net.connect(15, 45, DELAY)];
    net.run_for(MINUTE);
    assert!(net.is_converged());
    for bridge in bridges {
        net.cut(bridge, [Duration::ZERO; 2]);
    }
    let parted = net.run_until(MINUTE, Net::is_converged).expect("each forgets the other");
    net.run_for(MINUTE);
    net.connect(3, 33, DELAY);
    net.connect(18, 48, DELAY);
    let merged = net.run_until(MINUTE, Net::is_converged).expect("they find each other");
    println!("30 + 30 parted in {parted:?} and merged in {merged:?}");
    assert!(parted <= Duration::from_secs(2) && merged <= Duration::from_secs(2), "{parted:?}, {merged:?}");
    net.run_for(2 * MINUTE);
    assert!(net.is_optimal());
    net.assert_no_evidence();
}
