//! What a run came to, for people.
#![expect(clippy::print_stdout, reason = "the answer of a command")]

use std::process::ExitCode;

use super::clean::Removed;
use super::idle::Idle;
use super::run::{Outcome, Setup};
use crate::scenario::FaultKind;
use crate::sim::quantiles;

/// Says what `--clean` found.
pub(super) fn removed(removed: &Removed) {
    println!("removed {} namespaces and {} directories of killed runs", removed.namespaces, removed.directories);
}

/// Says everything about a run; the code tells a kept promise from a broken one, and from a run that tells neither.
pub(super) fn outcome(setup: &Setup, outcome: &Outcome) -> ExitCode {
    let Outcome { verdict, wire, formed, idle, detours, reports, tally, length, settled, open } = outcome;
    let figures = &verdict.figures;
    let scenario = &setup.scenario;
    println!("{}, seed {}, {} nodes: {}", scenario.name, setup.seed, scenario.topology.nodes, scenario.about);
    println!("ran {:.1} s, settled {:.1} s later, {open} messages open", length.as_secs_f64(), settled.as_secs_f64());
    println!(
        "messages accepted {}, delivered {}, ended {}, refused {}, shown again {}",
        figures.accepted, figures.delivered, figures.ended, figures.refused, figures.shown_again
    );
    for (class, latencies) in &figures.latencies {
        println!("{} messages shown after: {}", class.name(), quantiles(latencies).unwrap_or_default());
    }
    let faults: Vec<_> = tally.iter().map(|(kind, count)| format!("{} {count}", kind.name())).collect();
    let starts: u64 = reports.iter().map(|report| report.starts).sum();
    println!("faults {}: {}; nodes started {starts} times", tally.values().sum::<u64>(), faults.join(", "));
    let (files, names) =
        reports.iter().fold((0, 0), |(files, names), report| (files + report.lost_files, names + report.lost_names));
    if tally.contains_key(&FaultKind::PowerCut) {
        println!("power cuts took something from {files} files and {names} names");
    }
    if let Some(formed) = formed {
        let (linked, whole) = (formed.linked.as_secs_f64(), formed.whole.as_secs_f64());
        let after = formed.whole.saturating_sub(formed.linked).as_secs_f64();
        println!("linked after {linked:.2} s, all reached all {after:.2} s after the last link ({whole:.2} s)");
    }
    if let Some(times) = quantiles(detours) {
        println!("a way around a lost node or link was found after: {times}");
    }
    if let Some(idle) = idle {
        tell_idle(idle, scenario.topology.nodes);
    }
    let traffic = &wire.traffic;
    println!(
        "wire: {} frames, {} bytes sent, {:.0} for each message; lost {}, in full queues {}, silenced {}, to nobody {}",
        traffic.sent.frames,
        traffic.sent.bytes,
        traffic.sent.bytes as f64 / figures.accepted.max(1) as f64,
        traffic.lost,
        traffic.queue_full,
        traffic.blackholed,
        traffic.unreachable
    );
    println!(
        "wire: {:.1} % of a core, {:.1} % at most; frames late by {:.3} ms on average, {:.1} ms at most",
        wire.cpu.as_secs_f64() / wire.took.as_secs_f64() * 100.0,
        wire.busiest * 100.0,
        wire.late.as_secs_f64() * 1e3,
        wire.latest.as_secs_f64() * 1e3
    );
    let bytes: u64 = reports.iter().map(|report| report.bytes).sum();
    println!("nodes wrote {bytes} bytes to links, without what transports add");
    println!("checks {}", figures.checks);
    conclude(outcome)
}

fn tell_idle(idle: &Idle, nodes: usize) {
    let (seconds, nodes) = (idle.length.as_secs_f64(), nodes as f64);
    let each = |bytes: u64| bytes as f64 / nodes / (seconds / 60.0);
    println!(
        "quiet for {seconds:.0} s: each node sent {:.0} bytes a minute in {:.1} frames; {:.0} of them on links",
        each(idle.wire_bytes),
        each(idle.wire_frames),
        each(idle.link_bytes)
    );
    println!(
        "each took {:.2} % of a core, {:.1} MB of memory, {:.1} of them its own",
        idle.cpu.as_secs_f64() / seconds / nodes * 100.0,
        idle.resident_kilobytes as f64 / nodes / 1024.0,
        idle.anonymous_kilobytes as f64 / nodes / 1024.0
    );
}

fn conclude(outcome: &Outcome) -> ExitCode {
    let crashes: Vec<_> = outcome
        .reports
        .iter()
        .enumerate()
        .flat_map(|(node, report)| report.crashes.iter().map(move |how| format!("node {node} ended by itself: {how}")))
        .collect();
    crashes.iter().for_each(|crash| println!("{crash}"));
    for violation in &outcome.verdict.violations {
        println!("violation: {violation}");
    }
    if let Some(why) = outcome.wire.invalid() {
        println!("the run counts for nothing: {why}");
        return ExitCode::from(INVALID);
    }
    let kept = outcome.verdict.violations.is_empty() && crashes.is_empty();
    println!("{}", if kept { "the promise was kept" } else { "the promise was broken" });
    if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The code of a run in which the harness was the bottleneck.
const INVALID: u8 = 3;
