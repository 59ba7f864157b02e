//! The DHT: where the signed cards of nodes are found by those who know nothing of a node but its id;
//! docs/spec/dht.md.
//!
//! libp2p's Kademlia does the walking; everything that decides something is here. It does not fill its table: this
//! module does, with neighbours and with nodes it has reached itself. What others ask is limited before Kademlia sees
//! it, what they want held is checked, and addresses pass in neither direction beyond the network they belong to. The
//! dials it makes are few, and make no links: a connection without one ends within seconds.

mod exchange;
mod publication;
mod record;
mod scope;

use std::collections::{HashMap, HashSet, VecDeque};
use std::future::Future as _;
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::kad::store::{MemoryStore, RecordStore};
use libp2p::kad::{self, QueryId, QueryInfo, QueryResult, Quorum, Record, RecordKey};
use libp2p::swarm::behaviour::{DialFailure, FromSwarm};
use libp2p::swarm::dial_opts::DialOpts;
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, DialError, NetworkBehaviour, StreamProtocol, THandler, THandlerInEvent,
    THandlerOutEvent, ToSwarm,
};
use libp2p::{Multiaddr, PeerId};
use tidings_crypto::PeerKey;

use super::bucket::{Buckets, Rate};
use super::{ip_of, peer_key};
use crate::config::Switch;
use crate::status::DhtFigures;
use publication::Publication;
use scope::Scope;

/// The protocol's name.
pub(crate) const PROTOCOL: StreamProtocol = StreamProtocol::new("/tidings/kad/1");
/// How long a search or a publication may take.
const QUERY_TIME: Duration = Duration::from_secs(15);
/// How long a peer may take for an answer.
const ANSWER_TIME: Duration = Duration::from_secs(5);
/// The most dials of the DHT's own at once, of the 32 that a node may make.
const MAX_DIALS: usize = 8;
/// The most connections that have come of them: each ends after 10 s.
const MAX_CONNECTIONS: usize = 32;
/// The most addresses of one peer: those of a few interfaces, both families, two transports.
const MAX_ADDRESSES: usize = 8;
/// The most searches that wait for somebody to ask; the one that waits longest makes room.
const MAX_WAITING: usize = 16;
/// Questions of one peer: a search asks each node once.
const REQUEST_RATE: Rate = Rate { burst: 64, interval: Duration::from_millis(125) };
/// Cards that one peer wants held, each of which may cost two signatures.
const PUT_RATE: Rate = Rate { burst: 16, interval: Duration::from_secs(1) };

type Kad = kad::Behaviour<MemoryStore>;
type Heard = THandlerOutEvent<Kad>;
type Said = THandlerInEvent<Kad>;

/// What comes of searches, and how the DHT is.
#[derive(Debug)]
pub(crate) enum DhtEvent {
    /// Somebody says that this is a peer's card.
    Card { peer: PeerKey, card: Bytes, by: Option<PeerKey> },
    /// A search is over.
    Ended { peer: PeerKey },
    /// The figures have changed.
    Figures(DhtFigures),
}

/// The other end of a connection.
#[derive(Clone, Copy, Debug)]
struct Place {
    peer: PeerId,
    /// `None` where a name was dialled.
    ip: Option<IpAddr>,
    scope: Scope,
}

impl Place {
    fn new(peer: PeerId, address: &Multiaddr) -> Self {
        Self { peer, ip: ip_of(address), scope: Scope::of(address).unwrap_or(Scope::Public) }
    }

    /// Whether a peer that is here can be believed to be at an address: at the IP address it is seen at, or, where
    /// that is not known, at a public one.
    fn proves(&self, address: &Multiaddr) -> bool {
        self.scope.admits(address) && self.ip.is_none_or(|ip| ip_of(address) == Some(ip))
    }
}

/// What a connected peer says of itself.
#[derive(Debug, Default)]
struct Claim {
    addresses: Vec<Multiaddr>,
    serves: bool,
    /// Which of the addresses stand in the table.
    fed: Vec<Multiaddr>,
}

/// Takes part in the DHT.
pub(crate) struct Behaviour {
    kad: Kad,
    own: PeerId,
    own_key: RecordKey,
    dialling: Switch,
    /// The DHT's own, and the connections that have come of them.
    dials: HashSet<ConnectionId>,
    dialled: HashSet<ConnectionId>,
    /// At most as many as there are connections; the same of `claims`.
    places: HashMap<ConnectionId, Place>,
    claims: HashMap<PeerId, Claim>,
    /// Those with a link.
    neighbours: HashSet<PeerId>,
    requests: Buckets<PeerId>,
    puts: Buckets<PeerId>,
    /// At most as many as the engine has under way at once, and those that have waited.
    searches: HashMap<QueryId, PeerKey>,
    waiting: VecDeque<PeerKey>,
    publication: Publication,
    timer: Option<Pin<Box<tokio::time::Sleep>>>,
    events: VecDeque<ToSwarm<DhtEvent, Said>>,
    refused_records: u64,
    refused_requests: u64,
    told: DhtFigures,
    has_changed: bool,
}

impl Behaviour {
    /// `serves` says whether others may ask this node, `dialling` whether it may dial others to ask them.
    pub(crate) fn new(own: PeerId, key: &PeerKey, serves: Switch, dialling: Switch) -> Self {
        let mut config = kad::Config::new(PROTOCOL);
        config
            .set_query_timeout(QUERY_TIME)
            .set_substreams_timeout(ANSWER_TIME)
            .set_record_ttl(Some(record::RECORD_TIME))
            .set_record_filtering(kad::StoreInserts::FilterBoth)
            .set_kbucket_inserts(kad::BucketInserts::Manual)
            .set_caching(kad::Caching::Disabled)
            // Nothing runs by the clock but what this module has due.
            .set_replication_interval(None)
            .set_publication_interval(None)
            .set_provider_publication_interval(None)
            .set_periodic_bootstrap_interval(None);
        let mut kad = kad::Behaviour::with_config(own, record::store(own), config);
        // Whatever others find out about how this node can be reached: who cannot be dialled is found in no table.
        kad.set_mode(Some(match serves {
            Switch::On => kad::Mode::Server,
            Switch::Off => kad::Mode::Client,
        }));
        Self {
            kad,
            own,
            own_key: record::key_of(key),
            dialling,
            dials: HashSet::new(),
            dialled: HashSet::new(),
            places: HashMap::new(),
            claims: HashMap::new(),
            neighbours: HashSet::new(),
            requests: Buckets::new(REQUEST_RATE),
            puts: Buckets::new(PUT_RATE),
            searches: HashMap::new(),
            waiting: VecDeque::new(),
            publication: Publication::default(),
            timer: None,
            events: VecDeque::new(),
            refused_records: 0,
            refused_requests: 0,
            told: DhtFigures::default(),
            has_changed: true,
        }
    }

    /// Lets it dial others, or not.
    pub(crate) fn set_dialling(&mut self, dialling: Switch) {
        self.dialling = dialling;
    }

    /// Looks for a peer's card. Where there is nobody to ask, it waits until there is.
    pub(crate) fn find(&mut self, peer: PeerKey) {
        if self.peers() > 0 {
            let query = self.kad.get_record(record::key_of(&peer));
            self.searches.insert(query, peer);
        } else if !self.waiting.contains(&peer) {
            if self.waiting.len() >= MAX_WAITING {
                self.waiting.pop_front();
            }
            self.waiting.push_back(peer);
        }
    }

    /// Has the DHT hold this card of this node.
    pub(crate) fn publish(&mut self, card: Bytes) {
        self.publication.renew(card, tokio::time::Instant::now(), random());
        if let Some(record) = self.own_record()
            && let Err(error) = self.kad.store_mut().put(record)
        {
            tracing::debug!(%error, "this node's own card is not held");
        }
        self.tell_neighbours();
        self.set_timer();
        self.has_changed = true;
    }

    /// A peer has a link from now on.
    pub(crate) fn on_neighbour(&mut self, peer: PeerId) {
        self.neighbours.insert(peer);
        self.feed(peer);
    }

    /// A peer's last link is gone. It stays in the table: it is dialled when somebody looks for a card near it.
    pub(crate) fn on_neighbour_gone(&mut self, peer: &PeerId) {
        self.neighbours.remove(peer);
        self.publication.on_gone(peer);
    }

    /// A connected peer says where it listens, and whether it can be asked.
    pub(crate) fn on_identified(&mut self, peer: PeerId, addresses: Vec<Multiaddr>, protocols: &[StreamProtocol]) {
        if self.places.values().any(|place| place.peer == peer) {
            let claim = self.claims.entry(peer).or_default();
            claim.addresses = addresses;
            claim.addresses.truncate(2 * MAX_ADDRESSES);
            claim.serves = protocols.contains(&PROTOCOL);
            self.feed(peer);
        }
    }

    /// Puts a neighbour into the table, where it is proven to be, in place of what stood there.
    fn feed(&mut self, peer: PeerId) {
        let Some(claim) = self.claims.get_mut(&peer).filter(|_| self.neighbours.contains(&peer)) else { return };
        let places = self.places.values().filter(|place| place.peer == peer);
        let places: Vec<Place> = places.copied().collect();
        let proven = claim.addresses.iter().filter(|address| places.iter().any(|place| place.proves(address)));
        let proven: Vec<Multiaddr> = proven.take(MAX_ADDRESSES).filter(|_| claim.serves).cloned().collect();
        let serves = claim.serves;
        if claim.fed != proven {
            claim.fed.clone_from(&proven);
            self.kad.remove_peer(&peer);
            for address in proven {
                self.kad.add_address(&peer, address);
            }
            self.on_table();
        }
        if serves {
            self.tell(peer);
        }
    }

    /// The table has changed: who waited for somebody to ask may have found him.
    fn on_table(&mut self) {
        self.has_changed = true;
        if self.peers() > 0 {
            for peer in std::mem::take(&mut self.waiting) {
                self.find(peer);
            }
        }
    }

    fn peers(&mut self) -> usize {
        self.kad.kbuckets().map(|bucket| bucket.num_entries()).sum()
    }

    fn own_record(&self) -> Option<Record> {
        self.publication.card.as_ref().map(|card| Record::new(self.own_key.clone(), card.to_vec()))
    }

    fn tell_neighbours(&mut self) {
        let serving = |peer: &&PeerId| self.claims.get(peer).is_some_and(|claim| claim.serves);
        let neighbours: Vec<_> = self.neighbours.iter().filter(serving).copied().collect();
        for peer in neighbours {
            self.tell(peer);
        }
    }

    /// Has a neighbour hold this node's card.
    fn tell(&mut self, peer: PeerId) {
        if self.publication.tell(peer)
            && let Some(record) = self.own_record()
        {
            self.kad.put_record_to(record, std::iter::once(peer), Quorum::One);
        }
    }

    /// Has the nodes nearest to its key hold this node's card.
    fn spread(&mut self) {
        self.publication.on_spread(tokio::time::Instant::now(), random());
        if let Some(record) = self.own_record()
            && let Err(error) = self.kad.put_record(record, Quorum::All)
        {
            tracing::debug!(%error, "this node's card is not spread");
        }
        self.tell_neighbours();
        self.set_timer();
    }

    fn set_timer(&mut self) {
        self.timer = self.publication.due().map(|due| Box::pin(tokio::time::sleep_until(due)));
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "what is not named tells nothing new")]
    fn on_kad(&mut self, event: kad::Event) {
        match event {
            kad::Event::OutboundQueryProgressed { id, result, step, .. } => {
                if let QueryResult::GetRecord(Ok(kad::GetRecordOk::FoundRecord(found))) = result {
                    self.on_found(&id, found);
                }
                if step.last
                    && let Some(peer) = self.searches.remove(&id)
                {
                    self.events.push_back(ToSwarm::GenerateEvent(DhtEvent::Ended { peer }));
                }
            }
            kad::Event::InboundRequest { request: kad::InboundRequest::PutRecord { record: Some(record), .. } } => {
                record::hold(self.kad.store_mut(), self.own, &self.own_key, record, Instant::now());
                self.has_changed = true;
            }
            // This node has dialled it, and it has answered: it is where it is said to be.
            kad::Event::RoutablePeer { peer, address } if Scope::of(&address).is_some() => {
                self.kad.add_address(&peer, address);
                self.on_table();
            }
            kad::Event::RoutingUpdated { .. } => self.has_changed = true,
            _ => {}
        }
    }

    fn on_found(&mut self, id: &QueryId, found: kad::PeerRecord) {
        if let Some(peer) = self.searches.get(id).copied()
            && found.record.key == record::key_of(&peer)
        {
            let by = found.peer.as_ref().and_then(peer_key);
            let card = Bytes::from(found.record.value);
            self.events.push_back(ToSwarm::GenerateEvent(DhtEvent::Card { peer, card, by }));
        }
    }

    /// Ends the walks that Kademlia begins by itself whenever its table grows: this node has no need of a full table,
    /// and a silent network is to stay silent.
    fn end_walks(&mut self) {
        for mut query in self.kad.iter_queries_mut() {
            if matches!(query.info(), QueryInfo::Bootstrap { .. }) {
                query.finish();
            }
        }
    }

    fn is_walk(&self, query: &QueryId) -> bool {
        self.kad.query(query).is_some_and(|query| matches!(query.info(), QueryInfo::Bootstrap { .. }))
    }

    /// Whether Kademlia may dial: for a search or publication, and not too many at once.
    fn may_dial(&self) -> bool {
        let is_asked = |query: kad::QueryRef<'_>| !matches!(query.info(), QueryInfo::Bootstrap { .. });
        let has_room = self.dials.len() < MAX_DIALS && self.dials.len() + self.dialled.len() < MAX_CONNECTIONS;
        self.dialling == Switch::On && has_room && self.kad.iter_queries().any(is_asked)
    }

    fn refuse_dial(&mut self, options: &DialOpts) {
        let failure = DialFailure {
            peer_id: options.get_peer_id(),
            error: &DialError::Aborted,
            connection_id: options.connection_id(),
        };
        self.kad.on_swarm_event(FromSwarm::DialFailure(failure));
    }

    fn figures(&mut self) -> DhtFigures {
        DhtFigures {
            peers: self.peers() as u64,
            records: self.kad.store_mut().records().count() as u64,
            refused_records: self.refused_records,
            refused_requests: self.refused_requests,
        }
    }
}

/// Any number; 0 where the system gives none, which only makes nodes do things at the same time.
fn random() -> u32 {
    getrandom::u32().unwrap_or(0)
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = THandler<Kad>;
    type ToSwarm = DhtEvent;

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.places.insert(connection, Place::new(peer, remote));
        self.kad.handle_established_inbound_connection(connection, peer, local, remote)
    }

    fn handle_pending_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: Option<PeerId>,
        addresses: &[Multiaddr],
        role: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        if !self.dials.contains(&connection) {
            return Ok(Vec::new());
        }
        let mut known = self.kad.handle_pending_outbound_connection(connection, peer, addresses, role)?;
        known.truncate(MAX_ADDRESSES);
        Ok(known)
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        remote: &Multiaddr,
        role: Endpoint,
        port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.places.insert(connection, Place::new(peer, remote));
        self.kad.handle_established_outbound_connection(connection, peer, remote, role, port)
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the enum is open, and Kademlia hears of the rest")]
    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match &event {
            // Kademlia would begin a walk, and complain that there is nobody to ask.
            FromSwarm::NewListenAddr(_) => return,
            FromSwarm::ConnectionEstablished(established) => {
                self.dialled.extend(self.dials.take(&established.connection_id));
            }
            FromSwarm::DialFailure(failure) => {
                self.dials.remove(&failure.connection_id);
                self.places.remove(&failure.connection_id);
            }
            FromSwarm::ListenFailure(failure) => {
                self.places.remove(&failure.connection_id);
            }
            FromSwarm::ConnectionClosed(closed) => {
                self.places.remove(&closed.connection_id);
                self.dialled.remove(&closed.connection_id);
                if closed.remaining_established == 0 {
                    self.claims.remove(&closed.peer_id);
                }
            }
            _ => {}
        }
        self.kad.on_swarm_event(event);
    }

    fn on_connection_handler_event(&mut self, peer: PeerId, connection: ConnectionId, event: THandlerOutEvent<Self>) {
        if let Some(event) = self.hear(peer, connection, event) {
            self.kad.on_connection_handler_event(peer, connection, event);
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the enum is open, and Kademlia gives nothing else to pass on")]
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        if self.timer.as_mut().is_some_and(|timer| timer.as_mut().poll(cx).is_ready()) {
            self.spread();
            cx.waker().wake_by_ref();
        }
        loop {
            if let Some(event) = self.events.pop_front() {
                return Poll::Ready(event);
            }
            self.end_walks();
            let Poll::Ready(event) = self.kad.poll(cx) else { break };
            match event {
                ToSwarm::GenerateEvent(event) => self.on_kad(event),
                ToSwarm::Dial { opts } if self.may_dial() => {
                    self.dials.insert(opts.connection_id());
                    return Poll::Ready(ToSwarm::Dial { opts });
                }
                ToSwarm::Dial { opts } => self.refuse_dial(&opts),
                ToSwarm::NotifyHandler { event: Said::FindNodeReq { query_id, .. }, .. } if self.is_walk(&query_id) => {
                }
                ToSwarm::NotifyHandler { peer_id, handler, event } => {
                    let event = self.answer(&handler, event);
                    return Poll::Ready(ToSwarm::NotifyHandler { peer_id, handler, event });
                }
                _ => {}
            }
        }
        if std::mem::take(&mut self.has_changed) {
            let figures = self.figures();
            if figures != self.told {
                self.told = figures;
                return Poll::Ready(ToSwarm::GenerateEvent(DhtEvent::Figures(figures)));
            }
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests;
