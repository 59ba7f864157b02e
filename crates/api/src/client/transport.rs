//! HTTP/1.1 over a Unix socket: one kept connection, more where calls overlap.

use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Method, Request, Response, body::Incoming};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use super::{CALL_TIMEOUT, ClientError};
use crate::types::Problem;

type Connection = SendRequest<Full<Bytes>>;

/// Carries requests to one socket.
#[derive(Debug)]
pub(super) struct Transport {
    socket: PathBuf,
    idle: Mutex<Option<Connection>>,
}

/// A request, but for its body.
pub(super) struct Call<'a> {
    pub(super) method: Method,
    pub(super) path: &'a str,
    pub(super) idempotency_key: Option<&'a str>,
    /// What the node is asked to wait.
    pub(super) wait: Duration,
}

impl Transport {
    pub(super) async fn connect(socket: PathBuf) -> io::Result<Self> {
        let connection = open(&socket).await?;
        Ok(Self { socket, idle: Mutex::new(Some(connection)) })
    }

    pub(super) fn socket(&self) -> &PathBuf {
        &self.socket
    }

    /// Sends a request with a JSON body, or none, and reads a JSON answer; an empty one reads as `null`.
    pub(super) async fn json<A: DeserializeOwned>(
        &self,
        call: Call<'_>,
        body: Option<&(impl Serialize + Sync)>,
    ) -> Result<A, ClientError> {
        let bytes = self.bytes(call, body).await?;
        let bytes: &[u8] = if bytes.is_empty() { b"null" } else { &bytes };
        serde_json::from_slice(bytes).map_err(|error| ClientError::Answer(error.to_string()))
    }

    /// Sends a request and returns the body of an answer of success.
    pub(super) async fn bytes(
        &self,
        call: Call<'_>,
        body: Option<&(impl Serialize + Sync)>,
    ) -> Result<Bytes, ClientError> {
        let limit = call.wait + CALL_TIMEOUT;
        let request = request(&call, body)?;
        tokio::time::timeout(limit, self.exchange(request)).await.map_err(|_| ClientError::Silent(limit))?
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Bytes, ClientError> {
        let mut connection = match self.ready().await {
            Some(connection) => connection,
            None => open(&self.socket).await.map_err(ClientError::Connection)?,
        };
        let response = connection.send_request(request).await.map_err(broken)?;
        let answer = read(response).await;
        self.put(connection);
        answer
    }

    /// The kept connection, if the node has not closed it.
    async fn ready(&self) -> Option<Connection> {
        let mut connection = self.take()?;
        connection.ready().await.ok()?;
        Some(connection)
    }

    fn take(&self) -> Option<Connection> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn put(&self, connection: Connection) {
        *self.idle.lock().unwrap_or_else(PoisonError::into_inner) = Some(connection);
    }
}

async fn open(socket: &PathBuf) -> io::Result<Connection> {
    let stream = UnixStream::connect(socket).await?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    // Ends with the connection; what goes wrong in it is told to the pending request.
    tokio::spawn(connection);
    Ok(sender)
}

fn request(call: &Call<'_>, body: Option<&impl Serialize>) -> Result<Request<Full<Bytes>>, ClientError> {
    let unwritable = |error: &dyn std::fmt::Display| ClientError::Answer(error.to_string());
    let mut builder = Request::builder()
        .method(call.method.clone())
        .uri(call.path)
        .header("host", "localhost")
        .header("accept", "application/json");
    if let Some(key) = call.idempotency_key {
        builder = builder.header("idempotency-key", key);
    }
    let bytes = match body {
        Some(body) => {
            builder = builder.header("content-type", "application/json");
            serde_json::to_vec(body).map_err(|error| unwritable(&error))?
        }
        None => Vec::new(),
    };
    builder.body(Full::new(bytes.into())).map_err(|error| unwritable(&error))
}

async fn read(response: Response<Incoming>) -> Result<Bytes, ClientError> {
    let status = response.status();
    let body = response.into_body().collect().await.map_err(broken)?.to_bytes();
    if status.is_success() {
        return Ok(body);
    }
    match serde_json::from_slice::<Problem>(&body) {
        Ok(problem) => Err(problem.into()),
        Err(_) => Err(ClientError::Answer(format!("status {status}"))),
    }
}

fn broken(error: hyper::Error) -> ClientError {
    ClientError::Connection(io::Error::other(error))
}
