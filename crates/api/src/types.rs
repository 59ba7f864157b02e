//! What travels between a node and the programs that use it.
//!
//! Times are RFC 3339 UTC with milliseconds, durations end in `_seconds`, sizes in `_bytes`. Peer ids are libp2p
//! text, message ids 26 base32 characters. What a request must not contain is refused, not ignored.

mod code;
mod contacts;
mod doctor;
mod inbox;
mod mesh;
mod messages;
mod node;
mod payload;
mod peers;
mod problem;
mod stream;
mod timestamp;

pub use code::{Code, Exit};
pub use contacts::{AcceptInvite, Contact, ContactChange, ContactList, CreateInvite, Invite, Joined, NewContact};
pub use doctor::{Check, Report, Verdict};
pub use inbox::{Acknowledge, Acknowledged, Arrival, InboxPage, InboxQuery, ReceivedMessage};
pub use mesh::{
    Hotspot, Labels, Latency, Network, PeerQuery, PeerRoute, Route, RouteList, Topology, TopologyChange, TopologyKind,
    TopologyNode,
};
pub use messages::{
    Accepted, BatchRequest, BatchResults, ListQuery, MessageDetail, MessagePage, MessageSummary, PathNode, Retried,
    SendRequest, SendResult, State, TimelineEntry, WaitQuery, WaitState,
};
pub use node::{Counters, NodeInfo, NodeState};
pub use payload::{Payload, PayloadError};
pub use peers::{DialRequest, Dialled, Direction, Link, Peer, PeerList};
#[cfg(feature = "server")]
pub(crate) use problem::MEDIA_TYPE;
pub use problem::Problem;
pub use stream::{Answer, AnswerError, Event, EventKind, Operation, Push, Request, RouteChange};
pub use timestamp::{Timestamp, TimestampError};
