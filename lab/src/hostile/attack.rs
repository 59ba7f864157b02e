//! The attacks by name.

use std::fmt;

use clap::ValueEnum;

use super::peer::Tally;

/// What the hostile peer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Attack {
    /// Many connections of one identity, each with a link
    OneIdentity,
    /// Many connections, each of another identity, each with a link
    Identities,
    /// TCP connections whose handshake comes a byte at a time
    HalfOpenTcp,
    /// QUIC handshakes that stop after the client's first flight
    HalfOpenQuic,
    /// Streams on which no protocol is agreed on, or one that nobody speaks
    Streams,
    /// The link's stream, opened again and again
    Links,
    /// Streams filled with bytes that nobody reads
    Stuffed,
    /// A link of random bytes
    Random,
    /// A link with a frame of the largest length
    Length,
    /// A link of zeros
    Zeros,
    /// A link of protobuf that is nested and longer than it is
    Protobuf,
    /// A link that asks and never reads the answers
    Deaf,
    /// Identify pushes with as many addresses as they hold
    Addresses,
    /// Connections that come and go, 200 a second
    Reconnects,
}

impl Attack {
    pub(super) fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// Whether it came as far as the node. A handshake over QUIC that is not finished is taken by nobody.
    pub(super) fn has_landed(self, tally: &Tally) -> bool {
        tally.tried > 0 && (tally.taken > 0 || self == Self::HalfOpenQuic)
    }
}

impl fmt::Display for Attack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}
