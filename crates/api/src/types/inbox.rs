//! Messages that arrived.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{PathNode, Payload, Timestamp};

/// The query of `GET /v1/inbox`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::IntoParams))]
#[cfg_attr(feature = "server", into_params(parameter_in = Query))]
#[serde(deny_unknown_fields)]
pub struct InboxQuery {
    /// At most so many, 100 if left out, at most 1,000; fewer where they are large.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// While there is nothing, wait so long, at most 60.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_seconds: Option<u64>,
    /// Only messages of this kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
}

/// Unacknowledged messages, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct InboxPage {
    /// The messages.
    pub messages: Vec<ReceivedMessage>,
}

/// A message that arrived.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct ReceivedMessage {
    /// Its name, the sender's own.
    pub id: String,
    /// The sender's peer id, proven by the session.
    pub from: String,
    /// The sender's name among the contacts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_name: Option<String>,
    /// Whether the sender is a contact whose safety number a person has compared.
    pub verified: bool,
    /// What it is to the applications.
    pub kind: String,
    /// The content.
    #[serde(flatten)]
    pub content: Payload,
    /// Its headers.
    pub headers: BTreeMap<String, String>,
    /// Its stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<String>,
    /// Its priority.
    pub priority: String,
    /// The message it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<String>,
    /// When its sender accepted it, by the sender's clock.
    pub sent_at: Timestamp,
    /// When it arrived.
    pub received_at: Timestamp,
    /// Until when it had to arrive, by the sender's clock.
    pub expires_at: Timestamp,
    /// Links it crossed; 1 from a neighbour.
    pub hops: u32,
    /// The way it took, where its sender asked for it: the sender first, then the relays that wrote themselves down,
    /// then this node. Nobody vouches for the relays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<Vec<PathNode>>,
    /// Whether it may have been shown before.
    pub redelivered: bool,
}

/// How a message came: `GET /v1/inbox/{id}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Arrival {
    /// Its name, the sender's own.
    pub id: String,
    /// The sender's peer id, proven by the session.
    pub from: String,
    /// The sender's name among the contacts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_name: Option<String>,
    /// When it arrived.
    pub received_at: Timestamp,
    /// Links it crossed; 1 from a neighbour.
    pub hops: u32,
    /// The way it took, where its sender asked for it: as in the inbox.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<Vec<PathNode>>,
    /// Whether it is acknowledged.
    pub acknowledged: bool,
}

/// `POST /v1/inbox/ack`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Acknowledge {
    /// Messages that are consumed, at most 1,000.
    pub ids: Vec<String>,
}

/// The answer to an acknowledgement, which is durable.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Acknowledged {
    /// How many left the inbox.
    pub acknowledged: u64,
    /// Those that were not in it: unknown, or acknowledged before.
    pub unknown: Vec<String>,
}
