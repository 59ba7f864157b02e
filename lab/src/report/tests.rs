use std::path::Path;
use std::sync::Arc;

use super::baseline::{Baseline, Difference, Figures, differences, gone, to_text};
use super::measure::measure;
use super::page::{escape, grouped, page};
use super::plot::{bins, duration};
use crate::scenario::{Scenario, load};

const FIGURES: Figures = Figures { events: 1000, frames: 20, bytes: 4000, accepted: 5, delivered: 4, ended: 1 };

fn one(name: &str, figures: Figures) -> Baseline {
    [(name.to_owned(), figures)].into()
}

fn two_slow() -> Scenario {
    load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/two-slow.toml")).unwrap()
}

#[test]
fn a_baseline_is_read_as_it_was_written() {
    let baseline: Baseline = [("two-slow", FIGURES), ("a \"name\"", Figures { events: 7, ..FIGURES })]
        .map(|(name, figures)| (name.to_owned(), figures))
        .into();
    assert_eq!(toml::from_str::<Baseline>(&to_text(&baseline)).unwrap(), baseline);
}

#[test]
fn a_difference_names_both_values() {
    let now = one("a", Figures { frames: 21, ..FIGURES });
    assert_eq!(
        differences(&one("a", FIGURES), &now),
        [Difference { scenario: "a".to_owned(), what: "expected 20 frames, got 21 (+5.00 %)".to_owned() }]
    );
    assert_eq!(differences(&now, &now), []);
}

#[test]
fn scenarios_that_are_new_or_gone_differ() {
    let (known, now) = (one("a", FIGURES), one("b", FIGURES));
    assert_eq!(differences(&known, &now).len(), 1);
    assert_eq!(gone(&known, &now).len(), 1);
    assert_eq!(gone(&known, &known), []);
}

#[test]
fn two_runs_have_the_same_figures() {
    let scenario = Arc::new(two_slow());
    let (first, second) = (measure(&scenario, 0), measure(&scenario, 0));
    assert_eq!(first.figures, second.figures);
    assert!(first.figures.frames > first.figures.accepted, "{:?}", first.figures);
    assert_eq!(first.shown_at.len() as u64, first.figures.delivered);
    assert_eq!(first.accepted_at.len() as u64, first.figures.accepted);
}

#[test]
fn nothing_of_a_scenario_becomes_part_of_the_page() {
    let mut scenario = two_slow();
    scenario.about = "<script>alert(\"&\")</script>".to_owned();
    scenario.name = "<b>'".to_owned();
    let measured = measure(&Arc::new(scenario), 1);
    let page = page(&[measured], &Baseline::new(), &[]);
    assert!(!page.contains("<script") && !page.contains("<b>'"));
    assert!(page.contains("&lt;script&gt;alert(&quot;&amp;&quot;)&lt;/script&gt;"));
}

#[test]
fn texts_are_escaped() {
    assert_eq!(escape("<a href='x' title=\"&\">"), "&lt;a href=&#39;x&#39; title=&quot;&amp;&quot;&gt;");
}

#[test]
fn numbers_are_for_people() {
    assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1\u{202f}000", "1\u{202f}234\u{202f}567"]);
    assert_eq!(
        [0, 250, 1_000, 21_500, 1_234_000, 90_000_000, 7_200_000_000].map(duration),
        ["0", "250 µs", "1 ms", "21.5 ms", "1.23 s", "1.5 min", "2 h"]
    );
}

#[test]
fn every_moment_is_counted_once() {
    let moments = [0, 1, 49, 50, 99, 100];
    let bins = bins(&moments, 100);
    assert_eq!(bins.iter().sum::<u64>(), 6);
    assert_eq!((bins[0], bins[1], bins[49], bins[99]), (1, 1, 1, 2));
}
