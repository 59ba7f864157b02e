//! The unit on a link: 2 bytes of length, a kind, flags, a body; docs/spec/wire.md §2.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tidings_crypto::PeerKey;

use super::limits::{FieldLimit, within};
use super::routing::{Routing, kind as routing_kind};
use super::{FRAME_HEADER_BYTES, MAX_FRAME_BYTES, MAX_PARCEL_BYTES, proto};
use crate::class::Class;
use crate::ids::ParcelId;
use crate::message::MAX_NAME_BYTES;

/// Frame kinds. Unknown kinds with the high bit set are skipped, others close the link.
mod kind {
    pub(super) const HELLO: u8 = 1;
    pub(super) const GOT: u8 = 2;
    pub(super) const BYE: u8 = 3;
    pub(super) const PROBE: u8 = 4;
    pub(super) const FRAGMENT: u8 = 5;
    pub(super) const REFUSED: u8 = 6;
    pub(super) const FIND_CARD: u8 = 7;
    pub(super) const CARD_FOUND: u8 = 8;
    pub(super) const SKIPPABLE: u8 = 0x80;
}

/// Flag: the reader answers with `Got` at once.
const FLAG_WANT_GOT: u8 = 1;

const MAX_VERSIONS: usize = 8;
const MAX_CAPABILITIES: usize = 16;
const MAX_CAPABILITY_BYTES: usize = 32;

/// Room for one of the frames of which there are most.
const SMALL_FRAME_BYTES: usize = 64;

/// A frame without its `want Got` flag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// Opens every link, in both directions.
    Hello(Hello),
    /// So many counted bytes have been read since the link opened.
    Got(u64),
    /// Nothing follows on this link.
    Bye(Bye),
    /// Asks for an answer, or is one.
    Probe {
        /// Repeated in the answer.
        nonce: u64,
        /// Whether this is the answer.
        answer: bool,
    },
    /// A piece of a parcel.
    Fragment(Fragment),
    /// A parcel comes back.
    Refused {
        /// Which.
        parcel: ParcelId,
        /// Why.
        reason: RefusedReason,
    },
    /// Asks for a peer's card.
    FindCard {
        /// Whose.
        peer: PeerKey,
        /// Repeated in the answer.
        nonce: u64,
    },
    /// Answers with a card.
    CardFound {
        /// From the question.
        nonce: u64,
        /// An encoded `SignedCard`, not verified.
        card: Bytes,
    },
    /// What routing says.
    Routing(Routing),
    /// A kind of a later version that may be skipped.
    Skipped,
}

/// A frame as it travels, but for its `want Got` flag, which is known when it leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Encoded(Bytes);

impl Encoded {
    pub(crate) fn of(frame: &Frame) -> Self {
        let mut bytes = BytesMut::new();
        frame.encode(false, &mut bytes);
        Self(bytes.freeze())
    }

    pub(crate) fn len(&self) -> u64 {
        self.0.len() as u64
    }

    pub(crate) fn append(&self, want_got: bool, out: &mut BytesMut) {
        let start = out.len();
        out.extend_from_slice(&self.0);
        out[start + 3] |= if want_got { FLAG_WANT_GOT } else { 0 };
    }
}

/// What a node says first on a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Protocol versions it speaks.
    pub versions: Vec<u32>,
    /// Its start counter.
    pub boot: u64,
    /// The link's number, unique within the dialler's boot; the other end says 0.
    pub link: u64,
    /// Optional abilities.
    pub capabilities: Vec<String>,
    /// The number of its newest card.
    pub card_seq: u64,
    /// What it calls itself.
    pub name: String,
}

/// Why a link is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bye {
    /// Another link of the same two nodes stays.
    ReplacedBy {
        /// Who dialled it.
        dialler: PeerKey,
        /// Its number in that node's boot.
        link: u64,
    },
    /// The node stops.
    ShuttingDown,
    /// The node takes no link from this peer.
    Refused,
    /// No version in common.
    Incompatible,
}

/// A piece of a parcel. Pieces of one class are in order; those of several classes interleave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// The parcel's class.
    pub class: Class,
    /// On the first piece: the parcel's length in bytes.
    pub total: Option<u32>,
    /// The piece.
    pub bytes: Bytes,
}

/// Why a parcel comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RefusedReason {
    /// Later, perhaps.
    Busy,
    /// No way to the recipient.
    NoRoute,
    /// Its lifetime is over.
    Expired,
    /// Larger than a link on the way carries. Final.
    TooBig,
    /// It has crossed too many links.
    Hops,
}

/// Bytes that are no frame; the link closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// A length of 0, 1 or beyond [`MAX_FRAME_BYTES`].
    #[error("expected a frame of 4 to {MAX_FRAME_BYTES} bytes, got {got}")]
    Length {
        /// The frame's length with its length field.
        got: usize,
    },
    /// An unknown kind that may not be skipped.
    #[error("expected a known frame kind, got {got}")]
    Kind {
        /// The kind.
        got: u8,
    },
    /// A body that is not what its kind says.
    #[error("a frame of kind {kind} has a malformed body")]
    Body {
        /// The kind.
        kind: u8,
    },
}

impl Frame {
    /// Whether the frame counts towards the window and `Got`.
    pub const fn is_counted(&self) -> bool {
        !matches!(self, Self::Hello(_) | Self::Got(_) | Self::Bye(_) | Self::Probe { .. })
    }

    /// Appends the encoded frame and returns its length. Bodies must be within their limits.
    pub fn encode(&self, want_got: bool, out: &mut BytesMut) -> usize {
        let start = out.len();
        // One allocation for all of it, or nearly so.
        out.reserve(if let Self::Fragment(fragment) = self {
            Fragment::OVERHEAD[0] + fragment.bytes.len()
        } else {
            SMALL_FRAME_BYTES
        });
        out.put_u16(0);
        out.put_u8(self.kind());
        out.put_u8(if want_got { FLAG_WANT_GOT } else { 0 });
        self.encode_body(out);
        let length = out.len() - start;
        debug_assert!(length <= MAX_FRAME_BYTES);
        let after_length = u16::try_from(length - 2).unwrap_or(u16::MAX);
        out[start..start + 2].copy_from_slice(&after_length.to_be_bytes());
        length
    }

    fn kind(&self) -> u8 {
        match self {
            Self::Hello(_) => kind::HELLO,
            Self::Got(_) => kind::GOT,
            Self::Bye(_) => kind::BYE,
            Self::Probe { .. } => kind::PROBE,
            Self::Fragment(_) => kind::FRAGMENT,
            Self::Refused { .. } => kind::REFUSED,
            Self::FindCard { .. } => kind::FIND_CARD,
            Self::CardFound { .. } => kind::CARD_FOUND,
            Self::Routing(routing) => routing.kind(),
            Self::Skipped => kind::SKIPPABLE,
        }
    }

    fn encode_body(&self, out: &mut BytesMut) {
        match self {
            Self::Hello(hello) => append(out, &hello.to_proto()),
            Self::Got(bytes) => append(out, &proto::Got { bytes: *bytes }),
            Self::Bye(bye) => append(out, &bye.to_proto()),
            Self::Probe { nonce, answer } => append(out, &proto::Probe { nonce: *nonce, answer: *answer }),
            Self::Fragment(fragment) => {
                let first = if fragment.total.is_some() { 0x80 } else { 0 };
                out.put_u8(first | fragment.class as u8);
                if let Some(total) = fragment.total {
                    out.put_u32(total);
                }
                out.extend_from_slice(&fragment.bytes);
            }
            Self::Refused { parcel, reason } => append(
                out,
                &proto::Refused { parcel: Bytes::copy_from_slice(&parcel.0), reason: reason.to_proto() as i32 },
            ),
            Self::FindCard { peer, nonce } => {
                append(out, &proto::FindCard { peer: Bytes::copy_from_slice(peer.as_bytes()), nonce: *nonce });
            }
            Self::CardFound { nonce, card } => append(out, &proto::CardFound { nonce: *nonce, card: card.clone() }),
            Self::Routing(routing) => routing.encode_body(out),
            Self::Skipped => {}
        }
    }

    fn decode(kind: u8, body: Bytes) -> Result<Self, FrameError> {
        let malformed = FrameError::Body { kind };
        let frame = match kind {
            kind::HELLO => Self::Hello(Hello::decode(&body).ok_or(malformed)?),
            kind::GOT => Self::Got(read::<proto::Got>(&body, &[]).ok_or(malformed)?.bytes),
            kind::BYE => Self::Bye(Bye::decode(&body).ok_or(malformed)?),
            kind::PROBE => {
                let probe: proto::Probe = read(&body, &[]).ok_or(malformed)?;
                Self::Probe { nonce: probe.nonce, answer: probe.answer }
            }
            kind::FRAGMENT => Self::Fragment(Fragment::decode(body).ok_or(malformed)?),
            kind::REFUSED => {
                let refused: proto::Refused = read(&body, &[]).ok_or(malformed)?;
                let reason = RefusedReason::from_proto(refused.reason()).ok_or(malformed)?;
                Self::Refused { parcel: ParcelId(array(&refused.parcel).ok_or(malformed)?), reason }
            }
            kind::FIND_CARD => {
                let find: proto::FindCard = read(&body, &[]).ok_or(malformed)?;
                let peer = PeerKey::from_bytes(array(&find.peer).ok_or(malformed)?);
                Self::FindCard { peer, nonce: find.nonce }
            }
            kind::CARD_FOUND => {
                let found: proto::CardFound = read(&body, &[]).ok_or(malformed)?;
                Self::CardFound { nonce: found.nonce, card: found.card }
            }
            routing_kind::UPDATES..=routing_kind::WANT_ROUTES => {
                Self::Routing(Routing::decode(kind, &body).ok_or(malformed)?)
            }
            skippable if skippable & kind::SKIPPABLE != 0 => Self::Skipped,
            got => return Err(FrameError::Kind { got }),
        };
        Ok(frame)
    }
}

/// The encoded length of a frame with a body of so many bytes.
pub const fn frame_bytes(body: usize) -> usize {
    FRAME_HEADER_BYTES + body
}

impl Hello {
    fn to_proto(&self) -> proto::Hello {
        proto::Hello {
            versions: self.versions.clone(),
            boot: self.boot,
            link: self.link,
            capabilities: self.capabilities.clone(),
            card_seq: self.card_seq,
            name: self.name.clone(),
        }
    }

    fn decode(body: &[u8]) -> Option<Self> {
        let limits = [
            FieldLimit { tag: 1, count: MAX_VERSIONS, bytes: MAX_VERSIONS * 5 },
            FieldLimit { tag: 4, count: MAX_CAPABILITIES, bytes: MAX_CAPABILITY_BYTES },
            FieldLimit { tag: 6, count: 1, bytes: MAX_NAME_BYTES },
        ];
        let hello: proto::Hello = read(body, &limits)?;
        (hello.versions.len() <= MAX_VERSIONS).then_some(Self {
            versions: hello.versions,
            boot: hello.boot,
            link: hello.link,
            capabilities: hello.capabilities,
            card_seq: hello.card_seq,
            name: hello.name,
        })
    }
}

impl Bye {
    fn to_proto(self) -> proto::Bye {
        use proto::bye::Reason;
        let reason = match self {
            Self::ReplacedBy { dialler, link } => {
                Reason::ReplacedBy(proto::ReplacedBy { dialler: Bytes::copy_from_slice(dialler.as_bytes()), link })
            }
            Self::ShuttingDown => Reason::ShuttingDown(true),
            Self::Refused => Reason::Refused(true),
            Self::Incompatible => Reason::Incompatible(true),
        };
        proto::Bye { reason: Some(reason) }
    }

    fn decode(body: &[u8]) -> Option<Self> {
        use proto::bye::Reason;
        Some(match read::<proto::Bye>(body, &[])?.reason? {
            Reason::ReplacedBy(by) => {
                Self::ReplacedBy { dialler: PeerKey::from_bytes(array(&by.dialler)?), link: by.link }
            }
            Reason::ShuttingDown(_) => Self::ShuttingDown,
            Reason::Refused(_) => Self::Refused,
            Reason::Incompatible(_) => Self::Incompatible,
        })
    }
}

impl Fragment {
    /// The bytes of a fragment's frame beside the piece, for a first piece and a later one.
    pub const OVERHEAD: [usize; 2] = [FRAME_HEADER_BYTES + 5, FRAME_HEADER_BYTES + 1];

    fn decode(mut body: Bytes) -> Option<Self> {
        let first = body.try_get_u8().ok()?;
        let class = Class::from_wire(u32::from(first & 0x7f))?;
        let total = if first & 0x80 != 0 { Some(body.try_get_u32().ok()?) } else { None };
        let fits = |total: u32| (1..=MAX_PARCEL_BYTES).contains(&(total as usize)) && body.len() <= total as usize;
        (!body.is_empty() && total.is_none_or(fits)).then_some(Self { class, total, bytes: body })
    }
}

impl RefusedReason {
    /// Its name in timelines.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::NoRoute => "no_route",
            Self::Expired => "expired",
            Self::TooBig => "too_big",
            Self::Hops => "hops",
        }
    }

    const fn to_proto(self) -> proto::RefusedReason {
        match self {
            Self::Busy => proto::RefusedReason::Busy,
            Self::NoRoute => proto::RefusedReason::NoRoute,
            Self::Expired => proto::RefusedReason::Expired,
            Self::TooBig => proto::RefusedReason::TooBig,
            Self::Hops => proto::RefusedReason::Hops,
        }
    }

    const fn from_proto(reason: proto::RefusedReason) -> Option<Self> {
        match reason {
            proto::RefusedReason::Unspecified => None,
            proto::RefusedReason::Busy => Some(Self::Busy),
            proto::RefusedReason::NoRoute => Some(Self::NoRoute),
            proto::RefusedReason::Expired => Some(Self::Expired),
            proto::RefusedReason::TooBig => Some(Self::TooBig),
            proto::RefusedReason::Hops => Some(Self::Hops),
        }
    }
}

/// Cuts a byte stream into frames. Holds less than one frame between calls.
#[derive(Debug, Default)]
pub struct FrameDecoder {
    /// What was read last. Most reads are whole frames, which share its bytes.
    read: Bytes,
    /// The beginning of a frame whose end came in no earlier read, and what was read since; else empty.
    joined: BytesMut,
}

/// A frame, its encoded length, and whether its sender wants a `Got`.
pub type Decoded = (Frame, usize, bool);

impl FrameDecoder {
    /// Adds bytes in the order they came.
    pub fn push(&mut self, bytes: Bytes) {
        if self.read.is_empty() && self.joined.is_empty() {
            self.read = bytes;
        } else {
            self.joined.extend_from_slice(&std::mem::take(&mut self.read));
            self.joined.extend_from_slice(&bytes);
        }
    }

    /// The next whole frame, if there is one.
    ///
    /// # Errors
    ///
    /// [`FrameError`] if the bytes are no frame. What follows them means nothing.
    pub fn next_frame(&mut self) -> Result<Option<Decoded>, FrameError> {
        let joined = !self.joined.is_empty();
        let held: &[u8] = if joined { &self.joined } else { &self.read };
        let Some(after_length) = held.first_chunk::<2>().map(|bytes| u16::from_be_bytes(*bytes)) else {
            return Ok(None);
        };
        let length = usize::from(after_length) + 2;
        if !(FRAME_HEADER_BYTES..=MAX_FRAME_BYTES).contains(&length) {
            return Err(FrameError::Length { got: length });
        }
        if held.len() < length {
            return Ok(None);
        }
        let mut frame = if joined { self.joined.split_to(length).freeze() } else { self.read.split_to(length) };
        let (kind, flags) = (frame[2], frame[3]);
        frame.advance(FRAME_HEADER_BYTES);
        Ok(Some((Frame::decode(kind, frame)?, length, flags & FLAG_WANT_GOT != 0)))
    }
}

pub(super) fn append(out: &mut BytesMut, message: &impl prost::Message) {
    message.encode_raw(out);
}

/// Decodes a message whose fields are within `limits`.
pub(super) fn read<M: prost::Message + Default>(bytes: &[u8], limits: &[FieldLimit]) -> Option<M> {
    if within(bytes, limits) { M::decode(bytes).ok() } else { None }
}

/// A field of exactly `N` bytes.
pub(super) fn array<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    bytes.try_into().ok()
}
