//! End-to-end sessions: which ratchet seals what, and which keys answer it. docs/spec/session.md §3.
//!
//! A session carries messages one way, from whoever began it. Answers go under its receipt key, which does not
//! turn the ratchet; only the first receipt of a session and one in a hundred parcels, or a day, go through the
//! ratchet, so that it turns. Nothing is believed of a plaintext that contradicts the session it came in.

mod stored;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use tidings_crypto::{Direction, OpenError, PeerKey, ReceiptKey, ReceiptKeyId, Sealer, SessionId, SignedCard};

pub(crate) use self::stored::retired;
use crate::record::StoredSession;
use crate::time::{Age, Wall};
use crate::wire::{Clear, Control, Inner, MAX_HOPS, Parcel, Suite, decode_controls, encode_controls};

/// The most sessions kept that one peer began; the oldest goes first.
pub(crate) const MAX_INBOUND_PER_PEER: usize = 5;
/// The most sessions that peers began: some 1.5 KB each.
const MAX_INBOUND: usize = 16_384;
/// The most dropped sessions that are remembered, 32 bytes each. Beyond it no new ones are taken.
const MAX_RETIRED: usize = 65_536;
/// The most cards of peers, some 500 bytes each. Beyond it only newer cards of known peers are taken.
const MAX_CARDS: usize = 16_384;
/// The most peers whose resets and complaints are paced.
const MAX_PACED: usize = 4096;
/// A receipt goes through the ratchet after so many parcels.
const PARCELS_PER_TURN: u32 = 100;
/// A receipt goes through the ratchet, and a receipt key is renewed, after so long.
const TURN_INTERVAL: Duration = Duration::from_hours(24);
/// The shortest time between two sessions begun because the last one was reported unreadable; it doubles.
const RESET_INTERVAL: Duration = Duration::from_secs(5);
/// The longest such time.
const MAX_RESET_INTERVAL: Duration = Duration::from_hours(1);
/// The time between two sessions begun only to say that nothing can be opened; it doubles.
const COMPLAINT_INTERVAL: Duration = Duration::from_hours(1);
/// The longest such time.
const MAX_COMPLAINT_INTERVAL: Duration = Duration::from_hours(24);

/// What a parcel is to carry.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plaintext {
    pub(crate) content: Option<crate::wire::Content>,
    pub(crate) flow_random: [u8; 8],
    pub(crate) messages: Vec<Bytes>,
    pub(crate) controls: Vec<Control>,
}

/// A sealed body, what stands in the clear for it, and the session after the step.
#[derive(Debug)]
pub(crate) struct Sealed {
    pub(crate) suite: Suite,
    pub(crate) body: Bytes,
    /// To be stored before the body leaves; `None` if no ratchet moved.
    pub(crate) session: Option<StoredSession>,
}

/// Why nothing can be sealed for a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CannotSeal {
    /// Its card is not known, or has expired.
    NoCard,
    /// No session with it has a receipt key yet.
    NoKey,
    /// The last session was begun too short a time ago.
    TooSoon,
    /// A key of its card is unusable, or the system has no randomness.
    Unusable,
}

/// A parcel's plaintext, proven to come from its sender.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) inner: Inner,
    /// The session after the step.
    pub(crate) session: StoredSession,
    /// The sessions that had to make room.
    pub(crate) dropped: Vec<SessionId>,
    /// The sender's card, if the parcel brought a newer one.
    pub(crate) card: Option<SignedCard>,
    /// Whether the parcel proves that the session's other end reads what is sealed in it.
    pub(crate) answers: bool,
}

/// Why a parcel is not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unopened {
    /// No session or key here opens it: the sender is to be told.
    CannotOpen,
    /// It contradicts itself.
    Forged,
}

/// A session this node began.
struct Outbound<T> {
    session: T,
    /// The recipient's ratchet identity, as its card named it.
    recipient_ratchet: [u8; 32],
    /// Put into every plaintext until something sealed under it has come back.
    key: ReceiptKey,
    key_since: Age,
    key_confirmed: bool,
    /// Taken until the newer one is confirmed.
    previous_key: Option<ReceiptKey>,
    /// Whether a receipt has come: until then every parcel carries the sender's card.
    confirmed: bool,
    /// How often the other end has turned the ratchet.
    turns: u64,
}

/// A session that a peer began.
struct Inbound<T> {
    session: T,
    peer: PeerKey,
    peer_ratchet: [u8; 32],
    key: Option<ReceiptKey>,
    previous_key: Option<ReceiptKey>,
    /// In the order they were begun here.
    order: u64,
    /// Parcels since the last receipt through the ratchet; `None` before the first.
    since_turn: Option<u32>,
    turned_at: Age,
    /// What the database has of it: the way back from a step that a false header led to.
    stored: Bytes,
}

/// How often a peer's sessions were begun anew.
#[derive(Clone, Copy, Debug)]
struct Pace {
    last: Age,
    interval: Duration,
}

/// All sessions, and the cards they are begun from.
pub(crate) struct State<S: Sealer> {
    sealer: S,
    own: PeerKey,
    own_card: Bytes,
    cards: BTreeMap<PeerKey, SignedCard>,
    /// The seqs of the cards that neighbours call their newest.
    vouched: BTreeMap<PeerKey, u64>,
    out: BTreeMap<PeerKey, (SessionId, Outbound<S::Session>)>,
    inbound: BTreeMap<SessionId, Inbound<S::Session>>,
    /// Sessions that were dropped: a replayed beginning must not revive them.
    retired: BTreeSet<SessionId>,
    resets: BTreeMap<PeerKey, Pace>,
    complaints: BTreeMap<PeerKey, Pace>,
    next_order: u64,
}

impl<S: Sealer> State<S> {
    /// Starts from stored sessions and verified cards; what cannot be read any more is left out, so that its peer
    /// is told `CannotOpen` and begins anew.
    pub(crate) fn new(sealer: S, own: PeerKey, cards: Vec<SignedCard>, sessions: &[StoredSession]) -> Self {
        let mut state = Self {
            sealer,
            own,
            own_card: Bytes::new(),
            cards: cards.into_iter().map(|card| (card.card().peer, card)).collect(),
            vouched: BTreeMap::new(),
            out: BTreeMap::new(),
            inbound: BTreeMap::new(),
            retired: BTreeSet::new(),
            resets: BTreeMap::new(),
            complaints: BTreeMap::new(),
            next_order: 0,
        };
        for stored in sessions {
            state.restore(stored);
        }
        state
    }

    pub(crate) fn sealer(&self) -> &S {
        &self.sealer
    }

    pub(crate) fn set_own_card(&mut self, card: &SignedCard) {
        self.own_card = Bytes::copy_from_slice(card.bytes());
    }

    pub(crate) fn own_card(&self) -> &Bytes {
        &self.own_card
    }

    pub(crate) fn card(&self, peer: &PeerKey) -> Option<&SignedCard> {
        self.cards.get(peer)
    }

    /// A neighbour says itself which of its cards is the current one; `None` once it is no neighbour.
    pub(crate) fn vouch(&mut self, peer: PeerKey, seq: Option<u64>) {
        match seq {
            Some(seq) => drop(self.vouched.insert(peer, seq)),
            None => drop(self.vouched.remove(&peer)),
        }
    }

    /// The number of a peer's newest card, as far as it is vouched for.
    pub(crate) fn vouched(&self, peer: &PeerKey) -> Option<u64> {
        self.vouched.get(peer).copied()
    }

    /// Takes a verified card if it is newer than the one known; says whether it did.
    pub(crate) fn learn_card(&mut self, card: SignedCard) -> bool {
        let peer = card.card().peer;
        let newer = peer != self.own
            && match self.cards.get(&peer) {
                Some(known) => card.card().seq > known.card().seq,
                None => self.cards.len() < MAX_CARDS,
            };
        if newer {
            let ratchet = card.card().ratchet.identity;
            // A peer with a new ratchet identity cannot open what the old one would have.
            if self.out.get(&peer).is_some_and(|(_, session)| session.recipient_ratchet != ratchet) {
                self.out.remove(&peer);
            }
            self.cards.insert(peer, card);
        }
        newer
    }

    /// The session that seals for a peer now, and how often it has turned.
    pub(crate) fn current(&self, peer: &PeerKey) -> Option<(SessionId, u64)> {
        self.out.get(peer).map(|(id, session)| (*id, session.turns))
    }

    /// Seals messages and control items for a peer, in the session this node began or begins now.
    pub(crate) fn seal(
        &mut self,
        peer: &PeerKey,
        plaintext: Plaintext,
        age: Age,
        wall: Wall,
    ) -> Result<Sealed, CannotSeal> {
        self.renew_key(peer, age);
        let (id, session) = match self.out.entry(*peer) {
            std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::btree_map::Entry::Vacant(entry) => {
                let vouched = self.vouched.get(peer);
                let card = self.cards.get(peer).ok_or(CannotSeal::NoCard)?;
                // What its owner vouches for is current, whatever the clocks of both say.
                if card.is_expired(wall.0) && vouched != Some(&card.card().seq) {
                    return Err(CannotSeal::NoCard);
                }
                let ratchet = self.sealer.begin(&card.card().ratchet).map_err(|_| CannotSeal::Unusable)?;
                let key = ReceiptKey::generate().map_err(|_| CannotSeal::Unusable)?;
                let id = self.sealer.session_id(&ratchet);
                let session = Outbound {
                    session: ratchet,
                    recipient_ratchet: card.card().ratchet.identity,
                    key,
                    key_since: age,
                    key_confirmed: false,
                    previous_key: None,
                    confirmed: false,
                    turns: 0,
                };
                entry.insert((id, session))
            }
        };
        let inner = Inner {
            sender: self.own,
            recipient: *peer,
            sender_ratchet: self.sealer.ratchet_keys().identity,
            content: plaintext.content.clone(),
            flow_random: plaintext.flow_random,
            hop_limit: MAX_HOPS,
            receipt_key: (!session.key_confirmed).then(|| (session.key.id(), *session.key.key_bytes())),
            sender_card: (!session.confirmed).then(|| self.own_card.clone()),
            messages: plaintext.messages,
            controls: plaintext.controls,
        };
        let body = self.sealer.seal(&mut session.session, &inner.encode()).map_err(|_| CannotSeal::Unusable)?;
        let suite = Suite::Session(Clear { sender: self.own, session: *id, content: plaintext.content });
        let stored = stored::outbound(&self.sealer, *peer, *id, session);
        Ok(Sealed { suite, body: body.into(), session: Some(stored) })
    }

    /// A receipt key that was confirmed long ago is replaced; the old one is taken until the new one is confirmed.
    fn renew_key(&mut self, peer: &PeerKey, age: Age) {
        let Some((_, session)) = self.out.get_mut(peer) else { return };
        if session.key_confirmed
            && session.key_since.until(age) >= TURN_INTERVAL
            && let Ok(key) = ReceiptKey::generate()
        {
            session.previous_key = Some(std::mem::replace(&mut session.key, key));
            session.key_since = age;
            session.key_confirmed = false;
        }
    }

    /// Seals control items about a peer's flows (receipts, `CannotOpen`) for that peer, under the receipt key of
    /// the session it began last, or through that session's ratchet when it is time for a turn.
    pub(crate) fn answer(&mut self, peer: &PeerKey, controls: Vec<Control>, age: Age) -> Result<Sealed, CannotSeal> {
        let newest = self.inbound.iter_mut().filter(|(_, session)| session.peer == *peer && session.key.is_some());
        let (id, session) = newest.max_by_key(|(_, session)| session.order).ok_or(CannotSeal::NoKey)?;
        let turn = session
            .since_turn
            .is_none_or(|parcels| parcels >= PARCELS_PER_TURN || session.turned_at.until(age) >= TURN_INTERVAL);
        if !turn {
            let key = session.key.as_ref().ok_or(CannotSeal::NoKey)?;
            return self::under_key(self.own, key, Direction::FromResponder, &controls);
        }
        let inner = Inner {
            sender: self.own,
            recipient: *peer,
            sender_ratchet: self.sealer.ratchet_keys().identity,
            content: None,
            flow_random: [0; 8],
            hop_limit: MAX_HOPS,
            receipt_key: None,
            sender_card: None,
            messages: Vec::new(),
            controls,
        };
        let body = self.sealer.seal(&mut session.session, &inner.encode()).map_err(|_| CannotSeal::Unusable)?;
        session.since_turn = Some(0);
        session.turned_at = age;
        let suite = Suite::Session(Clear { sender: self.own, session: *id, content: None });
        let stored = stored::inbound(&self.sealer, *id, session);
        session.stored = stored.state.clone();
        Ok(Sealed { suite, body: body.into(), session: Some(stored) })
    }

    /// Seals control items about this node's own flows (`FlowState`, `Query`) under the receipt key of the session
    /// it began, once the other end is known to have that.
    pub(crate) fn state(&self, peer: &PeerKey, controls: &[Control]) -> Result<Sealed, CannotSeal> {
        let (_, session) = self.out.get(peer).filter(|(_, session)| session.confirmed).ok_or(CannotSeal::NoKey)?;
        let key =
            if session.key_confirmed { &session.key } else { session.previous_key.as_ref().unwrap_or(&session.key) };
        under_key(self.own, key, Direction::FromInitiator, controls)
    }

    /// Seals `CannotOpen` for a peer none of whose sessions can answer it, in a session of this node's own; one is
    /// begun for it at most once an hour, then less often.
    pub(crate) fn complain(
        &mut self,
        peer: &PeerKey,
        control: Control,
        age: Age,
        wall: Wall,
    ) -> Result<Sealed, CannotSeal> {
        if !self.out.contains_key(peer)
            && !pace(&mut self.complaints, *peer, age, COMPLAINT_INTERVAL, MAX_COMPLAINT_INTERVAL)
        {
            return Err(CannotSeal::TooSoon);
        }
        self.seal(peer, Plaintext { controls: vec![control], ..Plaintext::default() }, age, wall)
    }

    /// A peer cannot open what this session sealed: the next parcel begins a new one. `false` if it is not the
    /// current session or the last was begun too short a time ago.
    pub(crate) fn reset(&mut self, peer: &PeerKey, session: SessionId, age: Age) -> bool {
        let current = self.out.get(peer).is_some_and(|(id, _)| *id == session);
        if !current || !pace(&mut self.resets, *peer, age, RESET_INTERVAL, MAX_RESET_INTERVAL) {
            return false;
        }
        self.out.remove(peer);
        true
    }

    /// Whether a session exists that this parcel could be opened in, or the parcel begins one.
    pub(crate) fn begins(&self, parcel: &Parcel) -> bool {
        match &parcel.suite {
            Suite::Session(clear) => !self.knows(&clear.session),
            Suite::ReceiptKey { .. } => false,
        }
    }

    /// Whether no more sessions can be taken.
    pub(crate) fn is_full(&self) -> bool {
        self.inbound.len() >= MAX_INBOUND || self.retired.len() >= MAX_RETIRED
    }

    fn knows(&self, session: &SessionId) -> bool {
        self.inbound.contains_key(session) || self.out.values().any(|(id, _)| id == session)
    }

    /// Opens a parcel sealed by a ratchet.
    pub(crate) fn open(&mut self, clear: &Clear, body: &Bytes, age: Age) -> Result<Opened, Unopened> {
        if self.out.get(&clear.sender).is_some_and(|(id, _)| *id == clear.session) {
            return self.open_answer(clear, body);
        }
        let fresh = !self.inbound.contains_key(&clear.session);
        let plaintext = if fresh { self.accept(clear, body, age)? } else { self.open_known(clear, body)? };
        let result = self.believe(clear, plaintext, fresh);
        if result.is_err() {
            self.take_back(&clear.session);
        }
        result
    }

    /// Undoes a step: whoever alters what stands in the clear must not use up the key of the true parcel.
    fn take_back(&mut self, id: &SessionId) {
        let before = self.inbound.remove(id).filter(|session| !session.stored.is_empty());
        if let Some(session) = before {
            self.restore(&StoredSession { session: *id, peer: session.peer, state: session.stored });
        }
    }

    fn open_known(&mut self, clear: &Clear, body: &Bytes) -> Result<Vec<u8>, Unopened> {
        let session = self.inbound.get_mut(&clear.session).ok_or(Unopened::CannotOpen)?;
        if session.peer != clear.sender {
            return Err(Unopened::Forged);
        }
        self.sealer.open(&mut session.session, body).map_err(|_: OpenError| Unopened::CannotOpen)
    }

    fn accept(&mut self, clear: &Clear, body: &Bytes, age: Age) -> Result<Vec<u8>, Unopened> {
        let begins = self.sealer.first_of(body).ok_or(Unopened::CannotOpen)?;
        if begins.session != clear.session {
            return Err(Unopened::Forged);
        }
        if self.retired.contains(&clear.session) {
            return Err(Unopened::CannotOpen);
        }
        let (session, plaintext) = self.sealer.accept(body).map_err(|_| Unopened::CannotOpen)?;
        let order = self.next_order;
        self.next_order += 1;
        let inbound = Inbound {
            session,
            peer: clear.sender,
            peer_ratchet: begins.ratchet_identity,
            key: None,
            previous_key: None,
            order,
            since_turn: None,
            turned_at: age,
            stored: Bytes::new(),
        };
        self.inbound.insert(clear.session, inbound);
        Ok(plaintext)
    }

    /// Checks a plaintext against its session, its clear header and its sender's card.
    fn believe(&mut self, clear: &Clear, plaintext: Vec<u8>, fresh: bool) -> Result<Opened, Unopened> {
        let inner = Inner::decode(plaintext.into()).map_err(|_| Unopened::Forged)?;
        let session = self.inbound.get_mut(&clear.session).ok_or(Unopened::CannotOpen)?;
        let names = inner.sender == clear.sender && inner.recipient == self.own;
        let bound = inner.sender_ratchet == session.peer_ratchet && inner.content == clear.content;
        let flow = inner.content.as_ref().is_none_or(|content| {
            content.flow == crate::ids::FlowId::derive(&inner.sender, &inner.recipient, &inner.flow_random)
        });
        if !names || !bound || !flow {
            return Err(Unopened::Forged);
        }
        let card = match &inner.sender_card {
            Some(bytes) => Some(self.sealer.verify_card(bytes).ok_or(Unopened::Forged)?),
            None if fresh => return Err(Unopened::Forged),
            None => None,
        };
        if let Some(card) = &card
            && (card.card().peer != clear.sender || card.card().ratchet.identity != session.peer_ratchet)
        {
            return Err(Unopened::Forged);
        }
        if let Some((id, key)) = inner.receipt_key
            && session.key.as_ref().is_none_or(|known| known.id() != id)
        {
            session.previous_key = session.key.replace(ReceiptKey::from_parts(id, key));
        }
        if fresh && session.key.is_none() {
            return Err(Unopened::Forged);
        }
        session.since_turn = session.since_turn.map(|parcels| parcels.saturating_add(1));
        let stored = stored::inbound(&self.sealer, clear.session, session);
        session.stored = stored.state.clone();
        let dropped = if fresh { self.make_room(&clear.sender) } else { Vec::new() };
        let card =
            card.filter(|card| self.cards.get(&clear.sender).is_none_or(|known| card.card().seq > known.card().seq));
        Ok(Opened { inner, session: stored, dropped, card, answers: false })
    }

    /// Opens what came back through the ratchet of a session this node began.
    fn open_answer(&mut self, clear: &Clear, body: &Bytes) -> Result<Opened, Unopened> {
        let (id, session) = self.out.get_mut(&clear.sender).ok_or(Unopened::CannotOpen)?;
        if clear.content.is_some() {
            return Err(Unopened::Forged);
        }
        let plaintext = self.sealer.open(&mut session.session, body).map_err(|_| Unopened::CannotOpen)?;
        let inner = Inner::decode(plaintext.into()).map_err(|_| Unopened::Forged)?;
        let genuine = inner.sender == clear.sender
            && inner.recipient == self.own
            && inner.sender_ratchet == session.recipient_ratchet
            && inner.content.is_none();
        if !genuine {
            return Err(Unopened::Forged);
        }
        session.turns += 1;
        session.confirmed = true;
        self.resets.remove(&clear.sender);
        let stored = stored::outbound(&self.sealer, clear.sender, *id, session);
        Ok(Opened { inner, session: stored, dropped: Vec::new(), card: None, answers: true })
    }

    /// Drops the oldest sessions that a peer began, beyond the bound.
    fn make_room(&mut self, peer: &PeerKey) -> Vec<SessionId> {
        let mut of_peer: Vec<_> =
            self.inbound.iter().filter(|(_, session)| session.peer == *peer).map(|(id, s)| (s.order, *id)).collect();
        of_peer.sort_unstable();
        let surplus = of_peer.len().saturating_sub(MAX_INBOUND_PER_PEER);
        let dropped: Vec<_> = of_peer.into_iter().take(surplus).map(|(_, id)| id).collect();
        for id in &dropped {
            self.inbound.remove(id);
            self.retired.insert(*id);
        }
        dropped
    }

    /// Opens a parcel sealed under a receipt key; says also which session's state changed by it.
    pub(crate) fn open_controls(
        &mut self,
        sender: &PeerKey,
        key: ReceiptKeyId,
        body: &[u8],
    ) -> Result<(Vec<Control>, Option<StoredSession>), Unopened> {
        if let Some((id, session)) = self.out.get_mut(sender) {
            let current = session.key.id() == key;
            let known = if current { Some(&session.key) } else { session.previous_key.as_ref() };
            if let Some(known) = known.filter(|known| known.id() == key) {
                let plaintext =
                    known.open(Direction::FromResponder, sender.as_bytes(), body).map_err(|_| Unopened::CannotOpen)?;
                let controls = decode_controls(&plaintext).map_err(|_| Unopened::Forged)?;
                let news = !session.confirmed || (current && !session.key_confirmed);
                session.confirmed = true;
                if current {
                    session.key_confirmed = true;
                    session.previous_key = None;
                }
                self.resets.remove(sender);
                return Ok((controls, news.then(|| stored::outbound(&self.sealer, *sender, *id, session))));
            }
        }
        let found = self
            .inbound
            .values()
            .filter(|session| session.peer == *sender)
            .flat_map(|session| [session.key.as_ref(), session.previous_key.as_ref()])
            .flatten()
            .find(|candidate| candidate.id() == key)
            .ok_or(Unopened::CannotOpen)?;
        let plaintext =
            found.open(Direction::FromInitiator, sender.as_bytes(), body).map_err(|_| Unopened::CannotOpen)?;
        Ok((decode_controls(&plaintext).map_err(|_| Unopened::Forged)?, None))
    }
}

/// The sender is bound as associated data; the key's own id and direction are bound by the key.
fn under_key(own: PeerKey, key: &ReceiptKey, direction: Direction, controls: &[Control]) -> Result<Sealed, CannotSeal> {
    let body = key.seal(direction, own.as_bytes(), &encode_controls(controls)).map_err(|_| CannotSeal::Unusable)?;
    Ok(Sealed { suite: Suite::ReceiptKey { sender: own, key: key.id() }, body: body.into(), session: None })
}

/// Whether something rate-limited may happen now; if so, the time until the next doubles.
fn pace(paces: &mut BTreeMap<PeerKey, Pace>, peer: PeerKey, age: Age, first: Duration, longest: Duration) -> bool {
    if paces.len() >= MAX_PACED && !paces.contains_key(&peer) {
        paces.pop_first();
    }
    match paces.get_mut(&peer) {
        None => {
            paces.insert(peer, Pace { last: age, interval: first });
            true
        }
        Some(pace) if pace.last.until(age) >= pace.interval => {
            *pace = Pace { last: age, interval: (pace.interval * 2).min(longest) };
            true
        }
        Some(_) => false,
    }
}

#[cfg(test)]
mod tests;
