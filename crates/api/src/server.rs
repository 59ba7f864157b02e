//! The HTTP interface of a node: loopback TCP with a token, and a Unix socket that its file mode protects.
//!
//! Every request passes, in this order: the limit of connections, the `Host` check, the `Origin` check, the token
//! (TCP only), the content type, the body limit. A web page can therefore do nothing here, whatever name it makes
//! resolve to this machine, and another user of the machine nothing either.

mod contacts;
mod doctor;
mod extract;
mod files;
mod guard;
mod health;
mod inbox;
mod listen;
mod mesh;
mod messages;
mod metrics;
mod node;
mod openapi;
mod peers;
mod problem;
mod router;
mod stream;
mod token;
mod view;

#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tidings::Node;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

pub use doctor::examine;
pub use listen::TcpError;
pub use openapi::openapi_json;
pub use token::TokenError;

use crate::directory;
use guard::Guard;
use listen::UnixSocket;
use token::Token;

/// The largest body of a request.
pub const MAX_BODY_BYTES: usize = 2 << 20;
/// The longest that a call waits for something to happen.
pub const MAX_WAIT: Duration = Duration::from_secs(60);
/// The most WebSockets at once: each may hold an operation of 2 MiB and what its reader has not taken.
const MAX_STREAMS: usize = 64;
/// How long open requests may take to end when the server stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(1);

/// How a node is served.
#[derive(Clone, Debug)]
pub struct Options {
    /// The node's directory, where token, addresses and socket are put.
    pub directory: PathBuf,
    /// Where to listen on TCP, or on the next free port; `None` leaves only the Unix socket.
    pub tcp: Option<SocketAddr>,
    /// Origins beside the server's own that browsers may call from.
    pub allow_origin: Vec<String>,
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    address: Option<SocketAddr>,
    directory: PathBuf,
    stop: watch::Sender<bool>,
    loops: JoinSet<()>,
    /// Removed when dropped.
    _socket: UnixSocket,
}

/// Why a node cannot be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// TCP.
    #[error(transparent)]
    Tcp(#[from] TcpError),
    /// The token.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The Unix socket.
    #[error("the socket {} cannot be opened: {source}", path.display())]
    Unix {
        /// Where it was to be.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file.
    #[error("{} cannot be written: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// What every handler sees.
struct Shared {
    node: Node,
    directory: PathBuf,
    shown: inbox::Shown,
    streams: Arc<Semaphore>,

    stop: Stop,
}

/// Tells that the server stops.
#[derive(Clone, Debug)]
struct Stop(watch::Receiver<bool>);

impl Stop {
    /// Returns once it does.
    async fn begun(&mut self) {
        // An error means that the server is gone.
        let _ = self.0.wait_for(|stopping| *stopping).await;
    }
}

type State = axum::extract::State<Arc<Shared>>;

impl Server {
    /// Opens the listeners and serves the node until [`Self::stop`].
    ///
    /// Writes `token` where there is none, then `api.addr`. The node must hold its directory: what an earlier node
    /// left there is replaced.
    ///
    /// # Errors
    ///
    /// [`ServeError`]; nothing is left behind.
    pub async fn start(node: Node, options: Options) -> Result<Self, ServeError> {
        let directory = options.directory;
        let (stop, stopping) = watch::channel(false);
        let stopping = Stop(stopping);
        let token = Token::open(&directory.join(directory::TOKEN))?;
        let tcp = match options.tcp {
            Some(wanted) => Some(listen::bind_tcp(wanted, &directory).await?),
            None => None,
        };
        let address = tcp.as_ref().map(|(_, address)| *address);
        let (unix, socket) = listen::bind_unix(&directory)?;
        let guard = Guard::new(token, address, options.allow_origin);
        let router = router::router(
            Arc::new(Shared {
                node,
                directory: directory.clone(),
                shown: inbox::Shown::default(),
                streams: Arc::new(Semaphore::new(MAX_STREAMS)),
                stop: stopping.clone(),
            }),
            Arc::new(guard),
        );
        let mut loops = JoinSet::new();
        loops.spawn(listen::serve(unix, router.clone(), stopping.clone()));
        if let Some((listener, address)) = tcp {
            loops.spawn(listen::serve(listener, router, stopping));
            let path = directory.join(directory::API_ADDRESS);
            files::replace(&path, format!("{address}\n").as_bytes())
                .map_err(|source| ServeError::File { path, source })?;
        }
        Ok(Self { address, directory, stop, loops, _socket: socket })
    }

    /// Returns where it listens on TCP.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Returns where its token stands.
    pub fn token_path(&self) -> PathBuf {
        self.directory.join(directory::TOKEN)
    }

    /// Ends open requests within a second, closes the listeners and removes `api.addr` and the socket.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        while self.loops.join_next().await.is_some() {}
        remove(&self.directory.join(directory::API_ADDRESS));
    }
}

/// Removes a file that may be gone already.
fn remove(path: &Path) {
    if let Err(error) = std::fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(path = %path.display(), %error, "a file cannot be removed");
    }
}
