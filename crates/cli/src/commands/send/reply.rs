//! Sends and waits for the answer.

use std::time::Duration;

use tidings_api::client::{Client, Stream};
use tidings_api::types::{Event, EventKind, Exit, Operation, Push, ReceivedMessage, Request, SendRequest, State};

use super::submit;
use crate::commands::receive;
use crate::context::Context;
use crate::failure::Failure;
use crate::output;

/// What came first.
enum Ending {
    Reply(Box<ReceivedMessage>),
    Ended(State),
}

/// Sends a message, prints the first message that names it as what it answers, and acknowledges that.
pub(super) async fn send(
    context: &Context,
    client: &Client,
    request: &SendRequest,
    timeout: Duration,
) -> Result<Exit, Failure> {
    // Subscribed before the message leaves, so that no answer falls between.
    let mut stream = client.stream().await?;
    let subscribe = Request {
        req: None,
        operation: Operation::Subscribe { events: vec![EventKind::Message, EventKind::State], kinds: None },
    };
    stream.say(&subscribe).await?;
    let accepted = submit(client, request).await?;
    output::remark("waiting for the reply …");
    let id = &accepted.id;
    match tokio::time::timeout(timeout, first(&mut stream, id)).await {
        Err(_) => Err(Failure::new(
            Exit::TimedOut,
            format!(
                "no reply yet; the message is on its way, see `tidings trace {id}`, and `tidings receive` for the reply"
            ),
        )),
        Ok(Err(failure)) => Err(failure),
        Ok(Ok(Ending::Ended(state))) => Err(Failure::new(
            Exit::Unsuccessful,
            format!("the message is {}, so no reply will come; see `tidings trace {id}`", state.name()),
        )),
        Ok(Ok(Ending::Reply(reply))) => {
            context.print(&reply, |out| out.push_str(&receive::line(context.style(), &reply)))?;
            client.acknowledge(vec![reply.id.clone()]).await?;
            Ok(Exit::Done)
        }
    }
}

async fn first(stream: &mut Stream, id: &str) -> Result<Ending, Failure> {
    loop {
        let push = stream.next().await?.ok_or_else(|| {
            Failure::new(
                Exit::Other,
                "the node has stopped; the message is on its disk, start it again with `tidings run`",
            )
        })?;
        match push {
            Push::Event(Event::Message { message, .. }) if message.reply_to.as_deref() == Some(id) => {
                return Ok(Ending::Reply(message));
            }
            Push::Event(Event::State { message_id, state, .. }) if message_id == id && state.is_ended() => {
                return Ok(Ending::Ended(state));
            }
            Push::Event(_) => {}
            Push::Answer(answer) => {
                if let Some(error) = answer.error {
                    return Err(Failure::of(error.code, error.detail));
                }
            }
        }
    }
}
