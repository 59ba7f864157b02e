//! What crosses a link: frames, and the parcels that fragments of frames carry. docs/spec/wire.md.
//!
//! Every decoder here takes what a stranger may have written. Lengths and repetition counts are checked before
//! anything is allocated for them, the sizes that fixed fields must have while they are read, and nothing
//! recurses.

mod control;
mod frame;
mod invite;
mod limits;
mod parcel;
mod path;
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic, reason = "generated")]
mod proto;
mod routing;

pub use control::{Control, FlowStatement, Receipt, RecordedRoute, decode_controls, encode_controls};
pub(crate) use frame::Encoded;
pub use frame::{Bye, Decoded, Fragment, Frame, FrameDecoder, FrameError, Hello, RefusedReason, frame_bytes};
pub use invite::{InviteText, decode_introduction, encode_introduction};
pub use parcel::{
    Clear, Content, Inner, MessageContent, Parcel, ParcelError, PartOf, Passage, Suite, asks_for_route, decode_content,
    encode_content,
};
pub use path::Path;
pub use routing::{
    MAX_INDICES, MAX_UPDATES, MAX_WANTED, Named, RouteUpdate, Routing, SeqRequest, UNREACHABLE, Version,
};

/// The protocol version this crate speaks.
pub const VERSION: u32 = 1;
/// The largest frame, its header included, in bytes.
pub const MAX_FRAME_BYTES: usize = 16 * 1024;
/// The bytes of a frame before its body.
pub const FRAME_HEADER_BYTES: usize = 4;
/// The largest body of a sealed parcel, in bytes.
pub const MAX_BODY_BYTES: usize = 64 * 1024;
/// The largest encoded parcel, its headers included, in bytes.
pub const MAX_PARCEL_BYTES: usize = MAX_BODY_BYTES + 4 * 1024;
/// The most intervals in a parcel's list of seqs.
pub const MAX_PARCEL_INTERVALS: usize = 64;
/// The most seqs from the lowest to the highest of a parcel, both included.
pub const MAX_PARCEL_SPAN: u64 = 1024;
/// The most intervals in a set of a receipt or flow statement.
pub const MAX_FLOW_INTERVALS: usize = 1024;
/// The most parts of a message.
pub const MAX_PARTS: u32 = 64;
/// The most predecessors a message names: one for each class.
pub const MAX_PREDECESSORS: usize = 5;
/// The most recorded routes in a receipt.
pub const MAX_RECORDED: usize = 8;
/// The most links a parcel may cross.
pub const MAX_HOPS: u32 = 32;

#[cfg(test)]
mod tests;
