//! The WebSocket at `/v1/stream`: JSON texts, one operation, answer or event each.

use serde::{Deserialize, Serialize};

use super::{Accepted, Code, PeerRoute, ReceivedMessage, SendRequest, State, Timestamp, TopologyKind};

/// What the client says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Request {
    /// Names the answer; without it there is none, unless it fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub req: Option<u64>,
    /// What is asked.
    #[serde(flatten)]
    pub operation: Operation,
}

/// What a client can ask for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Operation {
    /// Push these events from now on, instead of those of an earlier subscription. With `message` among them,
    /// what waits in the inbox comes first.
    Subscribe {
        /// Which.
        events: Vec<EventKind>,
        /// Only messages of these kinds; all if left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        kinds: Option<Vec<String>>,
    },
    /// As `POST /v1/messages`, the key as `idempotency_key`.
    Send(SendRequest),
    /// As `POST /v1/inbox/ack`.
    Ack {
        /// The messages.
        ids: Vec<String>,
    },
    /// Answered at once.
    Ping,
    /// Push the message and state events after this place, then go on: for a client that comes back. The
    /// subscription stays as it is, `message` and `state` if there is none.
    Resume {
        /// The `at` of the last event that was dealt with.
        at: String,
    },
}

/// A group of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// A message arrived.
    Message,
    /// The state of a sent message changed.
    State,
    /// A neighbour came or went.
    Peer,
    /// Links are laid in another shape, or what is for a peer goes another way.
    Topology,
}

/// What the server says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
#[serde(untagged)]
pub enum Push {
    /// Something happened. Tried first when reading: an answer has no `event`, but an event could pass for an answer.
    Event(Event),
    /// The answer to an operation.
    Answer(Answer),
}

/// The answer to an operation: `ok` or `error`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Answer {
    /// The operation's `req`; null if it could not be read.
    pub re: Option<u64>,
    /// Always true where it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ok: Option<bool>,
    /// What was accepted, for `send`.
    #[serde(default, flatten, skip_serializing_if = "Option::is_none")]
    pub accepted: Option<Accepted>,
    /// What was not in the inbox, for `ack`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown: Option<Vec<String>>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<AnswerError>,
}

/// Why an operation failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct AnswerError {
    /// A stable name.
    pub code: Code,
    /// One sentence for people.
    pub detail: String,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A message arrived and is durable.
    Message {
        /// Its place: `BOOT.SEQ`.
        at: String,
        /// The message.
        message: Box<ReceivedMessage>,
    },
    /// The state of a sent message changed, and is durable.
    State {
        /// Its place: `BOOT.SEQ`.
        at: String,
        /// The message.
        message_id: String,
        /// The recipient's peer id, where it is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        peer_id: Option<String>,
        /// Its state now.
        state: State,
        /// Why it failed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failure: Option<String>,
        /// When.
        time: Timestamp,
    },
    /// A neighbour came or went. Not resumable.
    Peer {
        /// Who.
        peer_id: String,
        /// What it calls itself; left out when it went.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        /// Whether it is a neighbour now.
        connected: bool,
    },
    /// Links are laid in another shape from now on, or what is for some peers goes another way. Not resumable.
    Topology {
        /// The shape; left out where only ways changed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        kind: Option<TopologyKind>,
        /// Why it is this one, with figures.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// What changed at one moment; empty where only the shape did.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        routes: Vec<RouteChange>,
    },
    /// The client was too slow: so many events are missing. What arrived is in the inbox; states can be asked for.
    Lagged {
        /// How many, at least.
        missed: u64,
    },
}

/// What is for a peer goes to another neighbour from now on, or nowhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct RouteChange {
    /// For whom.
    pub peer_id: String,
    /// The way from now on; null if none leads there any more.
    pub route: Option<PeerRoute>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_and_events_are_told_apart() {
        let read = |text: &str| serde_json::from_str::<Push>(text).unwrap();
        let lagged = read(r#"{"event":"lagged","missed":3}"#);
        assert_eq!(lagged, Push::Event(Event::Lagged { missed: 3 }));
        for text in [
            r#"{"re":1,"ok":true}"#,
            r#"{"re":null,"error":{"code":"busy","detail":"x"}}"#,
            r#"{"re":2,"ok":true,"id":"a","state":"accepted","accepted_at":"2026-01-31T12:00:00.000Z"}"#,
        ] {
            let push = read(text);
            assert!(matches!(push, Push::Answer(_)), "{text}");
            assert_eq!(serde_json::to_string(&push).unwrap(), text);
        }
    }

    #[test]
    fn an_operation_is_read_as_documented() {
        let read = |text: &str| serde_json::from_str::<Request>(text);
        let request = read(r#"{"op":"send","req":2,"to":"bob","payload":"x"}"#).unwrap();
        assert_eq!(request.req, Some(2));
        assert!(matches!(request.operation, Operation::Send(_)));
        for text in [
            r#"{"op":"subscribe","req":1,"events":["message","state","peer","topology"],"kinds":["a"]}"#,
            r#"{"op":"ack","ids":["x"]}"#,
            r#"{"op":"ping","req":3}"#,
            r#"{"op":"resume","at":"1.2"}"#,
        ] {
            assert!(read(text).is_ok(), "{text}");
        }
        for text in [r#"{"op":"launch"}"#, r#"{"req":1}"#, r#"{"op":"subscribe","events":["weather"]}"#] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
