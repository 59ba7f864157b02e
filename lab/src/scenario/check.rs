//! What no single key can be wrong about: nodes that do not exist, faults that come too late, nothing expected.

use super::load::{Contradiction, Step};
use super::topology::{MAX_NODES, MAX_OPEN_NODES, Shape};
use super::{Expect, Fault, FaultKind, Nodes, Recipients, Scenario, Send};

pub(super) type Checked = Result<(), Contradiction>;

pub(super) fn wrong(path: Vec<Step>, problem: impl Into<String>) -> Contradiction {
    Contradiction { path, problem: problem.into() }
}

/// Where a key of one of several tables stands.
pub(super) fn within(table: &'static str, number: usize, key: &'static str) -> Vec<Step> {
    vec![Step::Key(table), Step::Number(number), Step::Key(key)]
}

impl Scenario {
    pub(super) fn check(&self) -> Checked {
        self.check_topology()?;
        self.check_open()?;
        self.check_nodes()?;
        self.check_links()?;
        if self.send.is_empty() {
            return Err(wrong(vec![Step::Key("send")], "expected at least one table [[send]]"));
        }
        for (number, send) in self.send.iter().enumerate() {
            self.check_send(number, send)?;
        }
        for (number, fault) in self.fault.iter().enumerate() {
            self.check_fault(number, fault)?;
        }
        if self.expect.is_empty() {
            let problem = "expected at least one of delivered, accepted, refused, ended and shown_within";
            return Err(wrong(vec![Step::Key("expect")], problem));
        }
        Ok(())
    }

    fn check_topology(&self) -> Checked {
        let key = |key| vec![Step::Key("topology"), Step::Key(key)];
        let topology = &self.topology;
        let nodes = topology.nodes;
        let most = if topology.kind == Shape::Open { MAX_OPEN_NODES } else { MAX_NODES };
        if !(2..=most).contains(&nodes) {
            return Err(wrong(key("nodes"), format!("expected 2 to {most} nodes, got {nodes}")));
        }
        match (topology.kind, topology.columns) {
            (Shape::Grid, None) => return Err(wrong(key("columns"), "expected the columns of the grid, got none")),
            (Shape::Grid, Some(columns)) if columns == 0 || columns > nodes || !nodes.is_multiple_of(columns) => {
                let problem = format!("expected a number that divides the {nodes} nodes, got {columns}");
                return Err(wrong(key("columns"), problem));
            }
            (Shape::Clique | Shape::Line | Shape::Star | Shape::Random | Shape::Open, Some(_)) => {
                return Err(wrong(key("columns"), "expected no columns in a topology that is no grid"));
            }
            (Shape::Grid, Some(_)) | (_, None) => {}
        }
        let size = match (topology.kind, topology.islands) {
            (Shape::Random, Some(islands)) if islands == 0 || !nodes.is_multiple_of(islands) || nodes / islands < 2 => {
                let problem =
                    format!("expected a number that divides the {nodes} nodes into twos at least, got {islands}");
                return Err(wrong(key("islands"), problem));
            }
            (Shape::Random, Some(islands)) => nodes / islands,
            (Shape::Clique | Shape::Line | Shape::Star | Shape::Grid | Shape::Open, Some(_)) => {
                return Err(wrong(key("islands"), "expected no islands in a topology that is not random"));
            }
            (_, None) => nodes,
        };
        match (topology.kind, topology.degree) {
            (Shape::Random, None) => Err(wrong(key("degree"), "expected the degree of a random topology, got none")),
            (Shape::Random, Some(degree)) if degree < 2 || degree >= size => {
                Err(wrong(key("degree"), format!("expected a degree of 2 to {}, got {degree}", size - 1)))
            }
            (Shape::Clique | Shape::Line | Shape::Star | Shape::Grid | Shape::Open, Some(_)) => {
                Err(wrong(key("degree"), "expected no degree in a topology that is not random"))
            }
            (Shape::Random, Some(_)) | (_, None) => Ok(()),
        }
    }

    pub(super) fn node(&self, node: usize, path: Vec<Step>) -> Checked {
        let nodes = self.topology.nodes;
        let problem = || format!("expected a node from 0 to {}, got {node}", nodes - 1);
        if node < nodes { Ok(()) } else { Err(wrong(path, problem())) }
    }

    fn check_links(&self) -> Checked {
        for (number, link) in self.link_between.iter().enumerate() {
            self.node(link.from, within("link_between", number, "from"))?;
            self.node(link.to, within("link_between", number, "to"))?;
            if link.from == link.to {
                return Err(wrong(within("link_between", number, "to"), "expected two different nodes"));
            }
        }
        let zero = |burst: Option<u32>| burst == Some(0);
        if zero(self.link.burst) {
            return Err(wrong(vec![Step::Key("link"), Step::Key("burst")], "expected a burst of at least 1 packet"));
        }
        if self.link.mtu.is_some_and(|mtu| mtu < 64) {
            return Err(wrong(vec![Step::Key("link"), Step::Key("mtu")], "expected an mtu of at least 64 bytes"));
        }
        Ok(())
    }

    fn check_send(&self, number: usize, send: &Send) -> Checked {
        let at = |key| within("send", number, key);
        if let Nodes::These(nodes) = &send.from {
            nodes.iter().try_for_each(|node| self.node(*node, at("from")))?;
        }
        if send.to == Recipients::Neighbours && self.topology.kind == Shape::Open {
            return Err(wrong(at("to"), "expected no neighbours in an open topology, whose links nodes choose"));
        }
        if let Recipients::These(nodes) = &send.to {
            nodes.iter().try_for_each(|node| self.node(*node, at("to")))?;
            if let Nodes::These(from) = &send.from
                && from.iter().any(|sender| nodes == &[*sender])
            {
                return Err(wrong(at("to"), "expected somebody else than the sender"));
            }
        }
        if send.every.0.is_zero() {
            return Err(wrong(at("every"), "expected more than no time between two calls"));
        }
        if send.bytes.is_some_and(|bytes| bytes.most > 1 << 20 || bytes.least < 64) {
            return Err(wrong(at("bytes"), "expected 64 to 1048576 bytes"));
        }
        let lifetime = send.lifetime.map_or(1, |lifetime| lifetime.0.as_secs());
        if !(1..=14 * 86_400).contains(&lifetime) {
            return Err(wrong(at("lifetime"), "expected a lifetime of 1s to 14d"));
        }
        if send.per_call.is_some_and(|count| count == 0 || count > 10_000) {
            return Err(wrong(at("per_call"), "expected 1 to 10000 messages in a call"));
        }
        let (begin, end) = (send.begin.unwrap_or(super::Span::ZERO), send.end.unwrap_or(self.length));
        if end > self.length {
            return Err(wrong(at("end"), "expected an end within the scenario's length"));
        }
        if begin > end {
            return Err(wrong(at("begin"), "expected a beginning before the end"));
        }
        Ok(())
    }
}

impl Scenario {
    fn check_fault(&self, number: usize, fault: &Fault) -> Checked {
        let at = |key| within("fault", number, key);
        match (fault.at, fault.between) {
            (None, None) => return Err(wrong(at("kind"), "expected at or between, which say when it happens")),
            (Some(_), Some(_)) => return Err(wrong(at("between"), "expected either at or between, got both")),
            (Some(when), None) if when > self.length => {
                return Err(wrong(at("at"), "expected a moment within the scenario's length"));
            }
            (None, Some([first, last])) if first > last || last > self.length => {
                return Err(wrong(at("between"), "expected two moments in order within the scenario's length"));
            }
            (Some(_), None) | (None, Some(_)) => {}
        }
        if fault.every.is_some() && fault.at.is_none() {
            return Err(wrong(at("every"), "expected at beside every; between chooses its own moments"));
        }
        if fault.at.is_some() && fault.times.is_some_and(|times| times > 1) && fault.every.is_none() {
            return Err(wrong(at("times"), "expected every, which says how far apart they are"));
        }
        if let Some(node) = fault.node {
            self.node(node, at("node"))?;
        }
        for node in fault.link.into_iter().flatten() {
            self.node(node, at("link"))?;
        }
        if fault.link.is_some_and(|[a, b]| a == b) {
            return Err(wrong(at("link"), "expected two different nodes"));
        }
        for node in fault.groups.iter().flatten().flatten() {
            self.node(*node, at("groups"))?;
        }
        if fault.kind.is_of_links() && fault.link.is_none() && self.topology.kind == Shape::Open {
            return Err(wrong(at("kind"), "expected link, since most pairs of an open topology have none"));
        }
        if let Some(key) = fault.foreign_key() {
            return Err(wrong(at(key), format!("expected no {key} in a fault of kind {}", fault.kind.name())));
        }
        if let Some(key) = fault.missing_key() {
            return Err(wrong(at("kind"), format!("expected {key} in a fault of kind {}", fault.kind.name())));
        }
        Ok(())
    }
}

impl Expect {
    fn is_empty(&self) -> bool {
        let Self { delivered, accepted, refused, ended, shown_within } = self;
        let none = accepted.is_none() && refused.is_none() && ended.is_none();
        none && delivered.is_none() && shown_within.is_empty()
    }
}

impl Fault {
    /// The first key that says nothing about this kind.
    fn foreign_key(&self) -> Option<&'static str> {
        use FaultKind::{ClockDrift, ClockJump, DiskSlow, Flap, Hostile, Reset, Silent, Split, Worse};
        let is = |kinds: &[FaultKind]| kinds.contains(&self.kind);
        let quality = [
            self.delay.is_some(),
            self.jitter.is_some(),
            self.rate.is_some(),
            self.loss.is_some(),
            self.burst.is_some(),
        ];
        let names = ["delay", "jitter", "rate", "loss", "burst"];
        let quality = names.into_iter().zip(quality).map(|(name, given)| (name, given, is(&[Worse])));
        let lasting = !is(&[Reset, ClockJump, Hostile]);
        let others = [
            ("link", self.link.is_some(), self.kind.is_of_links()),
            ("node", self.node.is_some(), !self.kind.is_of_links() && !is(&[Split])),
            ("one_way", self.one_way, is(&[Silent, Worse])),
            ("groups", self.groups.is_some(), is(&[Split])),
            ("down", self.down.is_some(), is(&[Flap])),
            ("up", self.up.is_some(), is(&[Flap])),
            ("commit", self.commit.is_some(), is(&[DiskSlow])),
            ("by", self.by.is_some(), is(&[ClockJump])),
            ("ppm", self.ppm.is_some(), is(&[ClockDrift])),
            ("conduct", self.conduct.is_some(), is(&[Hostile])),
            ("lasts", self.lasts.is_some(), lasting),
        ];
        others.into_iter().chain(quality).find(|(_, given, fits)| *given && !fits).map(|(name, ..)| name)
    }

    /// The first key that this kind cannot do without.
    fn missing_key(&self) -> Option<&'static str> {
        let (given, key) = match self.kind {
            FaultKind::ClockJump => (self.by.is_some(), "by"),
            FaultKind::ClockDrift => (self.ppm.is_some(), "ppm"),
            FaultKind::DiskSlow => (self.commit.is_some(), "commit"),
            FaultKind::Hostile => (self.conduct.is_some(), "conduct"),
            FaultKind::Worse => {
                let quality = self.delay.is_some() || self.jitter.is_some() || self.rate.is_some();
                (quality || self.loss.is_some(), "delay, jitter, rate or loss")
            }
            FaultKind::Kill
            | FaultKind::PowerCut
            | FaultKind::Stop
            | FaultKind::Freeze
            | FaultKind::DiskFull
            | FaultKind::DiskError
            | FaultKind::Reset
            | FaultKind::Cut
            | FaultKind::Flap
            | FaultKind::Silent
            | FaultKind::Split => (true, ""),
        };
        (!given).then_some(key)
    }
}

impl FaultKind {
    /// Whether it happens to a link.
    pub(crate) const fn is_of_links(self) -> bool {
        matches!(self, Self::Reset | Self::Cut | Self::Flap | Self::Silent | Self::Worse)
    }

    /// Its name in a file.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::PowerCut => "power-cut",
            Self::Stop => "stop",
            Self::Freeze => "freeze",
            Self::DiskFull => "disk-full",
            Self::DiskSlow => "disk-slow",
            Self::DiskError => "disk-error",
            Self::ClockJump => "clock-jump",
            Self::ClockDrift => "clock-drift",
            Self::Reset => "reset",
            Self::Cut => "cut",
            Self::Flap => "flap",
            Self::Silent => "silent",
            Self::Worse => "worse",
            Self::Split => "split",
            Self::Hostile => "hostile",
        }
    }
}
