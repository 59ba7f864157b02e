//! What goes out: sealing, parcels for the links, receipts and statements about flows.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use rand_core::Rng;
use tidings_crypto::{PeerKey, Sealer, SessionId};

use super::Engine;
use crate::class::Class;
use crate::delivery::{self, Moment};
use crate::ids::{BatchNo, LinkId, OutParcelNo, ParcelId};
use crate::links::{self, Token};
use crate::record::Record;
use crate::sessions::{CannotSeal, Plaintext, Sealed};
use crate::wire::{Clear, Content, Control, Frame, Parcel, Suite};

/// Attempts that a `Refused` can still name.
const MAX_ATTEMPTS: usize = 4096;
/// Control parcels live on links only: a minute is enough.
const CONTROL_SECONDS: u32 = 60;
/// Control items in one parcel: each receipt may take 16 KiB.
const CONTROLS_PER_PARCEL: usize = 3;

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

/// Which parcel an attempt belongs to: each attempt has its own id.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    parcels: BTreeMap<ParcelId, OutParcelNo>,
    order: VecDeque<ParcelId>,
    /// Control parcels need no answer; their tokens are never looked up.
    control_tokens: u64,
}

impl Attempts {
    fn remember(&mut self, id: ParcelId, parcel: OutParcelNo) {
        if self.order.len() >= MAX_ATTEMPTS
            && let Some(oldest) = self.order.pop_front()
        {
            self.parcels.remove(&oldest);
        }
        self.parcels.insert(id, parcel);
        self.order.push_back(id);
    }

    pub(super) fn parcel(&self, id: &ParcelId) -> Option<OutParcelNo> {
        self.parcels.get(id).copied()
    }

    /// Even tokens are parcels, odd ones control parcels.
    fn token(parcel: OutParcelNo) -> Token {
        Token(parcel.0 * 2)
    }

    fn control_token(&mut self) -> Token {
        self.control_tokens += 1;
        Token(self.control_tokens * 2 + 1)
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
        parcel: OutParcelNo,
        peer: PeerKey,
        class: Class,
        session: SessionId,
        content: Content,
        inner: Bytes,
        left_seconds: u32,
    ) {
        let suite = Suite::Session(Clear { sender: self.own, session, content: Some(content) });
        let attempt = self.rng.next_u64();
        let (id, bytes) = Parcel::encode(peer.routing_id(), class, attempt, &suite, inner, left_seconds);
        self.attempts.remember(id, parcel);
        let token = Attempts::token(parcel);
        self.departures.push_back(Departure::Parcel { peer, class, token, bytes });
    }

    pub(super) fn withdraw(&mut self, now: Moment, parcel: OutParcelNo) {
        self.links.handle(now.mono, links::Event::Withdraw { token: Attempts::token(parcel) });
    }

    /// Passes word of a parcel on a link to delivery.
    pub(super) fn on_token(&mut self, now: Moment, token: Token, event: impl Fn(OutParcelNo) -> delivery::Event) {
        if token.0.is_multiple_of(2) {
            self.delivery.handle(now, event(OutParcelNo(token.0 / 2)));
        }
    }

    /// Sends sealed control items.
    fn send_sealed(&mut self, peer: PeerKey, sealed: Sealed) {
        self.records.extend(sealed.session.map(Record::Session));
        let attempt = self.rng.next_u64();
        let (_, bytes) =
            Parcel::encode(peer.routing_id(), Class::Critical, attempt, &sealed.suite, sealed.body, CONTROL_SECONDS);
        let token = self.attempts.control_token();
        self.departures.push_back(Departure::Parcel { peer, class: Class::Critical, token, bytes });
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
