//! The store: the engine's records in one encrypted SQLite database, with one thread and one connection.
//!
//! [`Home`] is the directory of a node: its lock, its identity, the key of its database. [`Store`] applies
//! batches of [`Record`](tidings_core::record::Record)s atomically and answers questions. [`Worker`] runs it on a
//! thread of its own and commits what has queued up together. The schema and what it costs are in
//! docs/spec/storage.md.

mod apply;
mod ballast;
mod codec;
mod exit;
mod home;
mod load;
mod private;
mod read;
mod room;
mod schema;
mod snapshot;
mod store;
mod worker;

pub use home::{Home, HomeError, Key};
pub use private::Exposure;
pub use read::{Arrival, ChangePage, MessageFilter, MessagePage, Place, StoredChange, StoredMessage, TimelineEntry};
pub use store::{OpenError, Store, StoreError};
pub use worker::{Reader, Worker, WorkerHandle, WorkerReply};
