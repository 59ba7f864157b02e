use std::path::PathBuf;
use std::sync::Arc;

use tidings_core::ids::{FlowId, MessageId};
use tidings_core::topology::Kind;
use tidings_core::trust::Evidence;
use tidings_crypto::Power;

use super::dice::{Dice, Purpose};
use super::expect::fairness;
use super::faults::Tally;
use super::run::{How, run};
use super::shape::{Changes, Figures, Shaping};
use super::shrink::shrink;
use super::wire::{Quality, Road};
use crate::checker::Rule;
use crate::log::{Entry, Hash, Id, Line, Submitted};
use crate::scenario::{ClassName, Percent, Scenario, Span, load};

/// A scenario of the tree.
fn scenario(name: &str) -> Arc<Scenario> {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("scenarios").join(format!("{name}.toml"));
    Arc::new(load(&file).unwrap())
}

/// Runs a few seeds, each twice, and expects the promise and the same trace. Says what each has seen.
#[track_caller]
fn keeps_the_promise(name: &str, seeds: &[u64]) -> Vec<Tally> {
    let scenario = scenario(name);
    let mut tallies = Vec::new();
    for seed in seeds {
        let outcome = run(&scenario, *seed, &How::default());
        assert_eq!(outcome.verdict.violations, [], "{name}, seed {seed}");
        assert!(outcome.verdict.figures.delivered > 0);
        // What a crash or a lost link makes an end send again may come too late to be opened.
        let accused: Vec<_> = outcome.tally.accused.keys().filter(|what| **what != Evidence::CannotOpen).collect();
        assert_eq!(accused, Vec::<&Evidence>::new(), "{name}, seed {seed}: honest nodes are accused");
        assert_eq!(run(&scenario, *seed, &How::default()).hashes(), outcome.hashes(), "{name}, seed {seed}");
        tallies.push(outcome.tally);
    }
    tallies
}

/// Expects that hostile nodes wrote what they must not, and that neighbours have seen it for what it is.
#[track_caller]
fn hostile_nodes_are_seen(tallies: &[Tally], as_what: Evidence) {
    for tally in tallies {
        assert!(tally.forged > 0, "no hostile node wrote anything");
        assert!(tally.convicted.contains_key(&as_what), "expected {as_what:?}, got {:?}", tally.convicted);
    }
}

#[test]
fn two_slow_nodes() {
    keeps_the_promise("two-slow", &[1, 2, 3]);
}

#[test]
fn ten_in_a_clique() {
    keeps_the_promise("ten-clique", &[1]);
}

#[test]
fn links_that_flap() {
    keeps_the_promise("flapping", &[1, 2]);
}

#[test]
fn a_ferry() {
    keeps_the_promise("ferry", &[1, 2, 3]);
}

#[test]
fn disks_that_fill_up() {
    keeps_the_promise("disk-full", &[1, 2]);
}

#[test]
fn clocks_that_jump() {
    keeps_the_promise("clock-jumps", &[1, 2]);
}

#[test]
fn neighbours_that_attack() {
    hostile_nodes_are_seen(&keeps_the_promise("hostile-neighbour", &[1, 2]), Evidence::MalformedParcel);
}

#[test]
fn ten_in_a_line() {
    keeps_the_promise("line-of-ten", &[1]);
}

#[test]
fn islands_that_are_cut_apart() {
    keeps_the_promise("islands", &[1]);
}

#[test]
fn a_mesh_that_loses_much() {
    keeps_the_promise("lossy-mesh-40", &[1]);
}

#[test]
fn nodes_that_lie_about_routes() {
    hostile_nodes_are_seen(&keeps_the_promise("liars", &[1]), Evidence::ForgedRoute);
}

#[test]
fn a_link_that_flaps() {
    keeps_the_promise("one-link-flaps", &[1]);
}

#[test]
fn every_next_hop_is_followed_and_the_network_found_whole() {
    let tally = run(&scenario("line-of-ten"), 1, &How::default()).tally;
    assert!(tally.installed >= 90, "ten nodes have nine routes each: {}", tally.installed);
    assert_eq!((tally.followed, tally.followed_all), (tally.installed, tally.installed));
    assert!(tally.recorded[0] > 0 && tally.recorded[1] > 0, "{:?}", tally.recorded);
    assert_eq!(tally.reached.formed.len(), 1);
    assert!(tally.relayed > 0 && tally.routing_bytes > 0);
}

#[test]
fn senders_are_treated_as_fairly_as_the_lowest_class_says() {
    let line = |at, node, entry| Line { at, node: Some(node), entry };
    let hash = |node: u32, number: u64| Hash::of(&[&node.to_be_bytes()[..], &number.to_be_bytes()].concat());
    let mut log = Vec::new();
    for (node, class, shown) in [(0, ClassName::Normal, 3), (1, ClassName::Normal, 1), (2, ClassName::Critical, 1)] {
        let message =
            |number| Submitted { to: 3, class, hash: hash(node, number), bytes: 64, lifetime_ms: 1_000, stream: None };
        log.push(line(1, node, Entry::Submit { call: 1, messages: (0..4).map(message).collect(), repeats: None }));
        for number in 0..shown {
            let id = Id(MessageId { flow: FlowId([0; 8]), seq: number });
            log.push(line(2, 3, Entry::Shown { id, from: node, hash: hash(node, number), stream: None }));
        }
    }
    // (3 + 1)² / (2 · (9 + 1))
    assert_eq!(fairness(&log), 800_000);
    assert_eq!(fairness(&[]), 1_000_000);
}

#[test]
fn the_real_sealer_keeps_it_too() {
    let scenario = scenario("flapping");
    let outcome = run(&scenario, 0, &How::default());
    assert!(outcome.real_sealer);
    assert_eq!(outcome.verdict.violations, []);
}

#[test]
fn seeds_differ() {
    let scenario = scenario("two-slow");
    assert_ne!(run(&scenario, 1, &How::default()).hash, run(&scenario, 2, &How::default()).hash);
}

#[test]
fn losses_are_as_many_and_as_long_as_the_road_says() {
    for (loss, burst) in [(50_000, 1), (200_000, 1), (200_000, 8), (10_000, 20)] {
        let quality = Quality { loss: Percent(loss), burst, ..Quality::default() };
        let (mut road, mut dice) = (Road::new([0, 1], quality), Dice::split(1, Purpose::Links));
        let lost: Vec<_> = (0..2_000_000).map(|_| road.is_lost(0, &mut dice)).collect();
        let losses = lost.iter().filter(|lost| **lost).count() as u64;
        let runs = 1 + lost.windows(2).filter(|two| two == &[false, true]).count() as u64;
        let share = losses * 1_000_000 / 2_000_000;
        assert!(share.abs_diff(u64::from(loss)) < u64::from(loss) / 10, "{loss}, {burst}: {share}");
        // Independent losses follow one another by chance.
        let expected =
            if burst == 1 { 1_000_000 * 100 / (1_000_000 - u64::from(loss)) } else { u64::from(burst) * 100 };
        assert!((losses * 100 / runs).abs_diff(expected) < expected / 10, "{loss}, {burst}: {losses} in {runs} runs");
    }
}

#[test]
fn what_is_lost_for_long_ends_the_link() {
    let quality = Quality { loss: Percent(1_000_000), ..Quality::default() };
    let (mut road, mut dice) = (Road::new([0, 1], quality), Dice::split(1, Purpose::Links));
    assert_eq!(road.stall(0, 10_000, &mut dice), None);
    road.now[0].loss = Percent(0);
    assert_eq!(road.stall(0, 10_000, &mut dice), Some(0));
}

#[test]
fn a_failing_seed_is_made_small_and_still_fails() {
    let mut failing = Scenario::clone(&scenario("flapping"));
    failing.expect.shown_within = [(ClassName::Bulk, Span(std::time::Duration::from_micros(1)))].into();
    let failing = Arc::new(failing);
    let file = std::env::temp_dir().join(format!("tidings-lab-shrunk-{}.toml", std::process::id()));
    shrink(&failing, 1, &file).unwrap();
    let small = Arc::new(load(&file).unwrap());
    std::fs::remove_file(&file).unwrap();
    assert_eq!(small.fault.len(), 0);
    assert_eq!(small.send.len(), 1);
    assert!(small.length < failing.length);
    let violations = run(&small, 1, &How::default()).verdict.violations;
    assert!(violations.iter().any(|violation| violation.rule == Rule::Expectation), "{violations:?}");
}

#[test]
fn a_payload_in_the_clear_is_seen() {
    use super::client::MARKER;
    use super::traffic::contains_marker;
    assert!(contains_marker(&[b"TTT", MARKER, b"T"].concat()));
    assert!(!contains_marker(&MARKER[..MARKER.len() - 1]));
    assert!(!contains_marker(&[&MARKER[..5], &MARKER[6..]].concat()));
}

#[test]
fn a_few_on_batteries_are_seen_to_form_a_star() {
    let tallies = keeps_the_promise("topology/star", &[1]);
    let [shape] = tallies[0].shapes.as_slice() else { panic!("one run, one shape: {:?}", tallies[0].shapes) };
    assert_eq!((shape.living, shape.components, shape.diameter), (20, 1, 2));
    assert_eq!(shape.largest_degree, 19, "one centre");
    assert_eq!(shape.kinds, [(Kind::Star, 20)].into());
    assert_eq!((shape.changes.most, shape.changes.apart), (1, None));
    assert!(shape.battery_degree.unwrap() < 2.0, "{shape:?}");
}

#[test]
fn what_a_shape_comes_to_is_measured_from_links() {
    let mut shape = Figures::default();
    // A line of three, a pair, and a node that does not run.
    let links = [vec![1], vec![0, 2], vec![1], vec![4], vec![3], vec![]];
    shape.measure_paths(&[0, 1, 2, 3, 4], &links);
    assert_eq!((shape.components, shape.diameter), (2, 2));
    // Four ways of one link and two of two between the three; two of one between the pair.
    assert!((shape.mean_path - 10.0 / 8.0).abs() < 1e-9, "{}", shape.mean_path);
}

#[test]
fn links_and_changes_count_from_when_they_are_to() {
    let mut shaping = Shaping::new(true, 2, 1_000);
    for node in 0..2 {
        shaping.on_start(0, node, [Power::Mains, Power::Battery][node]);
    }
    shaping.on_formed(500);
    shaping.on_laid(900);
    shaping.on_laid(1_000);
    shaping.on_dropped(2_000);
    shaping.on_written(2_000, 1, [(9, 100), (5, 50)].into_iter());
    shaping.on_end(31_000, Power::Battery, 3);
    shaping.pass(61_000);
    assert_eq!((shaping.laid, shaping.dropped, shaping.lost), (1, 1, 3));
    assert_eq!(shaping.node_micros, [90_000, 30_000]);
    assert_eq!(shaping.written, [[0, 0], [150, 100]]);
    for (at, node) in [(1, 0), (2, 1), (9, 1)] {
        shaping.on_kind(at, node, Kind::Ring);
    }
    shaping.on_start(70_000, 1, Power::Battery);
    shaping.on_kind(70_001, 1, Kind::Star);
    let to = [(Kind::Ring, 3), (Kind::Star, 1)].into();
    assert_eq!(shaping.changes, Changes { to, most: 2, apart: Some(7) });
}
