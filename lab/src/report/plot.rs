//! Plots as inline SVG: no scripts, nothing from elsewhere, colours from the page's style.

use std::fmt::Write as _;

use super::measure::Measured;
use super::page::escape;
use crate::checker::percentile;
use crate::scenario::{ClassName, FaultKind};
use crate::sim::Fault;

const WIDTH: f64 = 620.0;
/// Around what is plotted: left, right, above, below.
const LEFT: f64 = 64.0;
const RIGHT: f64 = 26.0;
const TOP: f64 = 10.0;
const BELOW: f64 = 34.0;
/// Of what is plotted.
const HEIGHT: f64 = 190.0;
/// Of the line on which the faults of one kind stand.
const LANE: f64 = 16.0;
/// Between what is counted and those lines.
const GAP: f64 = 6.0;
/// How many stretches of time deliveries are counted in.
const BINS: usize = 100;
/// How finely a distribution is drawn.
const STEPS: usize = 200;

/// Durations that people know, in microseconds.
const TICKS: [(u64, &str); 12] = [
    (100, "0.1 ms"),
    (1_000, "1 ms"),
    (10_000, "10 ms"),
    (100_000, "0.1 s"),
    (1_000_000, "1 s"),
    (10_000_000, "10 s"),
    (60_000_000, "1 min"),
    (600_000_000, "10 min"),
    (3_600_000_000, "1 h"),
    (36_000_000_000, "10 h"),
    (86_400_000_000, "1 d"),
    (864_000_000_000, "10 d"),
];

/// The share of messages that were shown within a time, for each class.
pub(super) fn delivery_times(latencies: &[(ClassName, Vec<u64>)]) -> String {
    let all = || latencies.iter().flat_map(|(_, sorted)| sorted.first().into_iter().chain(sorted.last()));
    let (Some(least), Some(most)) = (all().min(), all().max()) else {
        return "<p>Nothing was delivered.</p>".to_owned();
    };
    let first = TICKS.iter().rposition(|(tick, _)| tick <= least).unwrap_or(0);
    let last = TICKS.iter().position(|(tick, _)| tick >= most).unwrap_or(TICKS.len() - 1).max(first + 1);
    let log = |micros: u64| (micros.max(1) as f64).ln();
    let (from, to) = (log(TICKS[first].0), log(TICKS[last].0));
    let x = |micros: u64| LEFT + ((log(micros) - from) / (to - from)).clamp(0.0, 1.0) * (WIDTH - LEFT - RIGHT);
    let y = |share: f64| TOP + HEIGHT * (1.0 - share);
    let mut svg = open("share of messages shown within a time", HEIGHT);
    for (share, label) in [(0.0, "0 %"), (0.5, "50 %"), (0.9, "90 %"), (1.0, "100 %")] {
        across(&mut svg, y(share), label);
    }
    for (tick, label) in &TICKS[first..=last] {
        upright(&mut svg, x(*tick), label, HEIGHT);
    }
    for (class, sorted) in latencies {
        let points = (0..=STEPS).filter_map(|step| {
            let at = (sorted.len().checked_sub(1)? * step) / STEPS;
            Some((x(sorted[at]), y(step as f64 / STEPS as f64)))
        });
        let points: Vec<_> = points.map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let title = [50, 99].map(|percent| duration(percentile(sorted, percent).unwrap_or(0)));
        let [median, slow] = title;
        let _ = write!(
            svg,
            r#"<polyline class="line {0}" points="{1}"><title>{0}: {2} messages, half within {median}, 99 of 100 within {slow}</title></polyline>"#,
            class.name(),
            points.join(" "),
            sorted.len(),
        );
    }
    svg.push_str("</svg>");
    svg
}

/// How many messages were shown in each stretch of time, and what went wrong meanwhile.
pub(super) fn deliveries(measured: &Measured) -> String {
    let length = measured.scenario.length.micros();
    let end = measured.shown_at.iter().chain(&measured.accepted_at).fold(length, |end, at| end.max(*at));
    let kinds = kinds(&measured.faults);
    let bottom = HEIGHT + GAP + kinds.len() as f64 * LANE;
    let mut svg = open("messages accepted and shown over time", bottom);
    let x = |at: u64| LEFT + (at.min(end) as f64 / end.max(1) as f64) * (WIDTH - LEFT - RIGHT);
    let (shown, accepted) = (bins(&measured.shown_at, end), bins(&measured.accepted_at, end));
    let most = shown.iter().chain(&accepted).copied().max().unwrap_or(0).max(1);
    let y = |count: u64| TOP + HEIGHT * (1.0 - count as f64 / most as f64);
    across(&mut svg, y(0), "0");
    across(&mut svg, y(most), &most.to_string());
    for tick in times(end) {
        upright(&mut svg, x(tick), &duration(tick), bottom);
    }
    let step = (WIDTH - LEFT - RIGHT) / BINS as f64;
    for (number, count) in shown.iter().enumerate().filter(|(_, count)| **count > 0) {
        let (left, top) = (LEFT + number as f64 * step, y(*count));
        let _ = write!(
            svg,
            r#"<rect class="shown" x="{left:.1}" y="{top:.1}" width="{:.1}" height="{:.1}"><title>{count} shown</title></rect>"#,
            (step - 0.5).max(0.5),
            y(0) - top,
        );
    }
    let points = accepted.iter().enumerate().map(|(number, count)| (LEFT + (number as f64 + 0.5) * step, y(*count)));
    let points: Vec<_> = points.map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    let _ = write!(svg, r#"<polyline class="accepted" points="{}"/>"#, points.join(" "));
    let _ = write!(
        svg,
        r#"<line class="healed" x1="{0:.1}" x2="{0:.1}" y1="{TOP}" y2="{1:.1}"><title>all faults end</title></line>"#,
        x(length),
        TOP + bottom,
    );
    for (lane, kind) in kinds.iter().enumerate() {
        let top = TOP + HEIGHT + GAP + lane as f64 * LANE;
        let label = escape(kind.name());
        let _ = write!(svg, r#"<text class="lane" x="{}" y="{:.1}">{label}</text>"#, LEFT - 4.0, top + 12.0);
        for fault in measured.faults.iter().filter(|fault| fault.plan.kind == *kind) {
            svg.push_str(&mark(fault, length, top, &x));
        }
    }
    svg.push_str("</svg>");
    svg
}

/// A fault on its line, from its beginning to its end.
fn mark(fault: &Fault, length: u64, top: f64, x: &impl Fn(u64) -> f64) -> String {
    let begin = fault.begins_after();
    let over = begin.saturating_add(fault.lasts).min(length);
    let place = match (&fault.plan.link, fault.plan.node) {
        (Some([a, b]), _) => format!("link {a}–{b}"),
        (None, Some(node)) => format!("node {node}"),
        (None, None) => "between groups".to_owned(),
    };
    format!(
        r#"<rect class="fault" x="{:.1}" y="{:.1}" width="{:.1}" height="{:.1}"><title>{} at {}, for {}, {place}</title></rect>"#,
        x(begin),
        top + 3.0,
        (x(over) - x(begin)).max(1.2),
        LANE - 4.0,
        escape(fault.plan.kind.name()),
        duration(begin),
        duration(over - begin.min(over)),
    )
}

fn kinds(faults: &[Fault]) -> Vec<FaultKind> {
    let mut kinds: Vec<_> = faults.iter().map(|fault| fault.plan.kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}

/// Counts moments in equal stretches from 0 to the end.
pub(super) fn bins(moments: &[u64], end: u64) -> [u64; BINS] {
    let mut bins = [0; BINS];
    for at in moments {
        let bin = u128::from(*at) * BINS as u128 / u128::from(end.max(1));
        bins[usize::try_from(bin).unwrap_or(BINS).min(BINS - 1)] += 1;
    }
    bins
}

/// At most seven round moments up to the end.
fn times(end: u64) -> Vec<u64> {
    const UNITS: [u64; 5] = [1_000_000, 60_000_000, 3_600_000_000, 86_400_000_000, 864_000_000_000];
    let steps = UNITS.iter().flat_map(|unit| [1, 2, 5, 10, 20, 30].map(|times| unit * times));
    let step = steps.filter(|step| end / step <= 6).min().unwrap_or(end.max(1));
    (0..=end / step).map(|number| number * step).collect()
}

/// A duration for people, of two or three digits.
pub(super) fn duration(micros: u64) -> String {
    let units = [(86_400_000_000, "d"), (3_600_000_000, "h"), (60_000_000, "min"), (1_000_000, "s"), (1_000, "ms")];
    let Some((unit, name)) = units.into_iter().find(|(unit, _)| micros >= *unit) else {
        return if micros == 0 { "0".to_owned() } else { format!("{micros} µs") };
    };
    let value = micros as f64 / unit as f64;
    let digits = if value < 9.995 && !micros.is_multiple_of(unit) { 2 } else { usize::from(value < 99.95) };
    let text = format!("{value:.digits$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text} {name}")
}

fn open(label: &str, height: f64) -> String {
    let height = TOP + height + BELOW;
    format!(r#"<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{}">"#, escape(label))
}

/// A line across, with what it stands for.
fn across(svg: &mut String, y: f64, label: &str) {
    let right = WIDTH - RIGHT;
    let _ = write!(svg, r#"<line class="grid" x1="{LEFT}" x2="{right}" y1="{y:.1}" y2="{y:.1}"/>"#);
    let _ = write!(svg, r#"<text class="left" x="{}" y="{:.1}">{}</text>"#, LEFT - 4.0, y + 4.0, escape(label));
}

/// A line from top to bottom, with what it stands for.
fn upright(svg: &mut String, x: f64, label: &str, height: f64) {
    let bottom = TOP + height;
    let _ = write!(svg, r#"<line class="grid" x1="{x:.1}" x2="{x:.1}" y1="{TOP}" y2="{bottom:.1}"/>"#);
    let _ = write!(svg, r#"<text class="below" x="{x:.1}" y="{:.1}">{}</text>"#, bottom + 16.0, escape(label));
}
