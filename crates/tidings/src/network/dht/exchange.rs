//! What passes between Kademlia and the nodes that it talks to: questions within their limits, cards that were
//! checked, and addresses that mean something; docs/spec/dht.md §2, §3, §7.

use std::time::Instant;

use libp2p::PeerId;
use libp2p::kad::{self, Record};
use libp2p::swarm::{CloseConnection, ConnectionId, NotifyHandler, ToSwarm};
use tidings_crypto::MAX_CARD_BYTES;

use super::scope::Scope;
use super::{Behaviour, Heard, MAX_ADDRESSES, Said, record};

/// The most peers that one answer may name: the size of a bucket.
pub(super) const MAX_NAMED: usize = 20;

impl Behaviour {
    /// What of a peer's question or answer Kademlia may see.
    #[expect(clippy::wildcard_enum_match_arm, reason = "what is not named is this node's own business")]
    pub(super) fn hear(&mut self, peer: PeerId, connection: ConnectionId, event: Heard) -> Option<Heard> {
        let scope = self.places.get(&connection).map_or(Scope::Public, |place| place.scope);
        match event {
            // What is refused is answered all the same, with nothing: a stream that Kademlia is told to reset stays open
            // as long as its connection.
            Heard::FindNodeReq { request_id, .. } if !self.admit(peer) => {
                self.say(peer, connection, Said::FindNodeRes { closer_peers: Vec::new(), request_id });
                None
            }
            Heard::GetRecord { request_id, .. } if !self.admit(peer) => {
                let said = Said::GetRecordRes { record: None, closer_peers: Vec::new(), request_id };
                self.say(peer, connection, said);
                None
            }
            Heard::PutRecord { record, request_id } if !self.admit_record(peer, &record) => {
                self.say(peer, connection, Said::PutRecordRes { key: record.key, value: Vec::new(), request_id });
                None
            }
            // No node provides anything: whoever says so is none.
            Heard::AddProvider { .. } | Heard::GetProvidersReq { .. } => {
                self.refused_requests += 1;
                let connection = CloseConnection::One(connection);
                self.events.push_back(ToSwarm::CloseConnection { peer_id: peer, connection });
                None
            }
            Heard::FindNodeRes { closer_peers, query_id } => {
                Some(Heard::FindNodeRes { closer_peers: within(scope, closer_peers), query_id })
            }
            Heard::GetRecordRes { record, closer_peers, query_id } => {
                let record = record.filter(|record| record.value.len() <= MAX_CARD_BYTES);
                Some(Heard::GetRecordRes { record, closer_peers: within(scope, closer_peers), query_id })
            }
            other => Some(other),
        }
    }

    pub(super) fn admit(&mut self, peer: PeerId) -> bool {
        let is_admitted = self.requests.take(peer, Instant::now());
        if !is_admitted {
            self.refused_requests += 1;
            self.has_changed = true;
        }
        is_admitted
    }

    fn admit_record(&mut self, peer: PeerId, record: &Record) -> bool {
        let is_admitted = self.puts.take(peer, Instant::now())
            && record::check(self.kad.store_mut(), record)
                .inspect_err(|error| tracing::debug!(%peer, %error, "a card is not held"))
                .is_ok();
        if !is_admitted {
            self.refused_records += 1;
            self.has_changed = true;
        }
        is_admitted
    }

    fn say(&mut self, peer_id: PeerId, connection: ConnectionId, event: Said) {
        self.events.push_back(ToSwarm::NotifyHandler { peer_id, handler: NotifyHandler::One(connection), event });
    }

    /// What others are told of where nodes are: as far as it means something to them.
    #[expect(clippy::wildcard_enum_match_arm, reason = "only answers name peers")]
    pub(super) fn answer(&self, handler: &NotifyHandler, event: Said) -> Said {
        let place = match handler {
            NotifyHandler::One(connection) => self.places.get(connection),
            NotifyHandler::Any => None,
        };
        let scope = place.map_or(Scope::Public, |place| place.scope);
        match event {
            Said::FindNodeRes { closer_peers, request_id } => {
                Said::FindNodeRes { closer_peers: within(scope, closer_peers), request_id }
            }
            Said::GetRecordRes { record, closer_peers, request_id } => {
                Said::GetRecordRes { record, closer_peers: within(scope, closer_peers), request_id }
            }
            other => other,
        }
    }
}

/// Leaves out addresses that mean nothing over a connection of this scope, and what is too much.
pub(super) fn within(scope: Scope, mut peers: Vec<kad::KadPeer>) -> Vec<kad::KadPeer> {
    peers.truncate(MAX_NAMED);
    for peer in &mut peers {
        peer.multiaddrs.retain(|address| scope.admits(address));
        peer.multiaddrs.truncate(MAX_ADDRESSES);
    }
    peers.retain(|peer| !peer.multiaddrs.is_empty());
    peers
}
