//! What became of a message that was sent.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use tidings_api::client::Client;
use tidings_api::types::{Accepted, Exit, MessageDetail, Route, SendRequest, State, WaitQuery, WaitState};

use crate::context::Context;
use crate::duration;
use crate::failure::Failure;
use crate::output::{self, harmless_line};

/// What one call asks the node to wait, well below what it allows.
const SLICE: Duration = Duration::from_secs(30);

/// Says that a message is on this device's disk: a sentence to a person, the id alone to a program.
pub(super) fn accepted(context: &Context, accepted: &Accepted) -> Result<Exit, Failure> {
    context.print(accepted, |out| {
        if std::io::stdout().is_terminal() {
            out.push_str(&format!("accepted as {}\n", accepted.id));
        } else {
            out.push_str(&format!("{}\n", accepted.id));
        }
    })?;
    Ok(Exit::Done)
}

/// Waits for a state that was asked for; anything else is a failure.
pub(super) async fn wait(
    context: &Context,
    client: &Client,
    accepted: &Accepted,
    request: &SendRequest,
    wanted: WaitState,
    timeout: Duration,
) -> Result<Exit, Failure> {
    let start = Instant::now();
    output::remark(&format!("waiting until the message is {} …", wanted.name()));
    let message = reach(client, &accepted.id, wanted, timeout).await?;
    let state = message.summary.state;
    context.print(&message, |out| {
        if !std::io::stdout().is_terminal() {
            out.push_str(&format!("{}\n", accepted.id));
        } else if state.meets(wanted) {
            out.push_str(&reached(&message, request, start));
        }
    })?;
    if state.meets(wanted) {
        return Ok(Exit::Done);
    }
    Err(unreached(&message, request))
}

/// Waits a little for *delivered*, for a person who did not ask for it; a message that is queued is no failure.
pub(super) async fn watch(
    context: &Context,
    client: &Client,
    accepted: &Accepted,
    request: &SendRequest,
    timeout: Duration,
) -> Result<Exit, Failure> {
    let start = Instant::now();
    let message = reach(client, &accepted.id, WaitState::Delivered, timeout).await?;
    let state = message.summary.state;
    if state.is_ended() {
        return Err(unreached(&message, request));
    }
    let text = match state {
        State::Accepted | State::InFlight => {
            let routes = client.routes().await?.routes;
            let route = routes.into_iter().find(|route| route.peer_id == message.summary.to);
            waiting(&message, request, route.as_ref())
        }
        State::Delivered | State::Acknowledged | State::Expired | State::Failed | State::Cancelled | _ => {
            reached(&message, request, start)
        }
    };
    context.print(&message, |out| out.push_str(&text))?;
    Ok(Exit::Done)
}

/// What keeps a message that has not arrived.
fn waiting(message: &MessageDetail, request: &SendRequest, route: Option<&Route>) -> String {
    let name = name(message, request);
    let until = message.summary.expires_at;
    match (message.summary.state, route) {
        (_, None) => format!("queued: no route to {name} yet, keeps trying until {until}\n"),
        (State::Accepted, Some(_)) => {
            format!("queued: waits for its turn on the way to {name}, keeps trying until {until}\n")
        }
        (_, Some(route)) => {
            let links = if route.hops == 1 { "a link".to_owned() } else { format!("{} links", route.hops) };
            format!("sent: {name}, over {links}, has not confirmed it yet, keeps trying until {until}\n")
        }
    }
}

/// Asks until the state is reached, the message has ended or the time is over.
pub(super) async fn reach(
    client: &Client,
    id: &str,
    wanted: WaitState,
    timeout: Duration,
) -> Result<MessageDetail, Failure> {
    let start = Instant::now();
    loop {
        let left = timeout.saturating_sub(start.elapsed());
        let slice = left.min(SLICE);
        // Whole seconds, rounded up; the last call asks without waiting.
        let seconds = slice.as_millis().div_ceil(1_000);
        let query = WaitQuery { wait_state: Some(wanted), wait_seconds: u64::try_from(seconds).ok() };
        let message = client.message(id, &query).await?;
        let state = message.summary.state;
        if state.meets(wanted) || state.is_ended() || left.is_zero() {
            return Ok(message);
        }
    }
}

fn reached(message: &MessageDetail, request: &SendRequest, start: Instant) -> String {
    let name = name(message, request);
    let took = duration::measured(start.elapsed().as_secs_f64());
    let id = &message.summary.id;
    match message.summary.state {
        State::Acknowledged => format!("acknowledged by {name} in {took} ({id})\n"),
        State::Accepted
        | State::InFlight
        | State::Delivered
        | State::Expired
        | State::Failed
        | State::Cancelled
        | _ => format!("delivered to {name} in {took} ({id})\n"),
    }
}

fn unreached(message: &MessageDetail, request: &SendRequest) -> Failure {
    let summary = &message.summary;
    let id = &summary.id;
    let name = name(message, request);
    if summary.state.is_ended() {
        let sentence = format!(
            "the message to {name} is {}: {}; see `tidings trace {id}`, or send it again with `tidings outbox retry \
             {id}`",
            summary.state.name(),
            harmless_line(&summary.sentence)
        );
        return Failure::new(Exit::Unsuccessful, sentence);
    }
    let sentence = format!(
        "the message to {name} is {} so far, keeps trying until {}; see `tidings trace {id}`",
        summary.state.name(),
        summary.expires_at
    );
    Failure::new(Exit::TimedOut, sentence)
}

/// What to call the recipient: its name as a contact, else what was typed, marked unless it is a peer id.
fn name(message: &MessageDetail, request: &SendRequest) -> String {
    let typed = harmless_line(&request.to);
    match &message.summary.to_name {
        Some(contact) => harmless_line(contact),
        None if message.summary.to.contains(request.to.as_str()) => typed,
        None => format!("{typed} (unverified)"),
    }
}

#[cfg(test)]
mod tests {
    use tidings_api::types::{MessageSummary, Timestamp};

    use super::*;

    fn message(state: State) -> MessageDetail {
        let summary = MessageSummary {
            id: "a".repeat(26),
            to: "12D3KooWBob".to_owned(),
            to_name: Some("bob".to_owned()),
            kind: "data".to_owned(),
            priority: "normal".to_owned(),
            payload_bytes: 1,
            state,
            failure: None,
            sentence: String::new(),
            created_at: Timestamp::from_unix_millis(0),
            expires_at: Timestamp::from_unix_millis(1_000),
            retry_of: None,
        };
        MessageDetail {
            summary,
            reached: None,
            attempts: 0,
            record_route: false,
            hops: None,
            path: None,
            timeline: Vec::new(),
        }
    }

    fn route(hops: u8) -> Route {
        Route {
            peer_id: "12D3KooWBob".to_owned(),
            name: "bob".to_owned(),
            hops,
            cost: hops,
            next_hop: "12D3KooWAda".to_owned(),
            next_hop_name: "ada".to_owned(),
            second_next_hop: None,
        }
    }

    #[test]
    fn a_message_that_waits_says_for_what_and_until_when() {
        let request = SendRequest::new("bob", b"x");
        let said = |state, route: Option<Route>| waiting(&message(state), &request, route.as_ref());
        let until = "keeps trying until 1970-01-01T00:00:01.000Z\n";
        let queued = format!("queued: no route to bob yet, {until}");
        assert_eq!(said(State::Accepted, None), queued);
        assert_eq!(said(State::InFlight, None), queued);
        assert_eq!(
            said(State::Accepted, Some(route(4))),
            format!("queued: waits for its turn on the way to bob, {until}")
        );
        let sent = format!("sent: bob, over 4 links, has not confirmed it yet, {until}");
        assert_eq!(said(State::InFlight, Some(route(4))), sent);
        assert!(said(State::InFlight, Some(route(1))).contains("over a link,"));
    }
}
