//! `tidings outbox`.

use clap::{Args, Subcommand};
use tidings::OWN_KINDS;
use tidings_api::types::{Exit, ListQuery, MessageSummary};

use crate::context::Context;
use crate::failure::Failure;
use crate::output::{self, harmless_line};

/// What is not done, and what a person may want to do something about.
const OPEN_STATES: &str = "accepted,in_flight,expired,failed";
/// What one page asks for.
const PAGE: u32 = 200;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    list: ListArguments,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Withdraw a message that is not delivered
    Cancel {
        /// The message's id
        id: String,
    },
    /// Send a message again that expired or failed
    Retry {
        /// The message's id
        id: String,
    },
}

#[derive(Debug, Args)]
struct ListArguments {
    /// Only messages to this recipient
    #[arg(long)]
    to: Option<String>,
    /// Only messages in these states, separated by commas [default: accepted,in_flight,expired,failed]
    #[arg(long, value_name = "STATES", conflicts_with = "all")]
    state: Option<String>,
    /// Messages in every state, delivered ones included, and those that the node sends for itself
    #[arg(long)]
    all: bool,
    /// At most so many, newest first
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    limit: usize,
}

pub(super) fn run(context: &Context, arguments: Arguments) -> Result<Exit, Failure> {
    context.block_on(async {
        let client = context.client().await?;
        match arguments.action {
            Some(Action::Cancel { id }) => {
                client.cancel(&id).await?;
                let object = serde_json::json!({ "cancelled": id });
                context.print(&object, |out| out.push_str(&format!("cancelled {id}\n")))?;
            }
            Some(Action::Retry { id }) => {
                let retried = client.retry(&id).await?;
                context.print(&retried, |out| {
                    out.push_str(&format!("sent again as {}\n", retried.id));
                })?;
            }
            None => {
                let all = arguments.list.all;
                let mut query = query(&arguments.list);
                let mut messages = Vec::new();
                while messages.len() < arguments.list.limit {
                    let page = client.messages(&query).await?;
                    let wanted = |message: &MessageSummary| all || !message.kind.starts_with(OWN_KINDS);
                    messages.extend(page.messages.into_iter().filter(wanted));
                    query.cursor = page.next_cursor;
                    if query.cursor.is_none() {
                        break;
                    }
                }
                messages.truncate(arguments.list.limit);
                let object = serde_json::json!({ "messages": messages });
                context.print(&object, |out| human(out, context, &messages))?;
            }
        }
        Ok(Exit::Done)
    })
}

fn query(arguments: &ListArguments) -> ListQuery {
    let open = || (!arguments.all).then(|| OPEN_STATES.to_owned());
    let limit = u32::try_from(arguments.limit).unwrap_or(PAGE);
    ListQuery {
        state: arguments.state.clone().or_else(open),
        to: arguments.to.clone(),
        limit: Some(limit.clamp(1, PAGE)),
        cursor: None,
    }
}

fn human(out: &mut String, context: &Context, messages: &[MessageSummary]) {
    if messages.is_empty() {
        out.push_str("nothing waits to be delivered\n");
        return;
    }
    let rows: Vec<Vec<String>> = messages
        .iter()
        .map(|message| {
            vec![
                message.id.clone(),
                harmless_line(message.to_name.as_ref().unwrap_or(&message.to)),
                message.state.name().to_owned(),
                harmless_line(&message.kind),
                message.payload_bytes.to_string(),
                message.created_at.to_string(),
                message.expires_at.to_string(),
            ]
        })
        .collect();
    let headings = ["ID", "TO", "STATE", "KIND", "BYTES", "ACCEPTED", "UNTIL"];
    output::table(out, context.style(), &headings, &rows);
}
