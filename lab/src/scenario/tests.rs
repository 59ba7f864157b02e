use std::fs;
use std::path::PathBuf;

use tidings_crypto::Power;

use super::load;
use super::load::parse;
use crate::sim::{Dice, Purpose};

/// A scenario of which a test changes one line.
const GOOD: &str = r#"about = "two"
length = "1m"
settle = "1m"
[topology]
kind = "line"
nodes = 2
[[send]]
from = "all"
to = [1]
every = "1s"
[[fault]]
kind = "kill"
at = "30s"
[expect]
delivered = "all"
"#;

/// What is said of the good scenario after a change.
fn told(from: &str, to: &str) -> String {
    let text = GOOD.replace(from, to);
    assert_ne!(text, GOOD);
    parse("s.toml", "s", &text).unwrap_err().to_string()
}

#[test]
fn the_good_one_is_read() {
    assert_eq!(parse("s.toml", "s", GOOD).unwrap().topology.nodes, 2);
}

#[test]
fn all_scenarios_of_the_tree_are_read_and_written() {
    for folder in ["scenarios", "scenarios/large", "scenarios/topology"] {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(folder);
        for entry in fs::read_dir(folder).unwrap() {
            let file = entry.unwrap().path();
            if file.extension().is_some_and(|ending| ending == "toml") {
                let scenario = load(&file).unwrap_or_else(|error| panic!("{error}"));
                let text = scenario.to_text();
                let again =
                    parse("again.toml", &scenario.name, &text).unwrap_or_else(|error| panic!("{error}: {text}"));
                assert_eq!(again.to_text(), text);
            }
        }
    }
}

#[test]
fn an_unknown_key_is_named_with_its_line() {
    let told = told("nodes = 2", "nodes = 2\ncolour = 3");
    assert!(told.starts_with("s.toml, line 7, colour: unknown field `colour`, expected"), "{told}");
}

#[test]
fn an_unknown_word_is_named_with_its_line() {
    let told = told("kind = \"kill\"", "kind = \"murder\"");
    assert!(told.starts_with("s.toml, line 12, kind: unknown variant `murder`, expected"), "{told}");
}

#[test]
fn a_missing_expectation_is_named() {
    let without = told("[expect]\ndelivered = \"all\"\n", "");
    assert!(without.contains("expect: missing field `expect`"), "{without}");
    assert_eq!(
        told("delivered = \"all\"\n", ""),
        "s.toml, line 14, expect: expected at least one of delivered, accepted, refused, ended and shown_within"
    );
}

#[test]
fn impossible_topologies_are_named() {
    let cases = [
        ("nodes = 2", "nodes = 1", "s.toml, line 6, topology.nodes: expected 2 to 100000 nodes, got 1"),
        ("\"line\"", "\"grid\"", "s.toml, line 4, topology.columns: expected the columns of the grid, got none"),
        (
            "kind = \"line\"\nnodes = 2",
            "kind = \"grid\"\nnodes = 7\ncolumns = 3",
            "s.toml, line 7, topology.columns: expected a number that divides the 7 nodes, got 3",
        ),
        (
            "kind = \"line\"\nnodes = 2",
            "kind = \"random\"\nnodes = 7\ndegree = 7",
            "s.toml, line 7, topology.degree: expected a degree of 2 to 6, got 7",
        ),
        (
            "nodes = 2",
            "nodes = 2\ndegree = 1",
            "s.toml, line 7, topology.degree: expected no degree in a topology that is not random",
        ),
        (
            "kind = \"line\"\nnodes = 2",
            "kind = \"random\"\nnodes = 8\ndegree = 2\nislands = 3",
            "s.toml, line 8, topology.islands: expected a number that divides the 8 nodes into twos at least, got 3",
        ),
        (
            "kind = \"line\"\nnodes = 2",
            "kind = \"random\"\nnodes = 8\ndegree = 4\nislands = 2",
            "s.toml, line 7, topology.degree: expected a degree of 2 to 3, got 4",
        ),
        (
            "nodes = 2",
            "nodes = 2\nislands = 1",
            "s.toml, line 7, topology.islands: expected no islands in a topology that is not random",
        ),
    ];
    for (from, to, expected) in cases {
        assert_eq!(told(from, to), expected);
    }
}

/// An open topology in place of the good one's two nodes in a line.
const OPEN: &str = "kind = \"open\"\nnodes = 4\ntold = 2\njoined = 1";

#[test]
fn open_topologies_are_read() {
    let text = GOOD.replace("kind = \"line\"\nnodes = 2", OPEN);
    let text = text.replace("[[send]]", "[nodes]\ntopology = \"ring\"\nmains = [1]\nbattery = \"all\"\n[[send]]");
    let scenario = parse("s.toml", "s", &text).unwrap();
    let power = (0..4).map(|node| scenario.nodes.power(node));
    assert!(power.eq([Power::Battery, Power::Mains, Power::Battery, Power::Battery]));
    for node in 0..4 {
        let [joined, told] = scenario.topology.acquaintances(node, &mut Dice::split(1, Purpose::Acquaintances(node)));
        assert_eq!((joined.len(), told.len()), (1, 2));
        assert!(!joined.contains(&node) && !told.contains(&node) && !told.contains(&joined[0]));
        assert!(node == 0 || joined[0] < node, "{node} knows one before it");
    }
}

#[test]
fn impossible_open_topologies_are_named() {
    let lines = "kind = \"line\"\nnodes = 2";
    let open = |from: &str, to: &str| told(lines, &OPEN.replace(from, to));
    let cases = [
        (open("nodes = 4", "nodes = 501"), "s.toml, line 6, topology.nodes: expected 2 to 500 nodes, got 501"),
        (
            open("told = 2", "told = 3"),
            "s.toml, line 7, topology.told: expected told and joined of 1 to 3 together, got 4",
        ),
        (
            open("\ntold = 2\njoined = 1", ""),
            "s.toml, line 4, topology.joined: expected told and joined of 1 to 3 together, got 0",
        ),
        (
            told("nodes = 2", "nodes = 2\njoined = 1"),
            "s.toml, line 7, topology.joined: expected no joined in a topology that is not open",
        ),
        (
            told("[expect]", "[sim.expect]\ndiameter = 3\n[expect]"),
            "s.toml, line 15, sim.expect.diameter: expected no diameter in a topology that is not open",
        ),
        (
            open("joined = 1", "joined = 1\ndegree = 2"),
            "s.toml, line 9, topology.degree: expected no degree in a topology that is not random",
        ),
    ];
    for (got, expected) in cases {
        assert_eq!(got, expected);
    }
    let good = GOOD.replace(lines, OPEN);
    let cases = [
        (
            "to = [1]",
            "to = \"neighbours\"",
            "s.toml, line 11, send.to: expected no neighbours in an open topology, whose links nodes choose",
        ),
        (
            "kind = \"kill\"",
            "kind = \"cut\"",
            "s.toml, line 14, fault.kind: expected link, since most pairs of an open topology have none",
        ),
    ];
    for (from, to, expected) in cases {
        assert_eq!(parse("s.toml", "s", &good.replace(from, to)).unwrap_err().to_string(), expected);
    }
}

#[test]
fn contradictions_about_nodes_are_named() {
    let cases = [
        (
            "topology = \"cube\"",
            "s.toml, line 8, topology: expected mesh, ring, hierarchical, star or adaptive, got \"cube\"",
        ),
        ("mains = [2]", "s.toml, line 8, nodes.mains: expected a node from 0 to 1, got 2"),
        (
            "mains = \"all\"\nbattery = \"all\"",
            "s.toml, line 9, nodes.battery: expected all nodes either on mains or on batteries",
        ),
        (
            "mains = [0, 1]\nbattery = [1]",
            "s.toml, line 9, nodes.battery: expected a node either on mains or on a battery, got 1 twice",
        ),
    ];
    for (keys, expected) in cases {
        assert_eq!(told("[[send]]", &format!("[nodes]\n{keys}\n[[send]]")), expected);
    }
}

#[test]
fn contradictions_are_named() {
    let cases = [
        ("to = [1]", "to = [2]", "s.toml, line 9, send.to: expected a node from 0 to 1, got 2"),
        ("at = \"30s\"", "at = \"2m\"", "s.toml, line 13, fault.at: expected a moment within the scenario's length"),
        ("at = \"30s\"", "node = 0", "s.toml, line 12, fault.kind: expected at or between, which say when it happens"),
        (
            "at = \"30s\"",
            "at = \"30s\"\nppm = 5",
            "s.toml, line 14, fault.ppm: expected no ppm in a fault of kind kill",
        ),
        (
            "kind = \"kill\"",
            "kind = \"clock-jump\"",
            "s.toml, line 12, fault.kind: expected by in a fault of kind clock-jump",
        ),
        (
            "every = \"1s\"",
            "every = \"0s\"",
            "s.toml, line 10, send.every: expected more than no time between two calls",
        ),
        ("to = [1]", "to = [1]\nbytes = 9", "s.toml, line 10, send.bytes: expected 64 to 1048576 bytes"),
    ];
    for (from, to, expected) in cases {
        assert_eq!(told(from, to), expected);
    }
}

#[test]
fn values_that_cannot_be_read_are_named_with_line_and_key() {
    let cases = [
        ("settle = \"1m\"", "settle = \"soon\"", "s.toml, line 3, settle: expected a duration like"),
        (
            "to = [1]",
            "to = \"everybody\"",
            "s.toml, line 9, to: expected \"neighbours\", \"all\", \"anybody\" or a list of nodes",
        ),
        ("nodes = 2", "nodes = -2", "s.toml, line 6, nodes: invalid value"),
        ("about = \"two\"", "about = \"two", "s.toml, line 1, about: "),
        ("[topology]", "[link]\nrate = \"fast\"\n[topology]", "s.toml, line 5, rate: expected a rate like"),
        ("[topology]", "[link]\nloss = 101\n[topology]", "s.toml, line 5, loss: expected a share of 0 to 100 percent"),
    ];
    for (from, to, expected) in cases {
        let told = told(from, to);
        assert!(told.starts_with(expected) && !told.contains('\n'), "{told}");
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let told = load(&PathBuf::from("nowhere.toml")).unwrap_err().to_string();
    assert!(told.starts_with("nowhere.toml: expected a readable scenario"), "{told}");
}
