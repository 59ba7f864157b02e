//! Parcels: the unit of encryption, forwarding and custody; docs/spec/wire.md §3–§5.

use bytes::Bytes;
use prost::Message as _;
use tidings_crypto::{PeerKey, ReceiptKeyId, RoutingId, SessionId};

use super::frame::array;
use super::limits::{FieldLimit, has_flag, within};
use super::path::{MAX_PATH_BYTES, RELAY_BYTES};
use super::{
    Control, MAX_BODY_BYTES, MAX_HOPS, MAX_PARCEL_INTERVALS, MAX_PARCEL_SPAN, MAX_PARTS, MAX_PREDECESSORS, Path,
    VERSION, proto,
};
use crate::class::Class;
use crate::ids::{FlowId, MessageId, ParcelId, Seq};
use crate::interval::IntervalSet;
use crate::message::{MAX_HEADER_BYTES, MAX_HEADERS, MAX_NAME_BYTES};
use crate::time::Wall;

/// The largest fixed header, in bytes: 64 intervals of two 10-byte numbers and the fixed fields, with room for
/// the reserved ones.
const MAX_FIXED_HEADER_BYTES: usize = 3 * 1024;
/// The most control items beside messages.
const MAX_CONTROLS: usize = 64;

/// Bytes that are no parcel, or contradict themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParcelError {
    /// Not the fields a parcel has, or beyond their limits.
    #[error("a parcel is malformed: {part}")]
    Malformed {
        /// Where.
        part: &'static str,
    },
    /// A version or suite this node does not know.
    #[error("expected parcel version {VERSION} and suite 1 or 2, got {version} and {suite}")]
    Version {
        /// The parcel's version.
        version: u32,
        /// The parcel's suite.
        suite: u32,
    },
}

/// A parcel as it crosses links.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parcel {
    /// Its name: a hash of fixed header and body.
    pub id: ParcelId,
    /// The recipient.
    pub to: RoutingId,
    /// Its class.
    pub class: Class,
    /// How the body is sealed, with what stands in the clear for it.
    pub suite: Suite,
    /// The sealed body.
    pub body: Bytes,
    /// Seconds of lifetime left.
    pub left_seconds: u32,
    /// Links it may still cross.
    pub ttl: u32,
    /// The relays it crossed; `None` where its sender did not ask for them.
    pub path: Option<Path>,
}

/// How a body is sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Suite {
    /// By a session's ratchet: an [`Inner`].
    Session(Clear),
    /// Under a session's receipt key: control items.
    ReceiptKey {
        /// Who sealed it.
        sender: PeerKey,
        /// Under which key.
        key: ReceiptKeyId,
    },
}

/// What recognises a duplicate before the ratchet, frozen with the ciphertext.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clear {
    /// Who sealed it.
    pub sender: PeerKey,
    /// In which session.
    pub session: SessionId,
    /// The messages' flow; `None` if there are control items only.
    pub content: Option<Content>,
}

/// Which messages a parcel carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// Their flow.
    pub flow: FlowId,
    /// Their seqs: at most [`MAX_PARCEL_INTERVALS`], spanning at most [`MAX_PARCEL_SPAN`].
    pub seqs: IntervalSet,
    /// The flow's floor at sealing.
    pub floor: Seq,
}

impl Parcel {
    /// Encodes a parcel around a sealed body and names it. With a path, whoever carries it adds itself.
    pub fn encode(
        to: RoutingId,
        class: Class,
        attempt: u64,
        suite: &Suite,
        body: Bytes,
        left_seconds: u32,
        path: Option<&Path>,
    ) -> (ParcelId, Bytes) {
        let (number, clear) = match suite {
            Suite::Session(clear) => (1, clear.to_proto()),
            Suite::ReceiptKey { sender, key } => (
                2,
                proto::Clear {
                    sender: Bytes::copy_from_slice(sender.as_bytes()),
                    receipt_key: Bytes::copy_from_slice(&key.0),
                    ..Default::default()
                },
            ),
        };
        let header = proto::FixedHeader {
            version: VERSION,
            suite: number,
            clear: Some(clear),
            to: Bytes::copy_from_slice(&to.0),
            attempt,
            class: class.to_wire(),
            record_route: path.is_some(),
            ..Default::default()
        };
        let fixed_header = Bytes::from(header.encode_to_vec());
        let id = parcel_id(&fixed_header, &body);
        let path = path.map(Path::to_bytes).unwrap_or_default();
        let parcel = proto::Parcel { fixed_header, body, left_seconds, ttl: MAX_HOPS, path };
        (id, Bytes::from(parcel.encode_to_vec()))
    }

    /// Reads a parcel.
    ///
    /// # Errors
    ///
    /// [`ParcelError`] if it is none, or of another version.
    pub fn decode(bytes: Bytes) -> Result<Self, ParcelError> {
        Passage::decode(bytes)?.open()
    }
}

/// A parcel as whoever carries it sees it: for whom, and not what is in it. Of any version.
#[derive(Clone, Debug, PartialEq)]
pub struct Passage {
    /// BLAKE3 of the fixed header and the body.
    pub id: ParcelId,
    /// Its recipient.
    pub to: RoutingId,
    /// How urgent it is.
    pub class: Class,
    /// Seconds of its lifetime that are left.
    pub left_seconds: u32,
    /// Links it may still cross, this one included.
    pub ttl: u32,
    /// The relays it has crossed; `None` where its sender did not ask for them.
    pub path: Option<Path>,
    fixed_header: Bytes,
    body: Bytes,
    header: proto::FixedHeader,
}

impl Passage {
    /// Reads what a carrier needs to know.
    ///
    /// # Errors
    ///
    /// [`ParcelError`] if it is no parcel.
    pub fn decode(bytes: Bytes) -> Result<Self, ParcelError> {
        let malformed = |part| ParcelError::Malformed { part };
        let limits = [
            FieldLimit { tag: 1, count: 1, bytes: MAX_FIXED_HEADER_BYTES },
            FieldLimit { tag: 2, count: 1, bytes: MAX_BODY_BYTES },
            FieldLimit { tag: 5, count: 1, bytes: MAX_PATH_BYTES },
        ];
        if !within(&bytes, &limits) {
            return Err(malformed("its fields"));
        }
        let parcel = proto::Parcel::decode(bytes).map_err(|_| malformed("its fields"))?;
        let id = parcel_id(&parcel.fixed_header, &parcel.body);
        if !within(&parcel.fixed_header, &[]) {
            return Err(malformed("its fixed header"));
        }
        let header =
            proto::FixedHeader::decode(parcel.fixed_header.clone()).map_err(|_| malformed("its fixed header"))?;
        let path = recorded(&header, &parcel).ok_or(malformed("its path"))?;
        Ok(Self {
            id,
            to: RoutingId(array(&header.to).ok_or(malformed("its recipient"))?),
            class: Class::from_wire(header.class).ok_or(malformed("its class"))?,
            left_seconds: parcel.left_seconds,
            ttl: parcel.ttl,
            path,
            fixed_header: parcel.fixed_header,
            body: parcel.body,
            header,
        })
    }

    /// Reads the rest, which is for the recipient.
    ///
    /// # Errors
    ///
    /// [`ParcelError`] if it makes no sense, or is of another version.
    pub fn open(self) -> Result<Parcel, ParcelError> {
        let malformed = |part| ParcelError::Malformed { part };
        let header = &self.header;
        let clear = header.clear.as_ref().ok_or(malformed("its clear part"))?;
        let sender = PeerKey::from_bytes(array(&clear.sender).ok_or(malformed("its sender"))?);
        let suite = match (header.version, header.suite) {
            (VERSION, 1) => Suite::Session(Clear::from_proto(sender, clear).ok_or(malformed("its clear part"))?),
            (VERSION, 2) => Suite::ReceiptKey {
                sender,
                key: ReceiptKeyId(array(&clear.receipt_key).ok_or(malformed("its receipt key"))?),
            },
            (version, suite) => return Err(ParcelError::Version { version, suite }),
        };
        Ok(Parcel {
            id: self.id,
            to: self.to,
            class: self.class,
            suite,
            body: self.body,
            left_seconds: self.left_seconds,
            ttl: self.ttl,
            path: self.path,
        })
    }

    /// Its size, but for a few bytes.
    #[expect(clippy::len_without_is_empty, reason = "a parcel is never empty")]
    pub fn len(&self) -> usize {
        let relays = self.path.as_ref().map_or(0, |path| path.relays().len());
        self.fixed_header.len() + self.body.len() + relays * RELAY_BYTES
    }

    /// Encodes it for the next hop after `relay`, with this lifetime left: header and body as they came.
    pub fn onward(&self, relay: RoutingId, left_seconds: u32) -> Bytes {
        let (fixed_header, body) = (self.fixed_header.clone(), self.body.clone());
        let path = self.path.as_ref().map(|path| path.through(relay).to_bytes()).unwrap_or_default();
        let parcel = proto::Parcel { fixed_header, body, left_seconds, ttl: self.ttl.saturating_sub(1), path };
        Bytes::from(parcel.encode_to_vec())
    }
}

/// The path that stands in a parcel, `Some(None)` where it asks for none. `None` if one stands there all the same, or
/// one with more relays than the parcel has crossed.
fn recorded(header: &proto::FixedHeader, parcel: &proto::Parcel) -> Option<Option<Path>> {
    if !header.record_route {
        return parcel.path.is_empty().then_some(None);
    }
    let path = Path::from_bytes(&parcel.path)?;
    let crossed = MAX_HOPS.checked_sub(parcel.ttl)?;
    (path.relays().len() <= crossed as usize).then_some(Some(path))
}

fn parcel_id(fixed_header: &[u8], body: &[u8]) -> ParcelId {
    let mut hasher = blake3::Hasher::new();
    hasher.update(fixed_header);
    hasher.update(body);
    let mut id = [0; 16];
    hasher.finalize_xof().fill(&mut id);
    ParcelId(id)
}

impl Clear {
    fn to_proto(&self) -> proto::Clear {
        let mut clear = proto::Clear {
            sender: Bytes::copy_from_slice(self.sender.as_bytes()),
            session: Bytes::copy_from_slice(self.session.as_bytes()),
            ..Default::default()
        };
        if let Some(content) = &self.content {
            clear.flow = Bytes::copy_from_slice(&content.flow.0);
            clear.seqs = content.seqs.to_wire(content.floor);
            clear.floor = content.floor;
        }
        clear
    }

    fn from_proto(sender: PeerKey, clear: &proto::Clear) -> Option<Self> {
        let content = Content::from_proto(&clear.flow, &clear.seqs, clear.floor)?;
        Some(Self { sender, session: SessionId::from_bytes(array(&clear.session)?), content })
    }
}

impl Content {
    /// `Some(None)` if there is no flow, `None` if what stands there is out of bounds.
    fn from_proto(flow: &[u8], seqs: &[u64], floor: Seq) -> Option<Option<Self>> {
        if flow.is_empty() {
            return (seqs.is_empty() && floor == 0).then_some(None);
        }
        let seqs = IntervalSet::from_wire(seqs, floor, MAX_PARCEL_INTERVALS).ok()?;
        let (first, last) = (seqs.first()?, seqs.last()?);
        (last - first < MAX_PARCEL_SPAN && last < u64::MAX).then_some(Some(Self {
            flow: FlowId(array(flow)?),
            seqs,
            floor,
        }))
    }
}

/// The plaintext under a ratchet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inner {
    /// Who sealed it.
    pub sender: PeerKey,
    /// For whom.
    pub recipient: PeerKey,
    /// The sender's Curve25519 ratchet identity.
    pub sender_ratchet: [u8; 32],
    /// Repeats the clear part, and so authenticates it.
    pub content: Option<Content>,
    /// What the flow's name is derived with; zero without content.
    pub flow_random: [u8; 8],
    /// The `ttl` it left the sender with.
    pub hop_limit: u32,
    /// The session's receipt key: id and key.
    pub receipt_key: Option<(ReceiptKeyId, [u8; 32])>,
    /// The sender's card, an encoded `SignedCard`.
    pub sender_card: Option<Bytes>,
    /// Encoded `Message`s, one for each seq.
    pub messages: Vec<Bytes>,
    /// Statements beside them.
    pub controls: Vec<Control>,
}

impl Inner {
    /// Encodes the plaintext.
    pub fn encode(&self) -> Vec<u8> {
        let content = self.content.as_ref();
        proto::Inner {
            sender: Bytes::copy_from_slice(self.sender.as_bytes()),
            recipient: Bytes::copy_from_slice(self.recipient.as_bytes()),
            sender_ratchet: Bytes::copy_from_slice(&self.sender_ratchet),
            flow: content.map(|content| Bytes::copy_from_slice(&content.flow.0)).unwrap_or_default(),
            seqs: content.map(|content| content.seqs.to_wire(content.floor)).unwrap_or_default(),
            floor: content.map_or(0, |content| content.floor),
            flow_random: content.map(|_| Bytes::copy_from_slice(&self.flow_random)).unwrap_or_default(),
            hop_limit: self.hop_limit,
            receipt_key: self.receipt_key.map(|(id, key)| proto::ReceiptKey {
                id: Bytes::copy_from_slice(&id.0),
                key: Bytes::copy_from_slice(&key),
            }),
            sender_card: self.sender_card.clone().unwrap_or_default(),
            messages: self.messages.clone(),
            controls: self.controls.iter().map(Control::to_proto).collect(),
        }
        .encode_to_vec()
    }

    /// Reads a plaintext.
    ///
    /// # Errors
    ///
    /// [`ParcelError`] if it is none, or messages and seqs do not match.
    pub fn decode(bytes: Bytes) -> Result<Self, ParcelError> {
        let malformed = |part| ParcelError::Malformed { part };
        let limits = [
            FieldLimit { tag: 10, count: 1, bytes: tidings_crypto::MAX_CARD_BYTES },
            FieldLimit { tag: 11, count: MAX_PARCEL_SPAN as usize, bytes: MAX_BODY_BYTES },
            FieldLimit { tag: 12, count: MAX_CONTROLS, bytes: MAX_BODY_BYTES },
        ];
        if !within(&bytes, &limits) {
            return Err(malformed("its plaintext"));
        }
        let inner = proto::Inner::decode(bytes).map_err(|_| malformed("its plaintext"))?;
        let content = Content::from_proto(&inner.flow, &inner.seqs, inner.floor).ok_or(malformed("its sealed seqs"))?;
        let expected = content.as_ref().map_or(0, |content| content.seqs.count());
        if inner.messages.len() as u64 != expected {
            return Err(malformed("its count of messages"));
        }
        let key = |bytes: &[u8]| array(bytes).map(PeerKey::from_bytes).ok_or(malformed("its sealed names"));
        let receipt_key = match &inner.receipt_key {
            None => None,
            Some(named) => Some((
                ReceiptKeyId(array(&named.id).ok_or(malformed("its receipt key"))?),
                array(&named.key).ok_or(malformed("its receipt key"))?,
            )),
        };
        let flow_random = match &content {
            Some(_) => array(&inner.flow_random).ok_or(malformed("its flow"))?,
            None => [0; 8],
        };
        Ok(Self {
            sender: key(&inner.sender)?,
            recipient: key(&inner.recipient)?,
            sender_ratchet: array(&inner.sender_ratchet).ok_or(malformed("its ratchet identity"))?,
            content,
            flow_random,
            hop_limit: inner.hop_limit,
            receipt_key,
            sender_card: (!inner.sender_card.is_empty()).then_some(inner.sender_card),
            messages: inner.messages,
            controls: Control::list_from_proto(inner.controls)?,
        })
    }
}

/// A message as it stands in a parcel: what the application sent, or a part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageContent {
    /// What it is to the applications.
    pub kind: String,
    /// The payload, or this part's share of it.
    pub payload: Bytes,
    /// The sender's wall clock at acceptance.
    pub sent_at: Wall,
    /// The sender's wall clock at its deadline.
    pub expires_at: Wall,
    /// Its stream.
    pub stream: Option<String>,
    /// The last message before it in its stream in each flow to its recipient that was not settled at acceptance, at
    /// most [`MAX_PREDECESSORS`].
    pub predecessors: Vec<MessageId>,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// The message it answers.
    pub reply_to: Option<MessageId>,
    /// Set if the payload came in parts.
    pub part: Option<PartOf>,
    /// Whether the sender wants to know the way it took; of a message in parts, that of the first.
    pub record_route: bool,
}

/// A part's place among those of its message, which stand at consecutive seqs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartOf {
    /// From 0.
    pub index: u32,
    /// How many there are, 2 to [`MAX_PARTS`].
    pub count: u32,
}

/// Encodes a message.
pub fn encode_content(message: &MessageContent) -> Bytes {
    let id = |id: Option<MessageId>| id.map(|id| Bytes::copy_from_slice(&id.to_bytes())).unwrap_or_default();
    proto::Message {
        kind: message.kind.clone(),
        payload: message.payload.clone(),
        sent_ms: message.sent_at.0,
        expires_ms: message.expires_at.0,
        stream: message.stream.clone().unwrap_or_default(),
        predecessors: message.predecessors.iter().map(|before| id(Some(*before))).collect(),
        headers: message
            .headers
            .iter()
            .map(|(name, value)| proto::Header { name: name.clone(), value: value.clone() })
            .collect(),
        reply_to: id(message.reply_to),
        part: message.part.map(|part| proto::Part { index: part.index, count: part.count }),
        record_route: message.record_route,
    }
    .encode_to_vec()
    .into()
}

/// Whether an encoded message asks for the way it takes to be recorded.
pub fn asks_for_route(encoded: &[u8]) -> bool {
    has_flag(encoded, 10)
}

/// Reads a message.
///
/// # Errors
///
/// [`ParcelError`] if it is none or beyond its limits.
pub fn decode_content(bytes: Bytes) -> Result<MessageContent, ParcelError> {
    let malformed = |part| ParcelError::Malformed { part };
    let limits = [
        FieldLimit { tag: 1, count: 1, bytes: MAX_NAME_BYTES },
        FieldLimit { tag: 2, count: 1, bytes: crate::message::MAX_PAYLOAD_BYTES },
        FieldLimit { tag: 5, count: 1, bytes: MAX_NAME_BYTES },
        FieldLimit { tag: 6, count: MAX_PREDECESSORS, bytes: 16 },
        FieldLimit { tag: 7, count: MAX_HEADERS, bytes: MAX_HEADER_BYTES + 8 },
    ];
    if !within(&bytes, &limits) {
        return Err(malformed("a message"));
    }
    let message = proto::Message::decode(bytes).map_err(|_| malformed("a message"))?;
    let id = |bytes: &[u8]| match bytes {
        [] => Ok(None),
        bytes => array(bytes).map(|id| Some(MessageId::from_bytes(id))).ok_or(malformed("a message's id")),
    };
    let part = message.part.map(|part| PartOf { index: part.index, count: part.count });
    if part.is_some_and(|part| !(2..=MAX_PARTS).contains(&part.count) || part.index >= part.count) {
        return Err(malformed("a message's part"));
    }
    let predecessors = message.predecessors.iter().filter_map(|before| id(before).transpose());
    Ok(MessageContent {
        kind: message.kind,
        payload: message.payload,
        sent_at: Wall(message.sent_ms),
        expires_at: Wall(message.expires_ms),
        stream: (!message.stream.is_empty()).then_some(message.stream),
        predecessors: predecessors.collect::<Result<_, _>>()?,
        headers: message.headers.into_iter().map(|header| (header.name, header.value)).collect(),
        reply_to: id(&message.reply_to)?,
        part,
        record_route: message.record_route,
    })
}
