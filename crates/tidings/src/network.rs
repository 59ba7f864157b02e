//! The libp2p swarm: transports, limits, discovery on the local network, and our link protocol.
//!
//! libp2p gives authenticated, multiplexed connections; on each runs one long-lived stream of our own. The limits
//! here are those that held against hostile peers: without them one process of an attacker takes a node's memory,
//! descriptors or both.

mod arrivals;
mod bucket;
mod dht;
mod link_protocol;
mod local;

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use libp2p::connection_limits::{self, ConnectionLimits};
use libp2p::identity::Keypair;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::swarm::dial_opts::DialOpts;
use libp2p::swarm::{ConnectionId, DialError, NetworkBehaviour};
use libp2p::{Multiaddr, PeerId, Swarm, SwarmBuilder, dns, identify, identity, mdns, noise, quic};
use libp2p::{tcp, tls, yamux};
use tidings_core::links::Address;
use tidings_crypto::{IdentityKey, PeerKey};

use crate::config::{Config, Preset, Switch};

pub(crate) use dht::DhtEvent;
pub(crate) use link_protocol::LinkEvent;
pub(crate) use local::is_useful_on_lan;

/// Streams that one connection may have open: one link, identify's short ones both ways, four searches of the DHT or a
/// card for it, and what is being closed. Over TCP each holds up to 256 KiB that nobody reads.
const MAX_STREAMS: u32 = 12;
/// Inbound streams of a connection that negotiate at once, each for at most 10 s.
const MAX_NEGOTIATING_STREAMS: usize = 8;
/// A connection without any stream is closed after this.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);
/// The most inbound handshakes at once.
const MAX_PENDING_INCOMING: u32 = 256;
/// The most outbound handshakes at once.
const MAX_PENDING_OUTGOING: u32 = 32;
/// The most connections with one peer: the engine's four links, and as many that are being closed or whose other end
/// is a process that is gone.
const MAX_PER_PEER: u32 = 8;
/// Beyond QUIC's default of 5 s, which 20 dials at once on two busy cores do not meet; not beyond what a half-open
/// handshake may cost.
const QUIC_HANDSHAKE: Duration = Duration::from_secs(8);
/// What a peer may have sent on one QUIC stream and we have not read. The link's window is core's own (up to 8 MiB);
/// this one only has to cover what is between the wire and the reader, and a link carries it once a round trip: 10 MB/s
/// at 100 ms.
const QUIC_STREAM_WINDOW_BYTES: u32 = 1024 * 1024;
/// The same for a whole connection, with room for identify's streams: what one connection costs whose streams are
/// stuffed.
const QUIC_CONNECTION_WINDOW_BYTES: u32 = 1280 * 1024;
/// What identify says we speak.
const IDENTIFY_PROTOCOL: &str = "tidings/1";

/// Everything the swarm does beside transports.
#[derive(NetworkBehaviour)]
pub(crate) struct Behaviour {
    limits: connection_limits::Behaviour,
    pub(crate) arrivals: arrivals::Behaviour,
    pub(crate) mdns: Toggle<mdns::tokio::Behaviour>,
    // Tells the peer its address as seen from here. What peers claim about theirs is not used: signed cards carry
    // addresses, and dialling whatever a stranger claims would make this node attack third parties.
    identify: identify::Behaviour,
    pub(crate) dht: Toggle<dht::Behaviour>,
    link: link_protocol::Behaviour,
}

/// Builds the swarm; must run within a Tokio runtime.
///
/// # Errors
///
/// Where the identity cannot be used for TLS or Noise.
pub(crate) fn build(identity: &IdentityKey, config: &Config) -> io::Result<Swarm<Behaviour>> {
    let preset = config.profile.preset();
    let mut seed = identity.seed();
    let keypair = Keypair::ed25519_from_bytes(seed.as_mut_slice()).map_err(io::Error::other)?;
    // TLS first: it has the hybrid post-quantum key exchange, Noise has none.
    let transports = || {
        SwarmBuilder::with_existing_identity(keypair.clone())
            .with_tokio()
            .with_tcp(tcp::Config::default().nodelay(true), (tls::Config::new, noise::Config::new), yamux_config)
            .map_err(io::Error::other)
            .map(|phase| phase.with_quic_config(|config| tune_quic(config, &preset)))
    };
    // The two ways to resolve names give transports of different types.
    macro_rules! finish {
        ($phase:expr) => {
            $phase
                .with_behaviour(|keypair| behaviour(keypair, identity, config))
                .map_err(io::Error::other)?
                .with_swarm_config(|config| {
                    config
                        .with_idle_connection_timeout(IDLE_TIMEOUT)
                        .with_max_negotiating_inbound_streams(MAX_NEGOTIATING_STREAMS)
                })
                .build()
        };
    }
    match transports()?.with_dns() {
        Ok(phase) => Ok(finish!(phase)),
        Err(error) => {
            tracing::warn!(%error, "the system names no name servers; only IP addresses can be dialled");
            let none = (dns::ResolverConfig::default(), dns::ResolverOpts::default());
            Ok(finish!(transports()?.with_dns_config(none.0, none.1)))
        }
    }
}

fn yamux_config() -> yamux::Config {
    let mut config = yamux::Config::default();
    config.set_max_num_streams(MAX_STREAMS as usize);
    config
}

fn tune_quic(mut config: quic::Config, preset: &Preset) -> quic::Config {
    config.handshake_timeout = QUIC_HANDSHAKE;
    // A connection with a link is kept by the link's probes, which come sooner: QUIC then sends none of its own.
    config.keep_alive_interval = preset.keep_alive * 3 / 2;
    config.max_idle_timeout = u32::try_from(preset.transport_idle.as_millis()).unwrap_or(u32::MAX);
    config.max_concurrent_stream_limit = MAX_STREAMS;
    config.max_stream_data = QUIC_STREAM_WINDOW_BYTES;
    config.max_connection_data = QUIC_CONNECTION_WINDOW_BYTES;
    config
}

fn behaviour(keypair: &Keypair, identity: &IdentityKey, config: &Config) -> Behaviour {
    let Preset { max_inbound, serves_dht, .. } = config.profile.preset();
    let own = keypair.public().to_peer_id();
    let dht = || dht::Behaviour::new(own, &identity.peer(), serves_dht, config.dialling.others());
    let limits = ConnectionLimits::default()
        .with_max_pending_incoming(Some(MAX_PENDING_INCOMING))
        .with_max_pending_outgoing(Some(MAX_PENDING_OUTGOING))
        .with_max_established_incoming(Some(max_inbound))
        .with_max_established_per_peer(Some(MAX_PER_PEER));
    let identify = identify::Config::new(IDENTIFY_PROTOCOL.to_owned(), keypair.public())
        .with_agent_version(concat!("tidings/", env!("CARGO_PKG_VERSION")).to_owned())
        .with_cache_size(0);
    Behaviour {
        limits: connection_limits::Behaviour::new(limits),
        arrivals: arrivals::Behaviour::new(max_inbound),
        mdns: Toggle::from(None),
        identify: identify::Behaviour::new(identify),
        dht: Toggle::from((config.dht == Switch::On).then(dht)),
        link: link_protocol::Behaviour::default(),
    }
}

/// Dials somebody for a link. Connections that are dialled otherwise get none.
///
/// # Errors
///
/// Where the dial does not begin.
pub(crate) fn dial(swarm: &mut Swarm<Behaviour>, options: DialOpts) -> Result<ConnectionId, DialError> {
    let connection = options.connection_id();
    swarm.behaviour_mut().link.expect(connection);
    swarm.dial(options).inspect_err(|_| swarm.behaviour_mut().link.forget(connection))?;
    Ok(connection)
}

/// Starts discovery on the local network anew: it asks at once, and tells everything it hears again.
pub(crate) fn look_around(swarm: &mut Swarm<Behaviour>, mdns: Switch, preset: &Preset) {
    let behaviour = match mdns {
        Switch::On => local::discovery(swarm, preset),
        Switch::Off => None,
    };
    swarm.behaviour_mut().mdns = Toggle::from(behaviour);
}

/// The key in a libp2p peer id; `None` for one that is not Ed25519.
pub(crate) fn peer_key(peer: &PeerId) -> Option<PeerKey> {
    let key = identity::PublicKey::try_decode_protobuf(peer.as_ref().digest()).ok()?;
    let key = key.try_into_ed25519().ok()?;
    Some(PeerKey::from_bytes(key.to_bytes()))
}

/// The libp2p peer id of a key; `None` where the key is no point on the curve.
pub(crate) fn peer_id(peer: &PeerKey) -> Option<PeerId> {
    let key = identity::ed25519::PublicKey::try_from_bytes(peer.as_bytes()).ok()?;
    Some(identity::PublicKey::from(key).to_peer_id())
}

/// An address of libp2p as core keeps it, without a peer id at its end; `None` where it is too long.
pub(crate) fn core_address(address: &Multiaddr) -> Option<Address> {
    Address::new(split_peer(address.clone()).0.to_string()).ok()
}

/// The IP address that an address begins with.
fn ip_of(address: &Multiaddr) -> Option<IpAddr> {
    match address.iter().next() {
        Some(Protocol::Ip4(ip)) => Some(ip.into()),
        Some(Protocol::Ip6(ip)) => Some(ip.into()),
        Some(_) | None => None,
    }
}

/// Takes the peer id off the end of an address.
pub(crate) fn split_peer(mut address: Multiaddr) -> (Multiaddr, Option<PeerId>) {
    match address.pop() {
        Some(Protocol::P2p(peer)) => (address, Some(peer)),
        Some(other) => (address.with(other), None),
        None => (address, None),
    }
}

/// Reads an address that somebody gave: where, and who must be there.
pub(crate) fn dial_target(address: &Address) -> Option<(Multiaddr, Option<PeerKey>)> {
    let (address, peer) = split_peer(address.as_str().parse().ok()?);
    match peer {
        Some(peer) => Some((address, Some(peer_key(&peer)?))),
        None => Some((address, None)),
    }
}

/// The most addresses that a card carries.
const MAX_OWN_ADDRESSES: usize = 16;

/// The addresses that others may reach this node at, for its card: loopback only where there is nothing else.
pub(crate) fn own_addresses<'a>(listeners: impl Iterator<Item = &'a Multiaddr>) -> Vec<Address> {
    let all: Vec<&Multiaddr> = listeners.collect();
    let mut told: Vec<&Multiaddr> = all.iter().copied().filter(|address| is_useful_on_lan(address)).collect();
    if told.is_empty() {
        told = all;
    }
    told.into_iter().filter_map(core_address).take(MAX_OWN_ADDRESSES).collect()
}

#[cfg(test)]
mod tests;
