//! What applications send, and the handle they get for it.

use std::time::Duration;

use bytes::Bytes;
use tidings_core::class::Class;
use tidings_core::ids::MessageId;
use tidings_core::message::{Accepted, DEFAULT_LIFETIME, MessageState, Submission};
use tidings_core::time::Wall;
use tidings_crypto::PeerKey;

use crate::idempotency;
use crate::node::{Node, StateWatch, WaitError};

/// A message to be sent.
///
/// Limits are checked by [`Node::send`]: 1 MiB of payload, 64 bytes of kind and stream name, 16 headers of 256 bytes.
#[derive(Clone, Debug)]
pub struct Message {
    submission: Submission,
    key: Option<(String, String)>,
}

impl Message {
    /// Begins an empty message of kind `data` and normal priority that may take seven days.
    pub fn to(peer: PeerKey) -> Self {
        Self {
            submission: Submission {
                to: peer,
                class: Class::Normal,
                lifetime: DEFAULT_LIFETIME,
                kind: "data".to_owned(),
                payload: Bytes::new(),
                stream: None,
                headers: Vec::new(),
                reply_to: None,
                retry_of: None,
                record_route: false,
                idempotency: None,
            },
            key: None,
        }
    }

    /// Sets the payload to a text.
    #[must_use]
    pub fn text(self, text: impl Into<String>) -> Self {
        self.payload(text.into())
    }

    /// Sets the payload.
    #[must_use]
    pub fn payload(mut self, payload: impl Into<Bytes>) -> Self {
        self.submission.payload = payload.into();
        self
    }

    /// Sets what the message is to the applications; must not begin with `tidings.`.
    #[must_use]
    pub fn kind(mut self, kind: impl Into<String>) -> Self {
        self.submission.kind = kind.into();
        self
    }

    /// Sets the priority.
    #[must_use]
    pub fn priority(mut self, priority: Class) -> Self {
        self.submission.class = priority;
        self
    }

    /// Sets how long it may take to arrive, at most 14 days.
    #[must_use]
    pub fn expires_in(mut self, lifetime: Duration) -> Self {
        self.submission.lifetime = lifetime;
        self
    }

    /// Puts it into a stream: messages of one stream to one recipient are shown in the order sent.
    #[must_use]
    pub fn stream(mut self, name: impl Into<String>) -> Self {
        self.submission.stream = Some(name.into());
        self
    }

    /// Adds a header, sealed with the payload.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.submission.headers.push((name.into(), value.into()));
        self
    }

    /// Names the message it answers.
    #[must_use]
    pub fn reply_to(mut self, id: MessageId) -> Self {
        self.submission.reply_to = Some(id);
        self
    }

    /// Has every relay write itself down, so that both ends know the way it took: [`SentMessage::route`] here,
    /// [`InboxMessage::path`] there.
    ///
    /// Nobody vouches for what relays write. Without this they write nothing.
    ///
    /// [`SentMessage::route`]: crate::SentMessage::route
    /// [`InboxMessage::path`]: crate::InboxMessage::path
    #[must_use]
    pub fn record_route(mut self) -> Self {
        self.submission.record_route = true;
        self
    }

    /// Makes a repeated call harmless: within 24 hours, a second message with this key and the same content is
    /// answered with the id of the first, one with other content is refused.
    #[must_use]
    pub fn idempotency_key(self, key: impl Into<String>) -> Self {
        self.scoped_idempotency_key("", key)
    }

    /// Sets an idempotency key that is distinct from equal keys of other scopes: an application that serves several
    /// callers gives each its own.
    #[must_use]
    pub fn scoped_idempotency_key(mut self, scope: impl Into<String>, key: impl Into<String>) -> Self {
        self.key = Some((scope.into(), key.into()));
        self
    }

    /// The same content as an ended message, naming it.
    pub(crate) fn again(mut self, ended: MessageId) -> Self {
        self.submission.retry_of = Some(ended);
        self
    }

    pub(crate) fn headers(mut self, headers: Vec<(String, String)>) -> Self {
        self.submission.headers = headers;
        self
    }

    pub(crate) fn into_submission(self) -> Submission {
        let mut submission = self.submission;
        submission.idempotency = self.key.map(|(scope, key)| idempotency::of(&scope, &key, &submission));
        submission
    }
}

/// A message that is on this device's disk.
#[derive(Clone, Debug)]
pub struct MessageHandle {
    node: Node,
    accepted: Accepted,
    states: Option<StateWatch>,
}

impl MessageHandle {
    pub(crate) fn new(node: Node, accepted: Accepted, states: Option<StateWatch>) -> Self {
        Self { node, accepted, states }
    }

    /// Returns its id, the same at both ends.
    pub fn id(&self) -> MessageId {
        self.accepted.id
    }

    /// Returns when it was accepted, by this device's wall clock.
    pub fn accepted_at(&self) -> Wall {
        self.accepted.accepted_at
    }

    /// Returns whether an earlier call with the same idempotency key had sent it already.
    pub fn is_repeated(&self) -> bool {
        self.accepted.repeated
    }

    /// Waits until the message is in a state that meets `wanted`, or has ended otherwise, and returns the state.
    ///
    /// It waits for as long as the message may live; put a timeout around it to wait less. [`MessageState::InFlight`]
    /// is not announced by itself and is met by *delivered*.
    ///
    /// # Errors
    ///
    /// [`WaitError`] where the node stops first or forgets the message.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect on the message; wait again as often as you like.
    pub async fn wait(&self, wanted: MessageState) -> Result<MessageState, WaitError> {
        match &self.states {
            Some(states) => self.node.follow(self.id(), wanted, states.clone()).await,
            None => self.node.wait(self.id(), wanted).await,
        }
    }
}
