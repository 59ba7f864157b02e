//! Why calls to a node fail, and what to do about it.

use std::time::Duration;

use tidings_core::message::{MessageState, Refusal};

/// Why a node did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// It was refused and has changed nothing.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The database was lost while the call waited, and the node reopens it. Whether the call took effect is not
    /// known: repeat it with the same idempotency key.
    #[error("the database cannot be used right now; the node is reopening it, try again in a moment")]
    Unavailable,
    /// The node has stopped.
    #[error("the node has stopped; start it again")]
    Stopped,
}

/// Why waiting for a message ended without a state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WaitError {
    /// This node has not sent it, or has forgotten it since it was done.
    #[error("no such message was sent from here, or it was done and is no longer kept")]
    Unknown,
    /// As many messages are followed as the node keeps track of.
    #[error("too many messages are being waited for at once; wait for some of them first")]
    TooManyWaits,
    /// The node did not answer.
    #[error(transparent)]
    Call(#[from] CallError),
}

/// Why a dial came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DialError {
    /// Not an address this build can dial.
    #[error("{got:?} cannot be dialled: {reason}")]
    Address {
        /// The text.
        got: String,
        /// What is expected.
        reason: &'static str,
    },
    /// Nobody answered as expected.
    #[error("no link came about: {reason}; check the address and that the node there runs")]
    Failed {
        /// What went wrong.
        reason: String,
    },
    /// The node did not answer.
    #[error(transparent)]
    Call(#[from] CallError),
}

/// Why a request got no reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The request ended undelivered.
    #[error("the request ended without being delivered: {}", state.name())]
    Ended {
        /// How.
        state: MessageState,
    },
    /// No reply came in time; the request may still be delivered and answered.
    #[error("no reply came within {} seconds; the request keeps trying until its own deadline", waited.as_secs())]
    TimedOut {
        /// How long it was waited for.
        waited: Duration,
    },
    /// The node did not answer.
    #[error(transparent)]
    Call(#[from] CallError),
}
