//! One link: what it says, what it hears, what is under way on it.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tidings_crypto::PeerKey;

use super::address::{Address, LinkKind};
use super::admission::Bucket;
use super::dialling::Dial;
use super::event::Token;
use super::fragment::Reassembly;
use super::hello::{HELLO_TIME, LinkNumber};
use super::liveness::Liveness;
use super::queue::{Parcel, Queue, Room, Taken};
use super::rank::Contender;
use super::window::{IsLast, MAX_WINDOW_BYTES, Window};
use crate::class::Class;
use crate::ids::{BatchNo, LinkId};
use crate::time::Instant;
use crate::trust::Evidence;
use crate::view::LinkView;
use crate::wire::{Bye, Frame, FrameDecoder, Hello, MAX_FRAME_BYTES};

/// About the most that is handed over at once.
const TRANSMIT_BYTES: u64 = 64 * 1024;
/// The most answers and probes that wait for the writer.
const MAX_SAY: usize = 8;
/// Round trips that differ by less are the same.
const LEAST_DIFFERENCE: Duration = Duration::from_millis(2);
/// How long a goodbye may wait for the writer.
const LEAVE_TIME: Duration = Duration::from_secs(1);

/// Where a link stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The other end has not said hello.
    Opening,
    /// Both ends have.
    Live,
    /// Another link stays: this one is read until it ends or its time is over.
    Replaced { until: Instant },
    /// Nothing is heard any more; closed once the goodbye is handed over or its time is over.
    Leaving { until: Instant },
}

/// What waits to be said outside the window.
#[derive(Debug, Default)]
struct Say {
    hello: bool,
    got: bool,
    answers: VecDeque<u64>,
    probes: VecDeque<u64>,
    bye: Option<Bye>,
    /// Nothing follows a goodbye.
    ended: bool,
}

/// A link, from `Up` to `Down` or `Close`.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) id: LinkId,
    pub(super) peer: PeerKey,
    pub(super) kind: LinkKind,
    pub(super) address: Address,
    /// Who dialled, and its number there; an incoming link has none before its hello.
    pub(super) number: LinkNumber,
    /// The dial that led to it, until the hello.
    pub(super) dial: Option<Dial>,
    pub(super) phase: Phase,
    pub(super) hello: Option<(Hello, Instant)>,
    pub(super) liveness: Liveness,
    told_round_trip: Duration,
    /// Somebody waits for the round trip to be measured.
    pub(super) owes_round_trip: bool,
    pub(super) queue: Queue,
    dialled: bool,
    up_at: Instant,
    hello_batch: BatchNo,
    grant: u64,
    say: Say,
    window: Window,
    /// Whole parcels handed over and not `Got`, by the count of bytes at their end.
    not_got: VecDeque<(u64, Parcel)>,
    /// Probes under way, and when they were said.
    probed: VecDeque<(u64, Instant)>,
    decoder: FrameDecoder,
    reassembly: Reassembly,
    read: u64,
    told: u64,
    bucket: Bucket,
    bytes_in: u64,
    bytes_out: u64,
}

/// How a link came to be.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) id: LinkId,
    pub(super) peer: PeerKey,
    pub(super) kind: LinkKind,
    pub(super) address: Address,
    pub(super) batch: BatchNo,
    pub(super) dial: Option<Dial>,
    pub(super) number: LinkNumber,
    pub(super) dialled: bool,
    pub(super) idle_interval: Duration,
}

/// What a link heard.
#[derive(Debug)]
pub(super) enum Heard {
    Hello(Hello),
    Parcel(Class, Bytes),
    Control(Frame),
    Got(Vec<Token>),
    Answer(u64),
    Bye(Bye),
    Wrong(Evidence),
}

/// What a link hands over.
#[derive(Debug)]
pub(super) struct Handed {
    pub(super) bytes: Bytes,
    pub(super) batch: BatchNo,
    pub(super) sent: Vec<Token>,
}

impl Link {
    pub(super) fn new(now: Instant, opened: Opened) -> Self {
        Self {
            id: opened.id,
            peer: opened.peer,
            kind: opened.kind,
            address: opened.address,
            number: opened.number,
            dial: opened.dial,
            phase: Phase::Opening,
            hello: None,
            liveness: Liveness::new(now, opened.idle_interval),
            told_round_trip: Duration::ZERO,
            owes_round_trip: false,
            queue: Queue::default(),
            dialled: opened.dialled,
            up_at: now,
            hello_batch: opened.batch,
            grant: 0,
            say: Say { hello: true, ..Say::default() },
            window: Window::new(),
            not_got: VecDeque::new(),
            probed: VecDeque::new(),
            decoder: FrameDecoder::default(),
            reassembly: Reassembly::default(),
            read: 0,
            told: 0,
            bucket: Bucket::new(now),
            bytes_in: 0,
            bytes_out: 0,
        }
    }

    /// Whether parcels may be put on it.
    pub(super) fn is_live(&self) -> bool {
        self.phase == Phase::Live && !self.liveness.is_suspect()
    }

    /// Whether it owes an answer, and is a link like others again with the next byte.
    pub(super) fn is_suspect(&self) -> bool {
        self.phase == Phase::Live && self.liveness.is_suspect()
    }

    pub(super) fn boot(&self) -> Option<u64> {
        self.hello.as_ref().map(|(hello, _)| hello.boot)
    }

    pub(super) fn contender(&self) -> Option<Contender> {
        Some(Contender { boot: self.boot()?, kind: self.kind, number: self.number })
    }

    pub(super) fn view(&self) -> LinkView {
        LinkView {
            link: self.id,
            kind: self.kind,
            dialled: self.dialled,
            address: self.address.clone(),
            round_trip: self.liveness.round_trip(),
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
            suspect: self.liveness.is_suspect(),
        }
    }

    /// Bytes of unfinished parcels.
    #[cfg(test)]
    pub(super) fn held_bytes(&self) -> usize {
        self.reassembly.held_bytes()
    }

    /// When the link wants to be looked at.
    pub(super) fn due(&self) -> Instant {
        match self.phase {
            Phase::Opening => self.up_at + HELLO_TIME,
            Phase::Live => self.liveness.due(),
            Phase::Replaced { until } | Phase::Leaving { until } => until,
        }
    }

    /// Whether it has not said hello.
    pub(super) fn owes_hello(&self) -> bool {
        self.say.hello
    }

    pub(super) fn grant(&mut self, bytes: u64) {
        self.grant = self.grant.saturating_add(bytes);
    }

    /// The other end has said hello.
    pub(super) fn on_hello(&mut self, now: Instant, hello: Hello) {
        if self.number.dialler == self.peer {
            self.number.link = hello.link;
        }
        self.liveness.guess(now.since(self.up_at));
        self.hello = Some((hello, now));
        self.phase = Phase::Live;
    }

    /// Asks for an answer that names this number.
    pub(super) fn probe(&mut self, nonce: u64) {
        if self.say.probes.len() == MAX_SAY {
            self.say.probes.pop_front();
        }
        self.say.probes.push_back(nonce);
    }

    /// Says goodbye; nothing is put on the link any more.
    pub(super) fn say_bye(&mut self, bye: Bye) {
        if !self.say.ended {
            self.say.bye = Some(bye);
        }
    }

    pub(super) fn leave(&mut self, now: Instant) {
        self.phase = Phase::Leaving { until: now + LEAVE_TIME };
    }

    /// Whether a leaving link has nothing more to say.
    pub(super) fn has_left(&self, now: Instant) -> bool {
        matches!(self.phase, Phase::Leaving { until } if self.say.bye.is_none() || until <= now)
    }

    /// Takes back what has not been `Got`, oldest first, and what waits.
    pub(super) fn take_back(&mut self) -> Vec<Parcel> {
        let sent = std::mem::take(&mut self.not_got);
        let mut parcels: Vec<_> = sent.into_iter().map(|(_, parcel)| parcel).collect();
        parcels.append(&mut self.queue.drain());
        parcels
    }

    // --- hearing ---

    /// Takes bytes; [`Self::next_heard`] gives what they say. Returns whether the link was suspect.
    pub(super) fn on_bytes(&mut self, now: Instant, bytes: Bytes) -> bool {
        self.bytes_in += bytes.len() as u64;
        self.decoder.push(bytes);
        let owed = self.window.in_flight() > 0;
        self.liveness.on_heard(now, owed)
    }

    /// The next thing heard, if a whole frame is there. Nothing may be asked after [`Heard::Wrong`].
    pub(super) fn next_heard(&mut self, now: Instant) -> Option<Heard> {
        loop {
            match self.decoder.next_frame() {
                Ok(None) => return None,
                Err(_) => return Some(Heard::Wrong(Evidence::MalformedFrame)),
                Ok(Some((frame, length, wants_got))) => {
                    let heard = self
                        .on_frame(now, frame, length as u64, wants_got)
                        .unwrap_or_else(|evidence| Some(Heard::Wrong(evidence)));
                    if heard.is_some() {
                        return heard;
                    }
                }
            }
        }
    }

    fn on_frame(
        &mut self,
        now: Instant,
        frame: Frame,
        length: u64,
        wants_got: bool,
    ) -> Result<Option<Heard>, Evidence> {
        if frame.is_counted() {
            self.count(length, wants_got)?;
        } else if !self.bucket.take(now) {
            return Err(Evidence::Flood);
        }
        let opening = self.phase == Phase::Opening;
        match frame {
            Frame::Hello(hello) if opening => Ok(Some(Heard::Hello(hello))),
            Frame::Bye(bye) => Ok(Some(Heard::Bye(bye))),
            _ if opening => Err(Evidence::MalformedFrame),
            Frame::Hello(_) => Err(Evidence::MalformedFrame),
            Frame::Got(bytes) => self.on_got(now, bytes).map(Some),
            Frame::Probe { nonce, answer: false } => {
                if self.say.answers.len() == MAX_SAY {
                    self.say.answers.pop_front();
                }
                self.say.answers.push_back(nonce);
                Ok(None)
            }
            Frame::Probe { nonce, answer: true } => {
                self.on_answer(now, nonce);
                Ok(Some(Heard::Answer(nonce)))
            }
            Frame::Fragment(fragment) => match self.reassembly.on_piece(fragment) {
                Ok(whole) => Ok(whole.map(|(class, bytes)| Heard::Parcel(class, bytes))),
                Err(_) => Err(Evidence::MalformedFrame),
            },
            Frame::Refused { .. } | Frame::FindCard { .. } | Frame::CardFound { .. } | Frame::Routing(_) => {
                Ok(Some(Heard::Control(frame)))
            }
            Frame::Skipped => Ok(None),
        }
    }

    /// Counts a frame of the window. An end that asks for no `Got` at all has exceeded every window.
    fn count(&mut self, length: u64, wants_got: bool) -> Result<(), Evidence> {
        self.read += length;
        self.say.got |= wants_got;
        let unasked = self.read - self.told;
        if !self.say.got && unasked > MAX_WINDOW_BYTES + MAX_FRAME_BYTES as u64 {
            return Err(Evidence::Flood);
        }
        Ok(())
    }

    /// Whether the round trip is another one than was told: by a quarter, and by more than chance; or asked for.
    pub(super) fn has_other_round_trip(&self) -> bool {
        if self.owes_round_trip && self.liveness.round_trip().is_some() {
            return true;
        }
        let (now, told) = (self.liveness.estimate(), self.told_round_trip);
        let difference = now.abs_diff(told);
        difference >= LEAST_DIFFERENCE && difference > told / 4
    }

    /// The round trip, to be told.
    pub(super) fn tell_round_trip(&mut self) -> Duration {
        self.owes_round_trip = false;
        self.told_round_trip = self.liveness.estimate();
        self.told_round_trip
    }

    fn on_answer(&mut self, now: Instant, nonce: u64) {
        let place = self.probed.iter().position(|(probed, _)| *probed == nonce);
        if let Some((_, at)) = place.and_then(|place| self.probed.remove(place)) {
            self.liveness.measured(now, now.since(at));
        }
    }

    fn on_got(&mut self, now: Instant, bytes: u64) -> Result<Heard, Evidence> {
        let smallest = self.liveness.smallest_round_trip();
        let round_trip = self.window.on_got(now, bytes, smallest).map_err(|_| Evidence::BadGot)?;
        if let Some(round_trip) = round_trip {
            self.liveness.measured(now, round_trip);
        }
        self.liveness.on_heard(now, self.window.in_flight() > 0);
        let mut got = Vec::new();
        while let Some((_, parcel)) = self.not_got.pop_front_if(|(end, _)| *end <= bytes) {
            got.push(parcel.token);
        }
        Ok(Heard::Got(got))
    }

    // --- saying ---

    /// Hands over what may leave now, about [`TRANSMIT_BYTES`] at a time. Call until there is nothing.
    pub(super) fn hand_over(
        &mut self,
        now: Instant,
        durable: BatchNo,
        hello: impl FnOnce(LinkNumber) -> Hello,
    ) -> Option<Handed> {
        if self.say.ended {
            return None;
        }
        let budget = self.grant.min(TRANSMIT_BYTES);
        let mut out = Out { bytes: BytesMut::new(), batch: BatchNo::default(), budget };
        let mut sent = Vec::new();
        if self.say.hello && self.say.bye.is_none() {
            let ready = self.hello_batch <= durable;
            if !ready || !out.say(&Frame::Hello(hello(self.number))) {
                return None;
            }
            out.batch = self.hello_batch;
            self.say.hello = false;
        }
        self.say_outside_window(now, &mut out);
        if self.is_live() && self.say.bye.is_none() {
            self.hand_over_queue(now, &mut out, &mut sent);
        }
        if out.bytes.is_empty() {
            return None;
        }
        let length = out.bytes.len() as u64;
        self.grant -= length;
        self.bytes_out += length;
        Some(Handed { bytes: out.bytes.freeze(), batch: out.batch, sent })
    }

    fn say_outside_window(&mut self, now: Instant, out: &mut Out) {
        if let Some(bye) = self.say.bye {
            if out.say(&Frame::Bye(bye)) {
                self.say.bye = None;
                self.say.ended = true;
            }
            return;
        }
        if self.say.got && out.say(&Frame::Got(self.read)) {
            self.say.got = false;
            self.told = self.read;
        }
        while let Some(nonce) = self.say.answers.front().copied() {
            let answer = true;
            if !out.say(&Frame::Probe { nonce, answer }) {
                return;
            }
            self.say.answers.pop_front();
        }
        while let Some(nonce) = self.say.probes.front().copied() {
            let answer = false;
            if !out.say(&Frame::Probe { nonce, answer }) {
                return;
            }
            self.say.probes.pop_front();
            if self.probed.len() == MAX_SAY {
                self.probed.pop_front();
            }
            self.probed.push_back((nonce, now));
            self.bucket.on_asked();
        }
    }

    fn hand_over_queue(&mut self, now: Instant, out: &mut Out, sent: &mut Vec<Token>) {
        while self.queue.can_go() {
            let (writer, window) = (out.room(), self.window.room());
            let fits = writer.min(window);
            let room = Room {
                piece: fits.min(self.window.frame_limit()),
                // What cannot be cut may exceed a window that nothing in flight would make room in.
                whole: if self.window.nothing_asks() { writer } else { fits },
            };
            let Some(taken) = self.queue.take(room) else {
                if writer > window {
                    self.window.on_blocked(now);
                }
                return;
            };
            self.put(now, out, taken, sent);
        }
    }

    fn put(&mut self, now: Instant, out: &mut Out, taken: Taken, sent: &mut Vec<Token>) {
        let is_last = if self.queue.can_go() { IsLast::No } else { IsLast::Yes };
        let length = taken.length;
        let asks = self.window.must_ask(length, is_last);
        taken.frame.append(asks, &mut out.bytes);
        out.batch = out.batch.max(taken.batch);
        self.window.on_sent(now, length, asks);
        self.liveness.on_owed(now);
        if asks {
            self.bucket.on_asked();
        }
        if let Some(parcel) = taken.finished {
            sent.push(parcel.token);
            self.not_got.push_back((self.window.sent(), parcel));
        }
    }
}

/// Frames being put together.
struct Out {
    bytes: BytesMut,
    batch: BatchNo,
    budget: u64,
}

impl Out {
    fn room(&self) -> u64 {
        self.budget.saturating_sub(self.bytes.len() as u64)
    }

    /// Appends a frame if it fits.
    fn say(&mut self, frame: &Frame) -> bool {
        let start = self.bytes.len();
        frame.encode(false, &mut self.bytes);
        let fits = self.bytes.len() as u64 <= self.budget;
        if !fits {
            self.bytes.truncate(start);
        }
        fits
    }
}
