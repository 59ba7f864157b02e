//! Cards: this node's own, and how it gets those of others.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use tidings_crypto::{Announcement, Card, MAX_ADDRESSES, PeerKey, Sealer, SignedCard};

use super::Engine;
use super::errands::Errand;
use crate::delivery::{self, Moment};
use crate::ids::LinkId;
use crate::links::{self, Address, Source};
use crate::output::{Event, Output};
use crate::record::Record;
use crate::time::Instant;
use crate::trust::Evidence;
use crate::wire::{Frame, Hello};

/// How long a card can be used.
const LIFETIME: Duration = Duration::from_hours(14 * 24);
/// A card is signed anew when less than this is left.
const RENEWAL: Duration = Duration::from_hours(7 * 24);
/// How long a first answer to a question for a card is waited for before it is asked again: the question or the
/// answer may have stood in the queue of a link that ended. It doubles.
const FIND_TIMEOUT: Duration = Duration::from_secs(1);
/// The longest such wait.
const MAX_FIND_TIMEOUT: Duration = Duration::from_mins(1);
/// The nonce of a card that answers no question.
const UNASKED: u64 = 0;
/// The most questions for cards under way.
const MAX_FINDS: usize = 256;
/// How often in an hour this node may meet its own card with a higher number before it says that its identity is
/// in use elsewhere.
const MAX_RENEWALS: u32 = 2;

/// Questions for cards that are under way, by peer.
#[derive(Debug, Default)]
pub(super) struct Finds {
    asked: BTreeMap<PeerKey, Find>,
}

#[derive(Debug)]
struct Find {
    /// The answer repeats it.
    nonce: u64,
    /// When it is asked again.
    due: Instant,
    wait: Duration,
}

impl Finds {
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.asked.values().map(|find| find.due).min()
    }
}

/// The addresses in a card, as far as they are any.
pub(super) fn addresses(card: &SignedCard) -> Vec<Address> {
    card.card().addresses.iter().filter_map(|text| Address::new(text.clone()).ok()).collect()
}

impl<S: Sealer> Engine<S> {
    /// Signs a card with what is true now.
    pub(super) fn renew_card(&mut self, now: Moment) {
        let lifetime_ms = u64::try_from(LIFETIME.as_millis()).unwrap_or(u64::MAX);
        self.own_card_seq = (self.own_card_seq + 1).max(now.wall.0);
        let addresses = self.own_addresses.iter().map(|address| address.as_str().to_owned());
        let card = Card {
            peer: self.own,
            seq: self.own_card_seq,
            issued_ms: now.wall.0,
            expires_ms: now.wall.0.saturating_add(lifetime_ms),
            name: self.name.clone(),
            ratchet: self.sessions.sealer().ratchet_keys(),
            addresses: addresses.take(MAX_ADDRESSES).collect(),
            capabilities: Vec::new(),
        };
        // Name and addresses were checked when they came in.
        let Ok(signed) = SignedCard::sign(&card, &self.identity, self.sessions.sealer()) else { return };
        self.sessions.set_own_card(&signed);
        self.own_card_expires_ms = card.expires_ms;
        let bytes = Bytes::copy_from_slice(signed.bytes());
        self.records.push(Record::OwnCard { seq: card.seq, card: bytes.clone() });
        self.replies.push(Output::Publish { card: bytes });
        self.links.handle(now.mono, links::Event::Own { card_seq: card.seq });
        self.announce(now);
    }

    pub(super) fn renew_expiring_card(&mut self, now: Moment) {
        let renewal_ms = u64::try_from(RENEWAL.as_millis()).unwrap_or(u64::MAX);
        if now.wall.0.saturating_add(renewal_ms) >= self.own_card_expires_ms {
            self.renew_card(now);
        }
    }

    pub(super) fn on_listening(&mut self, now: Moment, addresses: Vec<Address>) {
        if self.own_addresses != addresses {
            self.own_addresses = addresses;
            self.renew_card(now);
        }
    }

    /// A neighbour says how new its card is. One that has forgotten its newest is shown it.
    pub(super) fn on_hello(&mut self, now: Moment, peer: PeerKey, hello: &Hello) {
        self.finds.asked.remove(&peer);
        self.sessions.vouch(peer, Some(hello.card_seq));
        match self.sessions.card(&peer) {
            Some(known) if known.card().seq > hello.card_seq => {
                let card = Bytes::copy_from_slice(known.bytes());
                self.frame(None, peer, Frame::CardFound { nonce: UNASKED, card });
            }
            Some(known) if known.card().seq == hello.card_seq => {}
            Some(_) | None => self.find_card(now, peer),
        }
    }

    /// Asks for a peer's card, itself or whoever is nearer to it: any holder answers.
    pub(super) fn find_card(&mut self, now: Moment, peer: PeerKey) {
        let asked = &self.finds.asked;
        if asked.len() < MAX_FINDS
            && !asked.contains_key(&peer)
            && let Some(next) = self.way_to(&peer)
        {
            let find =
                Find { nonce: u64::from_le_bytes(self.random()), due: now.mono + FIND_TIMEOUT, wait: FIND_TIMEOUT };
            self.frame(None, next, Frame::FindCard { peer, nonce: find.nonce });
            self.finds.asked.insert(peer, find);
        }
    }

    /// Asks again for what was not answered.
    pub(super) fn find_cards_due(&mut self, now: Moment) {
        let mut again = Vec::new();
        for (peer, find) in self.finds.asked.iter_mut().filter(|(_, find)| find.due <= now.mono) {
            find.wait = (find.wait * 2).min(MAX_FIND_TIMEOUT);
            find.due = now.mono + find.wait;
            again.push(*peer);
        }
        for peer in again {
            // A new number: those who have passed the last one on would leave it out.
            let nonce = u64::from_le_bytes(self.random());
            match (self.way_to(&peer), self.finds.asked.get_mut(&peer)) {
                (Some(next), Some(find)) => {
                    find.nonce = nonce;
                    self.frame(None, next, Frame::FindCard { peer, nonce });
                }
                // Whatever is sent when there is a way again asks again.
                (None, _) | (_, None) => {
                    self.finds.asked.remove(&peer);
                }
            }
        }
    }

    /// Nobody is there to be asked; the next hello asks again.
    pub(super) fn on_peer_gone(&mut self, peer: &PeerKey) {
        self.sessions.vouch(*peer, None);
        self.finds.asked.remove(peer);
    }

    /// Answers with the own card or a known one, else asks on.
    pub(super) fn on_find_card(&mut self, now: Moment, link: LinkId, neighbour: PeerKey, wanted: PeerKey, nonce: u64) {
        if let Some(card) = self.card_of(&wanted) {
            self.frame(Some(link), neighbour, Frame::CardFound { nonce, card });
            return;
        }
        if let Some(next) = self.way_to(&wanted).filter(|next| *next != neighbour)
            && self.errands.pass(now.mono, nonce, Errand { from: neighbour, wanted })
        {
            self.frame(None, next, Frame::FindCard { peer: wanted, nonce });
        }
    }

    /// The bytes of a card that this node holds, if its owner has not announced a newer one: who asks may need that
    /// one, where the clocks differ.
    fn card_of(&self, peer: &PeerKey) -> Option<Bytes> {
        if *peer == self.own {
            return Some(self.sessions.own_card().clone());
        }
        let newest = self.sessions.vouched(peer);
        let known = self.sessions.card(peer).filter(|card| Some(card.card().seq) >= newest);
        let known = known.map(|card| Bytes::copy_from_slice(card.bytes()));
        let is_current = |card: &&Bytes| SignedCard::claim(card).is_some_and(|(_, seq)| Some(seq) >= newest);
        known.or_else(|| self.errands.held(peer).filter(is_current).cloned())
    }

    /// Passes an answer on to whoever asked, and holds it for who asks next.
    fn on_errand(&mut self, neighbour: PeerKey, nonce: u64, errand: Errand, bytes: &[u8]) {
        match self.sessions.sealer().verify_card(bytes) {
            Some(card) if card.card().peer == errand.wanted => {
                let card = Bytes::copy_from_slice(bytes);
                self.errands.hold(errand.wanted, card.clone());
                self.frame(None, errand.from, Frame::CardFound { nonce, card });
            }
            Some(_) | None => self.misconduct(neighbour, Evidence::BadCard),
        }
    }

    /// A peer that has a route says how new its card is, and what else it says of itself.
    pub(super) fn on_announced(&mut self, now: Moment, announcement: &Announcement) {
        let (peer, newest) = (announcement.peer, announcement.card_seq);
        if !self.links.is_up(&peer) {
            self.sessions.vouch(peer, Some(newest));
        }
        // One that nothing is sent to is asked for when something is.
        if self.sessions.card(&peer).is_some_and(|known| known.card().seq < newest)
            && self.delivery.waiting_for(&peer) > 0
        {
            self.find_card(now, peer);
        }
    }

    pub(super) fn on_card_found(&mut self, now: Moment, neighbour: PeerKey, nonce: u64, bytes: &[u8]) {
        let Some(peer) = self.finds.asked.iter().find(|(_, find)| find.nonce == nonce).map(|(peer, _)| *peer) else {
            match self.errands.answered(nonce) {
                Some(errand) => self.on_errand(neighbour, nonce, errand, bytes),
                None => self.on_unasked_card(now, neighbour, bytes),
            }
            return;
        };
        self.finds.asked.remove(&peer);
        match self.sessions.sealer().verify_card(bytes) {
            Some(card) if card.card().peer == peer => self.learn_card(now, card, Source::Card),
            Some(_) | None => self.misconduct(neighbour, Evidence::BadCard),
        }
    }

    /// Takes a card that nobody asked for, if it is news: the neighbour's own, or one of this node's that it has
    /// forgotten.
    fn on_unasked_card(&mut self, now: Moment, neighbour: PeerKey, bytes: &[u8]) {
        let Some((peer, seq)) = SignedCard::claim(bytes) else {
            self.misconduct(neighbour, Evidence::BadCard);
            return;
        };
        let known = self.sessions.card(&peer).map(|card| card.card().seq);
        let is_news = if peer == self.own { seq > self.own_card_seq } else { known < Some(seq) };
        if !is_news || (peer != self.own && peer != neighbour) {
            return;
        }
        match self.sessions.sealer().verify_card(bytes) {
            Some(card) => {
                self.learn_card(now, card, Source::Card);
                if peer == neighbour {
                    self.sessions.vouch(peer, Some(seq));
                }
                if peer == self.own {
                    let card = self.sessions.own_card().clone();
                    self.frame(None, neighbour, Frame::CardFound { nonce: UNASKED, card });
                }
            }
            None => self.misconduct(neighbour, Evidence::BadCard),
        }
    }

    /// Takes a verified card. One with another ratchet identity ends the session with its peer.
    pub(super) fn learn_card(&mut self, now: Moment, card: SignedCard, source: Source) {
        let peer = card.card().peer;
        if peer == self.own {
            self.on_own_card_seen(now, card.card().seq);
            return;
        }
        let bytes = Bytes::copy_from_slice(card.bytes());
        let addresses = addresses(&card);
        let session = self.sessions.current(&peer);
        if !self.sessions.learn_card(card) {
            return;
        }
        self.records.push(Record::Card { peer, card: bytes });
        self.on_addresses(now, Some(peer), addresses, source);
        if let Some((session, _)) = session
            && self.sessions.current(&peer).is_none()
        {
            self.records.push(Record::SessionDropped { session });
            self.delivery.handle(now, delivery::Event::SessionReset { peer, session });
        }
        self.delivery.handle(now, delivery::Event::CardKnown(peer));
    }

    /// Somebody has a newer card of this identity: a database was restored, or the identity runs twice.
    fn on_own_card_seen(&mut self, now: Moment, seq: u64) {
        if seq <= self.own_card_seq {
            return;
        }
        if self.own_card_renewals >= MAX_RENEWALS {
            self.event(Event::Degraded { reason: "identity_in_use" });
            return;
        }
        self.own_card_renewals += 1;
        self.own_card_seq = seq;
        self.renew_card(now);
    }
}
