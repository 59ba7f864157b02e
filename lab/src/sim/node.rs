//! A node of the simulation: the engine, its store with an unsynced tail, its disk and its clocks.

use tidings_core::ids::BatchNo;
use tidings_core::model::ModelStore;
use tidings_core::time::Instant;
use tidings_core::{Config, Engine, Input};
use tidings_crypto::{IdentityKey, LoadError, OlmSealer, PeerKey, Sealer};

use super::client::Client;
use super::clock::Clock;
use super::dice::Dice;

/// A sealer that the simulator can make and restore.
pub(crate) trait LabSealer: Sealer + Sized + 'static {
    /// Makes new keys. The seed serves those that draw from nowhere else.
    fn make(seed: [u8; 32]) -> Self;

    /// Restores what was saved, to draw from this seed from now on.
    ///
    /// # Errors
    ///
    /// [`LoadError`] where the bytes are not that.
    fn restore(bytes: &[u8], seed: [u8; 32]) -> Result<Self, LoadError>;
}

impl LabSealer for OlmSealer {
    fn make(_: [u8; 32]) -> Self {
        Self::generate()
    }

    fn restore(bytes: &[u8], _: [u8; 32]) -> Result<Self, LoadError> {
        Self::load(bytes)
    }
}

/// How a node ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// In order: everything is synced, neighbours see the links close.
    Stopped,
    /// Killed: neighbours see the links close.
    Killed,
    /// Without power: neighbours see nothing.
    PowerCut,
}

/// A node's disk: one commit at a time, which takes all that waits.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    /// What a commit takes at least, in microseconds.
    pub(crate) commit: u64,
    /// How many faults keep it full.
    pub(crate) full: u32,
    /// Whether the engine knows.
    pub(crate) told: bool,
    /// The newest batch of the commit under way.
    pub(crate) committing: Option<BatchNo>,
    /// The newest batch that is applied, and that is durable.
    pub(crate) issued: BatchNo,
    pub(crate) durable: BatchNo,
}

pub(crate) struct Node<S: LabSealer> {
    pub(crate) identity: IdentityKey,
    pub(crate) key: PeerKey,
    pub(crate) config: Config,
    pub(crate) store: ModelStore,
    pub(crate) engine: Option<Engine<S>>,
    /// One higher at each start: what was under way for an earlier one is dropped.
    pub(crate) life: u64,
    pub(crate) clock: Clock,
    pub(crate) disk: Disk,
    pub(crate) client: Client,
    pub(crate) dice: Dice,
    /// What its engine waits for, by its own clock. Asked for once after each input: nothing else changes it.
    pub(crate) deadline: Option<Instant>,
    /// When it will be ticked at the latest.
    pub(crate) armed: u64,
    /// How many faults keep it from running, and from moving.
    pub(crate) downs: u32,
    pub(crate) freezes: u32,
    /// What happened to it while it stood still.
    pub(crate) stash: Vec<Input>,
    /// When the store has answered its last question.
    pub(crate) last_answer: u64,
    /// The roads that begin here.
    pub(crate) roads: Vec<usize>,
    /// Whose addresses it knows at its start: as a person gave them, and as they stand in cards.
    pub(crate) knows: [Vec<usize>; 2],
    /// The links it has: its name for each, the wire and the end.
    pub(crate) links: std::collections::BTreeMap<tidings_core::ids::LinkId, (usize, usize)>,
    pub(crate) last_link: u64,
    #[cfg(feature = "sqlite")]
    pub(crate) beside: Option<Box<super::beside::Beside>>,
}

impl<S: LabSealer> Node<S> {
    pub(crate) fn is_running(&self) -> bool {
        self.engine.is_some() && self.freezes == 0
    }
}
