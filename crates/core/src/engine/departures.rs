//! What goes out: sealing, parcels for the links, receipts and statements about flows.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use rand_core::Rng;
use tidings_crypto::{PeerKey, Sealer, SessionId};

use super::Engine;
use crate::class::Class;
use crate::delivery::{self, Moment};
use crate::ids::{BatchNo, LinkId, OutParcelNo, ParcelId, RelayNo};
use crate::links::{self, Token};
use crate::record::Record;
use crate::relay;
use crate::sessions::{CannotSeal, Plaintext, Sealed};
use crate::wire::{Clear, Content, Control, Frame, Parcel, Path, Suite};

/// Attempts that a `Refused` can still name.
const MAX_ATTEMPTS: usize = 4096;
/// Control parcels live on links only: a minute is enough.
const CONTROL_SECONDS: u32 = 60;
/// Control items in one parcel: each receipt may take 16 KiB, and 7 KiB of recorded routes.
const CONTROLS_PER_PARCEL: usize = 2;

/// Something for the link queues.
#[derive(Debug)]
pub(super) enum Departure {
    /// A parcel.
    Parcel { peer: PeerKey, class: Class, token: Token, bytes: Bytes },
    /// A frame, over a certain link or the best.
    Frame { link: Option<LinkId>, peer: PeerKey, frame: Frame },
}

impl Departure {
    /// The event that queues it, to leave when `batch` is durable.
    pub(super) fn under(self, batch: BatchNo) -> links::Event {
        match self {
            Self::Parcel { peer, class, token, bytes } => links::Event::Send { peer, class, token, bytes, batch },
            Self::Frame { link, peer, frame } => links::Event::Control { link, peer, frame, batch },
        }
    }
}

/// What a token on a link stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Load {
    /// A parcel of this node's own.
    Own(OutParcelNo),
    /// Control items; they need no answer.
    Control(u64),
    /// A parcel carried for others.
    Relayed(RelayNo),
}

impl Load {
    pub(super) fn token(self) -> Token {
        let (number, kind) = match self {
            Self::Own(parcel) => (parcel.0, 0),
            Self::Control(number) => (number, 1),
            Self::Relayed(no) => (no.0, 2),
        };
        Token(number * 4 + kind)
    }

    fn of(token: Token) -> Self {
        let number = token.0 / 4;
        match token.0 % 4 {
            0 => Self::Own(OutParcelNo(number)),
            1 => Self::Control(number),
            _ => Self::Relayed(RelayNo(number)),
        }
    }
}

/// Which parcel an attempt belongs to, and who has it: each attempt has its own id.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    parcels: BTreeMap<ParcelId, Attempt>,
    newest: BTreeMap<OutParcelNo, ParcelId>,
    order: VecDeque<ParcelId>,
    controls: u64,
}

#[derive(Clone, Copy, Debug)]
struct Attempt {
    parcel: OutParcelNo,
    to: PeerKey,
    next: PeerKey,
}

impl Attempts {
    fn remember(&mut self, id: ParcelId, attempt: Attempt) {
        if self.order.len() >= MAX_ATTEMPTS
            && let Some(oldest) = self.order.pop_front()
            && let Some(forgotten) = self.parcels.remove(&oldest)
            && self.newest.get(&forgotten.parcel) == Some(&oldest)
        {
            self.newest.remove(&forgotten.parcel);
        }
        self.newest.insert(attempt.parcel, id);
        self.parcels.insert(id, attempt);
        self.order.push_back(id);
    }

    /// The parcel, and for whom it is, that a neighbour refuses: one that it was given.
    pub(super) fn refused(&self, id: &ParcelId, by: PeerKey) -> Option<(OutParcelNo, PeerKey)> {
        let attempt = self.parcels.get(id).filter(|attempt| attempt.next == by)?;
        Some((attempt.parcel, attempt.to))
    }

    /// For whom a parcel is, and to whom it was given last.
    pub(super) fn way_of(&self, parcel: OutParcelNo) -> Option<(PeerKey, PeerKey)> {
        let attempt = self.parcels.get(self.newest.get(&parcel)?)?;
        Some((attempt.to, attempt.next))
    }
}

impl<S: Sealer> Engine<S> {
    /// Seals a parcel for delivery, or says why that must wait.
    pub(super) fn seal(&mut self, now: Moment, parcel: OutParcelNo, peer: PeerKey, plaintext: Plaintext) {
        match self.sessions.seal(&peer, plaintext, now.age, now.wall) {
            Ok(Sealed { suite: Suite::Session(clear), body, session }) => {
                self.records.extend(session.map(Record::Session));
                let turns = self.sessions.current(&peer).map_or(0, |(_, turns)| turns);
                let sealed = delivery::Event::Sealed { parcel, session: clear.session, turns, inner: body };
                self.delivery.handle(now, sealed);
            }
            Ok(Sealed { suite: Suite::ReceiptKey { .. }, .. }) | Err(_) => {
                self.delivery.handle(now, delivery::Event::NotSealed { parcel });
                self.delivery.handle(now, delivery::Event::CardMissing(peer));
                self.find_card(now, peer);
            }
        }
    }

    /// Hands a sealed parcel to the links, under a new id.
    #[expect(clippy::too_many_arguments, reason = "the fields of one effect")]
    pub(super) fn send(
        &mut self,
        now: Moment,
        parcel: OutParcelNo,
        peer: PeerKey,
        class: Class,
        session: SessionId,
        content: Content,
        inner: Bytes,
        left_seconds: u32,
        record_route: bool,
    ) {
        let suite = Suite::Session(Clear { sender: self.own, session, content: Some(content) });
        let attempt = self.rng.next_u64();
        // Who carries the parcel goes on writing it.
        let path = record_route.then(Path::default);
        let (id, bytes) = Parcel::encode(peer.routing_id(), class, attempt, &suite, inner, left_seconds, path.as_ref());
        let Some(next) = self.way_to(&peer) else {
            self.delivery.handle(now, delivery::Event::Lost(parcel));
            return;
        };
        self.attempts.remember(id, Attempt { parcel, to: peer, next });
        let token = Load::Own(parcel).token();
        self.departures.push_back(Departure::Parcel { peer: next, class, token, bytes });
    }

    pub(super) fn withdraw(&mut self, now: Moment, parcel: OutParcelNo) {
        self.links.handle(now.mono, links::Event::Withdraw { token: Load::Own(parcel).token() });
    }

    /// Passes word of a parcel on a link to whoever put it there.
    pub(super) fn on_sent(&mut self, now: Moment, token: Token) {
        if let Load::Own(parcel) = Load::of(token) {
            self.delivery.handle(now, delivery::Event::Sent(parcel));
        }
    }

    pub(super) fn on_got(&mut self, now: Moment, token: Token) {
        match Load::of(token) {
            Load::Own(parcel) => self.delivery.handle(now, delivery::Event::Got(parcel)),
            Load::Relayed(no) => self.relay.handle(now.mono, relay::Event::Got(no)),
            Load::Control(_) => {}
        }
    }

    pub(super) fn on_lost(&mut self, now: Moment, token: Token) {
        match Load::of(token) {
            Load::Own(parcel) => {
                self.delivery.handle(now, delivery::Event::Lost(parcel));
                self.on_own_lost(parcel);
            }
            Load::Relayed(no) => self.relay.handle(now.mono, relay::Event::Lost(no)),
            Load::Control(_) => {}
        }
    }

    /// Sends sealed control items.
    fn send_sealed(&mut self, peer: PeerKey, sealed: Sealed) {
        self.records.extend(sealed.session.map(Record::Session));
        let attempt = self.rng.next_u64();
        let (suite, body) = (&sealed.suite, sealed.body);
        let (_, bytes) =
            Parcel::encode(peer.routing_id(), Class::Critical, attempt, suite, body, CONTROL_SECONDS, None);
        // Without a way there is nothing to be done: whoever is to be told asks again.
        if let Some(next) = self.way_to(&peer) {
            self.attempts.controls += 1;
            let token = Load::Control(self.attempts.controls).token();
            self.departures.push_back(Departure::Parcel { peer: next, class: Class::Critical, token, bytes });
        }
    }

    /// Sends the receipts that are due. Says whether there were any.
    pub(super) fn answer_receipts(&mut self, now: Moment) -> bool {
        let receipts = self.delivery.take_receipts();
        let any = !receipts.is_empty();
        let mut by_peer: BTreeMap<PeerKey, Vec<Control>> = BTreeMap::new();
        for (peer, receipt) in receipts {
            by_peer.entry(peer).or_default().push(Control::Receipt(receipt));
        }
        for (peer, controls) in by_peer {
            for controls in controls.chunks(CONTROLS_PER_PARCEL) {
                // Without a key there was no parcel, or the session is gone: the sender's retry brings a new one.
                if let Ok(sealed) = self.sessions.answer(&peer, controls.to_vec(), now.age) {
                    self.send_sealed(peer, sealed);
                }
            }
        }
        any
    }

    /// Tells a peer about this node's own flows. Without a session it knows none of them.
    pub(super) fn state(&mut self, peer: PeerKey, controls: &[Control]) {
        if let Ok(sealed) = self.sessions.state(&peer, controls) {
            self.send_sealed(peer, sealed);
        }
    }

    /// Tells a sender that its parcel cannot be opened, and where its flow stands.
    pub(super) fn tell_cannot_open(&mut self, now: Moment, parcel: ParcelId, clear: &Clear, known: bool) {
        let peer = clear.sender;
        let receipt = clear.content.as_ref().and_then(|content| self.delivery.receipt_of(peer, content.flow));
        let control = Control::CannotOpen { parcel, session: clear.session, receipt };
        let sealed = if known {
            self.sessions.answer(&peer, vec![control], now.age)
        } else {
            self.sessions.complain(&peer, control, now.age, now.wall)
        };
        match sealed {
            Ok(sealed) => self.send_sealed(peer, sealed),
            Err(CannotSeal::NoCard) => self.find_card(now, peer),
            Err(CannotSeal::NoKey | CannotSeal::TooSoon | CannotSeal::Unusable) => {}
        }
    }

    pub(super) fn frame(&mut self, link: Option<LinkId>, peer: PeerKey, frame: Frame) {
        self.departures.push_back(Departure::Frame { link, peer, frame });
    }
}
