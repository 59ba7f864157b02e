//! Searches of the DHT for peers that something waits for and that nothing leads to: the last rung of the ladder.
//! docs/spec/dht.md §5.

use std::collections::BTreeMap;
use std::time::Duration;

use tidings_crypto::{PeerKey, Sealer, SignedCard};

use super::Engine;
use super::cards::addresses;
use crate::delivery::Moment;
use crate::links::Source;
use crate::output::Output;
use crate::time::Instant;
use crate::timers::Timers;
use crate::trust::Evidence;
use crate::view::SearchStats;

/// The first pause between two searches for a peer; it doubles.
const FIRST_PAUSE: Duration = Duration::from_secs(30);
/// The longest.
const LONGEST_PAUSE: Duration = Duration::from_hours(1);
/// How long a peer whose addresses have failed may take to come back before it is searched for.
const PATIENCE: Duration = Duration::from_secs(5);
/// A search that has not ended by then makes room for the next.
const SEARCH_TIME: Duration = Duration::from_secs(20);
/// The most searches under way: each asks up to some twenty nodes.
const MAX_UNDER_WAY: usize = 4;
/// The most peers that are searched for, as many as may be dialled; some 100 bytes each.
const MAX_PEERS: usize = 4096;
/// The most cards that one search may bring: each may cost two signatures. A search asks no more holders.
const MAX_CARDS: u8 = 20;

/// A peer that is searched for until nothing waits for it.
#[derive(Clone, Copy, Debug)]
struct Search {
    /// From its next beginning to the one after.
    pause: Duration,
    /// Cards that may still come.
    cards: u8,
}

/// Whom this node searches for.
#[derive(Debug, Default)]
pub(super) struct Searches {
    peers: BTreeMap<PeerKey, Search>,
    begins: Timers<PeerKey>,
    /// Those under way.
    ends: Timers<PeerKey>,
    stats: SearchStats,
}

impl Searches {
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let begins = self.begins.next().filter(|_| self.has_room());
        [begins, self.ends.next()].into_iter().flatten().min()
    }

    pub(super) fn stats(&self) -> SearchStats {
        SearchStats { wanted: self.peers.len() as u64, ..self.stats }
    }

    fn has_room(&self) -> bool {
        self.ends.len() < MAX_UNDER_WAY
    }
}

impl<S: Sealer> Engine<S> {
    /// Something waits for a peer, and what led to it may be gone.
    pub(super) fn seek(&mut self, now: Moment, peer: PeerKey) {
        if self.is_sought(&peer) && !self.links.has_addresses(&peer) {
            self.seek_after(now, peer, Duration::ZERO);
        }
    }

    /// Every address of a peer was tried in vain.
    pub(super) fn on_unreached(&mut self, now: Moment, peer: PeerKey) {
        if self.is_sought(&peer) {
            self.seek_after(now, peer, PATIENCE);
        }
    }

    fn seek_after(&mut self, now: Moment, peer: PeerKey, patience: Duration) {
        if self.searches.peers.contains_key(&peer) {
            return;
        }
        if self.searches.peers.len() >= MAX_PEERS {
            self.forget_found();
        }
        let searches = &mut self.searches;
        if searches.peers.len() >= MAX_PEERS {
            searches.stats.refused += 1;
            return;
        }
        searches.peers.insert(peer, Search { pause: FIRST_PAUSE, cards: 0 });
        searches.begins.set(&peer, Some(now.mono + patience));
    }

    /// Makes room for those who are searched for.
    fn forget_found(&mut self) {
        let found: Vec<_> = self.searches.peers.keys().filter(|peer| !self.is_sought(peer)).copied().collect();
        for peer in found {
            self.forget_search(&peer);
        }
    }

    fn forget_search(&mut self, peer: &PeerKey) {
        self.searches.peers.remove(peer);
        self.searches.begins.set(peer, None);
        self.searches.ends.set(peer, None);
    }

    /// The network has changed, or there is somebody to ask again: what was not found may be found now.
    pub(super) fn seek_anew(&mut self, now: Moment) {
        let Searches { peers, begins, ends, .. } = &mut self.searches;
        for (peer, search) in peers.iter_mut().filter(|(peer, _)| !ends.contains(peer)) {
            search.pause = FIRST_PAUSE;
            begins.set_at_latest(peer, now.mono);
        }
    }

    pub(super) fn searches_due(&mut self, now: Moment) {
        while self.searches.ends.pop(now.mono).is_some() {}
        while self.searches.has_room()
            && let Some(peer) = self.searches.begins.pop(now.mono)
        {
            if self.is_sought(&peer) {
                self.begin_search(now, peer);
            } else {
                self.forget_search(&peer);
            }
        }
    }

    fn begin_search(&mut self, now: Moment, peer: PeerKey) {
        let searches = &mut self.searches;
        let Some(search) = searches.peers.get_mut(&peer) else { return };
        let pause = search.pause;
        *search = Search { pause: (pause * 2).min(LONGEST_PAUSE), cards: MAX_CARDS };
        searches.stats.begun += 1;
        searches.begins.set(&peer, Some(now.mono + pause));
        searches.ends.set(&peer, Some(now.mono + SEARCH_TIME));
        self.gate.pass(Output::FindPeer { peer });
    }

    pub(super) fn on_search_ended(&mut self, now: Moment, peer: &PeerKey) {
        self.searches.ends.set(peer, None);
        self.searches_due(now);
    }

    /// Whether something waits for a peer that no link and no route leads to, and that may be dialled.
    fn is_sought(&self, peer: &PeerKey) -> bool {
        self.wants.waits_for(peer) && !self.stopping && self.links.dials_whom_it_finds() && self.way_to(peer).is_none()
    }

    /// Takes a card that the DHT brought, as late as it may be, if its peer is still searched for.
    pub(super) fn on_dht_card(&mut self, now: Moment, peer: PeerKey, bytes: &[u8], by: Option<PeerKey>) {
        let Some(search) = self.searches.peers.get_mut(&peer).filter(|search| search.cards > 0) else {
            self.searches.stats.unasked += 1;
            return;
        };
        search.cards -= 1;
        // An older card than the known one is worth no signature, and no fault of whoever held it.
        let known = self.sessions.card(&peer).map(|card| card.card().seq);
        match SignedCard::claim(bytes) {
            Some((of, seq)) if of == peer && known > Some(seq) => return,
            Some((of, _)) if of == peer => {}
            Some(_) | None => {
                self.on_bad_dht_card(by);
                return;
            }
        }
        match self.sessions.sealer().verify_card(bytes) {
            Some(card) => {
                self.searches.stats.found += 1;
                let addresses = addresses(&card);
                self.learn_card(now, card, Source::Dht);
                // The card may be known and its addresses forgotten: the book keeps those that have led somewhere.
                self.on_addresses(now, Some(peer), addresses, Source::Dht);
            }
            None => self.on_bad_dht_card(by),
        }
    }

    /// Whoever answered had the same card to check before it held it. Where nobody is named, it is counted.
    fn on_bad_dht_card(&mut self, by: Option<PeerKey>) {
        self.searches.stats.bad += 1;
        if let Some(by) = by.filter(|by| *by != self.own) {
            self.misconduct(by, Evidence::BadCard);
        }
    }
}
