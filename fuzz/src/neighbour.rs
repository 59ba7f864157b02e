//! An engine with one neighbour that says anything.

use bytes::Bytes;
use tidings_core::ids::LinkId;
use tidings_core::links::{Address, LinkKind};
use tidings_core::record::{Loaded, Query, Snapshot};
use tidings_core::time::{Instant, Now, Wall};
use tidings_core::{Config, Engine, Input, Output};
use tidings_crypto::{IdentityKey, OlmSealer};

use crate::seeds;

const LINK: LinkId = LinkId(1);
/// How often time moves on to the engine's next deadline after the bytes came.
const DEADLINES: usize = 4;

/// What a neighbour says from the moment its link is open: the first byte of the input says where it pauses.
pub fn engine(bytes: &[u8]) {
    let Some((cut, stream)) = bytes.split_first() else { return };
    let (first, second) = stream.split_at(usize::from(*cut).min(stream.len()));
    let sealer = OlmSealer::load(seeds::ACCOUNT).expect("the kept account can be read");
    let snapshot = Snapshot { account: Bytes::from_static(seeds::ACCOUNT), ..Snapshot::default() };
    let mut now = Now { mono: Instant(1_000_000), wall: Wall(seeds::WALL_MS) };
    let mut engine =
        Engine::new(Config::default(), IdentityKey::from_seed(&seeds::OWN), sealer, snapshot, now, [7; 32]);
    let address = Address::new("/ip4/192.0.2.1/tcp/4001").expect("it is a multiaddr");
    let peer = IdentityKey::from_seed(&seeds::NEIGHBOUR).peer();
    step(&mut engine, now, Input::LinkUp { link: LINK, peer, kind: LinkKind::Tcp, dial: None, address });
    step(&mut engine, now, Input::Writable { link: LINK, bytes: 256 * 1024 });
    for piece in [first, second] {
        now.mono.0 += 1_000;
        step(&mut engine, now, Input::Bytes { link: LINK, bytes: Bytes::copy_from_slice(piece) });
    }
    for _ in 0..DEADLINES {
        let Some(deadline) = engine.next_deadline() else { break };
        now.mono = deadline.max(now.mono);
        step(&mut engine, now, Input::Tick);
    }
    step(&mut engine, now, Input::LinkDown { link: LINK });
}

/// Hands in an input and does at once what the engine wants done.
fn step(engine: &mut Engine<OlmSealer>, now: Now, input: Input) {
    engine.handle(now, input);
    while let Some(output) = engine.poll_output() {
        match output {
            Output::Persist { batch, records } => {
                assert!(!records.is_empty(), "a batch is never empty");
                engine.handle(now, Input::Persisted(batch));
            }
            Output::Load { load, query } => engine.handle(now, Input::Loaded(load, nothing(query))),
            Output::Transmit { .. }
            | Output::Dial { .. }
            | Output::Close { .. }
            | Output::Reply(..)
            | Output::Event(_) => {}
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
