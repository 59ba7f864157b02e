//! One node, and neighbours that say what a test makes them say.

use bytes::Bytes;
use tidings_crypto::{
    Announcement, ChainValue, IdentityKey, Neighbours, PeerKey, Power, RoutingId, SignedAnnouncement,
};

use super::super::{Config, Effect, Event, Facts, NextHop, State};
use crate::ids::LinkId;
use crate::time::Instant;
use crate::trust::Evidence;
use crate::wire::{Named, RouteUpdate, Routing, Version};

/// Somebody who signs announcements with a known root.
pub(super) struct Peer {
    pub(super) identity: IdentityKey,
}

pub(super) const ROOT: ChainValue = ChainValue([9; 16]);

impl Peer {
    pub(super) fn new(number: u64) -> Self {
        let mut seed = [7; 32];
        seed[..8].copy_from_slice(&number.to_be_bytes());
        Self { identity: IdentityKey::from_seed(&seed) }
    }

    pub(super) fn key(&self) -> PeerKey {
        self.identity.peer()
    }

    pub(super) fn id(&self) -> RoutingId {
        self.key().routing_id()
    }

    pub(super) fn announcement(&self, boot: u64, seq: u64) -> Announcement {
        let mut announcement = Announcement {
            peer: self.key(),
            boot,
            seq,
            lifetime_s: 3_600,
            top: ROOT,
            card_seq: 1,
            power: Power::Unknown,
            labels: Vec::new(),
            capabilities: Vec::new(),
            topics: Vec::new(),
            neighbours: Neighbours::default(),
        };
        announcement.top = announcement.chain().top(ROOT);
        announcement
    }

    pub(super) fn sign(&self, boot: u64, seq: u64) -> SignedAnnouncement {
        SignedAnnouncement::sign(&self.announcement(boot, seq), &self.identity).expect("within limits")
    }
}

/// An update that tells the truth about an announcement.
pub(super) fn update(index: u16, signed: &SignedAnnouncement, cost: u8) -> RouteUpdate {
    let announcement = signed.announcement();
    RouteUpdate {
        index,
        cost,
        hops: cost.min(1),
        chain: announcement.chain().advance(ROOT, cost),
        named: Some(Named {
            to: announcement.peer.routing_id(),
            version: Version { boot: announcement.boot, seq: announcement.seq },
            hash: signed.hash(),
            age_s: 0,
            follows: false,
        }),
    }
}

/// What a frame's updates name.
pub(super) fn named(frame: &Routing) -> Vec<Named> {
    let Routing::Updates { updates, .. } = frame else { return Vec::new() };
    updates.iter().filter_map(|update| update.named).collect()
}

/// The node, and what it did since it was asked last.
pub(super) struct Solo {
    pub(super) me: Peer,
    pub(super) state: State,
    pub(super) now: Instant,
    pub(super) effects: Vec<Effect>,
    /// Signatures checked.
    pub(super) verified: u64,
    links: u64,
}

impl Solo {
    pub(super) fn new() -> Self {
        Self::with(Config::default())
    }

    pub(super) fn with(config: Config) -> Self {
        let me = Peer::new(u64::MAX);
        let state = State::new(config, me.key(), 1, [3; 32]);
        let mut solo = Self { me, state, now: Instant(1_000_000), effects: Vec::new(), verified: 0, links: 0 };
        solo.handle(Event::Facts(Facts::default()));
        solo
    }

    pub(super) fn handle(&mut self, event: Event) {
        self.state.handle(self.now, event);
        while let Some(effect) = self.state.poll_effect() {
            match effect {
                Effect::Sign(announcement) => {
                    let signed = SignedAnnouncement::sign(&announcement, &self.me.identity).expect("within limits");
                    self.state.handle(self.now, Event::Signed(signed));
                }
                Effect::Verify { hash, bytes } => {
                    self.verified += 1;
                    let announcement = SignedAnnouncement::verify(&bytes).ok();
                    self.state.handle(self.now, Event::Verified { hash, announcement });
                }
                Effect::Send { .. }
                | Effect::Route { .. }
                | Effect::Announced(_)
                | Effect::Forgotten { .. }
                | Effect::OwnBoot { .. }
                | Effect::Evidence { .. } => self.effects.push(effect),
            }
        }
    }

    /// Lets time pass with every deadline kept.
    pub(super) fn run_for(&mut self, time: std::time::Duration) {
        let end = self.now + time;
        while let Some(due) = self.state.next_deadline().filter(|due| *due <= end) {
            self.now = due.max(self.now);
            self.handle(Event::Tick);
        }
        self.now = end;
    }

    pub(super) fn link(&mut self, peer: &Peer) -> LinkId {
        self.links += 1;
        let link = LinkId(self.links);
        self.handle(Event::LinkUp { link, peer: peer.key(), cost: 1 });
        link
    }

    pub(super) fn hear(&mut self, link: LinkId, frame: Routing) {
        self.handle(Event::Frame { link, frame });
    }

    pub(super) fn updates(&mut self, link: LinkId, updates: Vec<RouteUpdate>) {
        self.hear(link, Routing::Updates { restart: false, updates });
    }

    /// The neighbour announces, and answers when it is asked.
    pub(super) fn offer(&mut self, link: LinkId, index: u16, signed: &SignedAnnouncement, cost: u8) {
        self.updates(link, vec![update(index, signed, cost)]);
        self.give(link, signed);
    }

    pub(super) fn give(&mut self, link: LinkId, signed: &SignedAnnouncement) {
        self.hear(link, Routing::Announcement(Bytes::copy_from_slice(signed.bytes())));
    }

    pub(super) fn next(&self, to: &Peer) -> Option<NextHop> {
        self.state.next_hops(&to.id()).best
    }

    /// What neighbours did wrong since this was asked last.
    pub(super) fn evidence(&mut self) -> Vec<(PeerKey, Evidence)> {
        self.take(|effect| {
            let Effect::Evidence { peer, evidence } = effect else { return None };
            Some((*peer, *evidence))
        })
    }

    /// What was sent on a link since this was asked last.
    pub(super) fn sent(&mut self, on: LinkId) -> Vec<Routing> {
        self.take(|effect| {
            let Effect::Send { link, frame } = effect else { return None };
            (*link == on).then(|| frame.clone())
        })
    }

    pub(super) fn take<T>(&mut self, of: impl Fn(&Effect) -> Option<T>) -> Vec<T> {
        let taken = self.effects.iter().filter_map(&of).collect();
        self.effects.retain(|effect| of(effect).is_none());
        taken
    }
}
