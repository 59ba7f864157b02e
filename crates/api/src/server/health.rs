//! Alive and ready, for whoever supervises the node; without a token.

use tidings::NodeState;

use super::State;
use crate::types::{Code, Problem};

/// Answers while the program runs.
#[utoipa::path(get, path = "/healthz", tag = "health", security(()),
    responses((status = 200, body = String, content_type = "text/plain")))]
pub(super) async fn alive() -> &'static str {
    "alive\n"
}

/// Answers 200 once listeners are up and the store is loaded.
#[utoipa::path(get, path = "/readyz", tag = "health", security(()),
    responses((status = 200, body = String, content_type = "text/plain")))]
pub(super) async fn ready(state: State) -> Result<&'static str, Problem> {
    match state.node.info().await.state {
        NodeState::Active | NodeState::Degraded => Ok("ready\n"),
        NodeState::Starting => Err(Problem::new(Code::Starting, "the node is starting")),
        NodeState::Paused => Err(Problem::new(Code::Paused, "the node is paused")),
        NodeState::Stopping | NodeState::Stopped | _ => Err(Problem::new(Code::Stopping, "the node is stopping")),
    }
}
