//! The protocol `/tidings/link/1`: one long-lived stream per connection, opened by whoever dialled.

use std::collections::{HashSet, VecDeque};
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::{Ready, ready};
use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::core::upgrade::{InboundUpgrade, OutboundUpgrade, UpgradeInfo};
use libp2p::swarm::handler::{ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound};
use libp2p::swarm::{
    CloseConnection, ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm,
    NetworkBehaviour, Stream, StreamProtocol, SubstreamProtocol, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
};
use libp2p::{Multiaddr, PeerId};
use tidings_crypto::PeerKey;

use super::peer_key;

/// The protocol's name.
const PROTOCOL: StreamProtocol = StreamProtocol::new("/tidings/link/1");
/// The most link streams that a peer may open on one connection: one, and two for what went wrong. Whoever opens more
/// is disconnected; without a limit 30,000 of them cost 133 MB.
const MAX_LINK_STREAMS: usize = 3;
/// A connection that has no link after this is closed, whatever else runs on it.
const LINK_DEADLINE: Duration = Duration::from_secs(10);

/// What happens to link streams.
#[derive(Debug)]
pub(crate) enum LinkEvent {
    /// A stream is open.
    Opened {
        peer: PeerKey,
        connection: ConnectionId,
        stream: Stream,
        /// The remote address.
        address: Multiaddr,
    },
    /// A connection that we dialled gets no link.
    Failed { connection: ConnectionId, reason: String },
}

/// Opens and takes link streams, and tells the swarm's owner.
#[derive(Debug)]
pub(crate) struct Behaviour {
    events: VecDeque<ToSwarm<LinkEvent, Infallible>>,
    /// Dials under way that are to lead to a link.
    expected: HashSet<ConnectionId>,
    /// How many streams it opens on a connection that it dialled.
    opens: usize,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self { events: VecDeque::new(), expected: HashSet::new(), opens: 1 }
    }
}

impl Behaviour {
    /// A connection that is about to be dialled is to have a link.
    pub(super) fn expect(&mut self, connection: ConnectionId) {
        self.expected.insert(connection);
    }

    pub(super) fn forget(&mut self, connection: ConnectionId) {
        self.expected.remove(&connection);
    }
}

/// The peer's key is not Ed25519, so it cannot be a node.
#[derive(Debug, thiserror::Error)]
#[error("expected a peer with an ed25519 key")]
struct NotEd25519;

fn admit(peer: &PeerId) -> Result<PeerKey, ConnectionDenied> {
    peer_key(peer).ok_or_else(|| ConnectionDenied::new(NotEd25519))
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = LinkEvent;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(Handler::new(admit(&peer)?, remote.clone(), Role::Listener))
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        remote: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        let opens = if self.expected.remove(&connection) { self.opens } else { 0 };
        let role = Role::Dialler { opens };
        Ok(Handler::new(admit(&peer)?, remote.clone(), role))
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        if let FromSwarm::DialFailure(failure) = event {
            self.expected.remove(&failure.connection_id);
        }
    }

    fn on_connection_handler_event(
        &mut self,
        peer_id: PeerId,
        connection: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        match event {
            HandlerEvent::Opened { peer, stream, address } => {
                self.events.push_back(ToSwarm::GenerateEvent(LinkEvent::Opened { peer, connection, stream, address }))
            }
            HandlerEvent::Useless { reason } => {
                self.events.push_back(ToSwarm::GenerateEvent(LinkEvent::Failed { connection, reason }));
                self.events
                    .push_back(ToSwarm::CloseConnection { peer_id, connection: CloseConnection::One(connection) });
            }
        }
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        match self.events.pop_front() {
            Some(event) => Poll::Ready(event),
            None => Poll::Pending,
        }
    }
}

/// Who opens the link stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Dialler {
        /// How many streams it has still to ask for.
        opens: usize,
    },
    Listener,
}

/// Runs on one connection.
pub(crate) struct Handler {
    peer: PeerKey,
    address: Multiaddr,
    role: Role,
    opened: usize,
    events: VecDeque<HandlerEvent>,
    /// Set until the connection has a link or is given up.
    deadline: Option<Pin<Box<tokio::time::Sleep>>>,
}

/// What a handler tells the behaviour.
#[derive(Debug)]
pub(crate) enum HandlerEvent {
    Opened {
        peer: PeerKey,
        stream: Stream,
        address: Multiaddr,
    },
    /// The connection has no link, or its peer opens too many.
    Useless {
        reason: String,
    },
}

impl Handler {
    fn new(peer: PeerKey, address: Multiaddr, role: Role) -> Self {
        Self {
            peer,
            address,
            role,
            opened: 0,
            events: VecDeque::new(),
            deadline: Some(Box::pin(tokio::time::sleep(LINK_DEADLINE))),
        }
    }

    fn on_stream(&mut self, stream: Stream) {
        self.opened += 1;
        self.deadline = None;
        if self.opened > MAX_LINK_STREAMS {
            self.give_up("the peer opened one link after another");
            return;
        }
        self.events.push_back(HandlerEvent::Opened { peer: self.peer, stream, address: self.address.clone() });
    }

    fn give_up(&mut self, reason: &str) {
        self.deadline = None;
        self.events.push_back(HandlerEvent::Useless { reason: reason.to_owned() });
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Infallible;
    type ToBehaviour = HandlerEvent;
    type InboundProtocol = LinkUpgrade;
    type OutboundProtocol = LinkUpgrade;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = ();

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol> {
        let protocol = match self.role {
            Role::Listener => Some(PROTOCOL),
            Role::Dialler { .. } => None,
        };
        SubstreamProtocol::new(LinkUpgrade { protocol }, ())
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Self::OutboundProtocol, (), Self::ToBehaviour>> {
        if let Some(event) = self.events.pop_front() {
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(event));
        }
        if let Role::Dialler { opens } = &mut self.role
            && *opens > 0
        {
            *opens -= 1;
            let protocol = Some(PROTOCOL);
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest {
                protocol: SubstreamProtocol::new(LinkUpgrade { protocol }, ()),
            });
        }
        if let Some(deadline) = &mut self.deadline
            && deadline.as_mut().poll(cx).is_ready()
        {
            self.give_up("the peer opened no link in time");
            if let Some(event) = self.events.pop_front() {
                return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(event));
            }
        }
        Poll::Pending
    }

    fn on_behaviour_event(&mut self, event: Self::FromBehaviour) {
        match event {}
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the enum is open, and what is not named needs nothing done")]
    fn on_connection_event(&mut self, event: ConnectionEvent<'_, Self::InboundProtocol, Self::OutboundProtocol>) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound { protocol, .. }) => {
                self.on_stream(protocol)
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound { protocol, .. }) => {
                self.on_stream(protocol)
            }
            ConnectionEvent::DialUpgradeError(DialUpgradeError { error, .. }) => {
                self.give_up(&format!("the peer takes no link: {error}"));
            }
            _ => {}
        }
    }
}

/// Gives the bare stream once the protocol is agreed on; offers nothing where only the other end may open it.
#[derive(Clone, Debug)]
pub(crate) struct LinkUpgrade {
    protocol: Option<StreamProtocol>,
}

impl UpgradeInfo for LinkUpgrade {
    type Info = StreamProtocol;
    type InfoIter = std::option::IntoIter<StreamProtocol>;

    fn protocol_info(&self) -> Self::InfoIter {
        self.protocol.clone().into_iter()
    }
}

impl InboundUpgrade<Stream> for LinkUpgrade {
    type Output = Stream;
    type Error = Infallible;
    type Future = Ready<Result<Stream, Infallible>>;

    fn upgrade_inbound(self, stream: Stream, _: Self::Info) -> Self::Future {
        ready(Ok(stream))
    }
}

impl OutboundUpgrade<Stream> for LinkUpgrade {
    type Output = Stream;
    type Error = Infallible;
    type Future = Ready<Result<Stream, Infallible>>;

    fn upgrade_outbound(self, stream: Stream, _: Self::Info) -> Self::Future {
        ready(Ok(stream))
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;
    use libp2p::Swarm;
    use libp2p::swarm::SwarmEvent;
    use libp2p::swarm::dial_opts::DialOpts;
    use tidings_crypto::IdentityKey;

    use super::*;
    use crate::config::Config;
    use crate::network::{self, BehaviourEvent};

    fn swarm() -> Swarm<network::Behaviour> {
        let identity = IdentityKey::generate().unwrap();
        network::build(&identity, &Config::default()).unwrap()
    }

    #[tokio::test]
    async fn who_opens_one_link_after_another_is_disconnected() {
        let mut honest = swarm();
        honest.listen_on("/ip4/127.0.0.1/tcp/0".parse().unwrap()).unwrap();
        let address = loop {
            if let SwarmEvent::NewListenAddr { address, .. } = honest.select_next_some().await {
                break address;
            }
        };
        let mut hostile = swarm();
        hostile.behaviour_mut().link.opens = MAX_LINK_STREAMS + 2;
        network::dial(&mut hostile, DialOpts::unknown_peer_id().address(address).build()).unwrap();
        let mut links = Vec::new();
        let test = async {
            loop {
                tokio::select! {
                    _ = hostile.select_next_some() => {}
                    event = honest.select_next_some() => {
                        if let SwarmEvent::Behaviour(BehaviourEvent::Link(
                            LinkEvent::Opened { stream, .. },
                        )) = event
                        {
                            links.push(stream);
                        } else if let SwarmEvent::ConnectionClosed { .. } = event {
                            return;
                        }
                    }
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(60), test).await.unwrap();
        assert!(links.len() <= MAX_LINK_STREAMS, "{} links", links.len());
    }
}
