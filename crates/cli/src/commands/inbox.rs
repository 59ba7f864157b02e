//! `tidings inbox`.

use clap::Args;
use tidings_api::types::{Exit, InboxQuery};

use super::receive;
use crate::context::Context;
use crate::failure::Failure;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Only messages of this kind
    #[arg(long)]
    kind: Option<String>,
    /// At most so many, oldest first
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    limit: u32,
}

pub(super) fn run(context: &Context, arguments: Arguments) -> Result<Exit, Failure> {
    context.block_on(async {
        let query = InboxQuery { limit: Some(arguments.limit), wait_seconds: None, kind: arguments.kind };
        let page = context.client().await?.inbox(&query).await?;
        context.print(&page, |out| {
            if page.messages.is_empty() {
                out.push_str("nothing waits to be read\n");
            }
            for message in &page.messages {
                out.push_str(&receive::line(context.style(), message));
            }
        })?;
        Ok(Exit::Done)
    })
}
