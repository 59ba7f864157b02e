//! How other programs reach a Tidings node: HTTP, WebSocket, and the words both ends share.
//!
//! * [`types`]: what travels, as plain serde structs, and [`Code`](types::Code), the one list of everything that
//!   can go wrong. Always built, as is [`directory`], the names of the files that a node is found by.
//! * `server` (feature `server`): axum over loopback TCP and a Unix socket, in front of a `tidings::Node`.
//! * `client` (feature `client`): typed calls over the Unix socket.
//!
//! An application that links the library needs none of this: a phone build leaves both features out and never
//! compiles axum. `openapi.json` at the repository's root is generated from this crate.

#[cfg(feature = "client")]
pub mod client;
pub mod directory;
#[cfg(feature = "server")]
pub mod server;
pub mod types;

#[cfg(feature = "server")]
pub use server::openapi_json;
