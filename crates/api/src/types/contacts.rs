//! Contacts and invites.

use serde::{Deserialize, Serialize};

use super::Timestamp;

/// `GET /v1/contacts`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct ContactList {
    /// By name.
    pub contacts: Vec<Contact>,
}

/// Somebody this node's person knows by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Contact {
    /// The local name, unique among contacts.
    pub name: String,
    /// Its libp2p peer id.
    pub peer_id: String,
    /// Whether a person has compared the safety number.
    pub verified: bool,
    /// When it was added.
    pub added_at: Timestamp,
    /// What both people see when nobody stands between them: 12 groups of five digits.
    pub safety_number: String,
}

/// `POST /v1/contacts`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewContact {
    /// The local name.
    pub name: String,
    /// A libp2p peer id.
    pub peer_id: String,
}

/// `PUT /v1/contacts/{name}`: what is left out stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ContactChange {
    /// Another name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether a person has compared the safety number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified: Option<bool>,
}

/// `POST /v1/invites`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CreateInvite {
    /// How long it can be used; 24 hours if left out, at most 14 days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_seconds: Option<u64>,
}

/// An invite: whoever has it becomes a contact, once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Invite {
    /// The link to hand over.
    pub invite: String,
    /// When it ends.
    pub expires_at: Timestamp,
}

impl std::fmt::Debug for Invite {
    /// Leaves the secret out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Invite").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

/// `POST /v1/invites/accept`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct AcceptInvite {
    /// What the other node's `POST /v1/invites` gave.
    pub invite: String,
    /// The local name; the one in the invite if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How long to wait for a link, at most 60 seconds.
    #[serde(default)]
    pub wait_seconds: u64,
}

impl std::fmt::Debug for AcceptInvite {
    /// Leaves the secret out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AcceptInvite")
            .field("name", &self.name)
            .field("wait_seconds", &self.wait_seconds)
            .finish_non_exhaustive()
    }
}

/// The answer to an invite that was accepted: its maker is a contact.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Joined {
    /// The new contact.
    pub contact: Contact,
    /// How long it took to have a link; left out while there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connected_after_seconds: Option<f64>,
}
