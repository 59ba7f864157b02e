//! `tidings receive`.

mod exec;

use std::ffi::OsString;

use clap::Args;
use tidings_api::client::Client;
use tidings_api::types::{Event, EventKind, Exit, InboxQuery, Operation, Push, ReceivedMessage, Request};

use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Style, harmless, harmless_line};

/// What one call asks the node to wait for a message.
const WAIT_SECONDS: u64 = 30;
/// The most messages of one call: so many are shown again if the program is killed before it acknowledges.
const PAGE: u64 = 100;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Acknowledge nothing: what is printed stays in the inbox
    #[arg(long, conflicts_with = "exec")]
    peek: bool,
    /// End after so many messages
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Only messages of this kind
    #[arg(long)]
    kind: Option<String>,
    /// Run a program for each message, with the payload on stdin and the rest in TIDINGS_*, without a shell; it is
    /// acknowledged if the program exits with 0. Takes the rest of the line
    #[arg(long, value_name = "CMD", num_args = 1.., allow_hyphen_values = true)]
    exec: Option<Vec<OsString>>,
}

pub(super) fn run(context: &Context, arguments: &Arguments) -> Result<Exit, Failure> {
    context.block_on(async {
        let client = context.client().await?;
        let left = arguments.count.unwrap_or(u64::MAX);
        match &arguments.exec {
            Some(command) => execute(context, &client, arguments, command, left).await?,
            None if arguments.peek => peek(context, &client, arguments, left).await?,
            None => follow(context, &client, arguments, left).await?,
        }
        Ok(Exit::Done)
    })
}

/// Prints and acknowledges, until `left` messages were.
async fn follow(context: &Context, client: &Client, arguments: &Arguments, mut left: u64) -> Result<(), Failure> {
    while left > 0 {
        let messages = next(client, arguments, left.min(PAGE)).await?;
        for message in &messages {
            context.print(message, |out| out.push_str(&line(context.style(), message)))?;
        }
        left -= messages.len() as u64;
        let ids: Vec<String> = messages.into_iter().map(|message| message.id).collect();
        if !ids.is_empty() {
            client.acknowledge(ids).await?;
        }
    }
    Ok(())
}

/// Runs a program for each message, and acknowledges what it dealt with.
async fn execute(
    context: &Context,
    client: &Client,
    arguments: &Arguments,
    command: &[OsString],
    mut left: u64,
) -> Result<(), Failure> {
    while left > 0 {
        for message in next(client, arguments, 1).await? {
            exec::run(context, command, &message).await?;
            client.acknowledge(vec![message.id]).await?;
            left -= 1;
        }
    }
    Ok(())
}

/// The oldest messages, once there are any; may return none.
async fn next(client: &Client, arguments: &Arguments, limit: u64) -> Result<Vec<ReceivedMessage>, Failure> {
    let query =
        InboxQuery { limit: u32::try_from(limit).ok(), wait_seconds: Some(WAIT_SECONDS), kind: arguments.kind.clone() };
    Ok(client.inbox(&query).await?.messages)
}

/// Prints what waits and what arrives, and leaves it where it is.
async fn peek(context: &Context, client: &Client, arguments: &Arguments, mut left: u64) -> Result<(), Failure> {
    let mut stream = client.stream().await?;
    let subscribe = Request {
        req: None,
        operation: Operation::Subscribe {
            events: vec![EventKind::Message],
            kinds: arguments.kind.clone().map(|kind| vec![kind]),
        },
    };
    stream.say(&subscribe).await?;
    while left > 0 {
        match stream.next().await? {
            Some(Push::Event(Event::Message { message, .. })) => {
                context.print(&message, |out| out.push_str(&line(context.style(), &message)))?;
                left -= 1;
            }
            Some(Push::Event(_)) => {}
            Some(Push::Answer(answer)) => {
                if let Some(error) = answer.error {
                    return Err(Failure::of(error.code, error.detail));
                }
            }
            None => {
                return Err(Failure::new(Exit::Other, "the node has stopped; start it again with `tidings run`"));
            }
        }
    }
    Ok(())
}

/// A message as a person reads it: time, sender, content. Content that is no text is written in base64.
pub(super) fn line(style: Style, message: &ReceivedMessage) -> String {
    let from = match &message.from_name {
        Some(name) if message.verified => harmless_line(name),
        Some(name) => format!("{} (unverified)", harmless_line(name)),
        None => format!("{} (no contact)", message.from),
    };
    let content = match &message.content.payload {
        Some(text) => harmless(text.strip_suffix('\n').unwrap_or(text)),
        None => format!("base64:{}", message.content.payload_base64),
    };
    let kind = match message.kind.as_str() {
        "data" => String::new(),
        kind => format!(" [{}]", harmless_line(kind)),
    };
    let time = style.dim(&message.received_at.to_string());
    format!("{time} {}{kind}: {content}\n", style.bold(&from))
}
