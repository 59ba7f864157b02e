//! Two nodes with one link between them, brought to the moment before what is counted.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use tidings_core::class::Class;
use tidings_core::ids::{BatchNo, CommandId, LinkId};
use tidings_core::links::{Address, LinkKind};
use tidings_core::message::{DEFAULT_LIFETIME, Submission};
use tidings_core::model::ModelStore;
use tidings_core::record::Record;
use tidings_core::time::{Instant, Now, Wall};
use tidings_core::{Command, Config, Engine, Event, Input, Output, Reply};
use tidings_crypto::{IdentityKey, OlmSealer, PeerKey};

/// The bytes of a payload.
const PAYLOAD_BYTES: usize = 256;
/// What the link takes without a pause.
const GRANT: u64 = 1 << 40;
/// The wall clock at the beginning, in milliseconds.
const START: u64 = 1_800_000_000_000;
/// How many timers may ring until something that must happen has happened.
const PATIENCE: usize = 1_000;
/// Whatever is longer holds a piece of a parcel; what links say to one another is shorter.
const PARCEL_BYTES: usize = 64;
/// The one link.
const LINK: LinkId = LinkId(1);

/// A node between two inputs: its engine, and what that wanted done and is not done yet.
pub(crate) struct Side {
    pub(crate) key: PeerKey,
    engine: Engine<OlmSealer>,
    now: Instant,
    stored: Vec<(BatchNo, Vec<Record>)>,
    written: Vec<Bytes>,
    replies: Vec<Reply>,
    events: Vec<Event>,
    commands: u64,
}

/// Two of them with their stores.
pub(crate) struct Pair {
    pub(crate) sides: [Side; 2],
    stores: [ModelStore; 2],
    now: Instant,
}

impl Side {
    fn new(number: u8, store: &ModelStore, now: Instant) -> Self {
        let identity = IdentityKey::from_seed(&[number; 32]);
        let config = Config { name: format!("node {number}"), ..Config::default() };
        let sealer = OlmSealer::generate();
        let now_both = Now { mono: now, wall: Wall(START) };
        Self {
            key: identity.peer(),
            engine: Engine::new(config, identity, sealer, store.snapshot(), now_both, [number; 32]),
            now,
            stored: Vec::with_capacity(64),
            written: Vec::with_capacity(256),
            replies: Vec::with_capacity(64),
            events: Vec::with_capacity(64),
            commands: 0,
        }
    }

    /// Something happens, and every batch that it makes is durable at once.
    pub(crate) fn happen(&mut self, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let now = Now { mono: self.now, wall: Wall(START + self.now.0 / 1000) };
            self.engine.handle(now, input);
            while let Some(output) = self.engine.poll_output() {
                match output {
                    Output::Persist { batch, records } => {
                        self.stored.push((batch, records));
                        inputs.push_back(Input::Persisted(batch));
                    }
                    Output::Transmit { bytes, .. } => self.written.push(bytes),
                    Output::Reply(_, reply) => self.replies.push(reply),
                    Output::Event(event) => self.events.push(event),
                    Output::Load { query, .. } => panic!("nothing of this asks the store, got {query:?}"),
                    Output::Dial { .. } | Output::Close { .. } | Output::FindPeer { .. } | Output::Publish { .. } => {}
                }
            }
        }
    }

    /// Lets time pass until a parcel is written.
    pub(crate) fn write_parcel(&mut self) {
        for _ in 0..PATIENCE {
            if self.has_written_parcel() {
                return;
            }
            self.now = self.engine.next_deadline().expect("something is due").max(self.now);
            self.happen(Input::Tick);
        }
        panic!("expected a parcel to be written");
    }

    pub(crate) fn has_written_parcel(&self) -> bool {
        self.written.iter().any(|bytes| bytes.len() > PARCEL_BYTES)
    }

    /// How many messages were accepted.
    pub(crate) fn accepted(&self) -> usize {
        let accepted = |reply: &Reply| {
            let Reply::Submitted(results) = reply else { return 0 };
            results.iter().filter(|result| result.is_ok()).count()
        };
        self.replies.iter().map(accepted).sum()
    }

    /// How many messages came.
    pub(crate) fn received(&self) -> usize {
        let received = |event: &Event| if let Event::Received(batch) = event { batch.messages.len() } else { 0 };
        self.events.iter().map(received).sum()
    }

    /// How many messages are known to have come.
    pub(crate) fn delivered(&self) -> u64 {
        let delivered = |event: &Event| if let Event::Delivered { seqs, .. } = event { seqs.count() } else { 0 };
        self.events.iter().map(delivered).sum()
    }

    pub(crate) fn submit(&mut self, messages: Vec<Submission>) {
        self.commands += 1;
        self.happen(Input::Command(CommandId(self.commands), Command::Submit(messages)));
    }

    pub(crate) fn read(&mut self, written: Vec<Bytes>) {
        for bytes in written {
            self.happen(Input::Bytes { link: LINK, bytes });
        }
    }
}

impl Pair {
    /// Two nodes that have talked in both directions, everything receipted.
    pub(crate) fn acquainted() -> Self {
        let now = Instant(1_000_000);
        let stores = [ModelStore::new(1), ModelStore::new(2)];
        let sides = [Side::new(1, &stores[0], now), Side::new(2, &stores[1], now)];
        let mut pair = Self { sides, stores, now };
        let keys = [pair.sides[0].key, pair.sides[1].key];
        for (number, side) in pair.sides.iter_mut().enumerate() {
            let address = Address::new(format!("/ip4/10.0.0.{number}/tcp/4001")).expect("a short multiaddr");
            let peer = keys[1 - number];
            side.happen(Input::LinkUp { link: LINK, peer, kind: LinkKind::Tcp, dial: None, address });
            side.happen(Input::Writable { link: LINK, bytes: GRANT });
        }
        pair.quiet();
        for (from, count) in [(0, 1), (1, 1), (0, 1)] {
            let messages = messages(keys[1 - from], count);
            pair.sides[from].submit(messages);
            pair.until(|pair| pair.sides[from].delivered() > 0);
            pair.sides[from].events.clear();
        }
        pair.settle();
        pair
    }

    /// What is written is read, until nobody writes.
    fn quiet(&mut self) {
        while self.sides.iter().any(|side| !side.written.is_empty()) {
            for from in 0..2 {
                let written = std::mem::take(&mut self.sides[from].written);
                self.sides[1 - from].read(written);
            }
            self.store();
        }
        self.store();
    }

    /// The stores take what the engines stored.
    fn store(&mut self) {
        for (side, store) in self.sides.iter_mut().zip(&mut self.stores) {
            for (batch, records) in side.stored.drain(..) {
                store.apply(batch, records).expect("records fit what is stored");
            }
            store.sync();
        }
    }

    fn until(&mut self, holds: impl Fn(&Self) -> bool) {
        for _ in 0..PATIENCE {
            self.quiet();
            if holds(self) {
                return;
            }
            self.pass();
        }
        panic!("expected it to happen");
    }

    /// Time passes to the next alarm.
    fn pass(&mut self) {
        let due = self.sides.iter().filter_map(|side| side.engine.next_deadline()).min();
        self.now = due.expect("a timer always runs").max(self.now);
        for side in &mut self.sides {
            side.now = self.now;
            side.happen(Input::Tick);
        }
    }

    /// A second passes, in which whatever is late is done.
    fn settle(&mut self) {
        let until = self.now + Duration::from_secs(1);
        while self.now < until {
            self.quiet();
            self.pass();
        }
        self.quiet();
        for side in &mut self.sides {
            side.replies.clear();
            side.events.clear();
        }
    }

    /// The link is gone at both ends.
    pub(crate) fn part(&mut self) {
        for side in &mut self.sides {
            side.happen(Input::LinkDown { link: LINK });
            side.written.clear();
        }
        self.settle();
    }

    /// What one side has written, with the other.
    pub(crate) fn take_written(&mut self, from: usize) -> Vec<Bytes> {
        self.store();
        assert!(self.sides[from].has_written_parcel(), "a parcel is written");
        std::mem::take(&mut self.sides[from].written)
    }
}

/// Messages of one call.
pub(crate) fn messages(to: PeerKey, count: usize) -> Vec<Submission> {
    let message = |number: usize| Submission {
        to,
        class: Class::Normal,
        lifetime: DEFAULT_LIFETIME,
        kind: "text".to_owned(),
        payload: Bytes::from(vec![u8::try_from(number % 251).unwrap_or(0); PAYLOAD_BYTES]),
        stream: None,
        headers: Vec::new(),
        reply_to: None,
        retry_of: None,
        record_route: false,
        idempotency: None,
    };
    (0..count).map(message).collect()
}
