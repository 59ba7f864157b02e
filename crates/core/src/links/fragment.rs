//! Puts parcels together from their pieces; docs/spec/links.md §6.

use bytes::{Bytes, BytesMut};

use crate::class::Class;
use crate::wire::Fragment;

/// The unfinished parcels of one link: one of each class at most, each at most
/// [`MAX_PARCEL_BYTES`](crate::wire::MAX_PARCEL_BYTES), holding what arrived and nothing ahead of it.
#[derive(Debug, Default)]
pub(super) struct Reassembly {
    lanes: [Option<Unfinished>; 5],
}

#[derive(Debug)]
struct Unfinished {
    total: usize,
    bytes: BytesMut,
}

/// A piece that belongs to no parcel, or goes beyond the end of its parcel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BadPiece;

impl Reassembly {
    /// Takes a piece and gives the parcel that it completes.
    ///
    /// A first piece ends an unfinished parcel of its class: its sender has given it up.
    pub(super) fn on_piece(&mut self, fragment: Fragment) -> Result<Option<(Class, Bytes)>, BadPiece> {
        let Fragment { class, total, bytes } = fragment;
        let lane = &mut self.lanes[class.index()];
        if let Some(total) = total {
            let total = usize::try_from(total).map_err(|_| BadPiece)?;
            if bytes.len() == total {
                *lane = None;
                return Ok(Some((class, bytes)));
            }
            *lane = Some(Unfinished { total, bytes: BytesMut::from(&bytes[..]) });
            return Ok(None);
        }
        let unfinished = lane.as_mut().ok_or(BadPiece)?;
        if unfinished.bytes.len() + bytes.len() > unfinished.total {
            return Err(BadPiece);
        }
        unfinished.bytes.extend_from_slice(&bytes);
        if unfinished.bytes.len() < unfinished.total {
            return Ok(None);
        }
        Ok(lane.take().map(|unfinished| (class, unfinished.bytes.freeze())))
    }

    /// Bytes held.
    #[cfg(test)]
    pub(super) fn held_bytes(&self) -> usize {
        self.lanes.iter().flatten().map(|unfinished| unfinished.bytes.len()).sum()
    }
}
