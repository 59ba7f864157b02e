//! The stored form of a session: the ratchet, its receipt keys and what is known of the other end.

use bytes::Bytes;
use prost::Message as _;
use tidings_crypto::{PeerKey, ReceiptKey, ReceiptKeyId, Sealer, SessionId};

use super::{Inbound, Outbound, State};
use crate::record::StoredSession;
use crate::time::Age;

/// The database's form; an empty state is a session that was retired.
#[derive(Clone, PartialEq, prost::Message)]
struct Stored {
    #[prost(bool, tag = "1")]
    begun_here: bool,
    #[prost(bytes = "bytes", tag = "2")]
    ratchet: Bytes,
    #[prost(bytes = "bytes", tag = "3")]
    other_ratchet: Bytes,
    #[prost(bytes = "bytes", repeated, tag = "4")]
    keys: Vec<Bytes>,
    #[prost(uint64, tag = "5")]
    since: u64,
    #[prost(bool, tag = "6")]
    key_confirmed: bool,
    #[prost(bool, tag = "7")]
    confirmed: bool,
    #[prost(uint64, tag = "8")]
    turns_or_order: u64,
    #[prost(uint32, optional, tag = "9")]
    since_turn: Option<u32>,
}

fn key_bytes(key: &ReceiptKey) -> Bytes {
    [key.id().0.as_slice(), key.key_bytes()].concat().into()
}

fn read_key(bytes: &[u8]) -> Option<ReceiptKey> {
    let (id, key) = bytes.split_at_checked(8)?;
    Some(ReceiptKey::from_parts(ReceiptKeyId(id.try_into().ok()?), key.try_into().ok()?))
}

pub(super) fn outbound<S: Sealer>(
    sealer: &S,
    peer: PeerKey,
    id: SessionId,
    session: &Outbound<S::Session>,
) -> StoredSession {
    let keys = [Some(&session.key), session.previous_key.as_ref()];
    let stored = Stored {
        begun_here: true,
        ratchet: Bytes::copy_from_slice(&sealer.save_session(&session.session)),
        other_ratchet: Bytes::copy_from_slice(&session.recipient_ratchet),
        keys: keys.into_iter().flatten().map(key_bytes).collect(),
        since: session.key_since.0,
        key_confirmed: session.key_confirmed,
        confirmed: session.confirmed,
        turns_or_order: session.turns,
        since_turn: None,
    };
    StoredSession { session: id, peer, state: stored.encode_to_vec().into() }
}

pub(super) fn inbound<S: Sealer>(sealer: &S, id: SessionId, session: &Inbound<S::Session>) -> StoredSession {
    let keys = [session.key.as_ref(), session.previous_key.as_ref()];
    let stored = Stored {
        begun_here: false,
        ratchet: Bytes::copy_from_slice(&sealer.save_session(&session.session)),
        other_ratchet: Bytes::copy_from_slice(&session.peer_ratchet),
        keys: keys.into_iter().flatten().map(key_bytes).collect(),
        since: session.turned_at.0,
        key_confirmed: false,
        confirmed: false,
        turns_or_order: session.order,
        since_turn: session.since_turn,
    };
    StoredSession { session: id, peer: session.peer, state: stored.encode_to_vec().into() }
}

/// The stored form of a session that was dropped to make room: a replayed beginning does not revive it.
pub(crate) fn retired(peer: PeerKey, id: SessionId) -> StoredSession {
    StoredSession { session: id, peer, state: Bytes::new() }
}

impl<S: Sealer> State<S> {
    pub(super) fn restore(&mut self, stored: &StoredSession) {
        if stored.state.is_empty() {
            self.retired.insert(stored.session);
            return;
        }
        let Ok(state) = Stored::decode(stored.state.clone()) else { return };
        let Ok(session) = self.sealer.load_session(&state.ratchet) else { return };
        let Ok(other_ratchet) = <[u8; 32]>::try_from(state.other_ratchet.as_ref()) else { return };
        let mut keys = state.keys.iter().map(|key| read_key(key));
        let (key, previous_key) = (keys.next().flatten(), keys.next().flatten());
        if state.begun_here {
            let Some(key) = key else { return };
            let outbound = Outbound {
                session,
                recipient_ratchet: other_ratchet,
                key,
                key_since: Age(state.since),
                key_confirmed: state.key_confirmed,
                previous_key,
                confirmed: state.confirmed,
                turns: state.turns_or_order,
            };
            self.out.insert(stored.peer, (stored.session, outbound));
        } else {
            self.next_order = self.next_order.max(state.turns_or_order + 1);
            let inbound = Inbound {
                session,
                peer: stored.peer,
                peer_ratchet: other_ratchet,
                key,
                previous_key,
                order: state.turns_or_order,
                since_turn: state.since_turn,
                turned_at: Age(state.since),
                stored: stored.state.clone(),
            };
            self.inbound.insert(stored.session, inbound);
        }
    }
}
