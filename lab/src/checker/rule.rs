//! The rules, and what breaking one looks like.

use std::fmt;

/// What must hold in every run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rule {
    /// The log itself makes sense: calls are answered once, by as many results as they asked for.
    Log,
    /// What was accepted is shown, or its end is told.
    Lost,
    /// What is told as delivered is shown.
    Told,
    /// Within the time to settle, calls are answered, and of every accepted message it is told what became of it.
    Untold,
    /// What is acknowledged durably is not shown again.
    ShownAfterAcknowledgement,
    /// A message is shown once in a life.
    ShownTwice,
    /// A payload is shown under one id.
    Doubled,
    /// One id names one message.
    IdReused,
    /// What is shown is what was sent.
    Altered,
    /// What is shown was sent, by that sender to that recipient.
    Forged,
    /// What was refused is not shown.
    RefusedAndShown,
    /// Messages of a stream are shown in the order sent.
    OutOfOrder,
    /// Nothing expires before its deadline, or is withdrawn unasked.
    EndedEarly,
    /// What is told as acknowledged, the recipient's client has acknowledged.
    AcknowledgedByNobody,
    /// A client is told of its own messages only.
    StrangeState,
    /// No payload is seen in the clear between nodes.
    Plaintext,
    /// What is forwarded does not come back.
    Loop,
    /// A message crosses at least the links of the shortest way.
    Hops,
    /// A recorded route is a way of the topology, and the same at both ends.
    Path,
    /// What the scenario expects.
    Expectation,
}

/// A rule that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) rule: Rule,
    /// Microseconds of the run.
    pub(crate) at: u64,
    pub(crate) what: String,
}

impl Rule {
    /// What must hold, as a sentence.
    pub(crate) const fn sentence(self) -> &'static str {
        match self {
            Self::Log => "every call is answered once and whole",
            Self::Lost => "what was accepted is shown, or its end is told",
            Self::Told => "what is told as delivered is shown",
            Self::Untold => "what became of every call and message is told in time",
            Self::ShownAfterAcknowledgement => "what is acknowledged durably is not shown again",
            Self::ShownTwice => "a message is shown once in a life",
            Self::Doubled => "a payload is shown under one id",
            Self::IdReused => "one id names one message",
            Self::Altered => "what is shown is what was sent",
            Self::Forged => "what is shown was sent by that sender to that recipient",
            Self::RefusedAndShown => "what was refused is not shown",
            Self::OutOfOrder => "messages of a stream are shown in the order sent",
            Self::EndedEarly => "nothing expires before its deadline or is withdrawn unasked",
            Self::AcknowledgedByNobody => "what is told as acknowledged was acknowledged",
            Self::StrangeState => "a client is told of its own messages only",
            Self::Plaintext => "no payload is seen in the clear between nodes",
            Self::Loop => "following next hops never comes back to a node",
            Self::Hops => "a message is told to have crossed no fewer links than the shortest way has",
            Self::Path => "a recorded route is a way of the topology, and the same at both ends",
            Self::Expectation => "the scenario's expectations are met",
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.at as f64 / 1e6;
        write!(f, "{:?} at {seconds:.3} s: {} (the rule: {})", self.rule, self.what, self.rule.sentence())
    }
}
