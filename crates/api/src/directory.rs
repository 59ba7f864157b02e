//! The files of a node's directory that other programs find the node by.

use std::io;
use std::path::{Path, PathBuf};

/// The token that TCP callers send, mode 0600.
pub const TOKEN: &str = "token";
/// The `host:port` of the HTTP interface while a node runs.
pub const API_ADDRESS: &str = "api.addr";
/// The Unix socket, mode 0600.
pub const SOCKET: &str = "tidings.sock";
/// Where the Unix socket is, if the directory's path is too long for one.
pub const SOCKET_ADDRESS: &str = "sock.addr";

/// Returns where the Unix socket of a running node is.
///
/// # Errors
///
/// Where `sock.addr` exists and cannot be read.
pub fn socket_path(directory: &Path) -> io::Result<PathBuf> {
    match std::fs::read_to_string(directory.join(SOCKET_ADDRESS)) {
        Ok(path) => Ok(PathBuf::from(path.trim_end())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(directory.join(SOCKET)),
        Err(error) => Err(error),
    }
}
