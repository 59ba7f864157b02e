//! One node with a neighbour whose frames the test writes and reads.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tidings_crypto::PeerKey;

use super::net::{key, tcp};
use crate::class::Class;
use crate::ids::{BatchNo, LinkId};
use crate::links::{Config, Effect, Event, LinkKind, State, Token};
use crate::time::Instant;
use crate::wire::{Decoded, Frame, FrameDecoder, Hello, VERSION};

pub(super) struct Solo {
    pub(super) state: State,
    pub(super) now: Instant,
    decoder: FrameDecoder,
    effects: Vec<Effect>,
    transmitted: Vec<(LinkId, BatchNo)>,
}

pub(super) const PEER: u8 = 9;

pub(super) fn hello(boot: u64) -> Frame {
    Frame::Hello(Hello {
        versions: vec![VERSION],
        boot,
        link: 1,
        capabilities: Vec::new(),
        card_seq: 0,
        name: "hand".to_owned(),
    })
}

impl Solo {
    pub(super) fn new() -> Self {
        Self::with(Config::default())
    }

    pub(super) fn with(config: Config) -> Self {
        let mut solo = Self {
            state: State::new(config, key(5), 1, [1; 32]),
            now: Instant(1_000_000),
            decoder: FrameDecoder::default(),
            effects: Vec::new(),
            transmitted: Vec::new(),
        };
        solo.handle(Event::Durable(BatchNo(2)));
        solo
    }

    /// A node with one live link.
    pub(super) fn joined() -> Self {
        let mut solo = Self::new();
        solo.up(1, PEER);
        solo.say(1, &hello(1), false);
        assert!(solo.state.is_up(&key(PEER)));
        solo.frames();
        solo.effects();
        solo
    }

    pub(super) fn handle(&mut self, event: Event) {
        self.state.handle(self.now, event);
        self.collect();
    }

    /// Without asking for effects: as when the engine puts in several events in one turn.
    pub(super) fn put(&mut self, event: Event) {
        self.state.handle(self.now, event);
    }

    fn collect(&mut self) {
        while let Some(effect) = self.state.poll_effect() {
            if let Effect::Transmit { link, bytes, batch } = effect {
                self.decoder.push(bytes);
                self.transmitted.push((link, batch));
            } else {
                self.effects.push(effect);
            }
        }
    }

    pub(super) fn up(&mut self, link: u64, peer: u8) {
        self.up_to(link, key(peer));
    }

    pub(super) fn up_to(&mut self, link: u64, peer: PeerKey) {
        let link = LinkId(link);
        self.handle(Event::Up { link, peer, kind: LinkKind::Tcp, dial: None, address: tcp(9), batch: BatchNo(1) });
        let bytes = 64 * 1024 * 1024;
        self.handle(Event::Writable { link, bytes });
    }

    /// The neighbour says something.
    pub(super) fn say(&mut self, link: u64, frame: &Frame, wants_got: bool) -> usize {
        let mut bytes = BytesMut::new();
        let length = frame.encode(wants_got, &mut bytes);
        self.say_bytes(link, bytes.freeze());
        length
    }

    pub(super) fn say_bytes(&mut self, link: u64, bytes: Bytes) {
        let link = LinkId(link);
        self.handle(Event::Bytes { link, bytes });
    }

    pub(super) fn send(&mut self, class: Class, token: u64, bytes: Bytes, batch: u64) {
        self.put(Event::Send { peer: key(PEER), class, token: Token(token), bytes, batch: BatchNo(batch) });
    }

    /// What was transmitted since the last call; of one link.
    pub(super) fn frames(&mut self) -> Vec<Decoded> {
        self.collect();
        let mut frames = Vec::new();
        while let Some(frame) = self.decoder.next_frame().expect("frames of our own") {
            frames.push(frame);
        }
        frames
    }

    /// How often something was transmitted since the last call, and the newest batch each time.
    pub(super) fn batches(&mut self) -> Vec<BatchNo> {
        self.collect();
        let transmitted = std::mem::take(&mut self.transmitted);
        transmitted.into_iter().map(|(_, batch)| batch).collect()
    }

    /// All else since the last call.
    pub(super) fn effects(&mut self) -> Vec<Effect> {
        self.collect();
        std::mem::take(&mut self.effects)
    }

    pub(super) fn sent(&mut self) -> Vec<u64> {
        self.effects()
            .into_iter()
            .filter_map(|effect| match effect {
                Effect::Sent { token } => Some(token.0),
                _ => None,
            })
            .collect()
    }

    pub(super) fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(due) = self.state.next_deadline().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.handle(Event::Tick);
        }
        self.now = end;
        self.handle(Event::Tick);
    }
}
