//! Peers and links.

use std::time::Duration;

use axum::extract::Path;
use axum::http::StatusCode;
use tidings::ResolveError;

use super::State;
use super::extract::Json;
use super::view::{self, Names};
use crate::types::{Code, DialRequest, Dialled, PeerList, Problem};

/// How long a peer that was closed stays away.
const CLOSED_FOR: Duration = Duration::from_secs(60);

/// Everybody this node knows of, neighbours first.
#[utoipa::path(get, path = "/v1/peers", tag = "peers", responses((status = 200, body = PeerList)))]
pub(super) async fn list(state: State) -> Result<axum::Json<PeerList>, Problem> {
    let view = state.node.view().await?;
    let names = Names::new(&view);
    let mut peers: Vec<_> = view.peers.iter().map(|peer| view::peer(peer, &names)).collect();
    peers.sort_by_key(|peer| peer.links.is_empty());
    Ok(axum::Json(PeerList { peers }))
}

/// Dials an address; answers within ten seconds.
#[utoipa::path(post, path = "/v1/peers", tag = "peers", request_body = DialRequest,
    responses((status = 200, body = Dialled)))]
pub(super) async fn dial(state: State, Json(request): Json<DialRequest>) -> Result<axum::Json<Dialled>, Problem> {
    let dialled = state.node.dial(&request.address).await?;
    let view = state.node.view().await?;
    let link = view
        .peers
        .iter()
        .filter(|peer| peer.peer == dialled.peer)
        .flat_map(|peer| &peer.links)
        .max_by_key(|link| (link.kind == dialled.kind, link.dialled))
        .ok_or_else(|| Problem::new(Code::Unreachable, "the link was closed at once"))?;
    Ok(axum::Json(Dialled { peer_id: dialled.peer.to_string(), link: view::link(link) }))
}

/// Closes the links of a peer, and takes none from it for 60 seconds.
#[utoipa::path(delete, path = "/v1/peers/{peer}", tag = "peers",
    params(("peer" = String, Path, description = "A contact's name, a peer's name, a peer id or a piece of one.")),
    responses((status = 204)))]
pub(super) async fn close(state: State, Path(peer): Path<String>) -> Result<StatusCode, Problem> {
    let resolved = state.node.resolve(&peer).await.map_err(|error| match error {
        ResolveError::Unknown { text } => {
            Problem::new(Code::UnknownPeer, format!("nobody called {text:?} is known here"))
        }
        other @ (ResolveError::Ambiguous { .. } | ResolveError::Call(_) | _) => other.into(),
    })?;
    state.node.close_peer(resolved.peer, CLOSED_FOR).await?;
    Ok(StatusCode::NO_CONTENT)
}
