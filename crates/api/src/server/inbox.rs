//! Messages that arrived.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::extract::Path;
use tidings::{At, InboxMessage, MessageId};

use super::extract::{Json, Query};
use super::messages::id;
use super::view::{self, Everybody, Names};
use super::{Shared, State};
use crate::types::{Acknowledge, Acknowledged, Arrival, Code, InboxPage, InboxQuery, Problem, ReceivedMessage};

/// How many messages are read at once: at most as many mebibytes.
pub(super) const CHUNK: usize = 32;
/// A page ends early when its content is larger than this.
const PAGE_BYTES: usize = 8 << 20;
/// The most messages acknowledged in one call.
const MAX_ACKNOWLEDGED: usize = 1_000;

/// How far into the inbox somebody has been shown messages in this boot.
#[derive(Debug, Default)]
pub(super) struct Shown(Mutex<At>);

impl Shown {
    /// Notes that a message is shown, and returns whether it may have been before.
    fn show(&self, at: At) -> bool {
        let mut reached = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = at <= *reached;
        *reached = (*reached).max(at);
        before
    }
}

/// Turns a message that is about to be shown into what travels.
pub(super) fn show(
    shared: &Shared,
    message: &InboxMessage,
    names: &Names,
    everybody: Option<&Everybody>,
) -> ReceivedMessage {
    let shown = shared.shown.show(message.at);
    let redelivered = shown || message.at.boot < shared.node.boot();
    let path = message.path.as_ref().zip(everybody);
    let path = path.map(|(path, everybody)| everybody.path_from(message.from, path));
    ReceivedMessage { path, ..view::received(message, names, redelivered) }
}

/// Who may stand in the paths of messages; `None` where none has one.
pub(super) async fn everybody_in(shared: &Shared, messages: &[InboxMessage]) -> Result<Option<Everybody>, Problem> {
    if messages.iter().any(|message| message.path.is_some()) {
        return Everybody::of(&shared.node).await.map(Some);
    }
    Ok(None)
}

/// Unacknowledged messages, oldest first.
#[utoipa::path(get, path = "/v1/inbox", tag = "inbox", params(InboxQuery),
    responses((status = 200, body = InboxPage)))]
pub(super) async fn page(state: State, Query(query): Query<InboxQuery>) -> Result<axum::Json<InboxPage>, Problem> {
    let limit = view::limit(query.limit)?;
    let wait = view::wait(query.wait_seconds.unwrap_or(0))?;
    let mut stop = state.stop.clone();
    let messages = tokio::select! {
        messages = read(&state, limit, query.kind, wait) => messages?,
        () = stop.begun() => Vec::new(),
    };
    let names = Names::of(&state.node).await?;
    let everybody = everybody_in(&state, &messages).await?;
    let messages = messages.iter().map(|message| show(&state, message, &names, everybody.as_ref()));
    Ok(axum::Json(InboxPage { messages: messages.collect() }))
}

/// How a received message came: while it waits in the inbox, and if its route was recorded as long as that is kept.
#[utoipa::path(get, path = "/v1/inbox/{id}", tag = "inbox",
    params(("id" = String, Path, description = "The message's id.")),
    responses((status = 200, body = Arrival)))]
pub(super) async fn arrival(state: State, Path(text): Path<String>) -> Result<axum::Json<Arrival>, Problem> {
    let id = id(&text)?;
    let arrival = state.node.arrival(id).await?.ok_or_else(|| {
        let detail = format!("no message {id} waits in the inbox, and no recorded route of it is kept");
        Problem::new(Code::UnknownMessage, detail)
    })?;
    let (names, everybody) = (Names::of(&state.node).await?, Everybody::of(&state.node).await?);
    Ok(axum::Json(view::arrival(&arrival, &names, &everybody)))
}

/// Reads the oldest messages in chunks, until there are enough of them or enough bytes.
async fn read(
    shared: &Shared,
    limit: usize,
    kind: Option<String>,
    mut wait: Duration,
) -> Result<Vec<InboxMessage>, Problem> {
    let mut messages: Vec<InboxMessage> = Vec::new();
    let mut bytes = 0;
    while messages.len() < limit && bytes < PAGE_BYTES {
        let after = messages.last().map(|message| message.at);
        let chunk = CHUNK.min(limit - messages.len());
        let kind = kind.clone();
        let more = shared.node.inbox_page(after, chunk, kind, wait).await?;
        let ends = more.len() < chunk;
        bytes += more.iter().map(|message| message.payload.len()).sum::<usize>();
        messages.extend(more);
        if ends {
            break;
        }
        wait = Duration::ZERO;
    }
    Ok(messages)
}

/// Says that messages are consumed; durable with the answer.
#[utoipa::path(post, path = "/v1/inbox/ack", tag = "inbox", request_body = Acknowledge,
    responses((status = 200, body = Acknowledged)))]
pub(super) async fn acknowledge(
    state: State,
    Json(request): Json<Acknowledge>,
) -> Result<axum::Json<Acknowledged>, Problem> {
    let unknown = consume(&state, &request.ids).await?;
    Ok(axum::Json(Acknowledged { acknowledged: (request.ids.len() - unknown.len()) as u64, unknown }))
}

/// Acknowledges, and returns what was not in the inbox.
pub(super) async fn consume(shared: &Shared, ids: &[String]) -> Result<Vec<String>, Problem> {
    if ids.len() > MAX_ACKNOWLEDGED {
        let detail = format!("at most {MAX_ACKNOWLEDGED} ids at once, got {}", ids.len());
        return Err(Problem::new(Code::InvalidRequest, detail));
    }
    let mut ids: Vec<MessageId> = ids.iter().map(|text| id(text)).collect::<Result<_, _>>()?;
    ids.sort_unstable();
    ids.dedup();
    let unknown = shared.node.acknowledge(ids).await?;
    Ok(unknown.iter().map(ToString::to_string).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_behind_the_furthest_shown_may_have_been_shown() {
        let shown = Shown::default();
        let at = |n| At { boot: 1, n };
        assert!(!shown.show(at(1)));
        assert!(!shown.show(at(3)));
        assert!(shown.show(at(2)));
        assert!(shown.show(at(3)));
        assert!(!shown.show(at(4)));
    }
}
