//! `tidings trace ID`.

use clap::Args;
use tidings_api::client::ClientError;
use tidings_api::types::{Arrival, Code, Exit, MessageDetail, PathNode, WaitQuery};

use crate::context::Context;
use crate::duration;
use crate::failure::Failure;
use crate::output::{Style, harmless_line};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The id of a message that was sent or received here
    id: String,
}

pub(super) fn run(context: &Context, arguments: &Arguments) -> Result<Exit, Failure> {
    context.block_on(async {
        let client = context.client().await?;
        let unknown = match client.message(&arguments.id, &WaitQuery::default()).await {
            Ok(message) => {
                context.print(&message, |out| out.push_str(&sent(context.style(), &message)))?;
                return Ok(Exit::Done);
            }
            Err(ClientError::Refused(problem)) if problem.code == Code::UnknownMessage => problem,
            Err(error) => return Err(error.into()),
        };
        match client.arrival(&arguments.id).await {
            Ok(arrival) => {
                context.print(&arrival, |out| out.push_str(&received(context.style(), &arrival)))?;
                Ok(Exit::Done)
            }
            // What is known at neither end is told as a message that was not sent from here.
            Err(ClientError::Refused(problem)) if problem.code == Code::UnknownMessage => {
                Err(ClientError::Refused(unknown).into())
            }
            Err(error) => Err(error.into()),
        }
    })
}

fn sent(style: Style, message: &MessageDetail) -> String {
    let summary = &message.summary;
    let to = summary.to_name.as_ref().unwrap_or(&summary.to);
    let mut out = format!(
        "{} to {}, {}, {}, {} bytes\n",
        style.bold(&summary.id),
        harmless_line(to),
        harmless_line(&summary.kind),
        summary.priority,
        summary.payload_bytes
    );
    for entry in &message.timeline {
        let after = entry.at.since(summary.created_at).as_secs_f64();
        let after = format!("+{}", duration::measured(after));
        out.push_str(&format!("  {}  {after:>8}  {}\n", entry.at, entry.step));
    }
    out.push_str(&way(message.hops, message.path.as_deref()));
    out.push_str(&format!("{}\n", harmless_line(&summary.sentence)));
    out
}

fn received(style: Style, arrival: &Arrival) -> String {
    let from = arrival.from_name.as_ref().unwrap_or(&arrival.from);
    let state = if arrival.acknowledged { "acknowledged" } else { "waits in the inbox" };
    format!(
        "{} from {}\n  {}  received\n{}{state}\n",
        style.bold(&arrival.id),
        harmless_line(from),
        arrival.received_at,
        way(Some(arrival.hops), arrival.path.as_deref())
    )
}

/// Links and nodes: those that wrote themselves down.
fn way(hops: Option<u32>, path: Option<&[PathNode]>) -> String {
    let mut out = String::new();
    if let Some(hops) = hops {
        out.push_str(&format!("  hops: {hops}\n"));
    }
    if let Some(path) = path {
        let names: Vec<String> = path.iter().map(node).collect();
        out.push_str(&format!("  path: {}\n", names.join(" → ")));
    }
    out
}

fn node(node: &PathNode) -> String {
    let name = node.name.as_ref().or(node.peer_id.as_ref());
    name.map_or_else(|| format!("unknown ({})", harmless_line(&node.routing_id)), |name| harmless_line(name))
}
