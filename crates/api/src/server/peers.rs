//! Peers and links.

use std::time::Duration;

use axum::extract::Path;
use axum::http::StatusCode;
use tidings::{PeerView, ResolveError};

use super::State;
use super::extract::{Json, Query};
use super::mesh;
use super::view::{self, Names};
use crate::types::{Code, DialRequest, Dialled, Peer, PeerList, PeerQuery, Problem};

/// How long a peer that was closed stays away.
const CLOSED_FOR: Duration = Duration::from_secs(60);

/// Everybody this node knows of, neighbours first.
#[utoipa::path(get, path = "/v1/peers", tag = "peers", params(PeerQuery),
    responses((status = 200, body = PeerList)))]
pub(super) async fn list(state: State, Query(query): Query<PeerQuery>) -> Result<axum::Json<PeerList>, Problem> {
    let view = state.node.view().await?;
    let names = Names::new(&view.contacts);
    let mut ways = mesh::ways(&view);
    let wanted = |peer: &&PeerView| {
        let told = || peer.announced.iter().flat_map(|announced| &announced.labels);
        query.label.as_ref().is_none_or(|label| told().any(|known| known == label))
    };
    let peers = view.peers.iter().filter(wanted);
    let mut peers: Vec<_> = peers.map(|peer| view::peer(peer, ways.remove(&peer.peer), &names)).collect();
    let nearness = |peer: &Peer| (peer.links.is_empty(), peer.route.as_ref().map_or(u8::MAX, |route| route.hops));
    peers.sort_by_key(nearness);
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
