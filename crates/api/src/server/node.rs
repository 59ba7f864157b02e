//! The node itself.

use axum::http::StatusCode;
use tidings::{Counters as NodeCounters, NodeInfo as Info, NodeState as Is, fingerprint};

use super::{State, mesh};
use crate::types::{Counters, NodeInfo, NodeState, Problem};

/// The node at this moment.
#[utoipa::path(get, path = "/v1/node", tag = "node", responses((status = 200, body = NodeInfo)))]
pub(super) async fn info(state: State) -> axum::Json<NodeInfo> {
    axum::Json(node_info(state.node.info().await))
}

fn node_info(info: Info) -> NodeInfo {
    NodeInfo {
        peer_id: info.peer_id.to_string(),
        state: node_state(info.state),
        reasons: info.reasons,
        listen_addresses: info.listen_addresses.iter().map(ToString::to_string).collect(),
        profile: info.profile.name().to_owned(),
        topology: mesh::kind(info.topology),
        uptime_seconds: info.uptime.as_secs(),
        fingerprint: fingerprint(&info.peer_id),
        counters: counters(info.counters),
        name: info.name,
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

pub(super) fn node_state(state: Is) -> NodeState {
    match state {
        Is::Starting => NodeState::Starting,
        Is::Active => NodeState::Active,
        Is::Degraded => NodeState::Degraded,
        Is::Paused => NodeState::Paused,
        Is::Stopping | Is::Stopped | _ => NodeState::Stopping,
    }
}

fn counters(counters: NodeCounters) -> Counters {
    Counters {
        accepted: counters.accepted,
        delivered: counters.delivered,
        acknowledged: counters.acknowledged,
        ended: counters.ended,
        received: counters.received,
        duplicates: counters.duplicates,
        parcels_sent: counters.parcels_sent,
        parcels_resent: counters.parcels_resent,
        parcels_received: counters.parcels_received,
        parcels_refused: counters.parcels_refused,
        outbox_messages: counters.outbox_messages,
        outbox_bytes: counters.outbox_bytes,
        inbox_messages: counters.inbox_messages,
    }
}

/// Closes links and listeners; keeps store and API.
#[utoipa::path(post, path = "/v1/node/pause", tag = "node", responses((status = 204)))]
pub(super) async fn pause(state: State) -> Result<StatusCode, Problem> {
    state.node.pause().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Opens links and listeners again.
#[utoipa::path(post, path = "/v1/node/resume", tag = "node", responses((status = 204)))]
pub(super) async fn resume(state: State) -> Result<StatusCode, Problem> {
    state.node.resume().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Stops the node; the answer comes before it has stopped.
#[utoipa::path(post, path = "/v1/node/shutdown", tag = "node", responses((status = 202)))]
pub(super) async fn shutdown(state: State) -> StatusCode {
    let node = state.node.clone();
    tokio::spawn(async move { node.shutdown().await });
    StatusCode::ACCEPTED
}
