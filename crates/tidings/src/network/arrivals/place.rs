//! The network that somebody comes from: what one attacker is likely to have whole.

use std::net::{IpAddr, Ipv6Addr};

use libp2p::Multiaddr;

use crate::network::ip_of;

/// A /24 of IPv4 or a /56 of IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Place {
    V4([u8; 3]),
    V6([u8; 7]),
}

impl Place {
    /// The network of an address that begins with an IP address.
    pub(super) fn of(address: &Multiaddr) -> Option<Self> {
        ip_of(address).map(Self::of_ip)
    }

    fn of_ip(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(ip) => {
                let [a, b, c, _] = ip.octets();
                Self::V4([a, b, c])
            }
            IpAddr::V6(ip) => Self::of_v6(ip),
        }
    }

    fn of_v6(ip: Ipv6Addr) -> Self {
        if let Some(ip) = ip.to_ipv4_mapped() {
            return Self::of_ip(ip.into());
        }
        let [a, b, c, d, e, f, g, ..] = ip.octets();
        Self::V6([a, b, c, d, e, f, g])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(ip: &str) -> Place {
        Place::of_ip(ip.parse().unwrap())
    }

    #[test]
    fn addresses_of_one_network_are_one_place() {
        assert_eq!(of("192.0.2.1"), of("192.0.2.255"));
        assert_ne!(of("192.0.2.1"), of("192.0.3.1"));
        assert_eq!(of("2001:db8:0:ff::1"), of("2001:db8:0:1::2"));
        assert_ne!(of("2001:db8:0:ff::1"), of("2001:db8:0:100::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
    }
}
