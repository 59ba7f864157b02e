//! Links and nodes come and go, and nothing ever goes round in circles.

use std::time::Duration;

use super::super::Event;
use super::convergence::{DELAY, MINUTE, grid, line, random};
use super::net::Net;

/// A moment up to so many milliseconds.
fn moment(net: &mut Net, most_ms: usize) -> Duration {
    Duration::from_micros(net.below(most_ms * 1000 + 1) as u64)
}

/// An end of a link takes it for silent or for answering again, or finds that it costs something else.
fn disturb(net: &mut Net) {
    let links: Vec<_> = net.edges.keys().copied().collect();
    if links.is_empty() {
        return;
    }
    let link = links[net.below(links.len())];
    let end = net.below(2);
    let at = net.edges[&link].ends[end];
    let cost = 1 + u8::try_from(net.below(15)).expect("it is small");
    let event = match net.below(3) {
        0 => Event::Silent { link },
        1 => Event::Answers { link },
        _ => Event::Cost { link, cost },
    };
    net.handle(at, event);
}

/// Every link answers in the end.
fn calm(net: &mut Net) {
    let ends: Vec<_> = net.edges.iter().map(|(link, edge)| (*link, edge.ends)).collect();
    for (link, ends) in ends {
        for at in ends {
            net.handle(at, Event::Answers { link });
        }
    }
}

/// Cuts links and joins others, restarts nodes, and lets each end notice when it likes.
pub(super) fn churn(net: &mut Net, rounds: usize) {
    let count = net.nodes.len();
    for _ in 0..rounds {
        match net.below(24) {
            20..=23 => disturb(net),
            0 => {
                let (node, noticed) = (net.below(count), moment(net, 300));
                net.restart(node, noticed);
            }
            1..=9 => {
                let links: Vec<_> = net.edges.keys().copied().collect();
                if !links.is_empty() {
                    let link = links[net.below(links.len())];
                    let noticed = [moment(net, 300), moment(net, 300)];
                    net.cut(link, noticed);
                }
            }
            _ => {
                let (a, b) = (net.below(count), net.below(count));
                if a != b && net.link_between(a, b).is_none() && net.edges.len() < count * 2 {
                    let (delay, cost) = (moment(net, 50), 1 + u8::try_from(net.below(4)).expect("it is small"));
                    net.connect_at(a, b, delay, [cost, cost]);
                }
            }
        }
        let pause = moment(net, 400);
        net.run_for(pause);
    }
}

#[test]
fn churn_never_makes_a_loop() {
    let mut installed = 0;
    // The last four once left nodes without a way, or asked without end.
    for seed in (0..seeds(2)).chain([31, 68, 73, 92]) {
        let mut net = Net::new(30, seed);
        random(&mut net, 0, 30, 4);
        churn(&mut net, 400);
        net.check_all();
        calm(&mut net);
        net.run_for(2 * MINUTE);
        assert_eq!(net.astray(), [], "seed {seed}");
        net.assert_no_evidence();
        installed += net.installed();
        println!("seed {seed}: {} installed, {} checked, {:?}", net.installed(), net.counts.checked, net.counts);
    }
    println!("{installed} installed");
}

/// How many seeds: more when asked for by the environment.
fn seeds(default: u64) -> u64 {
    std::env::var("TIDINGS_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(default)
}

#[test]
fn a_ring_heals_by_asking_for_a_newer_announcement() {
    let mut net = Net::new(12, 7);
    line(&mut net);
    let closing = net.connect(11, 0, DELAY);
    net.run_for(MINUTE);
    assert!(net.is_optimal());
    net.cut(closing, [Duration::ZERO; 2]);
    let took = net.run_until(MINUTE, Net::is_converged).expect("it heals");
    println!("ring of 12 healed in {took:?}, {} requests", net.stat(|stats| stats.requests));
    assert!(took <= Duration::from_millis(300), "{took:?}");
    assert!(net.stat(|stats| stats.requests) > 0);
    net.assert_no_evidence();
}

#[test]
fn a_node_that_dies_is_retracted_everywhere() {
    let mut net = Net::new(25, 8);
    grid(&mut net, 5);
    net.run_for(MINUTE);
    for link in net.links_of(12) {
        net.cut(link, [Duration::ZERO; 2]);
    }
    let took = net.run_until(MINUTE, Net::is_converged).expect("it heals");
    println!("grid of 25 without its middle: {took:?}");
    net.run_for(2 * MINUTE);
    assert!(net.is_optimal());
    assert!((0..25).filter(|node| *node != 12).all(|node| net.cost(node, 12).is_none()));
    net.assert_no_evidence();
}
