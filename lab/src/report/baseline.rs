//! The baseline: what scenarios came to when somebody last said that this is right.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::Context;
use serde::Deserialize;

/// Where it stands, seen from the root of the source tree.
pub(super) const FILE: &str = "lab/baseline.toml";

const ABOUT: &str = "# What each scenario comes to without the swarm, from the same seed: equal in every run, until Tidings or the \
scenario\n# changes. `tidings-lab report --check` compares, `tidings-lab report --bless` writes this file anew.\n";

/// The figures of a scenario that follow from its seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Figures {
    /// What happened, counted.
    pub(super) events: u64,
    /// That nodes wrote, and the bytes of all links.
    pub(super) frames: u64,
    pub(super) bytes: u64,
    /// Messages.
    pub(super) accepted: u64,
    pub(super) delivered: u64,
    pub(super) ended: u64,
}

/// The figures of scenarios by name.
pub(super) type Baseline = BTreeMap<String, Figures>;

/// A figure that is not what it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Difference {
    pub(super) scenario: String,
    pub(super) what: String,
}

impl Figures {
    /// Each with its name.
    pub(super) const fn named(&self) -> [(&'static str, u64); 6] {
        [
            ("events", self.events),
            ("frames", self.frames),
            ("bytes", self.bytes),
            ("accepted", self.accepted),
            ("delivered", self.delivered),
            ("ended", self.ended),
        ]
    }
}

/// Reads the baseline; an empty one where there is no file.
pub(super) fn read(file: &Path) -> anyhow::Result<Baseline> {
    match fs::read_to_string(file) {
        Ok(text) => toml::from_str(&text).with_context(|| format!("{}: expected a baseline", file.display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Baseline::new()),
        Err(error) => Err(error).with_context(|| file.display().to_string()),
    }
}

/// Writes the baseline.
pub(super) fn write(file: &Path, baseline: &Baseline) -> anyhow::Result<()> {
    fs::write(file, to_text(baseline)).with_context(|| file.display().to_string())
}

pub(super) fn to_text(baseline: &Baseline) -> String {
    let mut text = ABOUT.to_owned();
    for (name, figures) in baseline {
        let _ = write!(text, "\n[{}]\n", key(name));
        for (what, value) in figures.named() {
            let _ = writeln!(text, "{what} = {value}");
        }
    }
    text
}

/// A name as a key of TOML.
fn key(name: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !name.is_empty() && name.chars().all(is_bare) {
        return name.to_owned();
    }
    toml::Value::from(name).to_string()
}

/// What of a run is not as in the baseline.
pub(super) fn differences(baseline: &Baseline, measured: &Baseline) -> Vec<Difference> {
    let mut differences = Vec::new();
    for (scenario, figures) in measured {
        let mut differ = |what| differences.push(Difference { scenario: scenario.clone(), what });
        let Some(expected) = baseline.get(scenario) else {
            differ("expected in the baseline, and is not there".to_owned());
            continue;
        };
        for ((what, got), (_, expected)) in figures.named().into_iter().zip(expected.named()) {
            if got != expected {
                differ(format!("expected {expected} {what}, got {got}{}", change(expected, got)));
            }
        }
    }
    differences
}

/// What the baseline knows of scenarios that are no more.
pub(super) fn gone(baseline: &Baseline, measured: &Baseline) -> Vec<Difference> {
    let gone = baseline.keys().filter(|scenario| !measured.contains_key(*scenario));
    let what = "is in the baseline, and no scenario any more";
    gone.map(|scenario| Difference { scenario: scenario.clone(), what: what.to_owned() }).collect()
}

/// By how much of a hundred a figure has changed.
pub(super) fn change(from: u64, to: u64) -> String {
    if from == 0 {
        return String::new();
    }
    format!(" ({:+.2} %)", (to as f64 / from as f64 - 1.0) * 100.0)
}
