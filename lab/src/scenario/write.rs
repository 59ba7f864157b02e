//! Writes a scenario as the file it could have been read from.

use std::fmt::Write as _;
use std::time::Duration;

use super::nodes::KindName;
use super::{Amount, Fault, Link, Nodes, Recipients, Scenario, SealerChoice, Send, Shape, SimExpect, Sizes, Span};

/// Keys of one table, those that are given.
struct Table<'a>(&'a mut String);

impl Table<'_> {
    fn open(&mut self, name: &str) {
        let _ = writeln!(self.0, "\n{name}");
    }

    fn key(&mut self, name: &str, value: Option<String>) {
        if let Some(value) = value {
            let _ = writeln!(self.0, "{name} = {value}");
        }
    }
}

fn quoted(text: &str) -> String {
    format!("{text:?}")
}

fn span(span: Span) -> String {
    quoted(&duration(span.0))
}

fn duration(duration: Duration) -> String {
    let micros = duration.as_micros();
    let units = [(86_400_000_000, "d"), (3_600_000_000, "h"), (60_000_000, "m"), (1_000_000, "s"), (1_000, "ms")];
    let whole = units.into_iter().find(|(unit, _)| micros > 0 && micros.is_multiple_of(*unit));
    whole.map_or_else(|| format!("{micros}us"), |(unit, name)| format!("{}{name}", micros / unit))
}

fn percent(millionths: u32) -> String {
    format!("{}", f64::from(millionths) / 10_000.0)
}

fn sizes(sizes: Sizes) -> String {
    if sizes.least == sizes.most { sizes.least.to_string() } else { format!("[{}, {}]", sizes.least, sizes.most) }
}

fn nodes(nodes: &Nodes) -> String {
    match nodes {
        Nodes::All => quoted("all"),
        Nodes::These(nodes) => format!("{nodes:?}"),
    }
}

fn kind(kind: KindName) -> String {
    quoted(kind.0.name())
}

impl Scenario {
    /// The file's text.
    pub(crate) fn to_text(&self) -> String {
        let mut text = String::new();
        let mut table = Table(&mut text);
        table.key("about", Some(quoted(&self.about)));
        table.key("length", Some(span(self.length)));
        table.key("settle", Some(span(self.settle)));
        table.open("[topology]");
        let shape = match self.topology.kind {
            Shape::Clique => "clique",
            Shape::Line => "line",
            Shape::Grid => "grid",
            Shape::Star => "star",
            Shape::Random => "random",
            Shape::Open => "open",
        };
        table.key("kind", Some(quoted(shape)));
        table.key("nodes", Some(self.topology.nodes.to_string()));
        table.key("columns", self.topology.columns.map(|columns| columns.to_string()));
        table.key("degree", self.topology.degree.map(|degree| degree.to_string()));
        table.key("islands", self.topology.islands.map(|islands| islands.to_string()));
        table.key("told", self.topology.told.map(|told| told.to_string()));
        table.key("joined", self.topology.joined.map(|joined| joined.to_string()));
        table.open("[nodes]");
        table.key("topology", self.nodes.topology.map(kind));
        table.key("mains", self.nodes.mains.as_ref().map(nodes));
        table.key("battery", self.nodes.battery.as_ref().map(nodes));
        table.open("[link]");
        quality(&mut table, &self.link);
        table.key("mtu", self.link.mtu.map(|mtu| mtu.to_string()));
        for between in &self.link_between {
            table.open("[[link_between]]");
            table.key("from", Some(between.from.to_string()));
            table.key("to", Some(between.to.to_string()));
            table.key("one_way", between.one_way.then(|| "true".to_owned()));
            let link = between.quality();
            quality(&mut table, &link);
            table.key("mtu", link.mtu.map(|mtu| mtu.to_string()));
        }
        if let Some(commit) = self.disk.commit {
            table.open("[disk]");
            table.key("commit", Some(span(commit)));
        }
        if let Some(after) = self.client.acknowledge_after {
            table.open("[client]");
            table.key("acknowledge_after", Some(span(after)));
        }
        self.send.iter().for_each(|of| send(&mut table, of));
        self.fault.iter().for_each(|of| fault(&mut table, of));
        self.write_expectations(&mut table);
        self.write_sim(&mut table);
        text
    }

    fn write_expectations(&self, table: &mut Table<'_>) {
        let expect = &self.expect;
        table.open("[expect]");
        table.key(
            "delivered",
            expect.delivered.map(|delivered| match delivered {
                Amount::All => quoted("all"),
                Amount::AtLeast(least) => least.to_string(),
            }),
        );
        table.key("accepted", expect.accepted.map(|number| number.to_string()));
        table.key("refused", expect.refused.map(|number| number.to_string()));
        table.key("ended", expect.ended.map(|number| number.to_string()));
        if !expect.shown_within.is_empty() {
            table.open("[expect.shown_within]");
            for (class, within) in &expect.shown_within {
                table.key(class.name(), Some(span(*within)));
            }
        }
    }

    fn write_sim(&self, table: &mut Table<'_>) {
        table.open("[sim]");
        table.key("swarm", self.sim.swarm.then(|| "true".to_owned()));
        table.key("circumstances", self.sim.circumstances.then(|| "true".to_owned()));
        table.key(
            "sealer",
            match self.sim.sealer {
                SealerChoice::Mixed => None,
                SealerChoice::Cheap => Some(quoted("cheap")),
                SealerChoice::Real => Some(quoted("real")),
            },
        );
        table.key("rare", self.sim.rare.map(|rounds| rounds.to_string()));
        let expect = &self.sim.expect;
        if *expect != SimExpect::default() {
            table.open("[sim.expect]");
            table.key("formed_within", expect.formed_within.map(span));
            table.key("healed_within", expect.healed_within.map(span));
            table.key("quiet_bytes", expect.quiet_bytes.map(|bytes| bytes.to_string()));
            table.key("quiet_after", expect.quiet_after.map(span));
            table.key("far_updates", expect.far_updates.map(|count| count.to_string()));
            table.key("held_bytes", expect.held_bytes.map(|bytes| bytes.to_string()));
            table.key("fairness", expect.fairness.map(|share| percent(share.0)));
            table.key("diameter", expect.diameter.map(|most| most.to_string()));
            table.key("largest_degree", expect.largest_degree.map(|most| most.to_string()));
            table.key("one_component", expect.one_component.then(|| "true".to_owned()));
            table.key("link_changes", expect.link_changes.map(|most| most.to_string()));
            table.key("kind", expect.kind.map(kind));
            table.key("kind_changes", expect.kind_changes.map(|most| most.to_string()));
            table.key("kinds_apart", expect.kinds_apart.map(span));
        }
    }
}

fn quality(table: &mut Table<'_>, link: &Link) {
    table.key("delay", link.delay.map(span));
    table.key("jitter", link.jitter.map(span));
    table.key("rate", link.rate.map(|rate| quoted(&format!("{}B/s", rate.0))));
    table.key("loss", link.loss.map(|loss| percent(loss.0)));
    table.key("burst", link.burst.map(|burst| burst.to_string()));
}

fn send(table: &mut Table<'_>, send: &Send) {
    table.open("[[send]]");
    table.key("from", Some(nodes(&send.from)));
    table.key(
        "to",
        Some(match &send.to {
            Recipients::Neighbours => quoted("neighbours"),
            Recipients::All => quoted("all"),
            Recipients::Anybody => quoted("anybody"),
            Recipients::These(nodes) => format!("{nodes:?}"),
        }),
    );
    table.key("every", Some(span(send.every)));
    table.key("calls", send.calls.map(|calls| calls.to_string()));
    table.key("per_call", send.per_call.map(|count| count.to_string()));
    table.key("begin", send.begin.map(span));
    table.key("end", send.end.map(span));
    table.key("class", send.class.map(|class| quoted(class.name())));
    table.key("bytes", send.bytes.map(sizes));
    table.key("stream", send.stream.as_deref().map(quoted));
    table.key("lifetime", send.lifetime.map(span));
    table.key("cancel", send.cancel.map(|cancel| percent(cancel.0)));
    table.key("repeat", send.repeat.then(|| "true".to_owned()));
}

fn fault(table: &mut Table<'_>, fault: &Fault) {
    table.open("[[fault]]");
    table.key("kind", Some(quoted(fault.kind.name())));
    table.key("at", fault.at.map(span));
    table.key("between", fault.between.map(|[first, last]| format!("[{}, {}]", span(first), span(last))));
    table.key("times", fault.times.map(|times| times.to_string()));
    table.key("every", fault.every.map(span));
    table.key("lasts", fault.lasts.map(span));
    table.key("node", fault.node.map(|node| node.to_string()));
    table.key("link", fault.link.map(|link| format!("{link:?}")));
    table.key("one_way", fault.one_way.then(|| "true".to_owned()));
    table.key("groups", fault.groups.as_ref().map(|groups| format!("{groups:?}")));
    table.key("down", fault.down.map(span));
    table.key("up", fault.up.map(span));
    table.key("commit", fault.commit.map(span));
    table.key("by", fault.by.map(|by| quoted(&format!("{}{}", if by.back { "-" } else { "" }, duration(by.by)))));
    table.key("ppm", fault.ppm.map(|ppm| ppm.to_string()));
    let Fault { delay, jitter, rate, loss, burst, .. } = *fault;
    quality(table, &Link { delay, jitter, rate, loss, burst, mtu: None });
    table.key("conduct", fault.conduct.map(|conduct| quoted(conduct.name())));
}
