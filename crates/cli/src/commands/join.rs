//! `tidings join INVITE`.

use std::io::Read;
use std::time::Duration;

use clap::Args;
use tidings_api::types::{AcceptInvite, Exit};

use crate::context::Context;
use crate::duration;
use crate::failure::Failure;
use crate::output::{self, harmless_line};

/// The longest text that is read as an invite.
const MAX_INVITE_BYTES: u64 = 64 * 1024;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// What `tidings invite` printed; - reads it from stdin
    invite: String,
    /// What to call the contact [default: its own name]
    #[arg(long)]
    name: Option<String>,
    /// How long to wait for the connection, at most 1m
    #[arg(long, value_name = "TIME", value_parser = duration::parse, default_value = "10s")]
    timeout: Duration,
}

pub(super) fn run(context: &Context, arguments: Arguments) -> Result<Exit, Failure> {
    let invite = match arguments.invite.as_str() {
        "-" => from_stdin()?,
        _ => arguments.invite,
    };
    context.block_on(async {
        let client = context.client().await?;
        output::remark("connecting …");
        let request = AcceptInvite { invite, name: arguments.name, wait_seconds: arguments.timeout.as_secs() };
        let joined = client.accept_invite(&request).await?;
        let name = harmless_line(&joined.contact.name);
        context.print(&joined, |out| {
            if let Some(seconds) = joined.connected_after_seconds {
                let took = duration::measured(seconds);
                out.push_str(&format!("connected to {name} in {took}\n"));
            }
        })?;
        if joined.connected_after_seconds.is_some() {
            return Ok(Exit::Done);
        }
        Err(Failure::new(
            Exit::TimedOut,
            format!(
                "{name} is a contact now, but there is no connection yet; the node keeps trying, see `tidings peers`"
            ),
        ))
    })
}

fn from_stdin() -> Result<String, Failure> {
    let mut text = String::new();
    std::io::stdin().lock().take(MAX_INVITE_BYTES).read_to_string(&mut text).map_err(|error| {
        Failure::new(Exit::Other, format!("stdin cannot be read: {error}; give the invite as an argument"))
    })?;
    Ok(text.trim().to_owned())
}
