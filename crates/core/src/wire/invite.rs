//! What an invite says, and how its bearer introduces himself; docs/spec/session.md §3.

use bytes::Bytes;
use prost::Message as _;

use super::frame::{array, read};
use super::limits::FieldLimit;
use super::proto;

/// An invite: the maker's card, and a secret that makes its bearer a contact.
#[derive(Clone, PartialEq, Eq)]
pub struct InviteText {
    /// An encoded `SignedCard`, not verified.
    pub card: Bytes,
    /// Proves to the maker that the invite was used.
    pub secret: [u8; 16],
    /// The maker's wall clock at its end.
    pub expires_ms: u64,
}

impl std::fmt::Debug for InviteText {
    /// Leaves the secret out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InviteText").field("expires_ms", &self.expires_ms).finish_non_exhaustive()
    }
}

impl InviteText {
    /// Encodes an invite.
    pub fn encode(&self) -> Bytes {
        proto::Invite {
            card: self.card.clone(),
            secret: Bytes::copy_from_slice(&self.secret),
            expires_ms: self.expires_ms,
        }
        .encode_to_vec()
        .into()
    }

    /// Reads an invite; `None` if it is none.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let limits = [FieldLimit { tag: 1, count: 1, bytes: tidings_crypto::MAX_CARD_BYTES }];
        let invite: proto::Invite = read(bytes, &limits)?;
        Some(Self { card: invite.card, secret: array(&invite.secret)?, expires_ms: invite.expires_ms })
    }
}

/// Encodes the payload of an introduction.
pub fn encode_introduction(secret: [u8; 16]) -> Bytes {
    proto::InviteAccepted { secret: Bytes::copy_from_slice(&secret) }.encode_to_vec().into()
}

/// Reads the payload of an introduction.
pub fn decode_introduction(bytes: &[u8]) -> Option<[u8; 16]> {
    array(&read::<proto::InviteAccepted>(bytes, &[])?.secret)
}
