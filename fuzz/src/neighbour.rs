//! An engine with one neighbour that says anything.

use bytes::Bytes;
use tidings_core::ids::LinkId;
use tidings_core::links::{Address, LinkKind};
use tidings_core::record::{Loaded, Query, Snapshot};
use tidings_core::time::{Instant, Now, Wall};
use tidings_core::{Config, Engine, Event, Input, Output};
use tidings_crypto::{IdentityKey, OlmSealer};

use crate::seeds;

const LINK: LinkId = LinkId(1);
/// How often time moves on to the engine's next deadline after the bytes came.
const DEADLINES: usize = 4;

/// What a neighbour says from the moment its link is open, in two pieces: the first byte says where it is cut.
pub fn engine(bytes: &[u8]) -> bool {
    let Some((cut, stream)) = bytes.split_first() else { return false };
    let pieces = stream.split_at(usize::from(*cut).min(stream.len()));
    events(pieces).iter().any(|event| matches!(event, Event::NeighbourUp { .. }))
}

/// Everything that an engine tells while its neighbour says this.
fn events(pieces: (&[u8], &[u8])) -> Vec<Event> {
    let sealer = OlmSealer::load(seeds::ACCOUNT).expect("the kept account can be read");
    let snapshot = Snapshot { account: Bytes::from_static(seeds::ACCOUNT), ..Snapshot::default() };
    let now = Now { mono: Instant(1_000_000), wall: Wall(seeds::WALL_MS) };
    let engine = Engine::new(Config::default(), IdentityKey::from_seed(&seeds::OWN), sealer, snapshot, now, [7; 32]);
    let mut node = Node { engine, now, events: Vec::new() };
    let address = Address::new("/ip4/192.0.2.1/tcp/4001").expect("it is a multiaddr");
    let peer = IdentityKey::from_seed(&seeds::NEIGHBOUR).peer();
    node.step(Input::LinkUp { link: LINK, peer, kind: LinkKind::Tcp, dial: None, address });
    node.step(Input::Writable { link: LINK, bytes: 256 * 1024 });
    for piece in [pieces.0, pieces.1] {
        node.now.mono.0 += 1_000;
        node.step(Input::Bytes { link: LINK, bytes: Bytes::copy_from_slice(piece) });
    }
    for _ in 0..DEADLINES {
        let Some(deadline) = node.engine.next_deadline() else { break };
        node.now.mono = deadline.max(node.now.mono);
        node.step(Input::Tick);
    }
    node.step(Input::LinkDown { link: LINK });
    node.events
}

struct Node {
    engine: Engine<OlmSealer>,
    now: Now,
    events: Vec<Event>,
}

impl Node {
    /// Hands in an input and does at once what the engine wants done.
    fn step(&mut self, input: Input) {
        self.engine.handle(self.now, input);
        while let Some(output) = self.engine.poll_output() {
            match output {
                Output::Persist { batch, records } => {
                    assert!(!records.is_empty(), "a batch is never empty");
                    self.engine.handle(self.now, Input::Persisted(batch));
                }
                Output::Load { load, query } => self.engine.handle(self.now, Input::Loaded(load, nothing(query))),
                Output::Event(event) => self.events.push(event),
                Output::Transmit { .. } | Output::Dial { .. } | Output::Close { .. } | Output::FindPeer { .. } => {}
                Output::Publish { .. } | Output::Reply(..) => {}
            }
        }
    }
}

/// The answer of an empty store.
fn nothing(query: Query) -> Loaded {
    match query {
        Query::OutMessages { .. } => Loaded::OutMessages { messages: Vec::new(), end: true },
        Query::OutParcels(_) => Loaded::OutParcels(Vec::new()),
        Query::Idempotent(_) => Loaded::Idempotent(None),
        Query::Expiring { after, .. } => Loaded::Expiring { batches: Vec::new(), after, next: None },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seed_with_a_message_reaches_the_inbox() {
        let (_, _, bytes) =
            seeds::all().into_iter().find(|(target, name, _)| (*target, *name) == ("engine", "parcel")).unwrap();
        let events = events((&bytes[1..], &[]));
        assert!(
            events.iter().any(|event| matches!(event, Event::Received(batch) if batch.messages.len() == 1)),
            "{events:?}"
        );
    }
}
