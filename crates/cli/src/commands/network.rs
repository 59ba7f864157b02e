//! `tidings network`.

use tidings_api::types::{Exit, Network};

use crate::context::Context;
use crate::duration;
use crate::failure::Failure;
use crate::output::harmless_line;

pub(super) fn run(context: &Context) -> Result<Exit, Failure> {
    context.block_on(async {
        let network = context.client().await?.network().await?;
        context.print(&network, |out| human(out, &network))?;
        Ok(Exit::Done)
    })
}

fn human(out: &mut String, network: &Network) {
    let number = |value: Option<f64>| value.map_or_else(unknown, |value| format!("{value:.2}"));
    let share = |value: Option<f64>| value.map_or_else(unknown, |value| format!("{:.1} %", value * 100.0));
    let time = |value: Option<f64>| value.map_or_else(|| "nothing measured yet".to_owned(), duration::measured);
    let latency = network.latency.as_ref().map_or_else(
        || "nothing measured yet".to_owned(),
        |latency| {
            let [p50, p90, p99] =
                [latency.p50_seconds, latency.p90_seconds, latency.p99_seconds].map(duration::measured);
            format!("{p50} (p50), {p90} (p90), {p99} (p99) until the receipt, of {} parcels", latency.samples)
        },
    );
    let hotspots: Vec<String> = network
        .hotspots
        .iter()
        .map(|hotspot| {
            let name = if hotspot.name.is_empty() { &hotspot.peer_id } else { &hotspot.name };
            format!("{} ({:.0} % of the paths)", harmless_line(name), hotspot.share * 100.0)
        })
        .collect();
    let rows = [
        ("nodes", format!("{}, {} with known links", network.size, network.drawn)),
        ("links", network.links.to_string()),
        ("parts", format!("{}, {:.1} % of the nodes out of reach", network.components, network.fragmentation * 100.0)),
        ("density", share(network.density)),
        ("neighbours", number(network.average_degree)),
        ("clustering", number(network.clustering)),
        ("path length", number(network.average_path_length)),
        ("diameter", network.diameter.map_or_else(unknown, |links| links.to_string())),
        ("hotspots", if hotspots.is_empty() { "none known".to_owned() } else { hotspots.join(", ") }),
        ("delivered", network.delivery_rate.map_or_else(|| time(None), |rate| share(Some(rate)))),
        ("latency", latency),
        ("recovery", time(network.recovery_seconds)),
    ];
    for (label, value) in rows {
        out.push_str(&format!("{label:<12} {value}\n"));
    }
}

fn unknown() -> String {
    "not known: too few nodes have told of their links so far".to_owned()
}

#[cfg(test)]
mod tests {
    use tidings_api::types::{Hotspot, Latency};

    use super::*;

    #[test]
    fn what_is_not_known_is_said_to_be_so() {
        let mut out = String::new();
        human(&mut out, &Network { size: 1, drawn: 1, components: 1, ..Network::default() });
        let unknown = out.lines().filter(|line| line.contains("not known")).count();
        let unmeasured = out.lines().filter(|line| line.contains("nothing measured yet")).count();
        assert_eq!((unknown, unmeasured), (5, 3), "{out}");
    }

    #[test]
    fn figures_have_units() {
        let network = Network {
            size: 5,
            drawn: 5,
            links: 4,
            components: 1,
            density: Some(0.4),
            average_degree: Some(1.6),
            clustering: Some(0.0),
            average_path_length: Some(2.0),
            diameter: Some(4),
            hotspots: vec![Hotspot { peer_id: "A".to_owned(), name: "a\nb".to_owned(), share: 0.67 }],
            delivery_rate: Some(0.999),
            latency: Some(Latency {
                samples: 7,
                p50_seconds: 0.012,
                p90_seconds: 0.02,
                p99_seconds: 0.4,
                max_seconds: 0.5,
            }),
            recovery_seconds: Some(1.25),
            ..Network::default()
        };
        let mut out = String::new();
        human(&mut out, &network);
        for line in [
            "density      40.0 %",
            "path length  2.00",
            "diameter     4",
            "hotspots     a\\nb (67 % of the paths)",
            "delivered    99.9 %",
            "latency      12 ms (p50), 20 ms (p90), 0.4 s (p99) until the receipt, of 7 parcels",
            "recovery     1.2 s",
        ] {
            assert!(out.lines().any(|printed| printed == line), "{line:?} is not in\n{out}");
        }
    }
}
