//! Sending: what a handle can do with the messages of this node.

use std::time::Duration;

use futures::StreamExt;
use tidings_core::Command;
use tidings_core::ids::MessageId;
use tidings_core::message::{Accepted, InboxMessage, MessageState, Refusal};

use super::{CallError, Node, REOPEN_PAUSE, RequestError, StateWatch, WaitError, done};
use tidings_store::Arrival;

use crate::driver::call::{Call, Read, Submitted, Track};
use crate::message::{Message, MessageHandle};
use crate::sent::{Cursor, MessageFilter, MessagePage, SentMessage};

impl Node {
    /// Sends a message: when this returns, it is on this device's disk.
    ///
    /// # Errors
    ///
    /// [`CallError::Refused`] says why the message was not accepted.
    ///
    /// # Cancel safety
    ///
    /// A message whose future is dropped may or may not have been accepted; with an idempotency key the call can be
    /// repeated.
    pub async fn send(&self, message: Message) -> Result<MessageHandle, CallError> {
        let answers = self.submit(vec![message], Track::Yes).await?;
        let submitted = answers.into_iter().next().ok_or(CallError::Unavailable)??;
        Ok(MessageHandle::new(self.clone(), submitted.accepted, submitted.states))
    }

    /// Sends messages together: all that are accepted are durable in one transaction. One answer each, in order.
    ///
    /// # Errors
    ///
    /// [`CallError`] where the node did not answer; refusals of single messages are in the list.
    ///
    /// # Cancel safety
    ///
    /// As for [`Node::send`].
    pub async fn send_batch(&self, messages: Vec<Message>) -> Result<Vec<Result<Accepted, Refusal>>, CallError> {
        let answers = self.submit(messages, Track::No).await?;
        Ok(answers.into_iter().map(|answer| answer.map(|submitted| submitted.accepted)).collect())
    }

    async fn submit(&self, messages: Vec<Message>, track: Track) -> Result<Vec<Result<Submitted, Refusal>>, CallError> {
        if messages.is_empty() {
            return Ok(Vec::new());
        }
        let submissions = messages.into_iter().map(Message::into_submission).collect();
        self.ask(|answer| Call::Submit { submissions, track, answer }).await
    }

    /// Sends a message and waits for the reply that names it. The reply stays in the inbox until it is acknowledged.
    ///
    /// # Errors
    ///
    /// [`RequestError`]. On [`RequestError::TimedOut`] the request is still on its way.
    ///
    /// # Cancel safety
    ///
    /// As for [`Node::send`]; a reply that comes later is in the inbox.
    pub async fn request(&self, message: Message, timeout: Duration) -> Result<InboxMessage, RequestError> {
        // Subscribed before the request leaves, so that no reply is missed; what waits already is no reply to it.
        let mut inbox = self.arriving();
        let handle = self.send(message).await?;
        let reply = async {
            while let Some(message) = inbox.next().await {
                if message.reply_to == Some(handle.id()) {
                    return Ok(message);
                }
            }
            Err(RequestError::Call(CallError::Stopped))
        };
        let ending = async {
            match handle.wait(MessageState::Acknowledged).await {
                Ok(state) if state.is_ended() => RequestError::Ended { state },
                Ok(_) | Err(_) => std::future::pending().await,
            }
        };
        tokio::select! {
            reply = reply => reply,
            ended = ending => Err(ended),
            () = self.sleep(timeout) => Err(RequestError::TimedOut { waited: timeout }),
        }
    }

    /// Waits until a message that this node sent is in a state that meets `wanted`, or has ended otherwise, and
    /// returns the state.
    ///
    /// # Errors
    ///
    /// [`WaitError`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it changes nothing.
    pub async fn wait(&self, id: MessageId, wanted: MessageState) -> Result<MessageState, WaitError> {
        loop {
            match self.wait_once(id, wanted).await {
                Ok(Some(state)) => return Ok(state),
                // The driver let go of the watch, or lost the database.
                Ok(None) => {}
                Err(WaitError::Call(CallError::Unavailable)) => {
                    self.sleep(REOPEN_PAUSE).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn wait_once(&self, id: MessageId, wanted: MessageState) -> Result<Option<MessageState>, WaitError> {
        let states = self.ask(|answer| Call::Track(id, answer)).await?;
        let states = states.ok_or(WaitError::TooManyWaits)?;
        let stored = self.message(id).await?.ok_or(WaitError::Unknown)?;
        if settles(stored.state, wanted) {
            return Ok(Some(stored.state));
        }
        Ok(settled(states, wanted).await)
    }

    /// Waits on a watch that was set up before the message could change.
    pub(crate) async fn follow(
        &self,
        id: MessageId,
        wanted: MessageState,
        states: StateWatch,
    ) -> Result<MessageState, WaitError> {
        if settles(MessageState::Accepted, wanted) {
            return Ok(states.borrow().unwrap_or(MessageState::Accepted));
        }
        match settled(states, wanted).await {
            Some(state) => Ok(state),
            None => self.wait(id, wanted).await,
        }
    }

    /// Withdraws a message that is not delivered; what has left the device may still arrive.
    ///
    /// # Errors
    ///
    /// [`Refusal::Unknown`], or [`Refusal::Ended`] where it is delivered or has ended.
    ///
    /// # Cancel safety
    ///
    /// Repeat it if the future was dropped.
    pub async fn cancel(&self, id: MessageId) -> Result<(), CallError> {
        done(self.command(Command::Cancel(id)).await?)
    }

    /// Sends an ended message again, as a new message that names the old one.
    ///
    /// # Errors
    ///
    /// [`Refusal::Unknown`] where it is no longer kept; [`CallError::Refused`] with [`Refusal::NotEnded`] where it has not
    /// ended.
    ///
    /// # Cancel safety
    ///
    /// As for [`Node::send`].
    pub async fn retry(&self, id: MessageId) -> Result<MessageHandle, CallError> {
        let old = self.message(id).await?.ok_or(Refusal::Unknown)?;
        if !old.state.is_ended() {
            return Err(CallError::Refused(Refusal::NotEnded));
        }
        let lifetime = Duration::from_millis(old.expires_at.0.saturating_sub(old.created_at.0));
        let mut message = Message::to(old.to)
            .kind(old.kind)
            .payload(old.payload)
            .priority(old.priority)
            .expires_in(lifetime)
            .headers(old.headers)
            .again(id);
        if let Some(stream) = old.stream {
            message = message.stream(stream);
        }
        if let Some(answered) = old.reply_to {
            message = message.reply_to(answered);
        }
        if old.record_route {
            message = message.record_route();
        }
        self.send(message).await
    }

    /// Returns a message that this node sent, if it is still kept.
    ///
    /// # Errors
    ///
    /// [`CallError`] where the node did not answer.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it changes nothing.
    pub async fn message(&self, id: MessageId) -> Result<Option<SentMessage>, CallError> {
        self.read(|answer| Read::Message { id, answer }).await
    }

    /// Returns how a message that this node received came: while it waits in the inbox, and if its route was recorded
    /// as long as that is kept (10,000 routes).
    ///
    /// # Errors
    ///
    /// [`CallError`] where the node did not answer.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it changes nothing.
    pub async fn arrival(&self, id: MessageId) -> Result<Option<Arrival>, CallError> {
        self.read(|answer| Read::Arrival { id, answer }).await
    }

    /// Returns a page of the messages that this node sent, newest first.
    ///
    /// # Errors
    ///
    /// [`CallError`] where the node did not answer.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it changes nothing.
    pub async fn messages(
        &self,
        filter: MessageFilter,
        cursor: Option<Cursor>,
        limit: usize,
    ) -> Result<MessagePage, CallError> {
        self.read(|answer| Read::Messages { filter, cursor, limit, answer }).await
    }
}

/// Whether waiting for `wanted` is over in `state`.
fn settles(state: MessageState, wanted: MessageState) -> bool {
    state.meets(wanted) || state.is_ended()
}

/// The state that ends waiting for `wanted`; `None` if the watch is let go before.
async fn settled(mut states: StateWatch, wanted: MessageState) -> Option<MessageState> {
    let settled = states.wait_for(|state| state.is_some_and(|state| settles(state, wanted))).await;
    settled.ok().and_then(|state| *state)
}
