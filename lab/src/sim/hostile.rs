//! Nodes that do, beside running Tidings, what they must not do.
//!
//! A hostile node runs the real engine, so that it is a neighbour like any other. Between what that writes it writes
//! frames of its own. It can hear what all its neighbours' links carry, as if no transport were sealed.

use bytes::{Bytes, BytesMut};
use tidings_core::class::Class;
use tidings_core::ids::FlowId;
use tidings_core::interval::IntervalSet;
use tidings_core::wire::{Clear, Content, Fragment, Frame, FrameDecoder, Parcel, Suite};

use super::dice::Dice;
use super::heard::{Heard, altered};
use super::liar::Rumours;
use super::node::LabSealer;
use super::trace::Mark;
use super::world::{Happening, World};
use crate::scenario::Conduct;

/// The largest piece of a parcel that is put into one frame.
const PIECE: usize = 4_000;

/// What a hostile node does, and what it has heard.
#[derive(Debug)]
pub(super) struct Hostile {
    pub(super) conduct: Conduct,
    /// What was written, chunk by chunk.
    heard: Heard<Bytes>,
    rumours: Rumours,
    dice: Dice,
}

impl Hostile {
    pub(super) fn new(conduct: Conduct, dice: Dice) -> Self {
        Self { conduct, heard: Heard::default(), rumours: Rumours::default(), dice }
    }

    fn hear(&mut self, bytes: &Bytes) {
        if self.conduct == Conduct::Liar {
            self.rumours.hear(bytes, &mut self.dice);
        } else {
            self.heard.keep(bytes.clone(), &mut self.dice);
        }
    }

    /// What it writes next.
    fn invent(&mut self) -> Bytes {
        match self.conduct {
            Conduct::Replayer => self.heard.any(&mut self.dice).cloned().unwrap_or_default(),
            Conduct::Flooder => self.flood(),
            Conduct::Forger => self.forge().unwrap_or_default(),
            Conduct::Liar => self.rumours.lie(&mut self.dice).unwrap_or_default(),
        }
    }

    fn flood(&mut self) -> Bytes {
        let length = 1 + self.dice.index(PIECE);
        let bytes: Vec<u8> = (0..length).map(|_| self.dice.next().to_le_bytes()[0]).collect();
        self.carry(&bytes.into())
    }

    /// A heard parcel, altered in one place or said to be of other messages.
    fn forge(&mut self) -> Option<Bytes> {
        let (class, parcel) = parcel_in(self.heard.any(&mut self.dice)?)?;
        let forged =
            if self.dice.below(2) == 0 { altered(&parcel, &mut self.dice) } else { self.renamed(class, &parcel)? };
        Some(self.carry(&forged))
    }

    fn renamed(&mut self, class: Class, parcel: &Bytes) -> Option<Bytes> {
        let parcel = Parcel::decode(parcel.clone()).ok()?;
        let Suite::Session(clear) = &parcel.suite else { return None };
        let content = clear.content.clone()?;
        let first = self.dice.below(100);
        let content = match self.dice.below(2) {
            0 => Content { flow: FlowId(self.dice.bytes()), ..content },
            _ => Content { seqs: IntervalSet::of(first, first + self.dice.below(20)), ..content },
        };
        let suite = Suite::Session(Clear { content: Some(content), ..clear.clone() });
        Some(Parcel::encode(parcel.to, class, self.dice.next(), &suite, parcel.body.clone(), 60, None).1)
    }

    fn carry(&mut self, parcel: &Bytes) -> Bytes {
        let class = Class::ALL[self.dice.index(Class::ALL.len())];
        let mut total = u32::try_from(parcel.len()).ok();
        let mut written = BytesMut::new();
        for piece in parcel.chunks(PIECE) {
            let frame = Frame::Fragment(Fragment { class, total: total.take(), bytes: Bytes::copy_from_slice(piece) });
            frame.encode(frame.is_counted(), &mut written);
        }
        written.freeze()
    }
}

/// The first whole parcel in what was written.
fn parcel_in(bytes: &Bytes) -> Option<(Class, Bytes)> {
    let mut decoder = FrameDecoder::default();
    decoder.push(bytes.clone());
    while let Ok(Some((frame, ..))) = decoder.next_frame() {
        if let Frame::Fragment(Fragment { class, total: Some(total), bytes }) = frame
            && bytes.len() == total as usize
        {
            return Some((class, bytes));
        }
    }
    None
}

impl<S: LabSealer> World<S> {
    /// A hostile node hears what its neighbours write, and what it writes itself.
    pub(super) fn overhear(&mut self, writer: usize, bytes: &Bytes) {
        if self.tally.hostile == 0 {
            return;
        }
        for road in &self.nodes[writer].roads {
            let [a, b] = self.roads[*road].ends;
            let other = if a == writer { b } else { a };
            if let Some(hostile) = &mut self.hostile[other] {
                hostile.hear(bytes);
            }
        }
        if let Some(hostile) = &mut self.hostile[writer] {
            hostile.hear(bytes);
        }
    }

    /// A hostile node writes something to one of its links.
    pub(super) fn mischief(&mut self, index: usize, life: u64) {
        if !self.is_alive(index, life) || self.healed {
            return;
        }
        let links: Vec<_> = self.nodes[index].links.keys().copied().collect();
        let Some(hostile) = &mut self.hostile[index] else { return };
        let pause = match hostile.conduct {
            Conduct::Flooder => hostile.dice.below(20_000),
            Conduct::Replayer | Conduct::Forger | Conduct::Liar => hostile.dice.below(400_000),
        };
        if !links.is_empty() {
            let (link, bytes) = (links[hostile.dice.index(links.len())], hostile.invent());
            if !bytes.is_empty() {
                self.tally.forged += 1;
                self.trace.note(self.now, index, Mark::Forged, link.0, bytes.len() as u64);
                self.trace.tell(self.now, index, || format!("writes {} bytes that it must not", bytes.len()));
                self.send(index, link, bytes);
            }
        }
        self.queue.push(self.now + pause + 1, Happening::Mischief { node: index, life });
    }
}
