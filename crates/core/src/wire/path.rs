//! The relays that a parcel says it crossed; docs/spec/wire.md §3.

use bytes::Bytes;
use tidings_crypto::RoutingId;

use super::MAX_HOPS;

/// The bytes of one relay in a path.
pub(super) const RELAY_BYTES: usize = 16;
/// The longest encoded path, in bytes: one relay for each link that a parcel may cross.
pub(super) const MAX_PATH_BYTES: usize = RELAY_BYTES * MAX_HOPS as usize;

/// Relays in the order in which a parcel crossed them, as they wrote themselves down.
///
/// Nobody vouches for it: a relay can leave itself out, and write whatever it likes about those before it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Path(Vec<RoutingId>);

impl Path {
    /// Reads a path; `None` if it is none, or has more than [`MAX_HOPS`] relays.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (relays, rest) = bytes.as_chunks::<RELAY_BYTES>();
        let fits = rest.is_empty() && bytes.len() <= MAX_PATH_BYTES;
        fits.then(|| Self(relays.iter().map(|relay| RoutingId(*relay)).collect()))
    }

    /// Encodes it: the 16 bytes of each relay.
    pub fn to_bytes(&self) -> Bytes {
        self.0.iter().flat_map(|relay| relay.0).collect()
    }

    /// The path one relay further.
    #[must_use]
    pub fn through(&self, relay: RoutingId) -> Self {
        Self(self.0.iter().copied().chain([relay]).collect())
    }

    /// The relays, the sender's neighbour first.
    pub fn relays(&self) -> &[RoutingId] {
        &self.0
    }
}
