//! `tidings trace ID`.

use clap::Args;
use tidings_api::types::{Exit, WaitQuery};

use crate::context::Context;
use crate::duration;
use crate::failure::Failure;
use crate::output::harmless_line;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The message's id
    id: String,
}

pub(super) fn run(context: &Context, arguments: &Arguments) -> Result<Exit, Failure> {
    context.block_on(async {
        let client = context.client().await?;
        let message = client.message(&arguments.id, &WaitQuery::default()).await?;
        context.print(&message, |out| {
            let style = context.style();
            let summary = &message.summary;
            let to = summary.to_name.as_ref().unwrap_or(&summary.to);
            out.push_str(&format!(
                "{} to {}, {}, {}, {} bytes\n",
                style.bold(&summary.id),
                harmless_line(to),
                harmless_line(&summary.kind),
                summary.priority,
                summary.payload_bytes
            ));
            for entry in &message.timeline {
                let after = entry.at.since(summary.created_at).as_secs_f64();
                out.push_str(&format!(
                    "  {}  {:>8}  {}\n",
                    entry.at,
                    format!("+{}", duration::measured(after)),
                    entry.step
                ));
            }
            out.push_str(&format!("{}\n", harmless_line(&summary.sentence)));
        })?;
        Ok(Exit::Done)
    })
}
