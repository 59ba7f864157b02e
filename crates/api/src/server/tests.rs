//! What web pages, strangers and broken callers can do to the interface: nothing. Over real sockets.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::ws::WebSocketUpgrade;
use axum::routing::{get, post};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;

use super::extract::Json;
use super::guard::Guard;
use super::token::Token;
use super::{Stop, listen, router};
use crate::types::{Problem, SendRequest};

/// The interface with its checks, in front of three paths that need no node.
struct Served {
    address: SocketAddr,
    token: String,
    directory: tempfile::TempDir,
    stop: watch::Sender<bool>,
}

async fn served() -> Served {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("token");
    let token = Token::open(&path).unwrap();
    let text = std::fs::read_to_string(&path).unwrap().trim().to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let routes = Router::new()
        .route("/healthz", get(async || "alive\n"))
        .route("/v1/node", get(async || "a node"))
        .route("/v1/messages", post(async |Json(request): Json<SendRequest>| request.to))
        .route("/v1/stream", get(async |upgrade: WebSocketUpgrade| upgrade.on_upgrade(async |_| {})));
    let allowed = vec!["https://app.example".to_owned()];
    let guard = Guard::new(token, Some(address), allowed);
    let router = router::guarded(routes, Arc::new(guard));
    let (stop, stopping) = watch::channel(false);
    let stopping = Stop(stopping);
    let (unix, socket) = listen::bind_unix(directory.path()).unwrap();
    let unix_router = router.clone();
    let unix_stopping = stopping.clone();
    tokio::spawn(async move {
        listen::serve(unix, unix_router, unix_stopping).await;
        drop(socket);
    });
    tokio::spawn(listen::serve(listener, router, stopping));
    Served { address, token: text, directory, stop }
}

impl Served {
    /// Sends a request with these header lines, and returns the head and the body of the answer.
    async fn request(&self, line: &str, headers: &[String], body: &[u8]) -> (u16, String) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        exchange(&mut stream, line, headers, body).await
    }

    fn host(&self) -> String {
        format!("Host: {}", self.address)
    }

    fn bearer(&self) -> String {
        format!("Authorization: Bearer {}", self.token)
    }

    async fn problem(&self, line: &str, headers: &[String], body: &[u8]) -> (u16, String) {
        let (status, answer) = self.request(line, headers, body).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let head = head.to_ascii_lowercase();
        assert!(head.contains("content-type: application/problem+json"), "{head}");
        let problem: Problem = serde_json::from_str(body).unwrap();
        assert_eq!(problem.status, status);
        assert_eq!(problem.code.status(), status);
        (status, problem.code.name().to_owned())
    }
}

async fn exchange(
    stream: &mut (impl AsyncReadExt + AsyncWriteExt + Unpin),
    line: &str,
    headers: &[String],
    body: &[u8],
) -> (u16, String) {
    let mut request = format!("{line} HTTP/1.1\r\nConnection: close\r\n");
    for header in headers {
        request.push_str(header);
        request.push_str("\r\n");
    }
    if !body.is_empty() {
        request.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    request.push_str("\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    // The server may answer and close before it has read all of a body that it refuses.
    let _ = stream.write_all(body).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8(answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap_or_default().parse();
    (status.unwrap_or_default(), answer)
}

fn json() -> String {
    "Content-Type: application/json".to_owned()
}

#[tokio::test]
async fn a_caller_with_the_token_is_served_under_each_name_of_this_machine() {
    let served = served().await;
    let port = served.address.port();
    for name in ["127.0.0.1", "localhost", "LocalHost", "[::1]"] {
        let host = format!("Host: {name}:{port}");
        let (status, _) = served.request("GET /v1/node", &[host, served.bearer()], b"").await;
        assert_eq!(status, 200, "{name}");
    }
}

#[tokio::test]
async fn a_name_that_was_made_to_resolve_here_is_refused() {
    let served = served().await;
    let port = served.address.port();
    let hosts = [
        format!("Host: evil.example:{port}"),
        "Host: evil.example".to_owned(),
        "Host: localhost".to_owned(),
        format!("Host: localhost:{}", port.wrapping_add(1)),
        format!("Host: 127.0.0.1.evil.example:{port}"),
        format!("Host: evil.example@127.0.0.1:{port}"),
        "Host:".to_owned(),
    ];
    for host in hosts {
        for path in ["/v1/node", "/healthz", "/nowhere"] {
            let headers = [host.clone(), served.bearer()];
            let answer = served.problem(&format!("GET {path}"), &headers, b"").await;
            assert_eq!(answer, (421, "host_refused".to_owned()), "{host} {path}");
        }
    }
    let twice = [served.host(), "Host: evil.example".to_owned(), served.bearer()];
    let (status, _) = served.request("GET /v1/node", &twice, b"").await;
    assert!(status == 421 || status == 400, "{status}");
    let line = format!("GET http://evil.example:{port}/v1/node");
    let answer = served.problem(&line, &[served.host(), served.bearer()], b"").await;
    assert_eq!(answer, (421, "host_refused".to_owned()));
}

#[tokio::test]
async fn a_page_of_another_origin_is_refused_even_with_the_token() {
    let served = served().await;
    for origin in ["http://evil.example", "null", "http://127.0.0.1", "https://127.0.0.1", "https://app.example.evil"] {
        let origin = format!("Origin: {origin}");
        let headers = [served.host(), served.bearer(), origin.clone()];
        let answer = served.problem("GET /v1/node", &headers, b"").await;
        assert_eq!(answer, (403, "origin_refused".to_owned()), "{origin}");
    }
    let own = format!("Origin: http://{}", served.address);
    for origin in [own, "Origin: https://app.example".to_owned()] {
        let headers = [served.host(), served.bearer(), origin];
        let (status, _) = served.request("GET /v1/node", &headers, b"").await;
        assert_eq!(status, 200);
    }
}

#[tokio::test]
async fn a_missing_short_long_or_wrong_token_is_refused() {
    let served = served().await;
    let mut wrong = served.token.clone();
    let last = if wrong.ends_with('0') { "1" } else { "0" };
    wrong.replace_range(63.., last);
    let offers = [
        String::new(),
        "Authorization: Bearer ".to_owned(),
        format!("Authorization: Bearer {}", &served.token[..63]),
        format!("Authorization: Bearer {}0", served.token),
        format!("Authorization: Bearer {wrong}"),
        format!("Authorization: Basic {}", served.token),
        format!("Authorization: {}", served.token),
    ];
    for offer in offers {
        let mut headers = vec![served.host()];
        headers.extend((!offer.is_empty()).then_some(offer.clone()));
        for path in ["/v1/node", "/v1/stream", "/nowhere", "/healthz/../v1/node"] {
            let answer = served.problem(&format!("GET {path}"), &headers, b"").await;
            assert_eq!(answer, (401, "unauthorized".to_owned()), "{offer} {path}");
        }
    }
    let (status, _) = served.request("GET /healthz", &[served.host()], b"").await;
    assert_eq!(status, 200, "a supervisor needs no token");
}

#[tokio::test]
async fn what_a_page_can_send_without_asking_is_no_mutation() {
    let served = served().await;
    let body = br#"{"to":"bob","payload":"x"}"#;
    for content_type in [
        "Content-Type: text/plain",
        "Content-Type: text/plain; application/json",
        "Content-Type: application/x-www-form-urlencoded",
        "Content-Type: multipart/form-data; boundary=x",
        "Content-Type: application/octet-stream",
        "X-None: none",
    ] {
        let headers = [served.host(), served.bearer(), content_type.to_owned()];
        let answer = served.problem("POST /v1/messages", &headers, body).await;
        assert_eq!(answer, (415, "unsupported_media_type".to_owned()), "{content_type}");
    }
    let charset = "Content-Type: application/json; charset=utf-8".to_owned();
    let headers = [served.host(), served.bearer(), charset];
    let (status, answer) = served.request("POST /v1/messages", &headers, body).await;
    assert_eq!(status, 200, "{answer}");
}

#[tokio::test]
async fn an_oversized_or_malformed_body_is_refused() {
    let served = served().await;
    let headers = [served.host(), served.bearer(), json()];
    let mut body = br#"{"to":"bob","payload":""#.to_vec();
    body.resize((2 << 20) + 1, b'x');
    let answer = served.problem("POST /v1/messages", &headers, &body).await;
    assert_eq!(answer, (413, "too_large".to_owned()));
    for body in ["{", "[]", r#"{"to":"bob","payload":"x","surprise":1}"#] {
        let answer = served.problem("POST /v1/messages", &headers, body.as_bytes()).await;
        assert_eq!(answer, (400, "invalid_request".to_owned()), "{body}");
    }
}

#[tokio::test]
async fn an_unknown_path_or_method_is_a_problem_document() {
    let served = served().await;
    let headers = [served.host(), served.bearer()];
    for line in ["GET /nowhere", "DELETE /v1/node", "PATCH /v1/messages"] {
        let answer = served.problem(line, &headers, b"").await;
        assert_eq!(answer, (404, "not_found".to_owned()), "{line}");
    }
}

#[tokio::test]
async fn a_web_socket_opens_only_for_its_own_origin_with_the_token() {
    let served = served().await;
    let upgrade = [
        "Upgrade: websocket".to_owned(),
        "Connection: Upgrade".to_owned(),
        "Sec-WebSocket-Version: 13".to_owned(),
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==".to_owned(),
    ];
    let open = async |extra: &[String]| {
        let mut headers = vec![served.host()];
        headers.extend_from_slice(&upgrade);
        headers.extend_from_slice(extra);
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        let request = format!("GET /v1/stream HTTP/1.1\r\n{}\r\n\r\n", headers.join("\r\n"));
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = [0; 12];
        stream.read_exact(&mut head).await.unwrap();
        String::from_utf8_lossy(&head[9..]).into_owned()
    };
    let foreign = "Origin: http://evil.example".to_owned();
    let own = format!("Origin: http://{}", served.address);
    assert_eq!(open(&[served.bearer(), foreign]).await, "403");
    assert_eq!(open(std::slice::from_ref(&own)).await, "401");
    assert_eq!(open(&[served.bearer(), own]).await, "101");
    assert_eq!(open(&[served.bearer()]).await, "101");
}

#[tokio::test]
async fn the_unix_socket_needs_no_token_and_still_refuses_pages() {
    let served = served().await;
    let path = crate::directory::socket_path(served.directory.path()).unwrap();
    let call = async |headers: &[String]| {
        let mut stream = UnixStream::connect(&path).await.unwrap();
        exchange(&mut stream, "GET /v1/node", headers, b"").await.0
    };
    let host = "Host: localhost".to_owned();
    assert_eq!(call(std::slice::from_ref(&host)).await, 200);
    assert_eq!(call(&["Host: evil.example".to_owned()]).await, 421);
    assert_eq!(call(&[host, "Origin: http://evil.example".to_owned()]).await, 403);
}

#[tokio::test]
async fn a_stopped_server_closes_its_listeners_and_removes_its_socket() {
    let served = served().await;
    let path = crate::directory::socket_path(served.directory.path()).unwrap();
    assert!(path.exists());
    let idle = TcpStream::connect(served.address).await.unwrap();
    served.stop.send_replace(true);
    tokio::time::timeout(std::time::Duration::from_secs(20), async {
        while path.exists() || TcpStream::connect(served.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the server stops");
    drop(idle);
}

#[tokio::test]
async fn the_socket_of_a_deep_directory_is_recorded() {
    let directory = tempfile::tempdir().unwrap();
    let deep = directory.path().join("d".repeat(90)).join("e".repeat(90));
    std::fs::create_dir_all(&deep).unwrap();
    let (listener, socket) = listen::bind_unix(&deep).unwrap();
    let path = crate::directory::socket_path(&deep).unwrap();
    assert!(path.as_os_str().len() < 104, "{}", path.display());
    UnixStream::connect(&path).await.unwrap();
    drop((listener, socket));
    assert!(!path.exists() && !deep.join("sock.addr").exists());
}

#[tokio::test]
async fn a_busy_port_gives_way_to_the_next_free_one_which_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let blocker = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let wanted = blocker.local_addr().unwrap();
    let (listener, chosen) = listen::bind_tcp(wanted, directory.path()).await.unwrap();
    assert!(chosen.port() > wanted.port());
    drop((blocker, listener));
    let (_listener, again) = listen::bind_tcp(wanted, directory.path()).await.unwrap();
    assert_eq!(again, chosen);
    let open: SocketAddr = "0.0.0.0:0".parse().unwrap();
    let error = listen::bind_tcp(open, directory.path()).await.unwrap_err();
    assert!(matches!(error, listen::TcpError::NotLoopback(_)), "{error}");
}
