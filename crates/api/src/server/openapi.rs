//! The OpenAPI document, generated from the handlers and types.

use axum::http::header::CONTENT_TYPE;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Content, OpenApi as Document, Ref, ResponseBuilder};
use utoipa::{Modify, OpenApi};

use super::{contacts, doctor, health, inbox, mesh, messages, metrics, node, peers, stream};
use crate::types::{MEDIA_TYPE, Problem, Push, Request};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Tidings",
        description = "The HTTP interface of a Tidings node, on loopback TCP and on a Unix socket. Failures are \
                       problem documents (RFC 9457) with a stable `code`. The WebSocket at `/v1/stream` speaks \
                       `Request` and `Push`.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    paths(
        contacts::accept_invite,
        contacts::add,
        contacts::change,
        contacts::create_invite,
        contacts::list,
        contacts::remove,
        doctor::report,
        document,
        health::alive,
        health::ready,
        inbox::acknowledge,
        inbox::arrival,
        inbox::page,
        mesh::labels,
        mesh::network,
        mesh::routes,
        mesh::set_labels,
        mesh::set_topology,
        mesh::topology,
        messages::cancel,
        messages::detail,
        messages::list,
        messages::retry,
        messages::send,
        messages::send_batch,
        metrics::metrics,
        node::info,
        node::pause,
        node::resume,
        node::shutdown,
        peers::close,
        peers::dial,
        peers::list,
        stream::open,
    ),
    components(schemas(Problem, Push, Request)),
    security(("token" = [])),
    modifiers(&Failures, &Token),
)]
struct Api;

/// Adds the problem document to every operation.
struct Failures;

impl Modify for Failures {
    fn modify(&self, document: &mut Document) {
        let problem = ResponseBuilder::new()
            .description("What went wrong.")
            .content(MEDIA_TYPE, Content::new(Some(Ref::from_schema_name("Problem"))))
            .build();
        for item in document.paths.paths.values_mut() {
            let operations: [&mut Option<Operation>; 4] =
                [&mut item.get, &mut item.post, &mut item.put, &mut item.delete];
            for operation in operations.into_iter().flatten() {
                let responses = &mut operation.responses.responses;
                responses.insert("default".to_owned(), problem.clone().into());
            }
        }
    }
}

/// Names the token.
struct Token;

impl Modify for Token {
    fn modify(&self, document: &mut Document) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some(
                "The content of the file `token` in the node's directory; not needed on the Unix socket.",
            ))
            .build();
        document.components.get_or_insert_default().add_security_scheme("token", SecurityScheme::Http(scheme));
    }
}

/// Returns the OpenAPI 3.1 document as JSON.
///
/// # Panics
///
/// Never: the document is a tree of strings.
pub fn openapi_json() -> String {
    let mut text = Api::openapi().to_pretty_json().expect("a tree of strings can be written");
    text.push('\n');
    text
}

/// This document.
#[utoipa::path(get, path = "/openapi.json", tag = "health",
    responses((status = 200, content_type = "application/json")))]
pub(super) async fn document() -> ([(axum::http::HeaderName, &'static str); 1], String) {
    ([(CONTENT_TYPE, "application/json")], openapi_json())
}
