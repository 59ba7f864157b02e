//! Where parcels that have passed came from.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tidings_crypto::{PeerKey, RoutingId};

use crate::ids::ParcelId;
use crate::time::Instant;

/// The most parcels remembered; the oldest makes room. At 2,000 parcels each second it is what passes in 30 s.
pub(super) const MAX_CARRIED: usize = 65_536;
/// How long a parcel is remembered: a refusal by the last hop of a long way is back by then.
pub(super) const REMEMBERED: Duration = Duration::from_secs(30);

/// A parcel that has come by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Carried {
    pub(super) from: PeerKey,
    pub(super) to: RoutingId,
    /// Who has it, or is about to.
    pub(super) next: Option<PeerKey>,
}

/// The parcels of the last half minute.
#[derive(Debug, Default)]
pub(super) struct Memory {
    carried: BTreeMap<ParcelId, Carried>,
    order: VecDeque<(Instant, ParcelId)>,
}

impl Memory {
    pub(super) fn get(&self, parcel: &ParcelId) -> Option<&Carried> {
        self.carried.get(parcel)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.carried.len()
    }

    pub(super) fn get_mut(&mut self, parcel: &ParcelId) -> Option<&mut Carried> {
        self.carried.get_mut(parcel)
    }

    /// Remembers a parcel, and forgets what is old.
    pub(super) fn add(&mut self, now: Instant, parcel: ParcelId, carried: Carried) {
        while let Some((at, oldest)) = self.order.front().copied() {
            if at + REMEMBERED > now && self.order.len() < MAX_CARRIED {
                break;
            }
            self.order.pop_front();
            self.carried.remove(&oldest);
        }
        if self.carried.insert(parcel, carried).is_none() {
            self.order.push_back((now, parcel));
        }
    }
}
