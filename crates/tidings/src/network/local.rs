//! Who is on the local network.

use std::net::IpAddr;

use libp2p::core::transport::ListenerId;
use libp2p::swarm::NetworkBehaviour;
use libp2p::swarm::behaviour::{FromSwarm, NewListenAddr, NewListener};
use libp2p::{Multiaddr, Swarm, mdns};

use super::{Behaviour, ip_of};
use crate::config::Preset;

/// How long others may remember what we said on the local network.
const MDNS_TTL: std::time::Duration = std::time::Duration::from_secs(6 * 60);
/// A new mDNS behaviour that knows where we listen; `None` where the system has no multicast.
pub(super) fn discovery(swarm: &Swarm<Behaviour>, preset: &Preset) -> Option<mdns::tokio::Behaviour> {
    let config = mdns::Config { ttl: MDNS_TTL, query_interval: preset.mdns_query, enable_ipv6: false };
    let mut behaviour = match mdns::tokio::Behaviour::new(config, *swarm.local_peer_id()) {
        Ok(behaviour) => behaviour,
        Err(error) => {
            tracing::warn!(%error, "the local network cannot be searched");
            return None;
        }
    };
    // A behaviour hears of listeners only when they open, and these are open already.
    for addr in swarm.listeners() {
        let listener_id = ListenerId::next();
        behaviour.on_swarm_event(FromSwarm::NewListener(NewListener { listener_id }));
        behaviour.on_swarm_event(FromSwarm::NewListenAddr(NewListenAddr { listener_id, addr }));
    }
    Some(behaviour)
}

/// Whether an address that was heard on the local network can lead from here to whoever said it. Everybody announces
/// loopback too, which would lead to ourselves.
pub(crate) fn is_useful_on_lan(address: &Multiaddr) -> bool {
    ip_of(address).is_some_and(|ip| match ip {
        IpAddr::V4(ip) => !ip.is_loopback() && !ip.is_unspecified(),
        IpAddr::V6(ip) => !ip.is_loopback() && !ip.is_unspecified() && !ip.is_unicast_link_local(),
    })
}
