//! Contacts and invites.

use std::time::{Duration, Instant, SystemTime};

use axum::extract::Path;
use axum::http::StatusCode;
use futures::StreamExt;
use tidings::{CallError, Contact as Known, Event, EventStream, Node, PeerId, Refusal, safety_number};

use super::State;
use super::extract::Json;
use super::view;
use crate::types::{
    AcceptInvite, Code, Contact, ContactChange, ContactList, CreateInvite, Invite, Joined, NewContact, Problem,
};

/// How long an invite can be used that names no time.
const INVITE_LIFETIME: Duration = Duration::from_hours(24);

/// The contacts, by name.
#[utoipa::path(get, path = "/v1/contacts", tag = "contacts",
    responses((status = 200, body = ContactList)))]
pub(super) async fn list(state: State) -> Result<axum::Json<ContactList>, Problem> {
    let own = state.node.peer_id();
    let known = state.node.contacts().await?;
    // A safety number takes milliseconds.
    let contacts = tokio::task::spawn_blocking(move || {
        let mut contacts: Vec<Contact> = known.into_iter().map(|known| contact(own, known)).collect();
        contacts.sort_by(|a, b| a.name.cmp(&b.name));
        contacts
    });
    let contacts = contacts.await.map_err(|_| Problem::new(Code::Unavailable, "the contacts could not be read"))?;
    Ok(axum::Json(ContactList { contacts }))
}

fn contact(own: PeerId, known: Known) -> Contact {
    Contact {
        peer_id: known.peer.to_string(),
        safety_number: safety_number(&own, &known.peer),
        name: known.name,
        verified: known.verified,
        added_at: known.added.into(),
    }
}

/// Adds a contact, or renames the one with this peer id.
#[utoipa::path(post, path = "/v1/contacts", tag = "contacts", request_body = NewContact,
    responses((status = 201, body = Contact)))]
pub(super) async fn add(
    state: State,
    Json(new): Json<NewContact>,
) -> Result<(StatusCode, axum::Json<Contact>), Problem> {
    let peer: PeerId = new.peer_id.parse().map_err(|_| {
        let detail = format!("{:?} is not a peer id", new.peer_id);
        Problem::new(Code::InvalidRequest, detail)
    })?;
    let name = checked_name(new.name)?;
    let known = state.node.set_contact(peer, Some(name), None).await?;
    let contact = contact(state.node.peer_id(), known);
    Ok((StatusCode::CREATED, axum::Json(contact)))
}

/// The longest name of a contact, in bytes.
const MAX_CONTACT_NAME_BYTES: usize = 64;

fn checked_name(name: String) -> Result<String, Problem> {
    let usable = !name.is_empty()
        && name.len() <= MAX_CONTACT_NAME_BYTES
        && name.trim() == name
        && !name.chars().any(char::is_control);
    if usable {
        return Ok(name);
    }
    let detail = format!(
        "a contact's name has 1 to {MAX_CONTACT_NAME_BYTES} bytes, no control characters and no space at its ends"
    );
    Err(Problem::new(Code::InvalidRequest, detail))
}

async fn find(node: &Node, name: &str) -> Result<PeerId, Problem> {
    let contacts = node.contacts().await?;
    let found = contacts.iter().find(|contact| contact.name == name);
    found.map(|contact| contact.peer).ok_or_else(|| unknown(name))
}

fn unknown(name: &str) -> Problem {
    Problem::new(Code::UnknownContact, format!("no contact is called {name:?}"))
}

/// Renames a contact, or says that its safety number was compared.
#[utoipa::path(put, path = "/v1/contacts/{name}", tag = "contacts", request_body = ContactChange,
    params(("name" = String, Path, description = "The contact's name.")),
    responses((status = 200, body = Contact)))]
pub(super) async fn change(
    state: State,
    Path(name): Path<String>,
    Json(change): Json<ContactChange>,
) -> Result<axum::Json<Contact>, Problem> {
    let peer = find(&state.node, &name).await?;
    let new_name = change.name.map(checked_name).transpose()?;
    let changed = state.node.set_contact(peer, new_name, change.verified).await;
    let known = changed.map_err(|error| not_there(error, &name))?;
    Ok(axum::Json(contact(state.node.peer_id(), known)))
}

/// Removes a contact.
#[utoipa::path(delete, path = "/v1/contacts/{name}", tag = "contacts",
    params(("name" = String, Path, description = "The contact's name.")),
    responses((status = 204)))]
pub(super) async fn remove(state: State, Path(name): Path<String>) -> Result<StatusCode, Problem> {
    let peer = find(&state.node, &name).await?;
    let removed = state.node.remove_contact(peer).await;
    removed.map_err(|error| not_there(error, &name))?;
    Ok(StatusCode::NO_CONTENT)
}

/// A contact may go between being found and being changed.
fn not_there(error: CallError, name: &str) -> Problem {
    if error == CallError::Refused(Refusal::Unknown) { unknown(name) } else { error.into() }
}

/// Makes an invite: whoever has it becomes a contact, once.
#[utoipa::path(post, path = "/v1/invites", tag = "contacts", request_body = CreateInvite,
    responses((status = 201, body = Invite)))]
pub(super) async fn create_invite(
    state: State,
    Json(request): Json<CreateInvite>,
) -> Result<(StatusCode, axum::Json<Invite>), Problem> {
    let lifetime = request.expires_in_seconds.map_or(INVITE_LIFETIME, Duration::from_secs);
    let now = SystemTime::now();
    let invite = state.node.create_invite(lifetime).await?;
    let invite = Invite { invite, expires_at: now.checked_add(lifetime).unwrap_or(now).into() };
    Ok((StatusCode::CREATED, axum::Json(invite)))
}

/// Uses an invite: its maker becomes a contact and is dialled, and learns of this node.
#[utoipa::path(post, path = "/v1/invites/accept", tag = "contacts", request_body = AcceptInvite,
    responses((status = 200, body = Joined)))]
pub(super) async fn accept_invite(
    state: State,
    Json(request): Json<AcceptInvite>,
) -> Result<axum::Json<Joined>, Problem> {
    let wait = view::wait(request.wait_seconds)?;
    let name = request.name.map(checked_name).transpose()?;
    let start = Instant::now();
    let events = state.node.events(None);
    let known = state.node.accept_invite(&request.invite, name).await?;
    let peer = known.peer;
    let linked = tokio::time::timeout(wait, linked(&state.node, peer, events)).await;
    let connected_after_seconds = match linked {
        Ok(result) => {
            result?;
            Some(start.elapsed().as_secs_f64())
        }
        Err(_) => None,
    };
    Ok(axum::Json(Joined { contact: contact(state.node.peer_id(), known), connected_after_seconds }))
}

/// Waits until there is a link to the peer.
async fn linked(node: &Node, peer: PeerId, mut events: EventStream) -> Result<(), Problem> {
    let peers = node.peers().await?;
    let mut up = peers.iter().any(|known| known.peer == peer && !known.links.is_empty());
    while !up {
        let event = events.next().await;
        let event = event.ok_or_else(|| Problem::new(Code::Stopping, "the node is stopping"))?;
        up = matches!(event, Event::NeighbourUp { peer: who, .. } if who == peer);
    }
    Ok(())
}
