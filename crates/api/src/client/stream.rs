//! The WebSocket at `/v1/stream`.

use std::io;

use futures::{SinkExt, StreamExt};
use tokio::net::UnixStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

use super::{Client, ClientError};
use crate::types::{Push, Request};

/// An open WebSocket.
#[derive(Debug)]
pub struct Stream {
    socket: WebSocketStream<UnixStream>,
}

impl Client {
    /// Opens the WebSocket at `/v1/stream`.
    ///
    /// # Errors
    ///
    /// [`ClientError::Connection`].
    pub async fn stream(&self) -> Result<Stream, ClientError> {
        let stream = UnixStream::connect(self.transport.socket()).await.map_err(ClientError::Connection)?;
        let (socket, _) = client_async("ws://localhost/v1/stream", stream).await.map_err(broken)?;
        Ok(Stream { socket })
    }
}

impl Stream {
    /// Says something to the node.
    ///
    /// # Errors
    ///
    /// [`ClientError::Connection`].
    ///
    /// # Cancel safety
    ///
    /// A dropped call may have been carried out.
    pub async fn say(&mut self, request: &Request) -> Result<(), ClientError> {
        let text = serde_json::to_string(request).map_err(|error| ClientError::Answer(error.to_string()))?;
        self.socket.send(Message::text(text)).await.map_err(broken)
    }

    /// Returns what the node says next, or `None` when it has closed the stream.
    ///
    /// # Errors
    ///
    /// [`ClientError::Connection`], [`ClientError::Answer`].
    ///
    /// # Cancel safety
    ///
    /// Loses nothing.
    pub async fn next(&mut self) -> Result<Option<Push>, ClientError> {
        while let Some(message) = self.socket.next().await {
            match message.map_err(broken)? {
                Message::Text(text) => {
                    return serde_json::from_str(&text)
                        .map(Some)
                        .map_err(|error| ClientError::Answer(error.to_string()));
                }
                Message::Close(_) => return Ok(None),
                Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
            }
        }
        Ok(None)
    }
}

fn broken(error: tokio_tungstenite::tungstenite::Error) -> ClientError {
    ClientError::Connection(io::Error::other(error))
}
