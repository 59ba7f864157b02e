//! Typed calls to a node on this machine, over its Unix socket.
//!
//! ```no_run
//! # async fn example() -> Result<(), tidings_api::client::ClientError> {
//! use tidings_api::client::Client;
//! use tidings_api::types::SendRequest;
//!
//! let client = Client::connect("/var/lib/tidings".as_ref()).await?;
//! let accepted = client.send(&SendRequest::new("bob", b"hello"), "a-key-of-mine").await?;
//! println!("{}", accepted.id);
//! # Ok(())
//! # }
//! ```

mod calls;
mod path;
mod stream;
mod transport;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::directory;
use crate::types::{Exit, Problem};

pub use stream::Stream;

/// What a call may take beyond the time that it asks the node to wait.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// A connection to the node that runs in a directory. Calls at the same time open a connection each.
#[derive(Debug)]
pub struct Client {
    directory: PathBuf,
    transport: transport::Transport,
}

impl Client {
    /// Connects to the node that runs in `directory`.
    ///
    /// # Errors
    ///
    /// [`ClientError::NoNode`] where none does.
    ///
    /// # Cancel safety
    ///
    /// Has no effect but the connection.
    pub async fn connect(directory: &Path) -> Result<Self, ClientError> {
        let no_node = || ClientError::NoNode { directory: directory.to_owned() };
        let socket = directory::socket_path(directory).map_err(ClientError::Connection)?;
        let transport = transport::Transport::connect(socket).await.map_err(|error| {
            let nobody = [io::ErrorKind::NotFound, io::ErrorKind::ConnectionRefused];
            if nobody.contains(&error.kind()) { no_node() } else { ClientError::Connection(error) }
        })?;
        Ok(Self { directory: directory.to_owned(), transport })
    }

    /// Returns the directory of the node.
    pub fn directory(&self) -> &Path {
        &self.directory
    }
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// Nothing listens.
    #[error("no node runs in {}", directory.display())]
    NoNode {
        /// Where one was looked for.
        directory: PathBuf,
    },
    /// The connection broke, or could not be made.
    #[error("the connection to the node failed: {0}")]
    Connection(#[source] io::Error),
    /// The node did not answer in time.
    #[error("the node did not answer within {} seconds", .0.as_secs())]
    Silent(Duration),
    /// The node answered something that this version cannot read.
    #[error("the node's answer cannot be read: {0}")]
    Answer(String),
    /// The node refused.
    #[error("{0}")]
    Refused(Box<Problem>),
}

impl ClientError {
    /// Returns the exit code of a command that fails with it.
    pub fn exit(&self) -> Exit {
        match self {
            Self::NoNode { .. } => Exit::NoNode,
            Self::Connection(_) | Self::Silent(_) | Self::Answer(_) => Exit::Other,
            Self::Refused(problem) => problem.code.exit(),
        }
    }

    /// Returns what to do about it: a clause that follows the sentence of what happened.
    pub fn remedy(&self) -> &str {
        match self {
            Self::NoNode { .. } => "start one with `tidings run`",
            Self::Connection(_) => "see whether the node still runs with `tidings status`",
            Self::Silent(_) => "run `tidings doctor`",
            Self::Answer(_) => "use the same version of `tidings` as the node",
            Self::Refused(problem) => &problem.remedy,
        }
    }
}

impl From<Problem> for ClientError {
    fn from(problem: Problem) -> Self {
        Self::Refused(Box::new(problem))
    }
}
