//! `tidings send TO [TEXT]`.

mod outcome;
mod reply;

use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use tidings::MAX_PAYLOAD_BYTES;
use tidings_api::client::{Client, ClientError};
use tidings_api::types::{Accepted, Code, Exit, SendRequest, WaitState};

use crate::context::Context;
use crate::duration;
use crate::failure::Failure;
use crate::output;

/// How long a person at a terminal waits for *delivered* without having asked for it.
const TERMINAL_WAIT: Duration = Duration::from_secs(5);

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// A contact, a name seen on the LAN, a peer id, or six or more characters of its part after 12D3KooW
    to: String,
    /// The message [default: read from stdin]
    #[arg(conflicts_with = "file")]
    text: Option<String>,
    /// Send the content of a file
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// What the message is to the applications
    #[arg(long, default_value = "data")]
    kind: String,
    /// How urgent it is
    #[arg(long, value_enum, default_value_t = Priority::Normal)]
    priority: Priority,
    /// How long it may take to arrive, at most 14d [default: 7d]
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    expires_in: Option<Duration>,
    /// Messages of one stream arrive in the order sent
    #[arg(long, value_name = "NAME")]
    stream: Option<String>,
    /// Have relays write themselves down, so that `trace` shows the way at both ends; nobody vouches for it
    #[arg(long)]
    record_route: bool,
    /// Wait until the message is so far [default: at a terminal 5s for delivered, else accepted]
    #[arg(long, value_enum)]
    wait: Option<Until>,
    /// How long to wait
    #[arg(long, value_name = "TIME", value_parser = duration::parse, default_value = "30s", requires = "wait")]
    timeout: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Priority {
    Critical,
    High,
    Normal,
    Low,
    Bulk,
}

impl Priority {
    const fn name(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::High => "high",
            Self::Normal => "normal",
            Self::Low => "low",
            Self::Bulk => "bulk",
        }
    }
}

/// How far a message must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Until {
    /// On this device's disk
    Accepted,
    /// On the recipient's disk
    Delivered,
    /// Consumed by the recipient's application
    Acknowledged,
    /// Answered
    Reply,
}

pub(super) fn run(context: &Context, arguments: Arguments) -> Result<Exit, Failure> {
    context.block_on(async {
        // Before a person types a message that nobody can take.
        let client = context.client().await?;
        let payload = payload(&arguments)?;
        let request = SendRequest {
            kind: Some(arguments.kind.clone()),
            priority: Some(arguments.priority.name().to_owned()),
            expires_in_seconds: arguments.expires_in.map(|time| time.as_secs()),
            stream: arguments.stream.clone(),
            record_route: arguments.record_route,
            ..SendRequest::new(arguments.to.as_str(), &payload)
        };
        let timeout = arguments.timeout;
        match arguments.wait {
            Some(Until::Reply) => reply::send(context, &client, &request, timeout).await,
            Some(Until::Accepted) => {
                let accepted = submit(&client, &request).await?;
                outcome::accepted(context, &accepted)
            }
            Some(Until::Delivered) => {
                let accepted = submit(&client, &request).await?;
                outcome::wait(context, &client, &accepted, &request, WaitState::Delivered, timeout).await
            }
            Some(Until::Acknowledged) => {
                let accepted = submit(&client, &request).await?;
                outcome::wait(context, &client, &accepted, &request, WaitState::Acknowledged, timeout).await
            }
            None => {
                let accepted = submit(&client, &request).await?;
                if std::io::stdout().is_terminal() && !context.is_json() {
                    return outcome::watch(context, &client, &accepted, &request, TERMINAL_WAIT).await;
                }
                outcome::accepted(context, &accepted)
            }
        }
    })
}

/// Sends with a key of its own, so that a call whose answer was lost can be repeated.
async fn submit(client: &Client, request: &SendRequest) -> Result<Accepted, Failure> {
    let mut key = [0; 16];
    getrandom::fill(&mut key).map_err(|error| {
        let sentence = format!("the system gives no random bytes: {error}; try again");
        Failure::new(Exit::Other, sentence)
    })?;
    let key: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    match client.send(request, &key).await {
        Err(ClientError::Connection(_)) => Ok(client.send(request, &key).await?),
        result => Ok(result?),
    }
}

/// The content: the text, the file, or stdin.
fn payload(arguments: &Arguments) -> Result<Vec<u8>, Failure> {
    let payload = match (&arguments.text, &arguments.file) {
        (Some(text), _) => text.clone().into_bytes(),
        (None, Some(path)) => {
            let unreadable = |error| unreadable(path, &error);
            read(std::fs::File::open(path).map_err(unreadable)?).map_err(unreadable)?
        }
        (None, None) => {
            let stdin = std::io::stdin();
            if stdin.is_terminal() {
                output::remark("Type the message and end it with Ctrl-D.");
            }
            read(stdin.lock()).map_err(|error| unreadable(Path::new("stdin"), &error))?
        }
    };
    if payload.len() > MAX_PAYLOAD_BYTES {
        return Err(Failure::of(Code::TooLarge, "the message is larger than 1 MiB"));
    }
    Ok(payload)
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    let sentence = format!("{} cannot be read: {error}; check the path and its mode", path.display());
    Failure::new(Exit::Other, sentence)
}

/// Reads to the end, or to just beyond what can be sent.
fn read(from: impl Read) -> std::io::Result<Vec<u8>> {
    let mut payload = Vec::new();
    from.take(MAX_PAYLOAD_BYTES as u64 + 1).read_to_end(&mut payload)?;
    Ok(payload)
}
