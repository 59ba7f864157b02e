//! Dishonest nodes among honest ones: what they say may cost them the way to somebody, and never makes honest nodes send
//! in circles.

use tidings_crypto::ChainValue;

use super::churn::churn;
use super::convergence::{MINUTE, random};
use super::net::{Lie, Net};
use crate::trust::Evidence;
use crate::wire::{RouteUpdate, Routing, UNREACHABLE};

fn each(change: impl Fn(&mut RouteUpdate) + 'static) -> Lie {
    Box::new(move |_, frame| {
        let Routing::Updates { restart, mut updates } = frame else { return vec![frame] };
        updates.iter_mut().filter(|update| update.cost != UNREACHABLE).for_each(&change);
        vec![Routing::Updates { restart, updates }]
    })
}

/// Claims to be nearer than it is.
fn cheap() -> Lie {
    each(|update| update.cost = update.cost.saturating_sub(2).max(1).min(update.cost))
}

/// Claims any value of the chain.
fn invented() -> Lie {
    each(|update| update.chain = ChainValue([update.cost; 16]))
}

/// Says again what it said before, and never that a route is gone.
fn stubborn() -> Lie {
    let (mut kept, mut turn) = (Vec::new(), 0);
    Box::new(move |_, frame| {
        let Routing::Updates { restart, updates } = frame else { return vec![frame] };
        let updates = updates.into_iter().filter(|update| update.cost != UNREACHABLE).collect();
        let said = Routing::Updates { restart, updates };
        if kept.len() < 50 {
            kept.push(said.clone());
        }
        turn += 1;
        vec![said, kept[turn % kept.len()].clone()]
    })
}

/// Says every second thing only.
fn forgetful() -> Lie {
    let mut said = 0;
    Box::new(move |_, frame| {
        said += 1;
        if said % 2 == 0 { vec![frame] } else { Vec::new() }
    })
}

#[test]
fn liars_never_make_honest_nodes_send_in_circles() {
    for seed in 0..3 {
        let mut net = Net::new(24, 100 + seed);
        net.lies(3, cheap());
        net.lies(9, invented());
        net.lies(14, stubborn());
        net.lies(20, forgetful());
        random(&mut net, 0, 24, 5);
        churn(&mut net, 200);
        net.run_for(MINUTE);
        net.check_all();
        println!("seed {seed}: {} installed, {} checked", net.installed(), net.counts.checked);
    }
}

#[test]
fn who_claims_to_be_nearer_than_it_is_is_found_out_by_its_neighbours() {
    for (lie, evidence) in [(cheap as fn() -> Lie, Evidence::CheapRoute), (invented, Evidence::CheapRoute)] {
        let mut net = Net::new(20, 9);
        net.lies(5, lie());
        random(&mut net, 0, 20, 6);
        net.run_for(MINUTE);
        let found = net.evidence_against(5);
        assert!(found.get(&evidence).is_some_and(|count| *count > 0), "{found:?}");
        for honest in (0..20).filter(|node| *node != 5) {
            assert!(net.evidence_against(honest).is_empty(), "{honest}");
        }
        // The others reach one another without it.
        for from in (0..20).filter(|node| *node != 5) {
            for to in (0..20).filter(|node| *node != 5) {
                assert!(net.arrives(from, to), "{from} to {to}");
            }
        }
    }
}
