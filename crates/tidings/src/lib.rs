//! Messages between devices without a server in the middle: the Tidings node as a library.
//!
//! A [`Node`] finds other nodes, keeps links to them, and carries end-to-end encrypted messages that survive
//! crashes at both ends. When [`Node::send`] returns, the message is on this device's disk; when its
//! [`MessageHandle`] says [`MessageState::Delivered`], it is on the recipient's, where it is shown until the
//! application there acknowledges it.
//!
//! ```no_run
//! # async fn example(peer: tidings::PeerId) -> Result<(), Box<dyn std::error::Error>> {
//! use futures::StreamExt;
//! use tidings::{Message, MessageState, Node};
//!
//! let node = Node::builder().dir("/var/lib/tidings").start().await?;
//! let handle = node.send(Message::to(peer).text("hello")).await?;
//! handle.wait(MessageState::Delivered).await?;
//!
//! let mut inbox = node.inbox();
//! while let Some(message) = inbox.next().await {

//!     println!("{}: {:?}", message.from, message.payload);
//!     node.acknowledge(vec![message.id]).await?;
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Layout
//!
//! [`Node`] is a cheap handle; behind it one *driver* task owns the protocol engine (`tidings-core`) and the
//! libp2p swarm, one thread owns the database, and two tasks per link move bytes. No type of libp2p is in the
//! public interface, and a node works when called from any Tokio runtime, since it brings its own.

mod clock;
pub mod config;
mod driver;
mod event;
mod idempotency;
mod inbox;
mod inspect;
mod invite;
mod labels;
mod link;
mod message;
mod network;
mod node;
mod ports;
mod resolve;
mod sent;
mod start;
mod status;

pub use config::Config;
pub use event::{Event, EventStream, RouteChange, StateChange};
pub use inbox::Inbox;
pub use inspect::{DatabaseFinding, Inspection, inspect};
pub use invite::InviteError;
pub use labels::{Labels, LabelsError, MAX_LABEL_BYTES, MAX_LABELS};
pub use message::{Message, MessageHandle};
pub use node::{CallError, DIAL_TIMEOUT, DialError, Dialled, Network, Node, RequestError, WaitError};
pub use resolve::{ResolveError, Resolved, ResolvedBy};
pub use sent::{Cursor, CursorError, MessageFilter, MessagePage, RecordedRoute, SentMessage};
pub use start::{Builder, StartError};
pub use status::{DhtFigures, NodeInfo, NodeState};

pub use tidings_core::class::{Class as Priority, ClassError as PriorityError};
pub use tidings_core::ids::{At, AtError, FlowId, LinkId, MessageId, MessageIdError, Seq};
pub use tidings_core::interval::IntervalSet;
pub use tidings_core::links::{Address, AddressError, LinkKind};
pub use tidings_core::message::{
    Accepted, Change, DEFAULT_LIFETIME, Ending, FailureCode, InboxMessage, MAX_HEADER_BYTES, MAX_HEADERS, MAX_LIFETIME,
    MAX_NAME_BYTES, MAX_PAYLOAD_BYTES, MessageState, OWN_KINDS, Refusal, Step,
};
pub use tidings_core::record::Contact;
pub use tidings_core::time::Wall;
pub use tidings_core::topology::{Graph, GraphNode, Hotspot, Kind as Topology, KindError as TopologyError, Metrics};
pub use tidings_core::trust::Evidence;
pub use tidings_core::view::{
    AnnouncedView, Counters, DeliveryView, LinkView, PeerView, ReceiptTimes, RouteView, TopologyView, View, Way,
};
pub use tidings_core::wire::Path;
pub use tidings_crypto::{
    KeyWrapper, PeerKey as PeerId, PeerKeyError as PeerIdError, PlainWrapper, Power, RoutingId, fingerprint,
    safety_number,
};
pub use tidings_store::Arrival;
