//! What routing says on a link; docs/spec/routing.md §3.

use bytes::{Bytes, BytesMut};
use tidings_crypto::{AnnouncementHash, ChainValue, MAX_ANNOUNCEMENT_BYTES, RoutingId};

use super::frame::{append, array, read};
use super::limits::FieldLimit;
use super::{MAX_HOPS, proto};

/// The cost that says a destination cannot be reached.
pub const UNREACHABLE: u8 = 255;
/// The most updates in a frame: full ones take some 100 bytes, and a frame is 16 KiB.
pub const MAX_UPDATES: usize = 128;
/// The most destinations that one end of a link names.
pub const MAX_INDICES: usize = 4_096;
/// The most announcements asked for in a frame.
pub const MAX_WANTED: usize = 256;
/// The longest encoded update: its names take some 90 bytes.
const MAX_UPDATE_BYTES: usize = 120;

/// A frame of routing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Routing {
    /// Routes that changed.
    Updates {
        /// Whether what was said before on this link means nothing any more.
        restart: bool,
        /// The changes, at most [`MAX_UPDATES`].
        updates: Vec<RouteUpdate>,
    },
    /// Asks for announcements, at most [`MAX_WANTED`].
    WantAnnouncements(Vec<AnnouncementHash>),
    /// An encoded `SignedAnnouncement`, not verified.
    Announcement(Bytes),
    /// Asks the destination for a newer announcement.
    SeqRequest(SeqRequest),
    /// What the sender has announced on this link and not retracted.
    Digest {
        /// Over all of it.
        digest: [u8; 16],
        /// How many routes that is.
        count: u32,
    },
    /// Asks for everything again.
    WantRoutes,
}

/// One route of the sender, as it stands now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteUpdate {
    /// Names the destination on this link, below [`MAX_INDICES`].
    pub index: u16,
    /// What it costs the sender; [`UNREACHABLE`] retracts the route.
    pub cost: u8,
    /// How many links it crosses.
    pub hops: u8,
    /// The value of the announcement's chain at this cost; zeros in a retraction.
    pub chain: ChainValue,
    /// Which announcement of whom: in the first update under an index, and when the announcement is another.
    pub named: Option<Named>,
}

/// Which announcement an update is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named {
    /// The destination.
    pub to: RoutingId,
    /// The announcement's number.
    pub version: Version,
    /// The announcement's hash.
    pub hash: AnnouncementHash,
    /// Relayed seconds since it was signed.
    pub age_s: u32,
    /// Whether the announcement follows without being asked for.
    pub follows: bool,
}

/// The number of an announcement: boots first, then seqs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// The destination's start counter.
    pub boot: u64,
    /// Its place in the boot.
    pub seq: u64,
}

/// Asks the destination for an announcement that is at least so new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeqRequest {
    /// The destination.
    pub to: RoutingId,
    /// The least number that answers.
    pub version: Version,
    /// Links that the request may still cross, at most [`MAX_HOPS`].
    pub ttl: u8,
}

/// Frame kinds of routing.
pub(super) mod kind {
    pub(in crate::wire) const UPDATES: u8 = 9;
    pub(in crate::wire) const WANT_ANNOUNCEMENTS: u8 = 10;
    pub(in crate::wire) const ANNOUNCEMENT: u8 = 11;
    pub(in crate::wire) const SEQ_REQUEST: u8 = 12;
    pub(in crate::wire) const DIGEST: u8 = 13;
    pub(in crate::wire) const WANT_ROUTES: u8 = 14;
}

impl Routing {
    pub(super) fn kind(&self) -> u8 {
        match self {
            Self::Updates { .. } => kind::UPDATES,
            Self::WantAnnouncements(_) => kind::WANT_ANNOUNCEMENTS,
            Self::Announcement(_) => kind::ANNOUNCEMENT,
            Self::SeqRequest(_) => kind::SEQ_REQUEST,
            Self::Digest { .. } => kind::DIGEST,
            Self::WantRoutes => kind::WANT_ROUTES,
        }
    }

    pub(super) fn encode_body(&self, out: &mut BytesMut) {
        match self {
            Self::Updates { restart, updates } => {
                let updates = updates.iter().map(|update| update.to_proto()).collect();
                append(out, &proto::RouteUpdates { restart: *restart, updates });
            }
            Self::WantAnnouncements(hashes) => {
                let hashes = hashes.iter().map(|hash| Bytes::copy_from_slice(&hash.0)).collect();
                append(out, &proto::WantAnnouncements { hashes });
            }
            Self::Announcement(bytes) => append(out, &proto::AnnouncementFound { announcement: bytes.clone() }),
            Self::SeqRequest(request) => append(
                out,
                &proto::SeqRequest {
                    to: Bytes::copy_from_slice(&request.to.0),
                    boot: request.version.boot,
                    seq: request.version.seq,
                    ttl: u32::from(request.ttl),
                },
            ),
            Self::Digest { digest, count } => {
                append(out, &proto::RouteDigest { digest: Bytes::copy_from_slice(digest), count: *count });
            }
            Self::WantRoutes => {}
        }
    }

    /// Reads the body of a frame of this kind; `None` if it is malformed or no kind of routing.
    pub(super) fn decode(kind: u8, body: &Bytes) -> Option<Self> {
        Some(match kind {
            kind::UPDATES => {
                let limits = [FieldLimit { tag: 2, count: MAX_UPDATES, bytes: MAX_UPDATE_BYTES }];
                let said: proto::RouteUpdates = read(body, &limits)?;
                let updates = said.updates.iter().map(RouteUpdate::from_proto).collect::<Option<_>>()?;
                Self::Updates { restart: said.restart, updates }
            }
            kind::WANT_ANNOUNCEMENTS => {
                let limits = [FieldLimit { tag: 1, count: MAX_WANTED, bytes: 16 }];
                let want: proto::WantAnnouncements = read(body, &limits)?;
                let hashes = want.hashes.iter().map(|hash| array(hash).map(AnnouncementHash));
                Self::WantAnnouncements(hashes.collect::<Option<_>>()?)
            }
            kind::ANNOUNCEMENT => {
                let limits = [FieldLimit { tag: 1, count: 1, bytes: MAX_ANNOUNCEMENT_BYTES }];
                Self::Announcement(read::<proto::AnnouncementFound>(body, &limits)?.announcement)
            }
            kind::SEQ_REQUEST => {
                let request: proto::SeqRequest = read(body, &[])?;
                let ttl = u8::try_from(request.ttl).ok().filter(|ttl| u32::from(*ttl) <= MAX_HOPS)?;
                let version = Version { boot: request.boot, seq: request.seq };
                Self::SeqRequest(SeqRequest { to: RoutingId(array(&request.to)?), version, ttl })
            }
            kind::DIGEST => {
                let digest: proto::RouteDigest = read(body, &[])?;
                Self::Digest { digest: array(&digest.digest)?, count: digest.count }
            }
            kind::WANT_ROUTES => read::<proto::WantRoutes>(body, &[]).map(|_| Self::WantRoutes)?,
            _ => return None,
        })
    }
}

impl RouteUpdate {
    /// A retraction of what `index` names.
    pub const fn retraction(index: u16) -> Self {
        Self { index, cost: UNREACHABLE, hops: 0, chain: ChainValue([0; 16]), named: None }
    }

    fn to_proto(self) -> proto::RouteUpdate {
        let chain = if self.cost == UNREACHABLE { Bytes::new() } else { Bytes::copy_from_slice(&self.chain.0) };
        let plain = proto::RouteUpdate {
            index: u32::from(self.index),
            cost: u32::from(self.cost),
            hops: u32::from(self.hops),
            chain,
            ..proto::RouteUpdate::default()
        };
        match self.named {
            None => plain,
            Some(named) => proto::RouteUpdate {
                to: Bytes::copy_from_slice(&named.to.0),
                boot: named.version.boot,
                seq: named.version.seq,
                announcement: Bytes::copy_from_slice(&named.hash.0),
                age_s: named.age_s,
                follows: named.follows,
                ..plain
            },
        }
    }

    fn from_proto(update: &proto::RouteUpdate) -> Option<Self> {
        let index = u16::try_from(update.index).ok().filter(|index| usize::from(*index) < MAX_INDICES)?;
        let cost = u8::try_from(update.cost).ok()?;
        if cost == UNREACHABLE {
            return update.announcement.is_empty().then_some(Self::retraction(index));
        }
        let named = if update.announcement.is_empty() {
            None
        } else {
            Some(Named {
                to: RoutingId(array(&update.to)?),
                version: Version { boot: update.boot, seq: update.seq },
                hash: AnnouncementHash(array(&update.announcement)?),
                age_s: update.age_s,
                follows: update.follows,
            })
        };
        let hops = u8::try_from(update.hops).ok().filter(|hops| u32::from(*hops) <= MAX_HOPS)?;
        Some(Self { index, cost, hops, chain: ChainValue(array(&update.chain)?), named })
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;

    fn update(index: u16) -> RouteUpdate {
        let named = Named {
            to: RoutingId([1; 16]),
            version: Version { boot: u64::MAX, seq: u64::MAX },
            hash: AnnouncementHash([2; 16]),
            age_s: u32::MAX,
            follows: true,
        };
        RouteUpdate { index, cost: 254, hops: 32, chain: ChainValue([3; 16]), named: Some(named) }
    }

    fn encoded(frame: &Routing) -> Bytes {
        let mut out = BytesMut::new();
        frame.encode_body(&mut out);
        out.freeze()
    }

    #[test]
    fn the_largest_frames_fit_and_survive() {
        let updates = (0..MAX_UPDATES as u16).map(|index| update(index + 3_900)).collect();
        let request = SeqRequest { to: RoutingId([1; 16]), version: Version { boot: 1, seq: 2 }, ttl: 32 };
        for frame in [
            Routing::Updates { restart: true, updates },
            Routing::Updates { restart: false, updates: vec![RouteUpdate::retraction(4_095)] },
            Routing::WantAnnouncements(vec![AnnouncementHash([4; 16]); MAX_WANTED]),
            Routing::Announcement(Bytes::from(vec![5; MAX_ANNOUNCEMENT_BYTES])),
            Routing::SeqRequest(request),
            Routing::Digest { digest: [6; 16], count: 4_096 },
            Routing::WantRoutes,
        ] {
            let body = encoded(&frame);
            assert!(body.len() <= crate::wire::MAX_FRAME_BYTES - crate::wire::FRAME_HEADER_BYTES, "{}", body.len());
            assert_eq!(Routing::decode(frame.kind(), &body), Some(frame));
        }
    }

    #[test]
    fn what_breaks_a_limit_is_malformed() {
        let good = update(1).to_proto();
        let cases: [fn(&mut proto::RouteUpdate); 8] = [
            |update| update.index = 4_096,
            |update| update.cost = 256,
            |update| update.cost = 255,
            |update| update.hops = 33,
            |update| update.chain = Bytes::from_static(&[0; 15]),
            |update| update.to = Bytes::new(),
            |update| update.announcement = Bytes::from_static(&[0; 17]),
            |update| update.announcement = Bytes::from_static(&[0; 200]),
        ];
        let body = |updates| Bytes::from(proto::RouteUpdates { restart: false, updates }.encode_to_vec());
        assert!(Routing::decode(kind::UPDATES, &body(vec![good.clone()])).is_some());
        for (number, change) in cases.iter().enumerate() {
            let mut bad = good.clone();
            change(&mut bad);
            assert_eq!(Routing::decode(kind::UPDATES, &body(vec![bad])), None, "case {number}");
        }
        assert_eq!(Routing::decode(kind::UPDATES, &body(vec![good; MAX_UPDATES + 1])), None);
        let wants = encoded(&Routing::WantAnnouncements(vec![AnnouncementHash([4; 16]); MAX_WANTED + 1]));
        assert_eq!(Routing::decode(kind::WANT_ANNOUNCEMENTS, &wants), None);
        let long = encoded(&Routing::Announcement(Bytes::from(vec![5; MAX_ANNOUNCEMENT_BYTES + 1])));
        assert_eq!(Routing::decode(kind::ANNOUNCEMENT, &long), None);
        let request = SeqRequest { to: RoutingId([1; 16]), version: Version { boot: 1, seq: 2 }, ttl: 33 };
        assert_eq!(Routing::decode(kind::SEQ_REQUEST, &encoded(&Routing::SeqRequest(request))), None);
    }
}
