//! What the driver does with the swarm: listeners, dials, links, discovery.

use std::time::Instant;

use bytes::Bytes;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{ConnectionId, DialError, Stream, SwarmEvent};
use libp2p::{Multiaddr, PeerId, identify, mdns};
use tidings_core::Input;
use tidings_core::ids::{DialId, LinkId};
use tidings_core::links::{Address, LinkKind, Source};
use tidings_core::trust::Evidence;
use tidings_crypto::PeerKey;

use super::{Driver, NETWORK_SETTLES};
use crate::config::Switch;
use crate::link::{Link, WRITE_GRANT_BYTES};
use crate::network::{
    self, BehaviourEvent, DhtEvent, LinkEvent, core_address, dial_target, is_useful_on_lan, own_addresses, peer_id,
    peer_key,
};

/// Whether a peer has a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Neighbour {
    Linked,
    Gone,
}

/// The most addresses of one peer that one sight on the local network may bring.
const MAX_SEEN_ADDRESSES: usize = 16;

impl Driver {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the enum is open, and what is not named is libp2p's own business"
    )]
    pub(super) fn on_swarm(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(BehaviourEvent::Link(event)) => self.on_link_event(event),
            SwarmEvent::Behaviour(BehaviourEvent::Mdns(mdns::Event::Discovered(seen))) => {
                self.on_seen(seen);
            }
            SwarmEvent::Behaviour(BehaviourEvent::Dht(event)) => self.on_dht(event),
            SwarmEvent::Behaviour(BehaviourEvent::Identify(identify::Event::Received { peer_id, info, .. })) => {
                if let Some(dht) = self.swarm.behaviour_mut().dht.as_mut() {
                    dht.on_identified(peer_id, info.listen_addrs, &info.protocols);
                }
            }
            SwarmEvent::OutgoingConnectionError { connection_id, error, .. } => {
                self.on_dial_failed(connection_id, &dial_error(&error))
            }
            SwarmEvent::ConnectionClosed { connection_id, .. } => {
                self.on_dial_failed(connection_id, "the connection closed before there was a link");
            }
            SwarmEvent::NewListenAddr { address, .. } => {
                tracing::debug!(%address, "listening");
                self.on_addresses();
            }
            SwarmEvent::ExpiredListenAddr { .. } | SwarmEvent::ListenerClosed { .. } => {
                self.on_addresses();
            }
            SwarmEvent::ListenerError { error, .. } => {
                tracing::warn!(%error, "a listener has trouble");
            }
            _ => {}
        }
    }

    fn on_link_event(&mut self, event: LinkEvent) {
        match event {
            LinkEvent::Opened { peer, connection, stream, address } => {
                let dial = self.dials.remove(&connection);
                if self.engine.is_some()
                    && !self.phase.is_stopping()
                    && let Some(address) = core_address(&address)
                {
                    self.link_up(peer, dial, (connection, stream), address);
                } else {
                    self.swarm.close_connection(connection);
                }
            }
            LinkEvent::Failed { connection, reason } => self.on_dial_failed(connection, &reason),
        }
    }

    fn link_up(
        &mut self,
        peer: PeerKey,
        dial: Option<DialId>,
        (connection, stream): (ConnectionId, Stream),
        address: Address,
    ) {
        let link = LinkId(self.next_link);
        self.next_link += 1;
        let io = self.link_io.0.clone();
        self.links.insert(link, (connection, Link::spawn(link, stream, io)));
        let kind: LinkKind = address.kind();
        self.handle(Input::LinkUp { link, peer, kind, dial, address });
        self.handle(Input::Writable { link, bytes: WRITE_GRANT_BYTES });
    }

    /// Lets the swarm refuse who breaks the format of links.
    pub(super) fn on_misconduct(&mut self, peer: &PeerKey, evidence: &Evidence) {
        if *evidence == Evidence::MalformedFrame
            && let Some(peer) = peer_id(peer)
        {
            self.swarm.behaviour_mut().arrivals.on_malformed(peer);
        }
    }

    fn on_dial_failed(&mut self, connection: ConnectionId, reason: &str) {
        if let Some(dial) = self.dials.remove(&connection) {
            let reason = reason.to_owned();
            self.handle(Input::DialFailed { dial, reason });
        }
    }

    /// Begins to open a link.
    pub(super) fn dial(&mut self, dial: DialId, peer: Option<PeerKey>, address: &Address) -> Result<(), String> {
        let (target, named) = dial_target(address).ok_or("the address cannot be read")?;
        let is_tcp = address.kind() == LinkKind::Tcp;
        let peer = match peer.or(named) {
            Some(peer) => Some(peer_id(&peer).ok_or("the peer's key is none")?),
            None => None,
        };
        let options = dial_options(peer, target, is_tcp);
        let connection = network::dial(&mut self.swarm, options).map_err(|error| dial_error(&error))?;
        self.dials.insert(connection, dial);
        Ok(())
    }

    // --- the DHT ---

    fn on_dht(&mut self, event: DhtEvent) {
        match event {
            DhtEvent::Card { peer, card, by } => self.handle(Input::CardFound { peer, card, by }),
            DhtEvent::Ended { peer } => self.handle(Input::SearchEnded { peer }),
            DhtEvent::Figures(figures) => self.status.send_modify(|status| status.dht = Some(figures)),
        }
    }

    pub(super) fn publish(&mut self, card: Bytes) {
        if let Some(dht) = self.swarm.behaviour_mut().dht.as_mut() {
            dht.publish(card);
        }
    }

    pub(super) fn find_peer(&mut self, peer: PeerKey) {
        match self.swarm.behaviour_mut().dht.as_mut() {
            Some(dht) => dht.find(peer),
            None => self.inputs.push_back(Input::SearchEnded { peer }),
        }
    }

    /// Tells the DHT who has a link.
    pub(super) fn on_neighbour(&mut self, peer: &PeerKey, link: Neighbour) {
        if let Some(peer) = peer_id(peer)
            && let Some(dht) = self.swarm.behaviour_mut().dht.as_mut()
        {
            match link {
                Neighbour::Linked => dht.on_neighbour(peer),
                Neighbour::Gone => dht.on_neighbour_gone(&peer),
            }
        }
    }

    /// Lets the DHT dial others, or not.
    pub(super) fn let_dht_dial(&mut self, dialling: Switch) {
        if let Some(dht) = self.swarm.behaviour_mut().dht.as_mut() {
            dht.set_dialling(dialling);
        }
    }

    /// Hands on what the local network showed, by peer.
    fn on_seen(&mut self, mut seen: Vec<(PeerId, Multiaddr)>) {
        seen.retain(|(_, address)| is_useful_on_lan(address));
        seen.sort_by_key(|(peer, _)| *peer);
        for group in seen.chunk_by(|(a, _), (b, _)| a == b) {
            let peer = group.first().and_then(|(peer, _)| peer_key(peer));
            let addresses: Vec<Address> =
                group.iter().filter_map(|(_, address)| core_address(address)).take(MAX_SEEN_ADDRESSES).collect();
            if peer.is_some() && !addresses.is_empty() {
                self.handle(Input::Discovered { peer, addresses, source: Source::Lan });
            }
        }
    }

    /// Hands on the addresses that a person gave.
    pub(super) fn seek_bootstrap(&mut self) {
        for address in self.config.bootstrap.clone() {
            let Some((target, peer)) = dial_target(&address) else {
                continue;
            };
            if let Some(address) = core_address(&target) {
                self.handle(Input::Discovered { peer, addresses: vec![address], source: Source::Person });
            }
        }
    }

    /// Opens the listeners.
    pub(super) fn listen(&mut self) -> Result<(), (Multiaddr, String)> {
        for place in self.places.clone() {
            match self.swarm.listen_on(place.clone()) {
                Ok(listener) => self.listeners.push(listener),
                Err(error) => return Err((place, error.to_string())),
            }
        }
        Ok(())
    }

    pub(super) fn close_listeners(&mut self) {
        for listener in self.listeners.drain(..) {
            self.swarm.remove_listener(listener);
        }
    }

    /// The machine's addresses changed: acted on once they have settled.
    fn on_addresses(&mut self) {
        self.tell_addresses();
        if self.network_due.is_none() {
            self.network_due = Some(Instant::now() + NETWORK_SETTLES);
        }
    }

    pub(super) fn on_network_timer(&mut self) {
        if self.network_due.is_some_and(|due| due <= Instant::now()) {
            self.on_network_changed();
        }
    }

    /// Tells the engine where we listen now, lets it check its links, and looks around anew.
    pub(super) fn on_network_changed(&mut self) {
        self.network_due = None;
        if self.phase.is_running() {
            self.tell_listening();
            self.handle(Input::NetworkChanged);
            network::look_around(&mut self.swarm, self.config.mdns, &self.config.profile.preset());
        }
    }

    /// Tells the engine which addresses its card is to carry.
    pub(super) fn tell_listening(&mut self) {
        let addresses = own_addresses(self.swarm.listeners());
        self.handle(Input::Listening(addresses));
    }

    /// Puts the addresses into the status.
    pub(super) fn tell_addresses(&mut self) {
        let own = *self.swarm.local_peer_id();
        let addresses: Vec<Address> =
            self.swarm.listeners().filter_map(|address| Address::new(format!("{address}/p2p/{own}")).ok()).collect();
        self.status.send_modify(|status| status.listen_addresses = addresses);
    }
}

fn dial_options(peer: Option<PeerId>, target: Multiaddr, is_tcp: bool) -> DialOpts {
    match peer {
        Some(peer) => {
            let options = DialOpts::peer_id(peer).condition(PeerCondition::Always).addresses(vec![target]);
            // A reused TCP port makes a quick redial collide with the connection before it.
            if is_tcp { options.allocate_new_port().build() } else { options.build() }
        }
        None => DialOpts::unknown_peer_id().address(target).build(),
    }
}

/// What went wrong, for people: libp2p's own texts go over several lines and name every layer.
fn dial_error(error: &DialError) -> String {
    match error {
        DialError::Transport(failures) => failures
            .iter()
            .map(|(_, error)| innermost(error))
            .next_back()
            .unwrap_or_else(|| "nobody answers".to_owned()),
        DialError::WrongPeerId { obtained, .. } => {
            format!("somebody else is there: {obtained}")
        }
        DialError::LocalPeerId { .. } => "this is the node's own address".to_owned(),
        DialError::Denied { cause } => innermost(cause),
        DialError::NoAddresses | DialError::DialPeerConditionFalse(_) | DialError::Aborted => error.to_string(),
    }
}

/// The cause behind all wrappers, on one line.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string().replace('\n', " ")
}
