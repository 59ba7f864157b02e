//! Announcements are asked for by hash, once for all links that offer them; docs/spec/routing.md §3.3.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use tidings_crypto::{AnnouncementHash, MAX_ANNOUNCEMENT_BYTES, SignedAnnouncement};

use super::announcements::{Fetch, Held};
use super::config::{FETCH_PAUSE, MAX_FETCHES, MAX_WAITING, VERIFICATIONS};
use super::{Effect, State, Timer};
use crate::ids::LinkId;
use crate::trust::Evidence;
use crate::wire::{MAX_WANTED, Routing, Version};

/// How long those wait whose links have used up their signature checks.
const RETRY: Duration = Duration::from_millis(100);
/// How often the pause before all are asked again is doubled: to some 4 minutes.
const MAX_DOUBLINGS: u32 = 7;

impl State {
    /// A link offers an announcement that is not held; `follows` if it is on its way unasked.
    pub(super) fn fetch(&mut self, link: LinkId, hash: AnnouncementHash, follows: bool) {
        if let Some(fetch) = self.announcements.fetches.get_mut(&hash) {
            if fetch.offers.len() < MAX_WAITING {
                fetch.offers.insert(link);
            }
            return;
        }
        if self.announcements.fetches.len() >= MAX_FETCHES {
            self.stats.refused += 1;
            return;
        }
        let fetch = Fetch { offers: BTreeSet::from([link]), ..Fetch::default() };
        self.announcements.fetches.insert(hash, fetch);
        if follows && self.may_check(link) {
            self.await_answer(hash, link);
        } else {
            self.ask_for(hash);
        }
    }

    fn may_check(&mut self, link: LinkId) -> bool {
        let now = self.now;
        self.links.get_mut(&link).is_some_and(|link| link.answers && link.verifications.take(now, VERIFICATIONS))
    }

    fn await_answer(&mut self, hash: AnnouncementHash, link: LinkId) {
        if let Some(fetch) = self.announcements.fetches.get_mut(&hash) {
            // Who names an announcement and never shows it is asked ever more rarely.
            let rounds = fetch.tries / u32::try_from(fetch.offers.len().max(1)).unwrap_or(u32::MAX);
            let pause = FETCH_PAUSE * (1 << rounds.min(MAX_DOUBLINGS));
            (fetch.asked, fetch.tries) = (Some(link), fetch.tries.saturating_add(1));
            self.timers.set_at_latest(&Timer::Fetch(hash), self.now + pause);
        }
    }

    /// Asks the next link in turn that may cause another check.
    fn ask_for(&mut self, hash: AnnouncementHash) {
        let Some(fetch) = self.announcements.fetches.get(&hash) else { return };
        let last = fetch.asked.map_or(0, |link| link.0);
        let mut offers: Vec<LinkId> = fetch.offers.iter().copied().collect();
        let next = offers.iter().take_while(|link| link.0 <= last).count();
        let count = offers.len().max(1);
        offers.rotate_left(next % count);
        for link in offers {
            if self.may_check(link) {
                self.stats.announcements_wanted += 1;
                self.wanted.entry(link).or_default().push(hash);
                self.await_answer(hash, link);
                return;
            }
        }
        if let Some(fetch) = self.announcements.fetches.get_mut(&hash) {
            fetch.asked = None;
        }
        self.timers.set_at_latest(&Timer::Fetches, self.now + RETRY);
    }

    /// Asks for what could not be asked for before.
    pub(super) fn ask_for_all(&mut self) {
        let idle = |fetch: &Fetch| fetch.asked.is_none() && fetch.checked.is_none();
        let hashes: Vec<_> =
            self.announcements.fetches.iter().filter(|(_, fetch)| idle(fetch)).map(|(hash, _)| *hash).collect();
        for hash in hashes {
            self.ask_for(hash);
        }
    }

    /// Puts what was asked for in this turn on its links.
    pub(super) fn send_wanted(&mut self) {
        for (link, hashes) in std::mem::take(&mut self.wanted) {
            for part in hashes.chunks(MAX_WANTED) {
                self.send(link, Routing::WantAnnouncements(part.to_vec()));
            }
        }
    }

    pub(super) fn on_fetch_due(&mut self, hash: AnnouncementHash) {
        if self.announcements.fetches.get(&hash).is_some_and(|fetch| fetch.checked.is_none()) {
            self.ask_for(hash);
        }
    }

    /// A link does not offer this announcement any more.
    pub(super) fn withdraw_offer(&mut self, link: LinkId, hash: &AnnouncementHash) {
        let Some(fetch) = self.announcements.fetches.get_mut(hash).filter(|fetch| fetch.checked.is_none()) else {
            return;
        };
        if fetch.offers.remove(&link) && fetch.offers.is_empty() {
            self.announcements.fetches.remove(hash);
            self.timers.set(&Timer::Fetch(*hash), None);
        } else if fetch.asked == Some(link) {
            self.ask_for(*hash);
        }
    }

    /// A link offers nothing any more.
    pub(super) fn withdraw_offers(&mut self, link: LinkId) {
        self.wanted.remove(&link);
        let mut asked = Vec::new();
        self.announcements.fetches.retain(|hash, fetch| {
            fetch.offers.remove(&link);
            if fetch.asked == Some(link) && fetch.checked.is_none() {
                fetch.asked = None;
                asked.push(*hash);
            }
            !fetch.offers.is_empty() || fetch.checked.is_some()
        });
        for hash in asked {
            if self.announcements.fetches.contains_key(&hash) {
                self.ask_for(hash);
            } else {
                self.timers.set(&Timer::Fetch(hash), None);
            }
        }
    }
}

/// Answers.
impl State {
    pub(super) fn on_announcement(&mut self, link: LinkId, bytes: Bytes) {
        if bytes.len() > MAX_ANNOUNCEMENT_BYTES {
            self.misconduct(link, Evidence::ForgedRoute);
            return;
        }
        let hash = AnnouncementHash::of(&bytes);
        if let Some(fetch) = self.announcements.fetches.get_mut(&hash) {
            if fetch.checked.is_none() && fetch.offers.contains(&link) {
                fetch.checked = Some(link);
                self.timers.set(&Timer::Fetch(hash), None);
                self.effect(Effect::Verify { hash, bytes });
            }
            return;
        }
        // Unasked: only what somebody says in this node's own name is of interest.
        let Some((peer, boot, seq)) = SignedAnnouncement::claim(&bytes) else { return };
        if peer == self.own.peer && self.own.is_overtaken(Version { boot, seq }, &hash) && self.may_check(link) {
            let fetch = Fetch { checked: Some(link), ..Fetch::default() };
            self.announcements.fetches.insert(hash, fetch);
            self.effect(Effect::Verify { hash, bytes });
        }
    }

    pub(super) fn on_verified(&mut self, hash: AnnouncementHash, signed: Option<SignedAnnouncement>) {
        let Some(fetch) = self.announcements.fetches.remove(&hash) else { return };
        let Some(signed) = signed.filter(|signed| signed.hash() == hash) else {
            if let Some(link) = fetch.checked {
                self.misconduct(link, Evidence::ForgedRoute);
            }
            return;
        };
        let announcement = signed.announcement();
        if announcement.peer == self.own.peer {
            self.on_own_seen(Version { boot: announcement.boot, seq: announcement.seq }, &hash);
            return;
        }
        let to = announcement.peer.routing_id();
        let lifetime = Duration::from_secs(u64::from(announcement.lifetime_s));
        let version = Version { boot: announcement.boot, seq: announcement.seq };
        let end = self.sources.end_of(&to, version).unwrap_or(self.now + lifetime);
        self.announcements.held.insert(hash, Held::new(signed, end.min(self.now + lifetime)));
        for link in fetch.offers {
            let Some(from) = self.links.get(&link) else { continue };
            match from.indices.get(&to) {
                Some(index) => self.consider(link, *index),
                // It was offered as somebody else's.
                None if from.heard.values().any(|heard| heard.named.hash == hash) => {
                    self.misconduct(link, Evidence::ForgedRoute);
                }
                None => {}
            }
        }
        self.drop_if_unused(&hash, &to);
    }

    /// Forgets an announcement that no route goes by.
    pub(super) fn drop_if_unused(&mut self, hash: &AnnouncementHash, to: &tidings_crypto::RoutingId) {
        let newest = self.sources.get(to).and_then(|source| source.newest).map(|(_, hash)| hash);
        let destination = self.destinations.get(to);
        if newest != Some(*hash) && destination.is_none_or(|destination| !destination.held.contains(hash)) {
            self.announcements.held.remove(hash);
        }
    }
}
