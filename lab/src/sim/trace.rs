//! What happened, as one hash, and for people.
//!
//! The hash covers times, nodes, kinds, names and sizes, and never ciphertext: two runs of one seed have the same one.

use super::run::SEEDED;

/// The running hash of what happened.
#[derive(Debug)]
pub(crate) struct Trace {
    hasher: blake3::Hasher,
    /// Of all bytes that were written, where they follow from the seed.
    wire: blake3::Hasher,
    buffer: Vec<u8>,
    /// Whether people want to see it.
    pub(crate) shown: bool,
    /// What happened, counted.
    pub(crate) events: u64,
}

/// What a line of the trace is about.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub(crate) enum Mark {
    Start = 1,
    End,
    Tick,
    Persist,
    Record,
    Persisted,
    Load,
    Loaded,
    Transmit,
    Arrive,
    LinkUp,
    LinkDown,
    Dial,
    DialFailed,
    Close,
    Command,
    Reply,
    Event,
    Fault,
    Disk,
    Forged,
    Search,
}

/// Where the buffer is handed to the hash.
const BLOCK: usize = 8 * 1024;

impl Trace {
    pub(crate) fn new(shown: bool) -> Self {
        Self {
            hasher: blake3::Hasher::new(),
            wire: blake3::Hasher::new(),
            buffer: Vec::with_capacity(BLOCK + 64),
            shown,
            events: 0,
        }
    }

    /// Notes that something happened.
    pub(crate) fn note(&mut self, time: u64, node: usize, mark: Mark, what: u64, size: u64) {
        self.events += 1;
        self.buffer.extend_from_slice(&time.to_le_bytes());
        self.buffer.extend_from_slice(&(node as u64).to_le_bytes()[..4]);
        self.buffer.push(mark as u8);
        self.buffer.extend_from_slice(&what.to_le_bytes());
        self.buffer.extend_from_slice(&size.to_le_bytes()[..5]);
        if self.buffer.len() >= BLOCK {
            self.hasher.update(&self.buffer);
            self.buffer.clear();
        }
    }

    /// Notes what was written to a wire, where that follows from the seed.
    pub(crate) fn written(&mut self, bytes: &[u8]) {
        if SEEDED {
            self.wire.update(bytes);
        }
    }

    /// The hash of all that was written; the same for every run where it does not follow from the seed.
    pub(crate) fn wire_hash(&self) -> blake3::Hash {
        self.wire.finalize()
    }

    /// Tells people about it.
    #[expect(clippy::print_stdout, reason = "the trace of a command")]
    pub(crate) fn tell(&self, time: u64, node: usize, what: impl FnOnce() -> String) {
        if self.shown {
            println!("{:>12.6} n{node:<4} {}", time as f64 / 1e6, what());
        }
    }

    /// The hash of all that was noted.
    pub(crate) fn hash(&mut self) -> blake3::Hash {
        self.hasher.update(&self.buffer);
        self.buffer.clear();
        self.hasher.finalize()
    }
}
