//! Each kind settles within its bounds, whole, and then leaves the network alone.

use crate::topology::{Config, Kind};

use super::net::{Net, secs};

const SHAPES: [Kind; 4] = [Kind::Mesh, Kind::Ring, Kind::Hierarchical, Kind::Star];
const SIZES: [usize; 5] = [2, 3, 10, 100, 300];

fn of_kind(kind: Kind) -> Config {
    Config { kind, ..Config::default() }
}

/// The fewest and the most links of a node that is no hub, and the most of a hub.
fn bounds(kind: Kind, config: &Config) -> (usize, usize, usize) {
    match kind {
        Kind::Mesh | Kind::Ring | Kind::Adaptive => (config.min_degree, config.max_degree, config.max_degree),
        Kind::Hierarchical => (2, config.max_degree, config.max_hub_degree),
        Kind::Star => (1, config.max_degree, config.max_hub_degree),
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
            net.run(secs(1500));
            let degrees = net.degrees();
            let (least, most, hub) = bounds(kind, &config);
            let mut sorted = degrees.clone();
            sorted.sort_unstable();
            let mean = degrees.iter().sum::<usize>() as f64 / size as f64;
            println!(
                "{kind} of {size}: whole {whole:?} after the last start, degrees {}..{}, mean {mean:.2}, {} link changes, {} dials",
                sorted[0],
                sorted[size - 1],
                net.link_changes,
                net.dials
            );
            assert!(net.is_whole(), "{kind} of {size}");
            assert!(sorted[0] >= least.min(size - 1), "{kind} of {size}: {sorted:?}");
            assert!(sorted[size - 1] <= hub, "{kind} of {size}: {sorted:?}");
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
        net.run(secs(4 * 3600));
        assert_eq!((net.link_changes, net.dials), before, "{kind}");
    }
}
