//! The attacks by name.

use std::fmt;

use clap::ValueEnum;

use super::frames::Garbage;

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

    /// What it writes on links, of those that break the format.
    pub(super) fn garbage(self) -> Option<Garbage> {
        match self {
            Self::Random => Some(Garbage::Random),
            Self::Length => Some(Garbage::Length),
            Self::Zeros => Some(Garbage::Zeros),
            Self::Protobuf => Some(Garbage::Protobuf),
            Self::OneIdentity
            | Self::Identities
            | Self::HalfOpenTcp
            | Self::HalfOpenQuic
            | Self::Streams
            | Self::Links
            | Self::Stuffed
            | Self::Deaf
            | Self::Addresses
            | Self::Reconnects => None,
        }
    }
}

impl fmt::Display for Attack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}
