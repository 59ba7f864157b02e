//! What waits for a link, by class; docs/spec/links.md §6.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use super::event::Token;
use super::window::MIN_FRAME_BYTES;
use crate::class::Class;
use crate::ids::BatchNo;
use crate::wire::{Encoded, Fragment, Frame, frame_bytes};

/// The most bytes that wait for one link. The window of a session, 32 parcels of 68 KiB, fits in.
pub(super) const MAX_QUEUE_BYTES: u64 = 4 * 1024 * 1024;

/// The most frames that are no fragments in one queue: each is the answer to something a neighbour sent.
pub(super) const MAX_QUEUED_FRAMES: usize = 1024;

/// A parcel is not cut into less than about this, but for its last piece.
const MIN_PIECE_BYTES: u64 = MIN_FRAME_BYTES / 2;

/// How large the next frame may be, header included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Room {
    /// A piece of a parcel.
    pub(super) piece: u64,
    /// A frame that cannot be cut.
    pub(super) whole: u64,
}

/// A parcel on its way over a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Parcel {
    pub(super) token: Token,
    pub(super) class: Class,
    pub(super) bytes: Bytes,
    pub(super) batch: BatchNo,
}

#[derive(Debug)]
enum Item {
    Parcel(Parcel),
    Frame { frame: Encoded, batch: BatchNo },
}

impl Item {
    fn batch(&self) -> BatchNo {
        match self {
            Self::Parcel(parcel) => parcel.batch,
            Self::Frame { batch, .. } => *batch,
        }
    }

    fn bytes(&self) -> u64 {
        match self {
            Self::Parcel(parcel) => parcel.bytes.len() as u64,
            Self::Frame { frame, .. } => frame.len(),
        }
    }
}

/// The items of one class. Pieces of one class leave in order, so what has begun is finished first.
#[derive(Debug, Default)]
struct Lane {
    begun: Option<(Parcel, usize)>,
    ready: VecDeque<Item>,
    /// What waits for a batch to be durable, in the order of batches; it blocks nothing.
    gated: VecDeque<Item>,
    bytes: u64,
    /// The weighted bytes this class has had; the class with the least is next.
    served: u64,
}

impl Lane {
    fn can_go(&self) -> bool {
        self.begun.is_some() || !self.ready.is_empty()
    }

    fn push(&mut self, item: Item, durable: BatchNo) {
        self.bytes += item.bytes();
        if item.batch() <= durable {
            self.ready.push_back(item);
        } else {
            let place = self.gated.partition_point(|before| before.batch() <= item.batch());
            self.gated.insert(place, item);
        }
    }

    /// Says whether anything has become ready.
    fn on_durable(&mut self, durable: BatchNo) -> bool {
        let before = self.ready.len();
        while let Some(item) = self.gated.pop_front_if(|item| item.batch() <= durable) {
            self.ready.push_back(item);
        }
        self.ready.len() > before
    }
}

/// What leaves in a frame.
#[derive(Debug)]
pub(super) enum Leaving {
    /// A piece of a parcel.
    Piece(Fragment),
    /// What is no piece, encoded when it was queued.
    Whole(Encoded),
}

impl Leaving {
    pub(super) fn append(self, want_got: bool, out: &mut BytesMut) {
        match self {
            Self::Piece(fragment) => drop(Frame::Fragment(fragment).encode(want_got, out)),
            Self::Whole(frame) => frame.append(want_got, out),
        }
    }
}

/// A frame taken from the queue.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) frame: Leaving,
    /// Its encoded length.
    pub(super) length: u64,
    pub(super) batch: BatchNo,
    /// The parcel whose last byte the frame carries.
    pub(super) finished: Option<Parcel>,
}

/// The class queues of one link.
#[derive(Debug, Default)]
pub(super) struct Queue {
    lanes: [Lane; 5],
    frames: usize,
    bytes: u64,
}

/// The queue is at its bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct QueueFull;

impl Queue {
    /// Takes a parcel that a module wants sent.
    pub(super) fn push(&mut self, parcel: Parcel, durable: BatchNo) -> Result<(), QueueFull> {
        if self.bytes + parcel.bytes.len() as u64 > MAX_QUEUE_BYTES {
            return Err(QueueFull);
        }
        self.push_moved(parcel, durable);
        Ok(())
    }

    /// Takes a parcel from a link that ended. What such a link held was within the bounds of its own queue and
    /// window, and is taken beyond this queue's.
    pub(super) fn push_moved(&mut self, parcel: Parcel, durable: BatchNo) {
        self.insert(parcel.class, Item::Parcel(parcel), durable);
    }

    /// Takes a frame that is no fragment; it goes with the critical parcels.
    pub(super) fn push_frame(&mut self, frame: Encoded, batch: BatchNo, durable: BatchNo) -> Result<(), QueueFull> {
        if self.frames == MAX_QUEUED_FRAMES || self.bytes + frame.len() > MAX_QUEUE_BYTES {
            return Err(QueueFull);
        }
        self.frames += 1;
        self.insert(Class::Critical, Item::Frame { frame, batch }, durable);
        Ok(())
    }

    fn insert(&mut self, class: Class, item: Item, durable: BatchNo) {
        let least = self.least_served();
        self.bytes += item.bytes();
        let lane = &mut self.lanes[class.index()];
        if !lane.can_go() {
            // A class that was empty has not saved up a share.
            lane.served = lane.served.max(least.unwrap_or(lane.served));
        }
        lane.push(item, durable);
    }

    /// The weighted bytes of the shared class that is next.
    fn least_served(&self) -> Option<u64> {
        let shared = self.lanes.iter().skip(1);
        shared.filter(|lane| lane.can_go()).map(|lane| lane.served).min()
    }

    /// Says whether anything has become ready.
    pub(super) fn on_durable(&mut self, durable: BatchNo) -> bool {
        let least = self.least_served();
        let mut any = false;
        for lane in &mut self.lanes {
            let could = lane.can_go();
            any |= lane.on_durable(durable);
            if !could {
                lane.served = lane.served.max(least.unwrap_or(lane.served));
            }
        }
        any
    }

    /// Whether anything can leave now.
    pub(super) fn can_go(&self) -> bool {
        self.lanes.iter().any(Lane::can_go)
    }

    /// Bytes of this class and more urgent ones that were not taken.
    #[cfg(test)]
    pub(super) fn bytes_up_to(&self, class: Class) -> u64 {
        self.lanes.iter().take(class.index() + 1).map(|lane| lane.bytes).sum()
    }

    /// The class whose turn it is: critical, else the one furthest behind its share.
    fn next_class(&self) -> Option<Class> {
        if self.lanes[Class::Critical.index()].can_go() {
            return Some(Class::Critical);
        }
        Class::ALL
            .into_iter()
            .filter(|class| self.lanes[class.index()].can_go())
            .min_by_key(|class| (self.lanes[class.index()].served, class.index()))
    }

    /// Takes the next frame. `None` if nothing can go, or what is next does not fit.
    pub(super) fn take(&mut self, room: Room) -> Option<Taken> {
        let class = self.next_class()?;
        let lane = &mut self.lanes[class.index()];
        let (taken, bytes) = match lane.begun.take() {
            Some((parcel, from)) => piece(lane, parcel, from, room)?,
            None => match lane.ready.pop_front()? {
                Item::Parcel(parcel) => piece(lane, parcel, 0, room)?,
                Item::Frame { frame, batch } if frame.len() <= room.whole => {
                    self.frames -= 1;
                    let length = frame.len();
                    let taken = Taken { frame: Leaving::Whole(frame), length, batch, finished: None };
                    (taken, length)
                }
                too_long @ Item::Frame { .. } => {
                    lane.ready.push_front(too_long);
                    return None;
                }
            },
        };
        lane.bytes -= bytes;
        lane.served += bytes * Class::High.weight() / class.weight().max(1);
        self.bytes -= bytes;
        Some(taken)
    }

    /// Takes a parcel out if no byte of it has left. Says whether it did.
    pub(super) fn withdraw(&mut self, token: Token) -> bool {
        for lane in &mut self.lanes {
            for items in [&mut lane.ready, &mut lane.gated] {
                let found = items.iter().position(|item| matches!(item, Item::Parcel(parcel) if parcel.token == token));
                if let Some(item) = found.and_then(|place| items.remove(place)) {
                    lane.bytes -= item.bytes();
                    self.bytes -= item.bytes();
                    return true;
                }
            }
        }
        false
    }

    /// Gives the parcels, begun ones first, then in order of class. Frames stay: what they say goes by this link only.
    pub(super) fn drain(&mut self) -> Vec<Parcel> {
        let lanes = std::mem::take(self).lanes;
        let mut parcels = Vec::new();
        let mut rest = Vec::new();
        for (lane, left) in lanes.into_iter().zip(&mut self.lanes) {
            parcels.extend(lane.begun.map(|(parcel, _)| parcel));
            for (items, frames) in [(lane.ready, &mut left.ready), (lane.gated, &mut left.gated)] {
                for item in items {
                    match item {
                        Item::Parcel(parcel) => rest.push(parcel),
                        Item::Frame { .. } => {
                            self.frames += 1;
                            self.bytes += item.bytes();
                            left.bytes += item.bytes();
                            frames.push_back(item);
                        }
                    }
                }
            }
        }
        parcels.append(&mut rest);
        parcels
    }
}

/// Cuts the next piece of a parcel, or puts the parcel back.
fn piece(lane: &mut Lane, parcel: Parcel, from: usize, room: Room) -> Option<(Taken, u64)> {
    let overhead = Fragment::OVERHEAD[usize::from(from > 0)];
    let rest = parcel.bytes.len() - from;
    let piece = usize::try_from(room.piece).unwrap_or(usize::MAX);
    let length = rest.min(piece.saturating_sub(overhead));
    if length == 0 || length < rest && frame_bytes(length) as u64 <= MIN_PIECE_BYTES {
        if from > 0 {
            lane.begun = Some((parcel, from));
        } else {
            lane.ready.push_front(Item::Parcel(parcel));
        }
        return None;
    }
    let to = from + length;
    let frame = Leaving::Piece(Fragment {
        class: parcel.class,
        total: (from == 0).then(|| u32::try_from(parcel.bytes.len()).unwrap_or(u32::MAX)),
        bytes: parcel.bytes.slice(from..to),
    });
    let batch = parcel.batch;
    let finished = if to == parcel.bytes.len() {
        Some(parcel)
    } else {
        lane.begun = Some((parcel, to));
        None
    };
    let taken = Taken { frame, length: (overhead + length) as u64, batch, finished };
    Some((taken, length as u64))
}
