//! Who may call: the checks before every request, WebSocket upgrades included.
//!
//! A web page can make any name resolve to this machine and so send requests here; it cannot choose the `Host` and
//! `Origin` headers its browser sends with them. So the name asked for must be one of ours, and the page must come
//! from one of ours.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST, ORIGIN, TRANSFER_ENCODING};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::token::Token;
use crate::types::{Code, Problem};

/// Paths that need no token: they say nothing but that a node is here.
const OPEN_PATHS: [&str; 2] = ["/healthz", "/readyz"];

/// How a request came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    /// Loopback TCP: any user of the machine, and any web page.
    Tcp,
    /// The Unix socket: its owner, as the socket's file mode and the peer's user id say.
    Unix,
}

/// What is checked against.
#[derive(Debug)]
pub(super) struct Guard {
    token: Token,
    /// `name:port`, in lower case.
    hosts: Vec<String>,
    origins: Vec<String>,
}

impl Guard {
    pub(super) fn new(token: Token, address: Option<SocketAddr>, allowed: Vec<String>) -> Self {
        let hosts: Vec<String> = address.map(own_hosts).unwrap_or_default();
        let own = hosts.iter().map(|host| format!("http://{host}"));
        let origins = own.chain(allowed).collect();
        Self { token, hosts, origins }
    }

    fn check(&self, request: &Request) -> Result<(), Problem> {
        let transport = request.extensions().get::<Transport>().copied();
        self.check_host(request, transport)?;
        self.check_origin(request.headers())?;
        if transport != Some(Transport::Unix) && !OPEN_PATHS.contains(&request.uri().path()) {
            self.check_token(request.headers())?;
        }
        check_content_type(request)
    }

    fn check_host(&self, request: &Request, transport: Option<Transport>) -> Result<(), Problem> {
        let refused = |detail: String| Problem::new(Code::HostRefused, detail);
        let host = only(request.headers(), &HOST)
            .map_err(|()| refused("more than one Host header".to_owned()))?
            .ok_or_else(|| refused("the Host header is missing".to_owned()))?;
        let target = request.uri().authority().map(Authority::as_str);
        for name in std::iter::once(host).chain(target) {
            let known = match transport {
                Some(Transport::Unix) => name.eq_ignore_ascii_case("localhost"),
                Some(Transport::Tcp) | None => self.hosts.iter().any(|own| name.eq_ignore_ascii_case(own)),
            };
            if !known {
                return Err(refused(format!("the host {name:?} is not this node")));
            }
        }
        Ok(())
    }

    fn check_origin(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let refused = |detail: String| Problem::new(Code::OriginRefused, detail);
        match only(headers, &ORIGIN) {
            Ok(None) => Ok(()),
            Ok(Some(origin)) if self.origins.iter().any(|own| own == origin) => Ok(()),
            Ok(Some(origin)) => Err(refused(format!("the origin {origin:?} may not call this node"))),
            Err(()) => Err(refused("more than one Origin header".to_owned())),
        }
    }

    fn check_token(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let refused = |detail: &str| Problem::new(Code::Unauthorized, detail);
        let value = only(headers, &AUTHORIZATION)
            .map_err(|()| refused("more than one Authorization header"))?
            .ok_or_else(|| refused("the token is missing"))?;
        let offered = value
            .split_once(' ')
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| token.trim())
            .ok_or_else(|| refused("expected an Authorization header of the form `Bearer TOKEN`"))?;
        if self.token.is(offered.as_bytes()) { Ok(()) } else { Err(refused("the token is wrong")) }
    }
}

/// Mutations carry JSON or octets: what a page can send without asking first (forms, plain text) is neither.
fn check_content_type(request: &Request) -> Result<(), Problem> {
    if matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        return Ok(());
    }
    let refused = |detail: String| Problem::new(Code::UnsupportedMediaType, detail);
    let headers = request.headers();
    let content_type =
        only(headers, &CONTENT_TYPE).map_err(|()| refused("more than one Content-Type header".to_owned()))?;
    match content_type.map(essence) {
        Some(essence) if is_json(essence) || essence == "application/octet-stream" => Ok(()),
        Some(essence) => Err(refused(format!("the content type {essence:?} is not taken"))),
        None if has_body(headers) => Err(refused("the content type is missing".to_owned())),
        None => Ok(()),
    }
}

fn has_body(headers: &HeaderMap) -> bool {
    let length = headers.get(CONTENT_LENGTH);
    headers.contains_key(TRANSFER_ENCODING) || length.is_some_and(|length| length != "0")
}

/// The type without its parameters.
pub(super) fn essence(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or_default().trim()
}

pub(super) fn is_json(essence: &str) -> bool {
    essence.eq_ignore_ascii_case("application/json")
}

/// The header's value if it is there once and is text; `Err` if it is there more than once or is not.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, ()> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(|_| ()),
        (Some(_), Some(_)) => Err(()),
    }
}

/// What callers on this machine write for the address.
fn own_hosts(address: SocketAddr) -> Vec<String> {
    let port = address.port();
    let mut hosts =
        vec![format!("127.0.0.1:{port}"), format!("localhost:{port}"), format!("[::1]:{port}"), address.to_string()];
    hosts.sort();
    hosts.dedup();
    hosts
}

/// Stands before the router.
pub(super) async fn check(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    match guard.check(&request) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}
