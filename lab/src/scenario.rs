//! Scenarios: who is linked to whom, what is sent, what goes wrong, and what must hold all the same.
//!
//! One TOML file drives both the simulator and real processes; docs/spec/scenario.md is its reference. Only the table
//! `[sim]` and the faults `hostile` and `clock-drift` are the simulator's own.

mod check;
mod load;
mod nodes;
mod only;
mod open;
mod topology;
mod units;
mod write;

#[cfg(test)]
mod tests;

use serde::Deserialize;

pub(crate) use self::load::load;
pub(crate) use self::nodes::{KindName, NodesTable};
pub(crate) use self::only::{SealerChoice, SimExpect, SimOnly};
pub(crate) use self::topology::{Shape, Topology};
pub(crate) use self::units::{Percent, Rate, Shift, Sizes, Span};

/// A scenario that was read and checked.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scenario {
    /// The file's name without its ending.
    #[serde(skip)]
    pub(crate) name: String,
    /// What it shows, in a sentence.
    pub(crate) about: String,
    /// How long messages are sent and things go wrong; then all faults end.
    pub(crate) length: Span,
    /// How long after that everything accepted may take to be told.
    pub(crate) settle: Span,
    pub(crate) topology: Topology,
    /// What nodes are like.
    #[serde(default)]
    pub(crate) nodes: NodesTable,
    /// What every link is like.
    #[serde(default)]
    pub(crate) link: Link,
    /// What single links are like.
    #[serde(default)]
    pub(crate) link_between: Vec<LinkBetween>,
    #[serde(default)]
    pub(crate) disk: Disk,
    #[serde(default)]
    pub(crate) client: Client,
    pub(crate) send: Vec<Send>,
    #[serde(default)]
    pub(crate) fault: Vec<Fault>,
    pub(crate) expect: Expect,
    #[serde(default)]
    pub(crate) sim: SimOnly,
}

/// What a link is like in one direction; what is not named is as the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Link {
    /// One way; 300 µs.
    pub(crate) delay: Option<Span>,
    /// Added to the delay, at most; none.
    pub(crate) jitter: Option<Span>,
    /// 100 MB/s.
    pub(crate) rate: Option<Rate>,
    /// The share of packets that are lost; none.
    pub(crate) loss: Option<Percent>,
    /// How many packets are lost in a row, on average; 1.
    pub(crate) burst: Option<u32>,
    /// The largest packet in bytes; 1,400.
    pub(crate) mtu: Option<u32>,
}

/// What is different about one link.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LinkBetween {
    pub(crate) from: usize,
    pub(crate) to: usize,
    /// Only for what goes from `from` to `to`.
    #[serde(default)]
    pub(crate) one_way: bool,
    pub(crate) delay: Option<Span>,
    pub(crate) jitter: Option<Span>,
    pub(crate) rate: Option<Rate>,
    pub(crate) loss: Option<Percent>,
    pub(crate) burst: Option<u32>,
    pub(crate) mtu: Option<u32>,
}

/// How fast the nodes' disks are.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Disk {
    /// What a commit takes; 2 ms.
    pub(crate) commit: Option<Span>,
}

/// What the nodes' applications do with what they are shown.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Client {
    /// How long until a message is acknowledged; at once.
    pub(crate) acknowledge_after: Option<Span>,
}

/// A stream of submissions.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Send {
    pub(crate) from: Nodes,
    pub(crate) to: Recipients,
    /// Between two calls of one sender.
    pub(crate) every: Span,
    /// The calls of one sender; as many as fit.
    pub(crate) calls: Option<u64>,
    /// How many messages one call submits; 1.
    pub(crate) per_call: Option<u64>,
    /// The first call; at once.
    pub(crate) begin: Option<Span>,
    /// The last call; the scenario's length.
    pub(crate) end: Option<Span>,
    /// Normal.
    pub(crate) class: Option<ClassName>,
    /// The payload's size; 256.
    pub(crate) bytes: Option<Sizes>,
    pub(crate) stream: Option<String>,
    /// Seven days.
    pub(crate) lifetime: Option<Span>,
    /// The share of messages that are withdrawn a moment later; none.
    pub(crate) cancel: Option<Percent>,
    /// Calls carry an idempotency key, and are repeated where a crash left them unanswered.
    #[serde(default)]
    pub(crate) repeat: bool,
}

/// A class by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ClassName {
    Critical,
    High,
    Normal,
    Low,
    Bulk,
}

/// Some nodes, by number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Nodes {
    All,
    These(Vec<usize>),
}

/// Who is written to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Recipients {
    /// In turn, whoever has a link to the sender in the topology.
    Neighbours,
    /// In turn, everybody but the sender.
    All,
    /// Each time a random one of them.
    Anybody,
    These(Vec<usize>),
}

/// Something that goes wrong.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fault {
    pub(crate) kind: FaultKind,
    /// When it begins; needed unless `between` is given.
    pub(crate) at: Option<Span>,
    /// It begins at a random moment between these.
    pub(crate) between: Option<[Span; 2]>,
    /// How often it happens; once.
    pub(crate) times: Option<u32>,
    /// From one time to the next, where `at` is given.
    pub(crate) every: Option<Span>,
    /// How long it lasts; its kind says what is usual.
    pub(crate) lasts: Option<Span>,
    /// Which node it happens to; a random one.
    pub(crate) node: Option<usize>,
    /// Which link it happens to; a random one.
    pub(crate) link: Option<[usize; 2]>,
    /// It happens only to what goes from the first to the second.
    #[serde(default)]
    pub(crate) one_way: bool,
    /// Who stays together; two random halves.
    pub(crate) groups: Option<Vec<Vec<usize>>>,
    /// What a flapping link's turns last.
    pub(crate) down: Option<Span>,
    pub(crate) up: Option<Span>,
    /// What a slow disk's commit takes.
    pub(crate) commit: Option<Span>,
    /// How far a clock jumps.
    pub(crate) by: Option<Shift>,
    /// How fast a clock drifts, in millionths.
    pub(crate) ppm: Option<i64>,
    /// What a bad link is like.
    pub(crate) delay: Option<Span>,
    pub(crate) jitter: Option<Span>,
    pub(crate) rate: Option<Rate>,
    pub(crate) loss: Option<Percent>,
    pub(crate) burst: Option<u32>,
    /// What a hostile node does.
    pub(crate) conduct: Option<Conduct>,
}

impl Fault {
    /// A fault of a kind that says nothing else.
    pub(crate) const fn of(kind: FaultKind) -> Self {
        Self {
            kind,
            at: None,
            between: None,
            times: None,
            every: None,
            lasts: None,
            node: None,
            link: None,
            one_way: false,
            groups: None,
            down: None,
            up: None,
            commit: None,
            by: None,
            ppm: None,
            delay: None,
            jitter: None,
            rate: None,
            loss: None,
            burst: None,
            conduct: None,
        }
    }
}

/// The kinds of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum FaultKind {
    /// The process is killed, and started again; what it has written survives.
    Kill,
    /// The power fails: what is not synced is lost, nobody is told.
    PowerCut,
    /// The node is stopped in order, and started again.
    Stop,
    /// The process stands still.
    Freeze,
    /// The disk takes no writes.
    DiskFull,
    /// Commits take longer.
    DiskSlow,
    /// A write fails: the node starts anew from its disk.
    DiskError,
    /// The wall clock jumps.
    ClockJump,
    /// The clocks run fast or slow.
    ClockDrift,
    /// A link ends, and can be dialled again at once.
    Reset,
    /// A link ends, and cannot be dialled until the fault is over.
    Cut,
    /// A link is cut and joined, again and again.
    Flap,
    /// What goes over a link vanishes, and nobody is told.
    Silent,
    /// A link is worse than usual.
    Worse,
    /// The nodes fall into groups that do not reach one another.
    Split,
    /// A node's own links carry what it must not send.
    Hostile,
}

/// What a hostile node does beside running Tidings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Conduct {
    /// Sends what it has heard, again.
    Replayer,
    /// Sends frames and parcels without end.
    Flooder,
    /// Sends altered parcels, and parcels in others' names.
    Forger,
    /// Says of routes what is not so.
    Liar,
}

/// What must hold, beyond the promise, which is always checked.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expect {
    /// Of the accepted messages, which are shown to their recipient.
    pub(crate) delivered: Option<Amount>,
    /// At least so many messages are accepted.
    pub(crate) accepted: Option<u64>,
    /// At most so many messages are refused.
    pub(crate) refused: Option<u64>,
    /// At least so many messages end undelivered, and are told.
    pub(crate) ended: Option<u64>,
    /// For each class: how long 99 of 100 messages take at most, from their acceptance until they are shown.
    #[serde(default)]
    pub(crate) shown_within: std::collections::BTreeMap<ClassName, Span>,
}

impl LinkBetween {
    /// What is different.
    pub(crate) fn quality(&self) -> Link {
        Link {
            delay: self.delay,
            jitter: self.jitter,
            rate: self.rate,
            loss: self.loss,
            burst: self.burst,
            mtu: self.mtu,
        }
    }
}

impl ClassName {
    /// Its name in a file.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::High => "high",
            Self::Normal => "normal",
            Self::Low => "low",
            Self::Bulk => "bulk",
        }
    }
}

impl Conduct {
    /// Its name in a file.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Replayer => "replayer",
            Self::Flooder => "flooder",
            Self::Forger => "forger",
            Self::Liar => "liar",
        }
    }
}

/// How many of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Amount {
    /// Every one that does not end by its deadline or by being withdrawn.
    All,
    AtLeast(u64),
}
