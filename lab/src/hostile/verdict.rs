//! What an attack may come to.

use std::time::Duration;

use super::attack::Attack;
use super::figures::Figures;
use super::honest::Seen;
use super::peer::Tally;
use crate::process::median_and_max;

/// The most that resident memory may grow while a node is attacked.
const MAX_GROWTH_KILOBYTES: u64 = 64 * 1024;
/// The most that it may still be larger by when the attack is over.
const MAX_KEPT_KILOBYTES: u64 = 16 * 1024;
/// The most descriptors: 256 handshakes, 128 connections, and the node's own. Half of what a process has by default.
const MAX_DESCRIPTORS: u64 = 512;
/// The longest that an honest message may take.
const MAX_LATENCY: Duration = Duration::from_secs(2);
/// The longest that a newcomer may take to have its link.
const MAX_NEWCOMER: Duration = Duration::from_secs(5);

/// What was measured around one attack.
#[derive(Debug)]
pub(super) struct Measured {
    pub(super) attack: Attack,
    pub(super) before: Figures,
    pub(super) peak: Figures,
    pub(super) after: Figures,
    pub(super) idle: Seen,
    pub(super) attacked: Seen,
    pub(super) tally: Tally,
    /// Whether the node answers when the attack is over.
    pub(super) lives: bool,
}

impl Measured {
    /// Which limits are missed.
    pub(super) fn misses(&self) -> Vec<&'static str> {
        let growth = self.peak.kilobytes.saturating_sub(self.before.kilobytes);
        let kept = self.after.kilobytes.saturating_sub(self.before.kilobytes);
        let late = |latency: &Duration| *latency > MAX_LATENCY;
        let outside = |newcomer: &Option<Duration>| newcomer.is_none_or(|time| time > MAX_NEWCOMER);
        let seen = &self.attacked;
        let limits = [
            ("memory at the peak", growth > MAX_GROWTH_KILOBYTES),
            ("memory kept", kept > MAX_KEPT_KILOBYTES),
            ("descriptors", self.peak.descriptors > MAX_DESCRIPTORS),
            ("the attack itself", !self.attack.has_landed(&self.tally)),
            ("messages lost while idle", self.idle.lost > 0 || self.idle.latencies.is_empty()),
            ("messages lost", seen.lost > 0 || seen.latencies.is_empty()),
            ("latency", seen.latencies.iter().any(late)),
            ("newcomers", seen.newcomers.iter().any(outside) || seen.newcomers.is_empty()),
            ("dials", self.tally.dialled > 0),
            ("the node's life", !self.lives),
        ];
        limits.into_iter().filter_map(|(limit, missed)| missed.then_some(limit)).collect()
    }

    /// The figures on one line.
    pub(super) fn line(&mut self) -> String {
        let megabytes = |figures: Figures| figures.kilobytes as f64 / 1024.0;
        let came = self.attacked.newcomers.iter().flatten().count();
        let slowest = self.attacked.newcomers.iter().flatten().max().copied().unwrap_or_default();
        format!(
            "memory {:.1} / {:.1} / {:.1} MB, descriptors {} / {} / {}, threads {} / {} / {}, latency idle {}, attacked {}, \
             lost {}, newcomers {came} of {} (slowest {} ms), tried {}, taken {}, dialled {}",
            megabytes(self.before),
            megabytes(self.peak),
            megabytes(self.after),
            self.before.descriptors,
            self.peak.descriptors,
            self.after.descriptors,
            self.before.threads,
            self.peak.threads,
            self.after.threads,
            latency(&mut self.idle),
            latency(&mut self.attacked),
            self.attacked.lost,
            self.attacked.newcomers.len(),
            slowest.as_millis(),
            self.tally.tried,
            self.tally.taken,
            self.tally.dialled,
        )
    }
}

fn latency(seen: &mut Seen) -> String {
    match median_and_max(&mut seen.latencies) {
        Some((median, max)) => format!("{} / {} ms", median.as_millis(), max.as_millis()),
        None => "none".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quiet() -> Measured {
        let figures = Figures { kilobytes: 30_000, descriptors: 30, threads: 8 };
        let seen = || Seen {
            latencies: vec![Duration::from_millis(9)],
            lost: 0,
            newcomers: vec![Some(Duration::from_millis(90))],
        };
        Measured {
            attack: Attack::Streams,
            before: figures,
            peak: figures,
            after: figures,
            idle: seen(),
            attacked: seen(),
            tally: Tally { tried: 9, taken: 5, dialled: 0 },
            lives: true,
        }
    }

    #[test]
    fn a_node_that_notices_nothing_misses_nothing() {
        assert!(quiet().misses().is_empty());
    }

    #[test]
    fn each_limit_is_missed_by_what_is_beyond_it() {
        let missed = |change: &dyn Fn(&mut Measured)| {
            let mut measured = quiet();
            change(&mut measured);
            measured.misses()
        };
        assert_eq!(missed(&|m| m.peak.kilobytes += MAX_GROWTH_KILOBYTES + 1), ["memory at the peak"]);
        assert_eq!(missed(&|m| m.after.kilobytes += MAX_KEPT_KILOBYTES + 1), ["memory kept"]);
        assert_eq!(missed(&|m| m.peak.descriptors = MAX_DESCRIPTORS + 1), ["descriptors"]);
        assert_eq!(missed(&|m| m.tally = Tally::default()), ["the attack itself"]);
        assert_eq!(missed(&|m| m.tally.taken = 0), ["the attack itself"]);
        assert_eq!(missed(&|m| m.idle.latencies.clear()), ["messages lost while idle"]);
        assert_eq!(missed(&|m| m.attacked.lost = 1), ["messages lost"]);
        assert_eq!(missed(&|m| m.attacked.latencies.push(MAX_LATENCY * 2)), ["latency"]);
        assert_eq!(missed(&|m| m.attacked.newcomers.push(None)), ["newcomers"]);
        assert_eq!(missed(&|m| m.attacked.newcomers.push(Some(MAX_NEWCOMER * 2))), ["newcomers"]);
        assert_eq!(missed(&|m| m.tally.dialled = 1), ["dials"]);
        assert_eq!(missed(&|m| m.lives = false), ["the node's life"]);
    }
}
