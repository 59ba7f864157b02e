//! The page: one file that needs nothing else.

use std::fmt::Write as _;

use super::baseline::{Baseline, Difference, FILE, change};
use super::measure::Measured;
use super::plot::{deliveries, delivery_times, duration};
use crate::checker::percentile;

/// The percentiles of delivery times that are shown.
const PERCENTILES: [usize; 4] = [50, 90, 99, 100];

/// Writes all that is known of the scenarios.
pub(super) fn page(measured: &[Measured], known: &Baseline, found: &[Difference]) -> String {
    let mut page = String::from("<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n");
    page.push_str("<meta name=\"viewport\" content=\"width=device-width\">\n<title>Tidings in virtual time</title>\n");
    let _ = write!(page, "<style>\n{}</style>\n<h1>Tidings in virtual time</h1>\n", include_str!("style.css"));
    page.push_str(
        "<p class=\"soft\">Each scenario runs once as it stands, from one seed: its events, frames, bytes and messages \
         are equal in every run, until Tidings or the scenario changes. Seconds of this machine are shown and never \
         compared.</p>\n",
    );
    verdict(&mut page, found);
    overview(&mut page, measured, known);
    for measured in measured {
        scenario(&mut page, measured, known);
    }
    page.push_str("</html>\n");
    page
}

/// What differs from the baseline.
fn verdict(page: &mut String, found: &[Difference]) {
    if found.is_empty() {
        let _ = writeln!(page, "<p>Every figure is as in {FILE}.</p>");
        return;
    }
    let _ = writeln!(page, "<p class=\"bad\">Not as in {FILE}:</p>\n<ul>");
    for Difference { scenario, what } in found {
        let _ = writeln!(page, "<li>{}: {}</li>", escape(scenario), escape(what));
    }
    page.push_str("</ul>\n");
}

fn overview(page: &mut String, measured: &[Measured], known: &Baseline) {
    page.push_str("<div class=\"wide\"><table>\n<tr><th>scenario</th><th>nodes</th>");
    page.push_str("<th>events</th><th>frames</th><th>bytes</th><th>accepted</th><th>delivered</th><th>ended</th>");
    page.push_str("<th>half within</th><th>99 of 100 within</th><th>simulated</th><th>virtual : real</th>");
    page.push_str("<th>violations</th></tr>\n");
    for measured in measured {
        let name = escape(&measured.scenario.name);
        let _ = write!(page, "<tr><td><a href=\"#{name}\">{name}</a></td><td>{}</td>", measured.nodes);
        let before = known.get(&measured.scenario.name).map(|figures| figures.named());
        for (number, (_, value)) in measured.figures.named().into_iter().enumerate() {
            let before = before.map(|before| before[number].1).filter(|before| *before != value);
            match before {
                Some(before) => {
                    let change = escape(&change(before, value));
                    let _ = write!(page, "<td class=\"bad\">{}{change}</td>", grouped(value));
                }
                None => {
                    let _ = write!(page, "<td>{}</td>", grouped(value));
                }
            }
        }
        let all = all_latencies(measured);
        for percent in [50, 99] {
            let _ = write!(page, "<td>{}</td>", percentile(&all, percent).map_or("–".to_owned(), duration));
        }
        let ratio = measured.simulated.as_secs_f64() / measured.took.as_secs_f64().max(1e-9);
        let violations = measured.violations.len() + measured.swarm.failed.len();
        let class = if violations > 0 { " class=\"bad\"" } else { "" };
        let simulated = duration(u64::try_from(measured.simulated.as_micros()).unwrap_or(u64::MAX));
        let _ = writeln!(page, "<td>{simulated}</td><td>{ratio:.0}</td><td{class}>{violations}</td></tr>");
    }
    page.push_str("</table></div>\n");
}

fn all_latencies(measured: &Measured) -> Vec<u64> {
    let mut all: Vec<_> = measured.latencies.iter().flat_map(|(_, latencies)| latencies).copied().collect();
    all.sort_unstable();
    all
}

fn scenario(page: &mut String, measured: &Measured, known: &Baseline) {
    let name = escape(&measured.scenario.name);
    let about = escape(&measured.scenario.about);
    let _ = writeln!(page, "<section id=\"{name}\">\n<h2>{name}</h2>\n<p>{about}</p>");
    for violation in &measured.violations {
        let _ = writeln!(page, "<p class=\"bad\">{}</p>", escape(violation));
    }
    page.push_str("<div class=\"plots\">\n");
    let classes: Vec<_> =
        measured.latencies.iter().map(|(class, _)| format!("<b class=\"{0}\">{0}</b>", class.name())).collect();
    let _ = writeln!(
        page,
        "<figure>{}<figcaption>From acceptance until shown: the share of messages within a time. {}</figcaption></figure>",
        delivery_times(&measured.latencies),
        classes.join(", "),
    );
    let _ = writeln!(
        page,
        "<figure>{}<figcaption>Messages accepted (line) and <b class=\"shown\">shown</b> (bars) in each hundredth of \
         the run, and <b class=\"fault\">faults</b>, which all end at the <b class=\"healed\">dashed line</b>.\
         </figcaption></figure>\n</div>",
        deliveries(measured),
    );
    against_baseline(page, measured, known);
    by_class(page, measured);
    of_swarm(page, measured);
    page.push_str("</section>\n");
}

fn against_baseline(page: &mut String, measured: &Measured, known: &Baseline) {
    page.push_str("<div class=\"wide\"><table>\n<tr><th>figure</th><th>now</th><th>baseline</th><th></th></tr>\n");
    let before = known.get(&measured.scenario.name).map(|figures| figures.named());
    for (number, (what, now)) in measured.figures.named().into_iter().enumerate() {
        let before = before.map(|before| before[number].1);
        let differs = before.filter(|before| *before != now);
        let class = if differs.is_some() { " class=\"bad\"" } else { "" };
        let change = differs.map_or_else(String::new, |before| change(before, now));
        let before = before.map_or("–".to_owned(), grouped);
        let _ = writeln!(
            page,
            "<tr{class}><td>{what}</td><td>{}</td><td>{before}</td><td>{}</td></tr>",
            grouped(now),
            escape(&change),
        );
    }
    page.push_str("</table></div>\n");
}

fn by_class(page: &mut String, measured: &Measured) {
    page.push_str("<div class=\"wide\"><table>\n<tr><th>class</th><th>shown</th>");
    for percent in PERCENTILES {
        let _ = write!(page, "<th>{percent} % within</th>");
    }
    page.push_str("</tr>\n");
    for (class, sorted) in &measured.latencies {
        let _ = write!(page, "<tr><td>{}</td><td>{}</td>", class.name(), grouped(sorted.len() as u64));
        for percent in PERCENTILES {
            let _ = write!(page, "<td>{}</td>", percentile(sorted, percent).map_or("–".to_owned(), duration));
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</table></div>\n");
}

/// What the seeds with all that a seed adds came to.
fn of_swarm(page: &mut String, measured: &Measured) {
    let swarm = &measured.swarm;
    if swarm.seeds == 0 {
        return;
    }
    let faults: Vec<_> = swarm.tally.faults.iter().map(|(kind, count)| format!("{} {count}", kind.name())).collect();
    let _ = writeln!(
        page,
        "<p class=\"soft\">{} seeds with all that a seed adds: {} messages accepted, {} delivered, {} facts checked, {} \
         violations; {:.0} s simulated in {:.1} s. Faults: {}.</p>",
        swarm.seeds,
        grouped(swarm.accepted),
        grouped(swarm.delivered),
        grouped(swarm.checks),
        swarm.failed.len(),
        swarm.simulated.as_secs_f64(),
        swarm.took.as_secs_f64(),
        if faults.is_empty() { "none".to_owned() } else { escape(&faults.join(", ")) },
    );
    for (scenario, seed) in &swarm.failed {
        let _ = writeln!(page, "<p class=\"bad\">violated: {}, seed {seed}</p>", escape(scenario));
    }
}

/// A number with its digits in groups of three.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push('\u{202f}');
        }
        grouped.push(digit);
    }
    grouped
}

/// Text as it may stand in a page, in an attribute too.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}
