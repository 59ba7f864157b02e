//! Which multiaddrs this build can listen on and dial.

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use tidings_core::links::Address;

/// Whether a node can listen on it: an IP address with TCP or QUIC.
pub(crate) fn check_listen(text: &str) -> Result<Address, &'static str> {
    let parsed: Multiaddr = text.parse().map_err(|_| "expected an address like /ip4/0.0.0.0/udp/4001/quic-v1")?;
    let parts: Vec<_> = parsed.iter().collect();
    match parts.as_slice() {
        [Protocol::Ip4(_) | Protocol::Ip6(_), Protocol::Tcp(_)]
        | [Protocol::Ip4(_) | Protocol::Ip6(_), Protocol::Udp(_), Protocol::QuicV1] => {
            Address::new(text).map_err(|_| "the address is longer than 256 bytes")
        }
        _ => Err("a node listens on /ip4/…/udp/PORT/quic-v1, /ip4/…/tcp/PORT, or the same with /ip6"),
    }
}

/// Whether a node can dial it: an IP address or host name with TCP or QUIC, and at most a peer id behind.
pub(crate) fn check_dial(text: &str) -> Result<Address, &'static str> {
    let mut parsed: Multiaddr =
        text.parse().map_err(|_| "expected an address like /ip4/192.0.2.1/udp/4001/quic-v1/p2p/12D3KooW…")?;
    if matches!(parsed.iter().last(), Some(Protocol::P2p(_))) {
        parsed.pop();
    }
    let parts: Vec<_> = parsed.iter().collect();
    match parts.as_slice() {
        [host, Protocol::Tcp(port)] | [host, Protocol::Udp(port), Protocol::QuicV1] if *port != 0 && is_host(host) => {
            Address::new(text).map_err(|_| "the address is longer than 256 bytes")
        }
        _ => Err("a node dials /ip4/…/udp/PORT/quic-v1 or /ip4/…/tcp/PORT, with /ip6 or /dns instead of \
             /ip4 if need be, and /p2p/PEER behind if the peer is known"),
    }
}

fn is_host(part: &Protocol<'_>) -> bool {
    matches!(part, Protocol::Ip4(_) | Protocol::Ip6(_) | Protocol::Dns(_) | Protocol::Dns4(_) | Protocol::Dns6(_))
}
