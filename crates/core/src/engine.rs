//! Composes the modules into one state machine.

use std::marker::PhantomData;

use tidings_crypto::{IdentityKey, PeerKey, Sealer};

use crate::ids::CommandId;
use crate::input::Input;
use crate::output::Output;
use crate::record::Snapshot;
use crate::time::{Instant, Now};
use crate::view::View;

/// How an engine behaves.
#[derive(Clone, Debug)]
pub struct Config {
    /// What this node calls itself, at most 64 bytes.
    pub name: String,
}

/// The protocol of one node.
#[derive(Debug)]
pub struct Engine<S> {
    own: PeerKey,
    sealer: PhantomData<S>,
}

impl<S: Sealer> Engine<S> {
    /// Starts a node from what its database holds.
    pub fn new(
        _config: Config,
        identity: IdentityKey,
        _sealer: S,
        _snapshot: Snapshot,
        _now: Now,
        _seed: [u8; 32],
    ) -> Self {
        Self {
            own: identity.peer(),
            sealer: PhantomData,
        }
    }
    /// Takes what happened.
    pub fn handle(&mut self, _now: Now, _input: Input) {}
    /// Gives what is to be done.
    pub fn poll_output(&mut self) -> Option<Output> {
        None
    }
    /// When to call [`Self::handle`] with [`Input::Tick`] at the latest.
    pub fn next_deadline(&self) -> Option<Instant> {
        None
    }
    /// This node.
    pub fn peer(&self) -> PeerKey {
        self.own
    }
    /// What it knows.
    pub fn view(&self) -> View {
        let _ = CommandId(0);
        View::default()
    }
}
