//! Limits inbound handshakes per network, so that one attacker does not take all of them: with a global limit alone,
//! honest newcomers got 1 of 24 places while one host kept handshakes half open.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::{IpAddr, Ipv6Addr};
use std::task::{Context, Poll};

use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
    dummy,
};
use libp2p::{Multiaddr, PeerId};

use super::ip_of;

/// The most handshakes at once from one /24 of IPv4 or one /56 of IPv6.
const MAX_PENDING_PER_NETWORK: usize = 16;

/// One network that handshakes are counted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Network {
    V4([u8; 3]),
    V6([u8; 7]),
}

/// Denies handshakes beyond the limit. At most `connection_limits`' pending ones are remembered.
#[derive(Debug, Default)]
pub(crate) struct Behaviour {
    pending: HashMap<ConnectionId, Network>,
}

/// A network has its share of handshakes.
#[derive(Debug, thiserror::Error)]
#[error("expected at most {MAX_PENDING_PER_NETWORK} handshakes at once from one network")]
struct TooManyPending;

impl Behaviour {
    fn count(&self, network: Network) -> usize {
        self.pending.values().filter(|pending| **pending == network).count()
    }
}

fn network(address: &Multiaddr) -> Option<Network> {
    ip_of(address).map(of)
}

fn of(ip: IpAddr) -> Network {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, c, _] = ip.octets();
            Network::V4([a, b, c])
        }
        IpAddr::V6(ip) => of_v6(ip),
    }
}

fn of_v6(ip: Ipv6Addr) -> Network {
    if let Some(ip) = ip.to_ipv4_mapped() {
        return of(ip.into());
    }
    let [a, b, c, d, e, f, g, ..] = ip.octets();
    Network::V6([a, b, c, d, e, f, g])
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_pending_inbound_connection(
        &mut self,
        connection: ConnectionId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        let Some(network) = network(remote) else {
            return Ok(());
        };
        if self.count(network) >= MAX_PENDING_PER_NETWORK {
            return Err(ConnectionDenied::new(TooManyPending));
        }
        self.pending.insert(connection, network);
        Ok(())
    }

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.pending.remove(&connection);
        Ok(dummy::ConnectionHandler)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        if let FromSwarm::ListenFailure(failure) = event {
            self.pending.remove(&failure.connection_id);
        }
    }

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn knock(limit: &mut Behaviour, id: usize, from: &str) -> Result<(), ConnectionDenied> {
        let here: Multiaddr = "/ip4/192.0.2.1/tcp/4001".parse().unwrap();
        let from: Multiaddr = from.parse().unwrap();
        limit.handle_pending_inbound_connection(ConnectionId::new_unchecked(id), &here, &from)
    }

    #[test]
    fn one_network_fills_its_share_and_leaves_others_theirs() {
        let mut limit = Behaviour::default();
        for id in 0..MAX_PENDING_PER_NETWORK {
            knock(&mut limit, id, &format!("/ip4/198.51.100.{id}/tcp/1000")).unwrap();
        }
        assert!(knock(&mut limit, 100, "/ip4/198.51.100.99/tcp/1000").is_err());
        assert!(knock(&mut limit, 101, "/ip6/::ffff:198.51.100.7/udp/1/quic-v1").is_err());
        assert!(knock(&mut limit, 102, "/ip4/198.51.101.1/tcp/1000").is_ok());
        let peer = PeerId::random();
        let here: Multiaddr = "/ip4/192.0.2.1/tcp/4001".parse().unwrap();
        let established = ConnectionId::new_unchecked(0);
        limit.handle_established_inbound_connection(established, peer, &here, &here).unwrap();
        assert!(knock(&mut limit, 103, "/ip4/198.51.100.99/tcp/1000").is_ok());
    }

    #[test]
    fn ipv6_is_counted_by_56_bits() {
        let mut limit = Behaviour::default();
        for id in 0..MAX_PENDING_PER_NETWORK {
            knock(&mut limit, id, &format!("/ip6/2001:db8:0:{id:x}::1/tcp/1")).unwrap();
        }
        assert!(knock(&mut limit, 100, "/ip6/2001:db8:0:ff::1/tcp/1").is_err());
        assert!(knock(&mut limit, 101, "/ip6/2001:db8:0:100::1/tcp/1").is_ok());
    }
}
