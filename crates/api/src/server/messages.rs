//! Messages that this node sends.

use std::time::Duration;

use axum::extract::Path;
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, StatusCode};
use tidings::{Message, MessageFilter, MessageId, MessageState, SentMessage};

use super::extract::{Json, Query};
use super::inbox::CHUNK;
use super::view::{self, Everybody, Names};
use super::{Shared, State};
use crate::types::{
    Accepted, BatchRequest, BatchResults, Code, ListQuery, MessageDetail, MessagePage, Problem, Retried, SendRequest,
    SendResult, State as StateName, WaitQuery, WaitState,
};

/// The header that recognises a repeated call.
const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// The longest idempotency key, in bytes.
const MAX_KEY_BYTES: usize = 255;
/// The most messages of a batch.
const MAX_BATCH: usize = 1_000;
/// Keeps the keys of this interface's callers apart from those of an application that embeds the node. All of them
/// know the one token, or own the Unix socket.
const KEY_SCOPE: &str = "api";
/// How often a wait for *in flight* looks: handing a message to a link is not announced.
const IN_FLIGHT_POLL: Duration = Duration::from_millis(200);

/// Sends a message: with the answer it is on this device's disk.
#[utoipa::path(post, path = "/v1/messages", tag = "messages", request_body = SendRequest,
    params(("Idempotency-Key" = Option<String>, Header,
        description = "A repeat within 24 hours with the same key and request returns the first answer.")),
    responses((status = 202, body = Accepted, headers(("Location" = String)))))]
pub(super) async fn send(
    state: State,
    headers: HeaderMap,
    Json(mut request): Json<SendRequest>,
) -> Result<(StatusCode, [(axum::http::HeaderName, String); 1], axum::Json<Accepted>), Problem> {
    if let Some(value) = headers.get(IDEMPOTENCY_KEY) {
        let key = value.to_str().map_err(|_| invalid("the Idempotency-Key is not text"))?;
        if request.idempotency_key.as_deref().is_some_and(|other| other != key) {
            return Err(invalid("the Idempotency-Key and `idempotency_key` differ"));
        }
        request.idempotency_key = Some(key.to_owned());
    }
    let result = submit(&state, vec![request]).await?.pop();
    match result {
        Some(Ok(accepted)) => {
            let location = format!("/v1/messages/{}", accepted.id);
            Ok((StatusCode::ACCEPTED, [(LOCATION, location)], axum::Json(accepted)))
        }
        Some(Err(problem)) => Err(problem),
        None => Err(Problem::new(Code::Unavailable, "the node gave no answer")),
    }
}

/// Sends up to 1,000 messages; those that are accepted are durable together.
#[utoipa::path(post, path = "/v1/messages/batch", tag = "messages", request_body = BatchRequest,
    responses((status = 202, body = BatchResults)))]
pub(super) async fn send_batch(
    state: State,
    headers: HeaderMap,
    Json(batch): Json<BatchRequest>,
) -> Result<(StatusCode, axum::Json<BatchResults>), Problem> {
    if headers.contains_key(IDEMPOTENCY_KEY) {
        return Err(invalid("a batch takes `idempotency_key` in each message, not the header"));
    }
    if batch.messages.is_empty() || batch.messages.len() > MAX_BATCH {
        let got = batch.messages.len();
        return Err(invalid(&format!("a batch has 1 to {MAX_BATCH} messages, got {got}")));
    }
    let results = submit(&state, batch.messages).await?;
    let results = results
        .into_iter()
        .map(|result| match result {
            Ok(accepted) => SendResult::Accepted(accepted),
            Err(error) => SendResult::Refused { error },
        })
        .collect();
    Ok((StatusCode::ACCEPTED, axum::Json(BatchResults { results })))
}

fn invalid(detail: &str) -> Problem {
    Problem::new(Code::InvalidRequest, detail)
}

/// Submits what can be read, in one transaction, and puts the answers in the order of the requests.
pub(super) async fn submit(
    shared: &Shared,
    requests: Vec<SendRequest>,
) -> Result<Vec<Result<Accepted, Problem>>, Problem> {
    let mut messages = Vec::with_capacity(requests.len());
    let mut unreadable = Vec::with_capacity(requests.len());
    for request in requests {
        match message(shared, request).await {
            Ok(message) => {
                messages.push(message);
                unreadable.push(None);
            }
            Err(problem) => unreadable.push(Some(problem)),
        }
    }
    let mut answers = shared.node.send_batch(messages).await?.into_iter();
    let lost = || Problem::new(Code::Unavailable, "the node gave no answer");
    Ok(unreadable
        .into_iter()
        .map(|problem| match problem {
            Some(problem) => Err(problem),
            None => answers
                .next()
                .ok_or_else(lost)?
                .map(|accepted| Accepted {
                    id: accepted.id.to_string(),
                    state: StateName::Accepted,
                    accepted_at: accepted.accepted_at.into(),
                })
                .map_err(Problem::from),
        })
        .collect())
}

async fn message(shared: &Shared, request: SendRequest) -> Result<Message, Problem> {
    let content = request.content()?;
    let to = shared.node.resolve(&request.to).await?.peer;
    let mut message = Message::to(to).payload(content);
    if let Some(kind) = request.kind {
        message = message.kind(kind);
    }
    if let Some(priority) = request.priority {
        let priority = priority.parse().map_err(|error: tidings::PriorityError| invalid(&error.to_string()))?;
        message = message.priority(priority);
    }
    if let Some(seconds) = request.expires_in_seconds {
        message = message.expires_in(Duration::from_secs(seconds));
    }
    if let Some(stream) = request.stream.filter(|stream| !stream.is_empty()) {
        message = message.stream(stream);
    }
    for (name, value) in request.headers {
        message = message.header(name, value);
    }
    if request.record_route {
        message = message.record_route();
    }
    if let Some(answered) = request.reply_to {
        message = message.reply_to(id(&answered)?);
    }
    if let Some(key) = request.idempotency_key {
        if key.is_empty() || key.len() > MAX_KEY_BYTES {
            return Err(invalid(&format!("an idempotency key has 1 to {MAX_KEY_BYTES} bytes")));
        }
        message = message.scoped_idempotency_key(KEY_SCOPE, key);
    }
    Ok(message)
}

/// Reads a message id.
pub(super) fn id(text: &str) -> Result<MessageId, Problem> {
    text.parse().map_err(|error: tidings::MessageIdError| invalid(&error.to_string()))
}

/// One message with its way, at once or when a state is reached.
#[utoipa::path(get, path = "/v1/messages/{id}", tag = "messages",
    params(("id" = String, Path, description = "The message's id."), WaitQuery),
    responses((status = 200, body = MessageDetail)))]
pub(super) async fn detail(
    state: State,
    Path(text): Path<String>,
    Query(query): Query<WaitQuery>,
) -> Result<axum::Json<MessageDetail>, Problem> {
    let id = id(&text)?;
    let wait = view::wait(query.wait_seconds.unwrap_or(0))?;
    if query.wait_state.is_none() && !wait.is_zero() {
        return Err(invalid("wait_seconds needs a wait_state"));
    }
    let mut message = find(&state, id).await?;
    if let Some(wanted) = query.wait_state {
        let mut stop = state.stop.clone();
        tokio::select! {
            reached = reach(&state, id, wanted) => reached?,
            () = tokio::time::sleep(wait) => {}
            () = stop.begun() => {}
        }
        message = find(&state, id).await?;
    }
    let everybody = match &message.route {
        Some(_) => Some(Everybody::of(&state.node).await?),
        None => None,
    };
    let mut detail = view::detail(&message, &Names::of(&state.node).await?, everybody.as_ref());
    detail.reached = query.wait_state.map(|wanted| detail.summary.state.meets(wanted));
    Ok(axum::Json(detail))
}

async fn find(shared: &Shared, id: MessageId) -> Result<SentMessage, Problem> {
    let found = shared.node.message(id).await?;
    found.ok_or_else(|| {
        let detail = format!("no message {id} was sent from here, or it is no longer kept");
        Problem::new(Code::UnknownMessage, detail)
    })
}

/// Returns when the state or a later one holds, or the message has ended.
async fn reach(shared: &Shared, id: MessageId, wanted: WaitState) -> Result<(), Problem> {
    let state = match wanted {
        WaitState::Accepted => return Ok(()),
        WaitState::Delivered => MessageState::Delivered,
        WaitState::Acknowledged => MessageState::Acknowledged,
        WaitState::InFlight => {
            let mut ticks = tokio::time::interval(IN_FLIGHT_POLL);
            loop {
                ticks.tick().await;
                let state = view::state(find(shared, id).await?.state);
                if state.meets(wanted) || state.is_ended() {
                    return Ok(());
                }
            }
        }
    };
    shared.node.wait(id, state).await?;
    Ok(())
}

/// Messages that this node sent, newest first.
#[utoipa::path(get, path = "/v1/messages", tag = "messages", params(ListQuery),
    responses((status = 200, body = MessagePage)))]
pub(super) async fn list(state: State, Query(query): Query<ListQuery>) -> Result<axum::Json<MessagePage>, Problem> {
    let limit = view::limit(query.limit)?;
    let cursor = query
        .cursor
        .map(|cursor| cursor.parse())
        .transpose()
        .map_err(|error: tidings::CursorError| invalid(&error.to_string()))?;
    let to = match query.to {
        Some(to) => Some(state.node.resolve(&to).await?.peer),
        None => None,
    };
    let states = match query.state {
        Some(names) => states(&names)?,
        None => Vec::new(),
    };
    let filter = MessageFilter { to, states };
    let names = Names::of(&state.node).await?;
    let mut page = MessagePage::default();
    let mut next = cursor;
    loop {
        let chunk = CHUNK.min(limit - page.messages.len());
        let read = state.node.messages(filter.clone(), next, chunk).await?;
        let messages = read.messages.iter();
        page.messages.extend(messages.map(|message| view::summary(message, &names)));
        next = read.next;
        if next.is_none() || page.messages.len() >= limit {
            break;
        }
    }
    page.next_cursor = next.map(|cursor| cursor.to_string());
    Ok(axum::Json(page))
}

/// Checks names of states, separated by commas.
fn states(names: &str) -> Result<Vec<String>, Problem> {
    let known = StateName::ALL.map(StateName::name);
    names
        .split(',')
        .map(|name| {
            if known.contains(&name) {
                Ok(name.to_owned())
            } else {
                Err(invalid(&format!("expected states among {}, got {name:?}", known.join(", "))))
            }
        })
        .collect()
}

/// Sends an ended message again, as a new one.
#[utoipa::path(post, path = "/v1/messages/{id}/retry", tag = "messages",
    params(("id" = String, Path, description = "The ended message's id.")),
    responses((status = 202, body = Retried)))]
pub(super) async fn retry(
    state: State,
    Path(text): Path<String>,
) -> Result<(StatusCode, axum::Json<Retried>), Problem> {
    let id = id(&text)?;
    let ended = find(&state, id).await?;
    if !ended.state.is_ended() {
        let detail = format!("message {id} is {}", ended.state.name());
        return Err(Problem::new(Code::NotEnded, detail));
    }
    let again = state.node.retry(id).await?;
    let retried = Retried { id: again.id().to_string(), retry_of: id.to_string() };
    Ok((StatusCode::ACCEPTED, axum::Json(retried)))
}

/// Withdraws a message that is not delivered; what has left the device may still arrive.
#[utoipa::path(delete, path = "/v1/messages/{id}", tag = "messages",
    params(("id" = String, Path, description = "The message's id.")),
    responses((status = 204)))]
pub(super) async fn cancel(state: State, Path(text): Path<String>) -> Result<StatusCode, Problem> {
    state.node.cancel(id(&text)?).await?;
    Ok(StatusCode::NO_CONTENT)
}
