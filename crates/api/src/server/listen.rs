//! Listeners and accept loops.
//!
//! A loop outlives everything a caller can do to it: when the machine runs out of descriptors it pauses and goes
//! on, and each listener has its own limit of connections, so that whoever fills the TCP one cannot shut out the
//! Unix socket.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tower::ServiceExt;

use super::guard::Transport;
use super::{STOP_TIMEOUT, ServeError, Stop, files, remove};
use crate::directory;

/// The most connections of one listener; what comes beyond waits in the kernel's queue. 256 × 2 MiB of body bound
/// the memory of one listener by 512 MiB when every caller knows the token, by little without.
const MAX_CONNECTIONS: usize = 256;
/// How long a caller may take to send the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// The pause after an accept failed for want of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(250);
/// How many ports after the wanted one are tried.
const PORTS_TRIED: u16 = 100;
/// The longest path of a Unix socket in bytes, the least that Linux (107) and the BSDs (103) take.
const MAX_SOCKET_PATH_BYTES: usize = 103;
/// Remembers which port was chosen instead of the wanted one: `WANTED CHOSEN`.
const KEPT_PORT: &str = "api.port";

/// Why TCP cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TcpError {
    /// Other machines could reach it.
    #[error("{0} is not a loopback address; use 127.0.0.1:PORT, and ssh or a reverse proxy to reach it from elsewhere")]
    NotLoopback(SocketAddr),
    /// No port is free.
    #[error(
        "{wanted} cannot be listened on, nor the {PORTS_TRIED} ports after it: {source}; choose another with --api"
    )]
    Busy {
        /// The wanted address.
        wanted: SocketAddr,
        /// What the last attempt gave.
        source: io::Error,
    },
    /// The chosen port cannot be kept.
    #[error("{} cannot be written: {source}", path.display())]
    Kept {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Listens on the wanted address, the port kept from an earlier start, or the next free one, which is then kept.
pub(super) async fn bind_tcp(wanted: SocketAddr, directory: &Path) -> Result<(TcpListener, SocketAddr), TcpError> {
    if !wanted.ip().is_loopback() {
        return Err(TcpError::NotLoopback(wanted));
    }
    let path = directory.join(KEPT_PORT);
    let kept = std::fs::read_to_string(&path).ok();
    let kept = kept.as_deref().and_then(|text| kept_port(text, wanted));
    let next = (0..=PORTS_TRIED).filter_map(|n| match wanted.port() {
        0 => (n == 0).then_some(0),
        port => port.checked_add(n),
    });
    let mut failure = io::Error::from(io::ErrorKind::AddrInUse);
    for port in kept.into_iter().chain(next) {
        match TcpListener::bind((wanted.ip(), port)).await {
            Ok(listener) => {
                let address = match listener.local_addr() {
                    Ok(address) => address,
                    Err(source) => return Err(TcpError::Busy { wanted, source }),
                };
                if address != wanted && kept != Some(address.port()) {
                    let line = format!("{wanted} {}\n", address.port());
                    files::replace(&path, line.as_bytes()).map_err(|source| TcpError::Kept { path, source })?;
                }
                return Ok((listener, address));
            }
            Err(error) => failure = error,
        }
    }
    Err(TcpError::Busy { wanted, source: failure })
}

fn kept_port(text: &str, wanted: SocketAddr) -> Option<u16> {
    let (for_address, port) = text.trim_end().split_once(' ')?;
    (for_address.parse() == Ok(wanted)).then(|| port.parse().ok())?
}

/// The socket's files; removed when dropped.
#[derive(Debug)]
pub(super) struct UnixSocket {
    path: PathBuf,
    record: Option<PathBuf>,
}

impl Drop for UnixSocket {
    fn drop(&mut self) {
        remove(&self.path);
        if let Some(record) = &self.record {
            remove(record);
        }
    }
}

/// Listens on the directory's socket; where its path is too long, in the runtime directory, recorded in `sock.addr`.
pub(super) fn bind_unix(directory: &Path) -> Result<(UnixListener, UnixSocket), ServeError> {
    let record = directory.join(directory::SOCKET_ADDRESS);
    let mut path = directory.join(directory::SOCKET);
    let moved = path.as_os_str().len() > MAX_SOCKET_PATH_BYTES;
    if moved {
        let unusable = |source| ServeError::Unix { path: directory.join(directory::SOCKET), source };
        path = short_path(directory).map_err(unusable)?;
    }
    let failed = |source| ServeError::Unix { path: path.clone(), source };
    remove(&path);
    let listener = UnixListener::bind(&path).map_err(failed)?;
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).map_err(failed)?;
    if moved {
        let line = format!("{}\n", path.display());
        files::replace(&record, line.as_bytes()).map_err(failed)?;
    } else {
        remove(&record);
    }
    let socket = UnixSocket { path, record: moved.then_some(record) };
    Ok((listener, socket))
}

/// A path in a directory of this user's own, named after the node's directory.
fn short_path(directory: &Path) -> io::Result<PathBuf> {
    let directory = directory.canonicalize()?;
    let own = match std::env::var_os("XDG_RUNTIME_DIR") {
        Some(runtime) => PathBuf::from(runtime),
        None => {
            let uid = rustix::process::geteuid().as_raw();
            let own = std::env::temp_dir().join(format!("tidings-{uid}"));
            match std::fs::DirBuilder::new().mode(0o700).create(&own) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                Ok(()) | Err(_) => {}
            }
            let metadata = std::fs::symlink_metadata(&own)?;
            if !metadata.is_dir() || metadata.uid() != uid || metadata.mode() & 0o077 != 0 {
                return Err(io::Error::other(format!("{} is not this user's alone", own.display())));
            }
            own
        }
    };
    let inode = std::fs::metadata(&directory)?;
    let name = format!("tidings-{:x}-{:x}.sock", inode.dev(), inode.ino());
    Ok(own.join(name))
}

/// What a loop takes connections from.
pub(super) trait Listener: Send + 'static {
    /// How requests on its connections come in.
    const TRANSPORT: Transport;
    /// A connection.
    type Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static;
    /// Waits for one.
    fn accept(&self) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

impl Listener for UnixListener {
    const TRANSPORT: Transport = Transport::Unix;
    type Stream = UnixStream;

    async fn accept(&self) -> io::Result<UnixStream> {
        let own = rustix::process::geteuid().as_raw();
        loop {
            let (stream, _) = Self::accept(self).await?;
            match stream.peer_cred() {
                Ok(peer) if peer.uid() == own || peer.uid() == 0 => return Ok(stream),
                Ok(peer) => tracing::warn!(uid = peer.uid(), "another user at the socket"),
                Err(error) => tracing::warn!(%error, "a caller at the socket cannot be named"),
            }
        }
    }
}

impl Listener for TcpListener {
    const TRANSPORT: Transport = Transport::Tcp;
    type Stream = TcpStream;

    async fn accept(&self) -> io::Result<TcpStream> {
        let (stream, _) = Self::accept(self).await?;
        // Answers are written whole; without this the last bytes wait for the caller's acknowledgement.
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

/// Serves a listener until `stop`.
pub(super) async fn serve<L: Listener>(listener: L, router: Router, mut stop: Stop) {
    let free = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let admitted = async {
            let permit = Arc::clone(&free).acquire_owned().await;
            (permit, listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            () = stop.begun() => break,
            admitted = admitted => admitted,
        };
        match accepted {
            Ok(stream) => {
                let connection = connection(stream, router.clone(), L::TRANSPORT, stop.clone());
                connections.spawn(async move {
                    connection.await;
                    drop(permit);
                });
            }
            Err(error) if is_the_callers(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "no connection can be accepted; trying again");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    let ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(STOP_TIMEOUT, ended).await.is_err() {
        connections.shutdown().await;
    }
}

/// Whether only the connection that was to be accepted failed.
fn is_the_callers(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::InvalidInput
    )
}

async fn connection<S>(stream: S, router: Router, transport: Transport, mut stop: Stop)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(transport);
        router.clone().oneshot(request.map(Body::new))
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.begun() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke");
    }
}
