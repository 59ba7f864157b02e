//! Where a peer can be reached, and over what.

use std::fmt;

/// The longest address, in bytes.
pub const MAX_ADDRESS_BYTES: usize = 256;

/// Over what a link runs, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LinkKind {
    /// QUIC.
    Quic,
    /// TCP with TLS or Noise.
    Tcp,
    /// WebSocket over TCP.
    WebSocket,
    /// A circuit through a relay.
    Relayed,
    /// A byte pipe that the application brings.
    Host,
}

impl LinkKind {
    /// Its name in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Quic => "quic",
            Self::Tcp => "tcp",
            Self::WebSocket => "websocket",
            Self::Relayed => "relayed",
            Self::Host => "host",
        }
    }
}

/// A multiaddr, kept as text: core never opens it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(String);

/// A text that is not an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// Beyond [`MAX_ADDRESS_BYTES`].
    #[error("expected an address of at most {MAX_ADDRESS_BYTES} bytes, got {got}")]
    TooLong {
        /// Its length.
        got: usize,
    },
    /// Not a multiaddr.
    #[error("expected an address like /ip4/192.0.2.1/udp/4001/quic-v1")]
    NotMultiaddr,
}

impl Address {
    /// Takes a multiaddr's text.
    ///
    /// # Errors
    ///
    /// [`AddressError`] if it is too long or does not begin as a multiaddr does.
    pub fn new(text: impl Into<String>) -> Result<Self, AddressError> {
        let text = text.into();
        if text.len() > MAX_ADDRESS_BYTES {
            return Err(AddressError::TooLong { got: text.len() });
        }
        if !text.starts_with('/') || text.len() < 2 {
            return Err(AddressError::NotMultiaddr);
        }
        Ok(Self(text))
    }

    /// The multiaddr's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Over what it leads.
    pub fn kind(&self) -> LinkKind {
        let has = |protocol| self.0.split('/').any(|part| part == protocol);
        if has("p2p-circuit") {
            LinkKind::Relayed
        } else if has("quic-v1") {
            LinkKind::Quic
        } else if has("ws") || has("wss") {
            LinkKind::WebSocket
        } else if has("tcp") {
            LinkKind::Tcp
        } else {
            LinkKind::Host
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How an address was found; a better source is tried first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// Given by a person: a bootstrap address, an invite, a call.
    Person,
    /// Seen on the local network just now.
    Lan,
    /// In the peer's own signed card.
    Card,
    /// In the peer's own signed card, as somebody in the DHT held it.
    Dht,
    /// In the address book from an earlier boot.
    Book,
}
