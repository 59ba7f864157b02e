//! Messages that this node sends.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::payload::{self, PayloadError};
use super::{Code, Problem, Timestamp};

/// `POST /v1/messages`.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SendRequest {
    /// A contact's name, a neighbour's name, a peer id, or six or more characters of its part after `12D3KooW`.
    pub to: String,
    /// The content as text; this or `payload_base64`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<String>,
    /// The content in base64; this or `payload`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload_base64: Option<String>,
    /// What it is to the applications, at most 64 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "server", schema(default = "data"))]
    pub kind: Option<String>,
    /// `critical`, `high`, `normal`, `low` or `bulk`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "server", schema(default = "normal"))]
    pub priority: Option<String>,
    /// How long it may take to arrive: 7 days if left out, at most 14.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_seconds: Option<u64>,
    /// Messages of one stream arrive in the order sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<String>,
    /// At most 16 of 256 bytes, name and value together; sealed with the content.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The message it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<String>,
    /// Have every relay write itself down, so that both ends see the way it took. Nobody vouches for what relays
    /// write; without this they write nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub record_route: bool,
    /// Recognises a repeated call; the header `Idempotency-Key` for a single message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
}

impl std::fmt::Debug for SendRequest {
    /// Leaves the content out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SendRequest")
            .field("to", &self.to)
            .field("kind", &self.kind)
            .field("priority", &self.priority)
            .finish_non_exhaustive()
    }
}

impl SendRequest {
    /// Makes a request with everything else left to its default.
    pub fn new(to: impl Into<String>, payload: &[u8]) -> Self {
        let (payload, payload_base64) = payload::write(payload);
        Self { to: to.into(), payload, payload_base64, ..Self::default() }
    }

    /// Reads the content.
    ///
    /// # Errors
    ///
    /// [`PayloadError`] unless exactly one of the two fields is there and can be read.
    pub fn content(&self) -> Result<Vec<u8>, PayloadError> {
        payload::read(self.payload.as_deref(), self.payload_base64.as_deref())
    }
}

/// The answer to a message that is on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Accepted {
    /// Its name from now on, at both ends.
    pub id: String,
    /// Always `accepted`, also where this repeats an earlier answer.
    pub state: State,
    /// When it was accepted.
    pub accepted_at: Timestamp,
}

/// `POST /v1/messages/batch`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct BatchRequest {
    /// At most 1,000; all that are accepted are durable together.
    pub messages: Vec<SendRequest>,
}

/// One result for each message of a batch, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct BatchResults {
    /// In the order of the request.
    pub results: Vec<SendResult>,
}

/// What became of one message of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
#[serde(untagged)]
pub enum SendResult {
    /// It is on disk.
    Accepted(Accepted),
    /// It was refused; the others are not affected.
    Refused {
        /// Why.
        error: Problem,
    },
}

/// Where a message stands at its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum State {
    /// On the sender's disk.
    Accepted,
    /// Handed to at least one link since.
    InFlight,
    /// On the recipient's disk.
    Delivered,
    /// Consumed by the recipient's application.
    Acknowledged,
    /// Its deadline passed first.
    Expired,
    /// It cannot be delivered.
    Failed,
    /// Withdrawn.
    Cancelled,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Accepted,
        Self::InFlight,
        Self::Delivered,
        Self::Acknowledged,
        Self::Expired,
        Self::Failed,
        Self::Cancelled,
    ];

    /// Its name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::InFlight => "in_flight",
            Self::Delivered => "delivered",
            Self::Acknowledged => "acknowledged",
            Self::Expired => "expired",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether it ended undelivered.
    pub const fn is_ended(self) -> bool {
        matches!(self, Self::Expired | Self::Failed | Self::Cancelled)
    }

    /// Whether `wanted` is reached: this state or a later one of the ranking holds.
    pub const fn meets(self, wanted: WaitState) -> bool {
        match wanted {
            WaitState::Accepted => true,
            WaitState::InFlight => {
                matches!(self, Self::InFlight | Self::Delivered | Self::Acknowledged)
            }
            WaitState::Delivered => matches!(self, Self::Delivered | Self::Acknowledged),
            WaitState::Acknowledged => matches!(self, Self::Acknowledged),
        }
    }
}

/// A state to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum WaitState {
    /// On the sender's disk.
    Accepted,
    /// Handed to at least one link.
    InFlight,
    /// On the recipient's disk.
    Delivered,
    /// Consumed by the recipient's application.
    Acknowledged,
}

impl WaitState {
    /// Its name in the query.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::InFlight => "in_flight",
            Self::Delivered => "delivered",
            Self::Acknowledged => "acknowledged",
        }
    }
}

/// The query of `GET /v1/messages/{id}`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::IntoParams))]
#[cfg_attr(feature = "server", into_params(parameter_in = Query))]
#[serde(deny_unknown_fields)]
pub struct WaitQuery {
    /// Answer when this state or a later one holds, or the message has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_state: Option<WaitState>,
    /// Answer after this time at the latest, at most 60.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_seconds: Option<u64>,
}

/// A message in the outbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct MessageSummary {
    /// Its name, at both ends.
    pub id: String,
    /// The recipient's peer id.
    pub to: String,
    /// The recipient's name among the contacts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_name: Option<String>,
    /// What it is to the applications.
    pub kind: String,
    /// Its priority.
    pub priority: String,
    /// The size of its content.
    pub payload_bytes: u64,
    /// Where it stands.
    pub state: State,
    /// Why it failed: `outcome_unknown` or `too_big`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// The same in a sentence for people.
    pub sentence: String,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When it ends undelivered.
    pub expires_at: Timestamp,
    /// The ended message it is sent again for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_of: Option<String>,
}

/// One message with its way: `GET /v1/messages/{id}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct MessageDetail {
    /// What a list shows.
    #[serde(flatten)]
    pub summary: MessageSummary,
    /// Whether the state that was waited for is reached; left out where none was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reached: Option<bool>,
    /// How often it was handed to a link.
    pub attempts: u64,
    /// Whether it asked for the way it takes to be recorded.
    pub record_route: bool,
    /// Links it crossed, as the recipient counted; only with `record_route`, and once the recipient has told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hops: Option<u32>,
    /// The way it took, with `hops`: this node first, then the relays that wrote themselves down, then the recipient.
    /// Nobody vouches for the relays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<Vec<PathNode>>,
    /// What happened to it, oldest first.
    pub timeline: Vec<TimelineEntry>,
}

/// A node on a message's way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct PathNode {
    /// What stands in the path: 16 bytes in hexadecimal, derived from the peer id.
    pub routing_id: String,
    /// Whose it is; left out where no node with this routing id is known here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer_id: Option<String>,
    /// The name among the contacts, else what the node calls itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// A step on a message's way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct TimelineEntry {
    /// When.
    pub at: Timestamp,
    /// What: a state, or `sealed`, `sent`, `got`, `refused`, `sealed_anew`.
    pub step: String,
}

/// The query of `GET /v1/messages`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::IntoParams))]
#[cfg_attr(feature = "server", into_params(parameter_in = Query))]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    /// Only messages in these states, separated by commas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "server", param(example = "accepted,in_flight"))]
    pub state: Option<String>,
    /// Only messages to this recipient, named as in `POST /v1/messages`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// At most so many, 100 if left out, at most 1,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// Where to go on: `next_cursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// A page of messages, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct MessagePage {
    /// The messages.
    pub messages: Vec<MessageSummary>,
    /// The next page; left out on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// The answer to `POST /v1/messages/{id}/retry`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Retried {
    /// The new message.
    pub id: String,
    /// The one that had ended.
    pub retry_of: String,
}

impl From<PayloadError> for Problem {
    fn from(error: PayloadError) -> Self {
        Self::new(Code::InvalidRequest, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_with_an_unknown_field_is_refused() {
        let read = |text: &str| serde_json::from_str::<SendRequest>(text);
        assert!(read(r#"{"to":"a","payload":"b","record_route":true}"#).is_ok());
        assert!(read(r#"{"to":"a","payload":"b","max_hops":3}"#).is_err());
    }

    #[test]
    fn a_state_meets_itself_and_what_comes_before() {
        let order = [
            (State::Accepted, WaitState::Accepted),
            (State::InFlight, WaitState::InFlight),
            (State::Delivered, WaitState::Delivered),
            (State::Acknowledged, WaitState::Acknowledged),
        ];
        for (i, (state, _)) in order.iter().enumerate() {
            for (j, (_, wanted)) in order.iter().enumerate() {
                assert_eq!(state.meets(*wanted), i >= j, "{state:?} {wanted:?}");
            }
        }
        assert!(!State::Expired.meets(WaitState::Delivered));
    }

    #[test]
    fn content_stays_out_of_debug() {
        let request = SendRequest::new("bob", b"a secret");
        assert!(!format!("{request:?}").contains("secret"));
    }
}
