//! Who may come in: how many at once and how often, from one network and as one peer, so that one attacker does not
//! take what there is for all; and who has broken the format of links.
//!
//! With limits for all together only, honest newcomers got 1 of 24 places while one host kept handshakes half open,
//! and waited 16 s while one host kept every connection. Nothing here looks at connections that this node dials.

mod place;
mod strikes;

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::swarm::{
    CloseConnection, ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent,
    THandlerOutEvent, ToSwarm, dummy,
};
use libp2p::{Multiaddr, PeerId};

use super::bucket::{Buckets, Rate};
use place::Place;
use strikes::Strikes;

/// The most handshakes at once from one network.
const MAX_PENDING_PER_NETWORK: usize = 16;
/// Handshakes that may begin from one network: a house of nodes that come back at once, and 16 a second.
const NETWORK_RATE: Rate = Rate { burst: 64, interval: Duration::from_micros(62_500) };
/// Connections of one peer: an honest one dials at most two addresses a second, and after a crash anew.
const PEER_RATE: Rate = Rate { burst: 32, interval: Duration::from_millis(250) };
/// Of all inbound connections, one network has at most one in so many.
const SHARE_OF_A_NETWORK: usize = 2;

/// Denies what is beyond the limits.
#[derive(Debug)]
pub(crate) struct Behaviour {
    /// At most as many as `connection_limits` lets be pending.
    pending: HashMap<ConnectionId, Place>,
    /// At most as many as it lets be established.
    established: HashMap<ConnectionId, Place>,
    max_per_network: usize,
    networks: Buckets<Place>,
    peers: Buckets<PeerId>,
    strikes: Strikes,
    events: VecDeque<PeerId>,
}

/// Why somebody is not let in.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
enum NotNow {
    #[error("expected at most {MAX_PENDING_PER_NETWORK} handshakes at once from one network")]
    Pending,
    #[error("expected at most {0} connections from one network")]
    Established(usize),
    #[error("expected fewer new connections from one network")]
    NetworkRate,
    #[error("expected fewer new connections of one peer")]
    PeerRate,
    #[error("the peer's links were malformed")]
    Struck,
}

impl Behaviour {
    /// `max_inbound` is the most inbound connections of all.
    pub(crate) fn new(max_inbound: u32) -> Self {
        Self {
            pending: HashMap::new(),
            established: HashMap::new(),
            max_per_network: (max_inbound as usize / SHARE_OF_A_NETWORK).max(1),
            networks: Buckets::new(NETWORK_RATE),
            peers: Buckets::new(PEER_RATE),
            strikes: Strikes::default(),
            events: VecDeque::new(),
        }
    }

    /// A link of this peer broke the format. The third within a minute closes all its connections, and it is let in
    /// again a minute later: no contact and no history exempts it, for no version of a node writes such links.
    pub(crate) fn on_malformed(&mut self, peer: PeerId) {
        if self.strikes.on_strike(peer, Instant::now()) {
            self.events.push_back(peer);
        }
    }

    fn on_handshake(&mut self, connection: ConnectionId, place: Place, now: Instant) -> Result<(), NotNow> {
        if count(&self.pending, place) >= MAX_PENDING_PER_NETWORK {
            return Err(NotNow::Pending);
        }
        if count(&self.established, place) >= self.max_per_network {
            return Err(NotNow::Established(self.max_per_network));
        }
        if !self.networks.take(place, now) {
            return Err(NotNow::NetworkRate);
        }
        self.pending.insert(connection, place);
        Ok(())
    }

    fn on_arrival(&mut self, connection: ConnectionId, peer: PeerId, now: Instant) -> Result<(), NotNow> {
        let place = self.pending.remove(&connection);
        if self.strikes.is_refused(&peer, now) {
            return Err(NotNow::Struck);
        }
        if !self.peers.take(peer, now) {
            return Err(NotNow::PeerRate);
        }
        let Some(place) = place else {
            return Ok(());
        };
        // Others of its network may have arrived since its handshake began.
        if count(&self.established, place) >= self.max_per_network {
            return Err(NotNow::Established(self.max_per_network));
        }
        self.established.insert(connection, place);
        Ok(())
    }

    fn on_gone(&mut self, connection: ConnectionId) {
        self.pending.remove(&connection);
        self.established.remove(&connection);
    }
}

fn count(connections: &HashMap<ConnectionId, Place>, place: Place) -> usize {
    connections.values().filter(|of| **of == place).count()
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
        match Place::of(remote) {
            Some(place) => self.on_handshake(connection, place, Instant::now()).map_err(ConnectionDenied::new),
            None => Ok(()),
        }
    }

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.on_arrival(connection, peer, Instant::now()).map_err(ConnectionDenied::new)?;
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

    #[expect(clippy::wildcard_enum_match_arm, reason = "the enum is open, and nothing else ends a connection")]
    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ListenFailure(failure) => self.on_gone(failure.connection_id),
            FromSwarm::ConnectionClosed(closed) => self.on_gone(closed.connection_id),
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        match self.events.pop_front() {
            Some(peer_id) => Poll::Ready(ToSwarm::CloseConnection { peer_id, connection: CloseConnection::All }),
            None => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX_INBOUND: u32 = 32;

    fn id(number: u32) -> ConnectionId {
        ConnectionId::new_unchecked(number as usize)
    }

    fn place(third: u8) -> Place {
        Place::of(&format!("/ip4/198.51.{third}.7/tcp/1000").parse().unwrap()).unwrap()
    }

    /// Lets a peer of the first network come in, and says whether it did.
    fn comes(arrivals: &mut Behaviour, number: u32, peer: PeerId, now: Instant) -> Result<(), NotNow> {
        arrivals.on_handshake(id(number), place(1), now)?;
        arrivals.on_arrival(id(number), peer, now)
    }

    #[test]
    fn one_network_fills_its_handshakes_and_leaves_others_theirs() {
        let (mut arrivals, now) = (Behaviour::new(MAX_INBOUND), Instant::now());
        for number in 0..MAX_PENDING_PER_NETWORK as u32 {
            arrivals.on_handshake(id(number), place(1), now).unwrap();
        }
        assert!(matches!(arrivals.on_handshake(id(100), place(1), now), Err(NotNow::Pending)));
        arrivals.on_handshake(id(101), place(2), now).unwrap();
        arrivals.on_gone(id(0));
        arrivals.on_handshake(id(102), place(1), now).unwrap();
    }

    #[test]
    fn one_network_fills_its_share_of_connections_and_leaves_others_theirs() {
        let (mut arrivals, now) = (Behaviour::new(MAX_INBOUND), Instant::now());
        for number in 0..MAX_INBOUND / SHARE_OF_A_NETWORK as u32 {
            comes(&mut arrivals, number, PeerId::random(), now).unwrap();
        }
        assert!(matches!(comes(&mut arrivals, 100, PeerId::random(), now), Err(NotNow::Established(_))));
        arrivals.on_handshake(id(101), place(2), now).unwrap();
        arrivals.on_arrival(id(101), PeerId::random(), now).unwrap();
        arrivals.on_gone(id(0));
        comes(&mut arrivals, 102, PeerId::random(), now).unwrap();
    }

    #[test]
    fn who_arrives_beyond_the_share_after_others_is_denied() {
        let (mut arrivals, now) = (Behaviour::new(2), Instant::now());
        for number in 0..2 {
            arrivals.on_handshake(id(number), place(1), now).unwrap();
        }
        arrivals.on_arrival(id(0), PeerId::random(), now).unwrap();
        assert!(matches!(arrivals.on_arrival(id(1), PeerId::random(), now), Err(NotNow::Established(1))));
    }

    #[test]
    fn a_network_that_comes_and_goes_empties_its_bucket() {
        let (mut arrivals, now) = (Behaviour::new(MAX_INBOUND), Instant::now());
        for number in 0..NETWORK_RATE.burst {
            arrivals.on_handshake(id(number), place(1), now).unwrap();
            arrivals.on_gone(id(number));
        }
        assert!(matches!(arrivals.on_handshake(id(1000), place(1), now), Err(NotNow::NetworkRate)));
        arrivals.on_handshake(id(1001), place(2), now).unwrap();
        arrivals.on_handshake(id(1002), place(1), now + NETWORK_RATE.interval).unwrap();
    }

    #[test]
    fn a_peer_that_comes_and_goes_empties_its_bucket() {
        let (mut arrivals, now, peer) = (Behaviour::new(MAX_INBOUND), Instant::now(), PeerId::random());
        for number in 0..PEER_RATE.burst {
            comes(&mut arrivals, number, peer, now).unwrap();
            arrivals.on_gone(id(number));
        }
        assert!(matches!(comes(&mut arrivals, 1000, peer, now), Err(NotNow::PeerRate)));
        comes(&mut arrivals, 1001, PeerId::random(), now).unwrap();
        comes(&mut arrivals, 1002, peer, now + PEER_RATE.interval).unwrap();
    }

    #[test]
    fn a_peer_of_malformed_links_is_sent_away_and_refused() {
        let (mut arrivals, peer) = (Behaviour::new(MAX_INBOUND), PeerId::random());
        for number in 0..strikes::STRIKES as u32 {
            assert!(arrivals.events.is_empty());
            comes(&mut arrivals, number, peer, Instant::now()).unwrap();
            arrivals.on_malformed(peer);
        }
        assert_eq!(arrivals.events, [peer]);
        assert!(matches!(comes(&mut arrivals, 100, peer, Instant::now()), Err(NotNow::Struck)));
        comes(&mut arrivals, 101, PeerId::random(), Instant::now()).unwrap();
        comes(&mut arrivals, 102, peer, Instant::now() + strikes::REFUSAL_TIME).unwrap();
    }
}
