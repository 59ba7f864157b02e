//! Which frame goes where, and what is under way.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use memchr::memmem::Finder;

use super::Pair;
use super::port::{Destination, LARGEST_FRAME, Mac, Port};
use super::shape::{Arrival, Drop, Shape, Shaper};
use crate::sim::{Dice, MARKER, Purpose};

/// What went through, in frames and bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Traffic {
    /// What the namespaces sent.
    pub(crate) sent: Count,
    /// What arrived; a frame to a group counts at each port.
    pub(crate) arrived: Count,
    pub(crate) lost: u64,
    pub(crate) blackholed: u64,
    pub(crate) queue_full: u64,
    pub(crate) too_large: u64,
    /// To a port that the sender's is not joined with.
    pub(crate) unreachable: u64,
    /// What the interface did not take.
    pub(crate) refused: u64,
    pub(crate) corrupted: u64,
    pub(crate) duplicated: u64,
    /// Frames in which the beginning of a payload is seen.
    pub(crate) plaintext: u64,
    /// What each port sent.
    pub(crate) by_port: Vec<Count>,
}

/// Frames and their bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) frames: u64,
    pub(crate) bytes: u64,
}

impl Count {
    fn add(&mut self, frame: &[u8]) {
        self.frames += 1;
        self.bytes += frame.len() as u64;
    }
}

/// How late frames were written.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Lateness {
    pub(super) latest: Duration,
    sum: Duration,
    frames: u32,
}

impl Lateness {
    pub(super) fn mean(self) -> Duration {
        self.sum.checked_div(self.frames).unwrap_or_default()
    }
}

/// A frame under way, ordered by its arrival, then by when it was taken.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct UnderWay {
    at: Duration,
    number: u64,
    to: u16,
    frame: Arc<[u8]>,
}

/// How much may be under way in all, in frames.
const MOST_UNDER_WAY: usize = 1 << 18;

/// Ports, pairs, and what is between them.
pub(super) struct Switch {
    ports: Vec<Port>,
    seed: u64,
    /// By port, then by the one it is joined with.
    pairs: Vec<BTreeMap<u16, Shaper>>,
    under_way: BinaryHeap<Reverse<UnderWay>>,
    numbers: u64,
    traffic: Traffic,
    lateness: Lateness,
    marker: Finder<'static>,
}

impl Switch {
    pub(super) fn new(ports: Vec<Port>, seed: u64) -> Self {
        let pairs = ports.iter().map(|_| BTreeMap::new()).collect();
        let traffic = Traffic { by_port: vec![Count::default(); ports.len()], ..Traffic::default() };
        Self {
            ports,
            seed,
            pairs,
            under_way: BinaryHeap::new(),
            numbers: 0,
            traffic,
            lateness: Lateness::default(),
            marker: Finder::new(MARKER),
        }
    }

    pub(super) fn set(&mut self, pair: Pair, shape: Option<Shape>) {
        let Some(row) = self.pairs.get_mut(usize::from(pair.from)) else { return };
        match (shape, row.get_mut(&pair.to)) {
            (Some(shape), Some(shaper)) => shaper.set(shape),
            (Some(shape), None) => {
                let number = u64::from(pair.from) << 16 | u64::from(pair.to);
                let dice = Dice::split(self.seed.wrapping_add(number), Purpose::Links);
                row.insert(pair.to, Shaper::new(shape, dice));
            }
            (None, _) => drop(row.remove(&pair.to)),
        }
    }

    /// Takes up to `most` frames from a port.
    pub(super) fn take(&mut self, port: usize, most: usize, now: Duration) -> Result<()> {
        let mut frame = [0; LARGEST_FRAME];
        for _ in 0..most {
            let Some(length) = self.ports[port].receive(&mut frame)? else { break };
            let frame = &frame[..length];
            self.traffic.sent.add(frame);
            self.traffic.by_port[port].add(frame);
            self.traffic.plaintext += u64::from(self.marker.find(frame).is_some());
            self.forward(port, frame, now);
        }
        Ok(())
    }

    fn forward(&mut self, port: usize, frame: &[u8], now: Duration) {
        let shared: Arc<[u8]> = frame.into();
        match Mac::destination(frame) {
            Some(Destination::All) => {
                let mut row = std::mem::take(&mut self.pairs[port]);
                for (&to, shaper) in &mut row {
                    self.offer(to, shaper, &shared, now);
                }
                self.pairs[port] = row;
            }
            Some(Destination::Port(to)) => {
                // Taken out, so that the pair and what is under way are not borrowed at once.
                let mut row = std::mem::take(&mut self.pairs[port]);
                match row.get_mut(&to) {
                    Some(shaper) => self.offer(to, shaper, &shared, now),
                    None => self.traffic.unreachable += 1,
                }
                self.pairs[port] = row;
            }
            None => self.traffic.unreachable += 1,
        }
    }

    fn offer(&mut self, to: u16, shaper: &mut Shaper, frame: &Arc<[u8]>, now: Duration) {
        if self.under_way.len() >= MOST_UNDER_WAY {
            self.traffic.queue_full += 1;
            return;
        }
        match shaper.offer(now, frame.len()) {
            Ok((first, second)) => {
                self.travel(to, first, frame);
                if let Some(second) = second {
                    self.traffic.duplicated += 1;
                    self.travel(to, second, frame);
                }
            }
            Err(Drop::Lost) => self.traffic.lost += 1,
            Err(Drop::Blackhole) => self.traffic.blackholed += 1,
            Err(Drop::QueueFull) => self.traffic.queue_full += 1,
            Err(Drop::TooLarge) => self.traffic.too_large += 1,
        }
    }

    fn travel(&mut self, to: u16, arrival: Arrival, frame: &Arc<[u8]>) {
        let frame = match arrival.turned_bit {
            Some(bit) => {
                self.traffic.corrupted += 1;
                turned(frame, bit)
            }
            None => Arc::clone(frame),
        };
        self.numbers += 1;
        self.under_way.push(Reverse(UnderWay { at: arrival.at, number: self.numbers, to, frame }));
    }

    /// Writes what has arrived by `now`.
    pub(super) fn deliver(&mut self, now: Duration) {
        while let Some(Reverse(next)) = self.under_way.peek() {
            if next.at > now {
                return;
            }
            let Some(Reverse(next)) = self.under_way.pop() else { return };
            let late = now - next.at;
            self.lateness.latest = self.lateness.latest.max(late);
            self.lateness.sum += late;
            self.lateness.frames = self.lateness.frames.saturating_add(1);
            match self.ports.get(usize::from(next.to)) {
                Some(port) if port.send(&next.frame) => self.traffic.arrived.add(&next.frame),
                Some(_) | None => self.traffic.refused += 1,
            }
        }
    }

    pub(super) fn next_arrival(&self) -> Option<Duration> {
        self.under_way.peek().map(|Reverse(next)| next.at)
    }

    pub(super) fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    pub(super) fn lateness(&self) -> Lateness {
        self.lateness
    }
}

fn turned(frame: &[u8], bit: u64) -> Arc<[u8]> {
    let mut copy = frame.to_vec();
    // The bit lies within the frame, whose length is a usize.
    if let Some(byte) = copy.get_mut((bit / 8) as usize) {
        *byte ^= 1 << (bit % 8);
    }
    copy.into()
}
