//! From the links wanted to dials and drops, the same for all kinds; docs/spec/topology.md §2.

use std::collections::BTreeSet;

use tidings_crypto::PeerKey;

use super::config::{
    DIAL_TIME, DROP_PAUSE, ESSENTIAL_TIME, JUDGED_TIME, LOOK_INTERVAL, LOST_TIME, REGRET_TIME, SLOW_DIAL,
    SURPLUS_PAUSE, SURPLUS_TIME, UNFIT_TIME,
};
use super::event::{Effect, Kind, Reach, Standing};
use super::kinds::{self, Candidate, Presence, View};
use super::peers::{Lost, Owner, Peer};
use super::{State, Timer, digest};
use crate::time::Instant;

/// What is remembered between two looks at the links.
#[derive(Debug, Default)]
pub(super) struct Upkeep {
    /// How many nodes there are, smoothed.
    size: usize,
    /// Since when there are too many links.
    surplus_since: Option<Instant>,
    /// When a link was dropped last.
    dropped_at: Option<Instant>,
    /// Since when links are missing that were there.
    short_since: Option<Instant>,
}

/// The bounds of the shape for this node.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    floor: usize,
    ceiling: usize,
}

impl State {
    /// Compares the links that there are with those that are wanted.
    pub(super) fn look(&mut self) {
        self.judge_losses();
        self.end_slow_dials();
        self.end_bridges();
        self.smooth_size();
        let kind = self.shape();
        let draw = self.draw(u64::MAX);
        let (mut wanted, bounds) = {
            let view = self.view(draw);
            let bounds = Bounds { floor: kinds::floor(kind, &view), ceiling: kinds::ceiling(kind, &view) };
            (kinds::wanted(kind, &view), bounds)
        };
        wanted.extend(self.always_wanted());
        self.want(&wanted);
        self.note_unfit(&wanted);
        self.note_recovery(bounds);
        self.drop_one(kind, &wanted, bounds);
        let next = self.next_look(bounds);
        self.at_latest(Timer::Look, next);
        self.digest_later();
        self.bridge_later();
    }

    /// What has been lost for longer than routes take to be found anew.
    fn judge_losses(&mut self) {
        let now = self.now;
        let (mut departed, mut judged) = (0, false);
        let mut blank = Vec::new();
        for (key, peer) in self.peers.iter_mut() {
            let Some(lost) = &mut peer.lost else { continue };
            if !lost.judged && now.since(lost.since) >= JUDGED_TIME {
                lost.judged = true;
                judged = true;
                let since = lost.since;
                match peer.dropped_at.take().filter(|dropped| since.since(*dropped) < REGRET_TIME) {
                    Some(_) => peer.essential_until = now + ESSENTIAL_TIME,
                    None => departed += 1,
                }
            }
            if peer.lost.is_some_and(|lost| now.since(lost.since) >= LOST_TIME) {
                peer.lost = None;
                blank.push(*key);
            }
        }
        for key in blank {
            self.peers.forget_blank(&key);
        }
        if judged {
            self.bridge_again();
        }
        if departed > 0 {
            self.adaptive.on_departures(now, departed);
        }
    }

    fn end_slow_dials(&mut self) {
        let now = self.now;
        let slow = |peer: &Peer| peer.dial.is_some_and(|since| now.since(since) >= DIAL_TIME);
        let slow: Vec<_> = self.peers.iter().filter(|(_, peer)| slow(peer)).map(|(key, _)| *key).collect();
        for key in slow {
            self.fail(&key);
        }
    }

    fn smooth_size(&mut self) {
        let there = |(key, peer): &(&PeerKey, &Peer)| self.is_allowed(key) && (peer.is_alive() || peer.is_missing());
        let size = 1 + self.peers.iter().filter(there).count();
        if size.abs_diff(self.upkeep.size) * 4 >= self.upkeep.size {
            self.upkeep.size = size;
        }
    }

    /// Whether links to this peer are this module's to lay.
    pub(super) fn is_allowed(&self, key: &PeerKey) -> bool {
        self.config.allow.allows(key)
    }

    /// Nodes as `adaptive` counts them: this one and everybody who can be sent to.
    pub(super) fn alive(&self) -> usize {
        1 + self.peers.iter().filter(|(_, peer)| peer.is_alive()).count()
    }

    fn view(&self, draw: u64) -> View<'_> {
        let candidate = |(key, peer): (&PeerKey, &Peer)| {
            let there = peer.is_alive() || peer.is_missing();
            (there && self.is_allowed(key)).then(|| self.candidate(key, peer))
        };
        View {
            own: self.own,
            own_rank: digest::rank(Some(self.digest.fitness(self.now)), self.acts_as_hub(), 1000),
            config: &self.config,
            size: self.upkeep.size,
            draw,
            candidates: self.peers.iter().filter_map(candidate).collect(),
        }
    }

    /// Whether others see that this node acts as a hub: what it announced counts, not what is.
    fn acts_as_hub(&self) -> bool {
        self.acts(self.digest.told_count())
    }

    /// Hubs have more neighbours than the leaves that they serve, and more than most nodes of a mesh.
    fn acts(&self, degree: usize) -> bool {
        2 * degree > self.config.min_degree + self.config.max_degree + 2
    }

    fn candidate(&self, key: &PeerKey, peer: &Peer) -> Candidate {
        let now = self.now;
        let presence = if peer.is_leaving() {
            Presence::Away
        } else if peer.link.is_some() {
            Presence::Linked
        } else if peer.is_dialling(now) {
            Presence::Dialling
        } else if peer.dial.is_some() {
            Presence::Slow
        } else if peer.is_dialable(now) && self.may_dial(peer) {
            Presence::Dialable
        } else {
            Presence::Away
        };
        // Who takes no link, or did not answer, is as little use as a hub as who is not trusted.
        let declines = peer.declined_until > now || (!peer.routed && peer.failures > 0);
        let trust = if peer.link.is_none() && declines { 0 } else { peer.trust() };
        let acts = peer.degree().is_some_and(|degree| self.acts(degree as usize));
        Candidate {
            peer: *key,
            tie: peer.tie,
            presence,
            alive: peer.is_alive(),
            lan: peer.reach == Reach::Lan,
            degree: peer.degree(),
            rank: digest::rank(digest::fitness_of(peer.facts.as_ref()), acts, trust),
        }
    }

    pub(super) fn may_dial(&self, peer: &Peer) -> bool {
        !self.config.no_dial || peer.standing == Standing::Joined
    }
}

impl State {
    /// Peers that are wanted whatever the shape: who was joined, who bridges, and whose link was dropped in error.
    fn always_wanted(&self) -> BTreeSet<PeerKey> {
        let now = self.now;
        let always = |(key, peer): &(&PeerKey, &Peer)| {
            let bound = peer.standing == Standing::Joined || peer.essential_until > now;
            let near = || peer.link.is_some() || peer.dial.is_some() || (peer.is_dialable(now) && self.may_dial(peer));
            (bound || self.bridging.dials(key)) && near() && self.is_allowed(key)
        };
        self.peers.iter().filter(always).map(|(key, _)| *key).collect()
    }

    /// Tells the links module whom to dial and whom no longer.
    fn want(&mut self, wanted: &BTreeSet<PeerKey>) {
        let now = self.now;
        let mut effects = Vec::new();
        for (key, peer) in self.peers.iter_mut() {
            let wants = wanted.contains(key);
            if wants == peer.wanted {
                continue;
            }
            peer.wanted = wants;
            peer.dial = (wants && peer.link.is_none()).then_some(now);
            self.stats.wanted += u64::from(peer.dial.is_some());
            effects.push(if wants { Effect::Want { peer: *key } } else { Effect::Unwant { peer: *key } });
        }
        for effect in effects {
            self.effect(effect);
        }
    }

    fn note_unfit(&mut self, wanted: &BTreeSet<PeerKey>) {
        let now = self.now;
        for (key, peer) in self.peers.iter_mut() {
            if let Some(link) = &mut peer.link {
                let since = link.unfit_since.unwrap_or(now);
                link.unfit_since = (!wanted.contains(key)).then_some(since);
            }
        }
    }

    /// How long a loss of links lasts.
    fn note_recovery(&mut self, bounds: Bounds) {
        let upkeep = &mut self.upkeep;
        let short = self.peers.links() < bounds.floor;
        match upkeep.short_since {
            None if short && self.stats.unlinked > 0 => upkeep.short_since = Some(self.now),
            Some(since) if !short => {
                let lasted = self.now.since(since).as_millis();
                self.stats.last_recovery_ms = Some(u64::try_from(lasted).unwrap_or(u64::MAX));
                upkeep.short_since = None;
            }
            None | Some(_) => {}
        }
    }

    /// Drops a link that this node laid and the shape does not have, or one of too many.
    fn drop_one(&mut self, kind: Kind, wanted: &BTreeSet<PeerKey>, bounds: Bounds) {
        let now = self.now;
        let links = self.peers.links();
        self.upkeep.surplus_since = if links > bounds.ceiling { self.upkeep.surplus_since.or(Some(now)) } else { None };
        if self.upkeep.dropped_at.is_some_and(|at| now.since(at) < DROP_PAUSE) {
            return;
        }
        let surplus = self.upkeep.surplus_since.is_some_and(|since| now.since(since) >= SURPLUS_TIME);
        if surplus && let Some(key) = self.surplus_link(kind, wanted, bounds) {
            self.stats.dropped_surplus += 1;
            self.drop_link(key, SURPLUS_PAUSE);
        } else if links > bounds.floor
            && let Some(key) = self.unfit_link(bounds)
        {
            self.stats.dropped_unfit += 1;
            self.drop_link(key, std::time::Duration::ZERO);
        }
    }

    fn drop_link(&mut self, key: PeerKey, pause: std::time::Duration) {
        let now = self.now;
        self.upkeep.dropped_at = Some(now);
        let Some(peer) = self.peers.get_mut(&key) else { return };
        peer.dropped_at = Some(now);
        // It is not dialled before it would take a link again.
        peer.retry_at = now + pause;
        if std::mem::take(&mut peer.wanted) {
            self.effect(Effect::Unwant { peer: key });
        }
        self.effect(Effect::Drop { peer: key, pause });
    }

    /// Whether a link may be dropped: nobody is bound to it, and as far as is known the other end can spare it.
    fn is_spare(&self, peer: &Peer, bounds: Bounds) -> bool {
        peer.link.is_some()
            && peer.standing == Standing::Stranger
            && peer.essential_until <= self.now
            && !peer.is_leaving()
            && peer.degree().is_none_or(|degree| degree as usize > bounds.floor)
    }

    /// The link whose other end has most, of those the shape does not need.
    fn surplus_link(&self, kind: Kind, wanted: &BTreeSet<PeerKey>, bounds: Bounds) -> Option<PeerKey> {
        let needed = |key: &PeerKey| kind != Kind::Mesh && wanted.contains(key);
        self.peers
            .linked()
            .filter(|(key, peer)| !needed(key) && self.is_spare(peer, bounds))
            .max_by_key(|(_, peer)| (peer.degree(), peer.link.map(|link| link.since), peer.tie))
            .map(|(key, _)| *key)
    }

    /// The link that has been without use longest.
    fn unfit_link(&self, bounds: Bounds) -> Option<PeerKey> {
        let unfit = |peer: &Peer| {
            let link = peer.link.filter(|link| link.owner == Owner::Own)?;
            link.unfit_since.filter(|since| self.now.since(*since) >= UNFIT_TIME)
        };
        let spare = self.peers.linked().filter(|(_, peer)| self.is_spare(peer, bounds));
        let unfit = spare.filter_map(|(key, peer)| Some((unfit(peer)?, *key)));
        unfit.min().map(|(_, key)| key)
    }

    /// When something in the table changes by itself.
    fn next_look(&self, bounds: Bounds) -> Instant {
        let now = self.now;
        let short = self.peers.links() < bounds.floor;
        let mut next = now + LOOK_INTERVAL;
        let mut at = |moment: Instant| {
            if moment > now {
                next = next.min(moment);
            }
        };
        for (_, peer) in self.peers.iter() {
            if let Some(since) = peer.dial {
                at(since + SLOW_DIAL);
                at(since + DIAL_TIME);
            }
            if let Some(Lost { since, judged: false }) = peer.lost {
                at(since + JUDGED_TIME);
            }
            if let Some(since) = peer.link.and_then(|link| link.unfit_since) {
                at(since + UNFIT_TIME);
            }
            let urgent = short || peer.standing == Standing::Joined || peer.essential_until > now;
            if urgent && peer.link.is_none() && peer.reach > Reach::Nowhere {
                at(peer.retry_at);
            }
        }
        if let Some(at_drop) = self.upkeep.dropped_at {
            at(at_drop + DROP_PAUSE);
        }
        if let Some(since) = self.upkeep.surplus_since {
            at(since + SURPLUS_TIME);
        }
        next
    }
}
