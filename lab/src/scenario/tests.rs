use std::fs;
use std::path::PathBuf;

use super::load;
use super::load::parse;

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
    for folder in ["scenarios", "scenarios/large"] {
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
