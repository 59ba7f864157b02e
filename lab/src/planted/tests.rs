use super::bug::{Bug, rotated};
use super::hunt::{Caught, read_violation};
use super::{Tally, hunt::End};

fn bug(name: &str) -> Bug {
    let text = "Wrong: a.\nBreaks: b.\n\n--- a/crates/core/src/x.rs\n+++ b/crates/core/src/x.rs\n@@ -1 +1 @@\n-a\n+b\n";
    Bug::read(name, text.to_owned()).expect("a diff that says what it should")
}

#[test]
fn a_diff_says_what_is_wrong_and_touches_core_and_store_only() {
    assert_eq!(bug("a").files, [std::path::PathBuf::from("crates/core/src/x.rs")]);
    let silent = bug("a").text.replace("Breaks: ", "");
    let elsewhere = bug("a").text.replace("crates/core/src/x.rs", "lab/src/checker.rs");
    let empty = "Wrong: a.\nBreaks: b.\n".to_owned();
    let answers = [silent, elsewhere, empty].map(|text| Bug::read("a", text).expect_err("it is refused").to_string());
    assert_eq!(
        answers,
        [
            "expected a.diff to say \"Breaks: \" before the diff",
            "expected a.diff to change core and store only, got lab/src/checker.rs",
            "expected a.diff to change a file",
        ]
    );
}

#[test]
fn every_bug_has_its_turn() {
    let all = ["a", "b", "c", "d", "e"].map(bug);
    let names = |number| rotated(&all, 2, number).iter().map(|bug| bug.name.as_str()).collect::<Vec<_>>();
    assert_eq!([names(0), names(1), names(2)], [["a", "b"], ["c", "d"], ["e", "a"]]);
    assert_eq!(rotated(&all, 9, 1).len(), 5);
    assert_eq!(rotated(&[], 3, 1), Vec::<&Bug>::new());
}

#[test]
fn the_simulators_words_are_understood() {
    let line = "violation: power-cuts, seed 7: Lost at 1.5 s: it is gone: for good";
    let violation = "Lost at 1.5 s: it is gone: for good".to_owned();
    let caught = Caught { scenario: "power-cuts".to_owned(), seed: 7, seeds: 7, violation };
    assert_eq!(read_violation(line), Some(caught.clone()));
    assert!(!caught.panicked());
    assert_eq!(End::Caught(caught).to_string(), "caught by Lost after 7 seeds: power-cuts --seed 7");
    assert_eq!(read_violation("violations 0"), None);
}

#[test]
fn a_survivor_is_told() {
    let mut tally = Tally::default();
    let caught = read_violation("violation: x, seed 3: Log at 0.0 s: the engine panicked: no").expect("a violation");
    tally.add(&bug("a"), &End::Caught(caught), false);
    assert!(tally.is_well());
    tally.add(&bug("b"), &End::Survived { seeds: 9, took: std::time::Duration::ZERO }, false);
    assert!(!tally.is_well());
    let expected = "planted 2: caught 1 (1 by a panic), survived 1; median 3 seeds, at most 3\nsurvived: b";
    assert_eq!(tally.sentence(), expected);
}
