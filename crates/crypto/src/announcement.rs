//! Announcements: a node's fast-changing routing statement, signed, and the hash chain that keeps its cost honest
//! (docs/spec/routing.md §2, docs/spec/routing.proto).

mod chain;
#[expect(unreachable_pub, reason = "generated from docs/spec/routing.proto")]
mod proto;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use prost::Message;

use crate::identity::{IdentityKey, PeerKey, SignatureError, hex};

use chain::Proven;
pub use chain::{CHAIN_LENGTH, Chain, ChainValue};

/// What announcement signatures are made for.
const DOMAIN: &str = "tidings announcement v1";

/// The only version of an announcement's contents.
const VERSION: u32 = 1;

/// The only kind of signature: Ed25519 by the identity key.
const ALG_ED25519: u32 = 1;

/// The most bytes of a signed announcement: the fixed fields take some 200, full lists 850 more.
pub const MAX_ANNOUNCEMENT_BYTES: usize = 1_280;

/// The longest life of an announcement, in relayed seconds.
pub const MAX_LIFETIME_S: u32 = 24 * 60 * 60;

/// The most labels, and the most capabilities, of an announcement.
pub const MAX_LABELS: usize = 8;

/// The most bytes of a label or capability.
pub const MAX_LABEL_BYTES: usize = 32;

/// The most topics of an announcement.
pub const MAX_TOPICS: usize = 32;

/// The most neighbours an announcement lists.
pub const MAX_LISTED_NEIGHBOURS: usize = 10;

/// Where a node's energy comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Power {
    /// It does not say.
    #[default]
    Unknown,
    /// The mains.
    Mains,
    /// A battery.
    Battery,
    /// A battery that is nearly empty.
    BatteryLow,
}

/// Who a node's neighbours are, as it tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Neighbours {
    /// How many there are.
    pub count: u32,
    /// Some of them, at most [`MAX_LISTED_NEIGHBOURS`]: the first 4 bytes of each one's routing id.
    pub listed: Vec<[u8; 4]>,
}

/// What an announcement says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// Whose it is.
    pub peer: PeerKey,
    /// The node's start counter.
    pub boot: u64,
    /// Rises within a boot.
    pub seq: u64,
    /// How long it may be relayed, in seconds: 1 to [`MAX_LIFETIME_S`].
    pub lifetime_s: u32,
    /// The end of the hash chain over cost.
    pub top: ChainValue,
    /// The number of the node's newest card.
    pub card_seq: u64,
    /// Where its energy comes from.
    pub power: Power,
    /// What people call it: at most [`MAX_LABELS`] of at most [`MAX_LABEL_BYTES`].
    pub labels: Vec<String>,
    /// What it offers: at most [`MAX_LABELS`] of at most [`MAX_LABEL_BYTES`].
    pub capabilities: Vec<String>,
    /// What it subscribes to: at most [`MAX_TOPICS`] hashes.
    pub topics: Vec<[u8; 8]>,
    /// Its neighbours; an empty list is one that is not told.
    pub neighbours: Neighbours,
}

impl Announcement {
    /// The chain that costs of this announcement are proven with.
    pub fn chain(&self) -> Chain {
        Chain::new(&self.peer, self.boot, self.seq)
    }
}

/// Names an announcement: the first 16 bytes of BLAKE3 of its signed bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AnnouncementHash(pub [u8; 16]);

impl AnnouncementHash {
    /// Hashes the bytes that travel.
    pub fn of(bytes: &[u8]) -> Self {
        let mut hash = [0; 16];
        blake3::Hasher::new().update(bytes).finalize_xof().fill(&mut hash);
        Self(hash)
    }
}

impl fmt::Debug for AnnouncementHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(&self.0, f)
    }
}

/// An announcement whose signature holds.
///
/// It can only be made by [`sign`](Self::sign) and [`verify`](Self::verify). Copies share what it says, and what was
/// found out about its chain.
#[derive(Clone)]
pub struct SignedAnnouncement(Arc<Signed>);

struct Signed {
    announcement: Announcement,
    hash: AnnouncementHash,
    bytes: Bytes,
    proven: Mutex<Proven>,
}

impl PartialEq for SignedAnnouncement {
    fn eq(&self, other: &Self) -> bool {
        self.0.bytes == other.0.bytes
    }
}

impl Eq for SignedAnnouncement {}

impl fmt::Debug for SignedAnnouncement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Signed { announcement, hash, .. } = &*self.0;
        f.debug_struct("SignedAnnouncement").field("announcement", announcement).field("hash", hash).finish()
    }
}

impl SignedAnnouncement {
    fn new(announcement: Announcement, bytes: Bytes) -> Self {
        let proven = Mutex::new(Proven::new(announcement.chain(), announcement.top));
        Self(Arc::new(Signed { announcement, hash: AnnouncementHash::of(&bytes), bytes, proven }))
    }

    /// Signs an announcement.
    ///
    /// # Errors
    ///
    /// [`AnnouncementError`] where it breaks a limit or names another peer than the signer.
    pub fn sign(announcement: &Announcement, identity: &IdentityKey) -> Result<Self, AnnouncementError> {
        if announcement.peer != identity.peer() {
            return Err(AnnouncementError::OtherPeer { expected: identity.peer(), got: announcement.peer });
        }
        let contents = encode(announcement);
        check(&contents)?;
        let contents = contents.encode_to_vec();
        let signature = identity.sign(DOMAIN, &contents);
        let bytes = proto::SignedAnnouncement {
            announcement: contents.into(),
            alg: ALG_ED25519,
            signature: signature.to_vec().into(),
        }
        .encode_to_vec();
        within("signed announcement", MAX_ANNOUNCEMENT_BYTES, bytes.len())?;
        Ok(Self::new(announcement.clone(), bytes.into()))
    }

    /// Reads a signed announcement and checks everything that needs no memory and no clock.
    ///
    /// The order: size, the outer message's only form, kind of signature, limits and version, then the signature.
    /// Fields that are not known here are kept in [`bytes`](Self::bytes).
    ///
    /// # Errors
    ///
    /// [`AnnouncementError`], the first that was found.
    pub fn verify(bytes: &[u8]) -> Result<Self, AnnouncementError> {
        within("signed announcement", MAX_ANNOUNCEMENT_BYTES, bytes.len())?;
        let signed = proto::SignedAnnouncement::decode(bytes).map_err(|_| AnnouncementError::Malformed)?;
        if signed.encode_to_vec() != bytes {
            return Err(AnnouncementError::NotCanonical);
        }
        if signed.alg != ALG_ED25519 {
            return Err(AnnouncementError::OtherAlgorithm { expected: ALG_ED25519, got: signed.alg });
        }
        let contents =
            proto::Announcement::decode(signed.announcement.clone()).map_err(|_| AnnouncementError::Malformed)?;
        check(&contents)?;
        let announcement = decode(contents)?;
        announcement.peer.verify(DOMAIN, &signed.announcement, &signed.signature)?;
        Ok(Self::new(announcement, Bytes::copy_from_slice(bytes)))
    }

    /// Reads whose announcement this claims to be, its boot and its seq, without checking the signature: enough to see
    /// that it is not worth it. `None` if it cannot be read.
    pub fn claim(bytes: &[u8]) -> Option<(PeerKey, u64, u64)> {
        within("signed announcement", MAX_ANNOUNCEMENT_BYTES, bytes.len()).ok()?;
        let signed = proto::SignedAnnouncement::decode(bytes).ok()?;
        let contents = proto::Announcement::decode(signed.announcement).ok()?;
        check(&contents).ok()?;
        let announcement = decode(contents).ok()?;
        Some((announcement.peer, announcement.boot, announcement.seq))
    }

    /// Returns what the announcement says.
    pub fn announcement(&self) -> &Announcement {
        &self.0.announcement
    }

    /// Returns the announcement's name.
    pub fn hash(&self) -> AnnouncementHash {
        self.0.hash
    }

    /// Returns the bytes that travel, exactly as they were received.
    pub fn bytes(&self) -> &Bytes {
        &self.0.bytes
    }

    /// Whether `value` stands in the announcement's chain at `cost`. What is known to be right shortens the way.
    pub fn proves(&self, cost: u8, value: ChainValue) -> bool {
        self.0.proven.lock().unwrap_or_else(PoisonError::into_inner).proves(cost, value)
    }
}

/// Why an announcement was not signed or not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AnnouncementError {
    /// Something is longer than its limit, or there are too many of it.
    #[error("expected a {what} of at most {max}, got {got}")]
    TooLong {
        /// What it is.
        what: &'static str,
        /// The limit, in bytes or in items.
        max: usize,
        /// What was found.
        got: usize,
    },
    /// A field has another length than it must have.
    #[error("expected a {what} of {expected} bytes, got {got}")]
    WrongLength {
        /// What it is.
        what: &'static str,
        /// The length it must have, in bytes.
        expected: usize,
        /// The length it has.
        got: usize,
    },
    /// The bytes are no announcement.
    #[error("expected an announcement, got bytes that cannot be read as one")]
    Malformed,
    /// The outer message is not in its only form.
    #[error("expected a signed announcement in canonical encoding, got another form of it")]
    NotCanonical,
    /// The kind of signature is not known.
    #[error("expected signature kind {expected}, got {got}")]
    OtherAlgorithm {
        /// The kind known here.
        expected: u32,
        /// The kind named.
        got: u32,
    },
    /// The version is not known.
    #[error("expected announcement version {expected}, got {got}")]
    OtherVersion {
        /// The version known here.
        expected: u32,
        /// The version named.
        got: u32,
    },
    /// It lives no time, or too long.
    #[error("expected a lifetime of 1 to {MAX_LIFETIME_S} s, got {got}")]
    Lifetime {
        /// The lifetime named, in seconds.
        got: u32,
    },
    /// It names a power supply that is not known.
    #[error("expected a power supply of 0 to 3, got {got}")]
    OtherPower {
        /// What it names.
        got: u32,
    },
    /// It lists neighbours that it does not count.
    #[error("expected a count of neighbours of at least {listed}, got {count}")]
    Neighbours {
        /// How many it lists.
        listed: usize,
        /// How many it says there are.
        count: u32,
    },
    /// It names another peer than the one that signs it.
    #[error("expected an announcement of {expected}, got one of {got}")]
    OtherPeer {
        /// Who signs.
        expected: PeerKey,
        /// Who is named.
        got: PeerKey,
    },
    /// The signature does not hold.
    #[error("expected an announcement signed by its peer: {0}")]
    Signature(#[from] SignatureError),
}

/// Refuses what is longer than its limit.
fn within(what: &'static str, max: usize, got: usize) -> Result<(), AnnouncementError> {
    if got > max { Err(AnnouncementError::TooLong { what, max, got }) } else { Ok(()) }
}

/// Checks the limits and the version of docs/spec/routing.proto.
fn check(contents: &proto::Announcement) -> Result<(), AnnouncementError> {
    if contents.version != VERSION {
        return Err(AnnouncementError::OtherVersion { expected: VERSION, got: contents.version });
    }
    if !(1..=MAX_LIFETIME_S).contains(&contents.lifetime_s) {
        return Err(AnnouncementError::Lifetime { got: contents.lifetime_s });
    }
    for (list, of, what) in
        [(&contents.labels, "list of labels", "label"), (&contents.capabilities, "list of capabilities", "capability")]
    {
        within(of, MAX_LABELS, list.len())?;
        for item in list {
            within(what, MAX_LABEL_BYTES, item.len())?;
        }
    }
    within("list of topics", MAX_TOPICS, contents.topics.len())?;
    let listed = contents.neighbours.len().div_ceil(4);
    within("list of neighbours", MAX_LISTED_NEIGHBOURS, listed)?;
    if usize::try_from(contents.neighbour_count).is_ok_and(|count| count < listed) {
        return Err(AnnouncementError::Neighbours { listed, count: contents.neighbour_count });
    }
    Ok(())
}

/// Reads a field of fixed length.
fn exactly<const N: usize>(what: &'static str, bytes: &[u8]) -> Result<[u8; N], AnnouncementError> {
    bytes.try_into().map_err(|_| AnnouncementError::WrongLength { what, expected: N, got: bytes.len() })
}

fn encode(announcement: &Announcement) -> proto::Announcement {
    proto::Announcement {
        version: VERSION,
        peer: announcement.peer.as_bytes().to_vec().into(),
        boot: announcement.boot,
        seq: announcement.seq,
        lifetime_s: announcement.lifetime_s,
        top: announcement.top.0.to_vec().into(),
        card_seq: announcement.card_seq,
        power: match announcement.power {
            Power::Unknown => 0,
            Power::Mains => 1,
            Power::Battery => 2,
            Power::BatteryLow => 3,
        },
        labels: announcement.labels.clone(),
        capabilities: announcement.capabilities.clone(),
        topics: announcement.topics.iter().map(|topic| topic.to_vec().into()).collect(),
        neighbour_count: announcement.neighbours.count,
        neighbours: announcement.neighbours.listed.concat().into(),
    }
}

fn decode(contents: proto::Announcement) -> Result<Announcement, AnnouncementError> {
    let topics = contents.topics.iter().map(|topic| exactly("topic", topic));
    let listed = contents.neighbours.chunks(4).map(|neighbour| exactly("neighbour", neighbour));
    Ok(Announcement {
        peer: PeerKey::from_bytes(exactly("peer key", &contents.peer)?),
        boot: contents.boot,
        seq: contents.seq,
        lifetime_s: contents.lifetime_s,
        top: ChainValue(exactly("chain value", &contents.top)?),
        card_seq: contents.card_seq,
        power: match contents.power {
            0 => Power::Unknown,
            1 => Power::Mains,
            2 => Power::Battery,
            3 => Power::BatteryLow,
            got => return Err(AnnouncementError::OtherPower { got }),
        },
        topics: topics.collect::<Result<_, _>>()?,
        neighbours: Neighbours { count: contents.neighbour_count, listed: listed.collect::<Result<_, _>>()? },
        labels: contents.labels,
        capabilities: contents.capabilities,
    })
}

#[cfg(test)]
mod tests;
