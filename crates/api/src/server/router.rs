//! Every path and who answers it.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use axum::routing::{delete, get, post, put};

use super::guard::{self, Guard};
use super::{
    MAX_BODY_BYTES, Shared, contacts, doctor, health, inbox, mesh, messages, metrics, node, openapi, peers, stream,
};
use crate::types::{Code, Problem};

pub(super) fn router(shared: Arc<Shared>, guard: Arc<Guard>) -> Router {
    guarded(routes().with_state(shared), guard)
}

/// Puts the limits and checks before every path, those that do not exist included.
pub(super) fn guarded(routes: Router, guard: Arc<Guard>) -> Router {
    routes
        .fallback(async || Problem::new(Code::NotFound, "there is no such path"))
        .method_not_allowed_fallback(async || Problem::new(Code::NotFound, "this path does not take this method"))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(middleware::from_fn_with_state(guard, guard::check))
}

fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(metrics::metrics))
        .route("/openapi.json", get(openapi::document))
        .route("/v1/node", get(node::info))
        .route("/v1/node/pause", post(node::pause))
        .route("/v1/node/resume", post(node::resume))
        .route("/v1/node/shutdown", post(node::shutdown))
        .route("/v1/peers", get(peers::list).post(peers::dial))
        .route("/v1/peers/{peer}", delete(peers::close))
        .route("/v1/routes", get(mesh::routes))
        .route("/v1/topology", get(mesh::topology).put(mesh::set_topology))
        .route("/v1/network", get(mesh::network))
        .route("/v1/labels", get(mesh::labels).put(mesh::set_labels))
        .route("/v1/contacts", get(contacts::list).post(contacts::add))
        .route("/v1/contacts/{name}", put(contacts::change).delete(contacts::remove))
        .route("/v1/invites", post(contacts::create_invite))
        .route("/v1/invites/accept", post(contacts::accept_invite))
        .route("/v1/messages", get(messages::list).post(messages::send))
        .route("/v1/messages/batch", post(messages::send_batch))
        .route("/v1/messages/{id}", get(messages::detail).delete(messages::cancel))
        .route("/v1/messages/{id}/retry", post(messages::retry))
        .route("/v1/inbox", get(inbox::page))
        .route("/v1/inbox/ack", post(inbox::acknowledge))
        .route("/v1/inbox/{id}", get(inbox::arrival))
        .route("/v1/stream", get(stream::open))
        .route("/v1/doctor", get(doctor::report))
}
