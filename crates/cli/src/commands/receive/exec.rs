//! Hands a message to a program.

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::{Command, ExitStatus, Stdio};

use tidings_api::types::{Exit, ReceivedMessage};

use crate::context::Context;
use crate::failure::Failure;

/// Runs the program and returns when it has exited with 0.
pub(super) async fn run(context: &Context, command: &[OsString], message: &ReceivedMessage) -> Result<(), Failure> {
    let (program, arguments) =
        command.split_first().ok_or_else(|| Failure::new(Exit::Usage, "--exec names no program; name one"))?;
    let payload = message.content.to_bytes().map_err(|error| {
        Failure::new(Exit::Other, format!("the message {} cannot be read: {error}; report this as a bug", message.id))
    })?;
    let mut child = Command::new(program);
    child.args(arguments).stdin(Stdio::piped()).env("TIDINGS_DIR", context.directory()).envs(environment(message));
    let status = tokio::task::spawn_blocking(move || feed(child, &payload));
    let shown = program.to_string_lossy();
    match status.await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(Failure::new(
            Exit::Other,
            format!("{shown} ended with {status}; the message {} stays in the inbox", message.id),
        )),
        Ok(Err(error)) => Err(Failure::new(
            Exit::Other,
            format!("{shown} cannot be run: {error}; the message {} stays in the inbox, check the path", message.id),
        )),
        Err(_) => Err(Failure::new(
            Exit::Other,
            format!("{shown} was not waited for; the message {} stays in the inbox", message.id),
        )),
    }
}

fn feed(mut command: Command, payload: &[u8]) -> io::Result<ExitStatus> {
    let mut child = command.spawn()?;
    if let Some(mut stdin) = child.stdin.take()
        && let Err(error) = stdin.write_all(payload)
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        // A program need not read its input; any other failure leaves it half fed.
        child.kill()?;
        child.wait()?;
        return Err(error);
    }
    child.wait()
}

/// What the program learns about the message.
fn environment(message: &ReceivedMessage) -> Vec<(&'static str, String)> {
    let flag = |value: bool| value.to_string();
    let headers = serde_json::to_string(&message.headers).unwrap_or_default();
    vec![
        ("TIDINGS_ID", message.id.clone()),
        ("TIDINGS_FROM", message.from.clone()),
        ("TIDINGS_FROM_NAME", message.from_name.clone().unwrap_or_default()),
        ("TIDINGS_VERIFIED", flag(message.verified)),
        ("TIDINGS_KIND", message.kind.clone()),
        ("TIDINGS_STREAM", message.stream.clone().unwrap_or_default()),
        ("TIDINGS_PRIORITY", message.priority.clone()),
        ("TIDINGS_REPLY_TO", message.reply_to.clone().unwrap_or_default()),
        ("TIDINGS_SENT_AT", message.sent_at.to_string()),
        ("TIDINGS_RECEIVED_AT", message.received_at.to_string()),
        ("TIDINGS_EXPIRES_AT", message.expires_at.to_string()),
        ("TIDINGS_HOPS", message.hops.to_string()),
        ("TIDINGS_REDELIVERED", flag(message.redelivered)),
        ("TIDINGS_HEADERS", headers),
    ]
}
