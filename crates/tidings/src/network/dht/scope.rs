//! From how far an address can be reached; docs/spec/dht.md §3.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;

use crate::network::ip_of;

/// From how far, nearest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Scope {
    /// From this machine.
    Loopback,
    /// From the same private network.
    Private,
    /// From anywhere.
    Public,
}

impl Scope {
    /// The scope of an address that begins with an IP address and names no relay; `None` for others, and for those
    /// that lead nowhere without knowing the interface.
    pub(super) fn of(address: &Multiaddr) -> Option<Self> {
        let is_relayed = address.iter().any(|part| matches!(part, Protocol::P2pCircuit));
        ip_of(address).filter(|_| !is_relayed).and_then(Self::of_ip)
    }

    fn of_ip(ip: IpAddr) -> Option<Self> {
        match ip {
            IpAddr::V4(ip) => Self::of_v4(ip),
            IpAddr::V6(ip) => match ip.to_ipv4_mapped() {
                Some(ip) => Self::of_v4(ip),
                None => Self::of_v6(ip),
            },
        }
    }

    fn of_v4(ip: Ipv4Addr) -> Option<Self> {
        // 100.64.0.0/10 is what carriers use behind their NAT.
        let is_carrier = ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64;
        if ip.is_unspecified() || ip.is_multicast() || ip.is_broadcast() {
            None
        } else if ip.is_loopback() {
            Some(Self::Loopback)
        } else if ip.is_private() || ip.is_link_local() || is_carrier {
            Some(Self::Private)
        } else {
            Some(Self::Public)
        }
    }

    fn of_v6(ip: Ipv6Addr) -> Option<Self> {
        if ip.is_unspecified() || ip.is_multicast() || ip.is_unicast_link_local() {
            None
        } else if ip.is_loopback() {
            Some(Self::Loopback)
        } else if ip.is_unique_local() {
            Some(Self::Private)
        } else {
            Some(Self::Public)
        }
    }

    /// Whether an address may be told to, or believed of, whoever is connected over this scope: what is as far as
    /// that or farther.
    pub(super) fn admits(self, address: &Multiaddr) -> bool {
        Self::of(address).is_some_and(|scope| scope >= self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(address: &str) -> Option<Scope> {
        Scope::of(&address.parse().unwrap())
    }

    #[test]
    fn addresses_have_the_scope_of_their_network() {
        for (address, scope) in [
            ("/ip4/127.0.0.1/tcp/1", Some(Scope::Loopback)),
            ("/ip6/::1/tcp/1", Some(Scope::Loopback)),
            ("/ip6/::ffff:127.0.0.1/tcp/1", Some(Scope::Loopback)),
            ("/ip4/10.0.0.1/udp/1/quic-v1", Some(Scope::Private)),
            ("/ip4/192.168.1.1/tcp/1", Some(Scope::Private)),
            ("/ip4/100.64.0.1/tcp/1", Some(Scope::Private)),
            ("/ip4/169.254.0.1/tcp/1", Some(Scope::Private)),
            ("/ip6/fd00::1/tcp/1", Some(Scope::Private)),
            ("/ip4/100.128.0.1/tcp/1", Some(Scope::Public)),
            ("/ip4/192.0.2.1/tcp/1", Some(Scope::Public)),
            ("/ip6/2001:db8::1/tcp/1", Some(Scope::Public)),
            ("/ip6/fe80::1/tcp/1", None),
            ("/ip4/0.0.0.0/tcp/1", None),
            ("/ip4/224.0.0.251/udp/5353", None),
            ("/dns4/example.org/tcp/1", None),
            ("/ip4/192.0.2.1/tcp/1/p2p-circuit", None),
        ] {
            assert_eq!(of(address), scope, "{address}");
        }
    }

    #[test]
    fn nearer_addresses_are_nothing_to_those_who_come_from_afar() {
        let admits = |scope: Scope, address: &str| scope.admits(&address.parse().unwrap());
        let (here, lan, afar) = ("/ip4/127.0.0.1/tcp/1", "/ip4/10.0.0.1/tcp/1", "/ip4/192.0.2.1/tcp/1");
        assert!([here, lan, afar].iter().all(|address| admits(Scope::Loopback, address)));
        assert_eq!([here, lan, afar].map(|address| admits(Scope::Private, address)), [false, true, true]);
        assert_eq!([here, lan, afar].map(|address| admits(Scope::Public, address)), [false, false, true]);
    }
}
