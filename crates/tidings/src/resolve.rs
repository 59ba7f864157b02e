//! Finds the peer that a person means by a text.

use tidings_core::record::Contact;
use tidings_core::view::View;
use tidings_crypto::PeerKey;

use crate::node::CallError;

/// What the text of every peer id begins with: the same for all Ed25519 keys.
const PEER_ID_START: &str = "12D3KooW";
/// The shortest piece of a peer id that is looked up, so that a typo rarely meets somebody.
const MIN_PIECE_CHARACTERS: usize = 6;
/// The most candidates that an error names.
const MAX_CANDIDATES: usize = 5;

/// The peer that a text means, and how far to trust that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// Who is meant.
    pub peer: PeerKey,
    /// How it was found.
    pub by: ResolvedBy,
}

/// How a text names a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResolvedBy {
    /// By the name of a contact.
    Contact {
        /// Whether a person has compared the safety number.
        verified: bool,
    },
    /// By the name a peer gives itself. Anybody can take any name: show it as unverified.
    OwnName,
    /// By its peer id, whole.
    PeerId,
    /// By a piece of its peer id that no other known peer has.
    Piece,
}

/// Why a text names nobody.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// Nobody known fits.
    #[error(
        "nobody called {text:?} is known: give a contact's name, the name of a node on this network, or a peer id \
         (12D3KooW…)"
    )]
    Unknown {
        /// The text.
        text: String,
    },
    /// Several fit.
    #[error("{text:?} fits several peers: {}; give the peer id of the one you mean", list(candidates))]
    Ambiguous {
        /// The text.
        text: String,
        /// Some of them.
        candidates: Vec<PeerKey>,
    },
    /// The node did not answer.
    #[error(transparent)]
    Call(#[from] CallError),
}

fn list(candidates: &[PeerKey]) -> String {
    let texts: Vec<String> = candidates.iter().map(PeerKey::to_string).collect();
    texts.join(", ")
}

/// Looks a text up: a contact's name goes before a whole peer id, that before a name peers give themselves, and that
/// before a piece of a peer id.
pub(crate) fn resolve(text: &str, view: &View) -> Result<Resolved, ResolveError> {
    if let Some(resolved) = by_contact_or_id(text, view.contacts.iter()) {
        return Ok(resolved);
    }
    let named = view.peers.iter().filter(|peer| peer.name == text);
    if let Some(found) = only(text, named.map(|peer| peer.peer).collect())? {
        return Ok(Resolved { peer: found, by: ResolvedBy::OwnName });
    }
    let piece = text.strip_prefix(PEER_ID_START).unwrap_or(text);
    if piece.len() >= MIN_PIECE_CHARACTERS {
        let known = view.peers.iter().map(|peer| peer.peer);
        let known = known.chain(view.contacts.iter().map(|contact| contact.peer));
        let fitting = known.filter(|peer| has_piece(*peer, piece)).collect();
        if let Some(found) = only(text, fitting)? {
            return Ok(Resolved { peer: found, by: ResolvedBy::Piece });
        }
    }
    Err(ResolveError::Unknown { text: text.to_owned() })
}

/// The half of it that needs to know nobody but the contacts.
pub(crate) fn by_contact_or_id<'a>(text: &str, mut contacts: impl Iterator<Item = &'a Contact>) -> Option<Resolved> {
    if let Some(contact) = contacts.find(|contact| contact.name == text) {
        return Some(Resolved { peer: contact.peer, by: ResolvedBy::Contact { verified: contact.verified } });
    }
    let peer = text.parse().ok()?;
    Some(Resolved { peer, by: ResolvedBy::PeerId })
}

fn has_piece(peer: PeerKey, piece: &str) -> bool {
    peer.to_string().strip_prefix(PEER_ID_START).is_some_and(|rest| rest.contains(piece))
}

/// The only peer among those found, if there is one.
fn only(text: &str, mut found: Vec<PeerKey>) -> Result<Option<PeerKey>, ResolveError> {
    found.sort_unstable();
    found.dedup();
    if found.len() > 1 {
        found.truncate(MAX_CANDIDATES);
        return Err(ResolveError::Ambiguous { text: text.to_owned(), candidates: found });
    }
    Ok(found.pop())
}

#[cfg(test)]
mod tests {
    use tidings_core::time::Wall;
    use tidings_core::view::PeerView;

    use super::*;

    fn peer(n: u8) -> PeerKey {
        PeerKey::from_bytes([n; 32])
    }

    fn known(n: u8, name: &str) -> PeerView {
        PeerView {
            peer: peer(n),
            name: name.to_owned(),
            links: Vec::new(),
            addresses: Vec::new(),
            evidence: std::collections::BTreeMap::new(),
            waiting: 0,
            announced: None,
        }
    }

    fn view() -> View {
        View {
            peers: vec![known(1, "ada"), known(2, "twin"), known(3, "twin"), known(4, "bob")],
            contacts: vec![Contact { peer: peer(5), name: "bob".to_owned(), verified: true, added: Wall(0) }],
            ..View::default()
        }
    }

    #[test]
    fn a_contact_goes_before_whoever_takes_its_name() {
        assert_eq!(resolve("bob", &view()), Ok(Resolved { peer: peer(5), by: ResolvedBy::Contact { verified: true } }));
    }

    #[test]
    fn a_name_that_two_peers_give_themselves_is_ambiguous() {
        let error = resolve("twin", &view()).unwrap_err();
        let mut candidates = vec![peer(2), peer(3)];
        candidates.sort_unstable();
        assert_eq!(error, ResolveError::Ambiguous { text: "twin".to_owned(), candidates });
        assert_eq!(resolve("ada", &view()).unwrap().by, ResolvedBy::OwnName);
    }

    #[test]
    fn a_peer_id_is_found_whole_or_by_a_unique_piece_of_six() {
        let text = peer(9).to_string();
        assert_eq!(resolve(&text, &view()), Ok(Resolved { peer: peer(9), by: ResolvedBy::PeerId }));
        let text = peer(1).to_string();
        let end = &text[text.len() - 8..];
        assert_eq!(resolve(end, &view()), Ok(Resolved { peer: peer(1), by: ResolvedBy::Piece }));
        let short = &text[text.len() - 5..];
        assert!(matches!(resolve(short, &view()), Err(ResolveError::Unknown { .. })));
        assert!(matches!(resolve("12D3KooW", &view()), Err(ResolveError::Unknown { .. })));
    }
}
