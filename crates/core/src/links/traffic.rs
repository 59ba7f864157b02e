//! What goes over links: from `Up` to `Down`, bytes in, frames out.

use std::time::Duration;

use bytes::Bytes;
use rand_core::Rng as _;
use tidings_crypto::PeerKey;

use super::address::{Address, LinkKind};
use super::admission::Strike;
use super::dialling::{REFUSED_PAUSE, Target};
use super::event::{Effect, Token};
use super::hello::{self, LinkNumber};
use super::link::{Heard, Link, Opened, Phase};
use super::liveness::Silence;
use super::queue::Parcel;
use super::rank::MAX_LINKS_PER_PEER;
use super::{Mode, State, Timer};
use crate::ids::{BatchNo, DialId, LinkId};
use crate::trust::Evidence;
use crate::wire::{Bye, Encoded, Frame, Hello, MAX_PARCEL_BYTES, VERSION};

/// The most links that wait only to say goodbye; beyond that they are closed without.
const MAX_LEAVING: usize = 64;
/// Why nothing comes of a dial.
const INCOMPATIBLE: &str = "the node speaks no protocol version in common with this one";
/// The pause before a peer that speaks no common version is dialled again.
const INCOMPATIBLE_PAUSE: Duration = Duration::from_mins(5);

impl State {
    // --- links come and go ---

    pub(super) fn on_up(
        &mut self,
        id: LinkId,
        peer: PeerKey,
        kind: LinkKind,
        dial: Option<DialId>,
        address: Address,
        batch: BatchNo,
    ) {
        if self.links.contains_key(&id) {
            return;
        }
        let dialled = dial.is_some();
        let dial = dial.and_then(|dial| self.end_dial(dial));
        let number = if dialled {
            self.last_number += 1;
            LinkNumber { dialler: self.own, link: self.last_number }
        } else {
            LinkNumber { dialler: peer, link: 0 }
        };
        let refusal = self.refusal(&peer, dialled);
        let opened =
            Opened { id, peer, kind, address, batch, dial, number, dialled, idle_interval: self.idle_interval(&peer) };
        self.links.insert(id, Link::new(self.now, opened));
        if peer == self.own {
            self.on_met_itself(id);
        } else if let Some(bye) = refusal {
            self.stats.refused += 1;
            self.leave(id, bye);
        } else {
            self.ready.insert(id);
            self.rearm(id);
        }
    }

    /// One end probes an idle link; the other one hears it, and would do so a little later.
    fn idle_interval(&self, peer: &PeerKey) -> Duration {
        let interval = self.config.idle_interval;
        if self.own < *peer { interval } else { interval + interval / 4 }
    }

    /// Why a new link is not taken; spec §8.4.
    fn refusal(&self, peer: &PeerKey, dialled: bool) -> Option<Bye> {
        if self.mode != Mode::Running {
            return Some(Bye::ShuttingDown);
        }
        let open = |link: &&Link| !matches!(link.phase, Phase::Leaving { .. });
        let of_peer = self.links.values().filter(open);
        // Those that are suspect are likely to end at the other end of a process that is gone.
        let of_peer = of_peer.filter(|link| link.peer == *peer && !link.liveness.is_suspect()).count();
        let links = self.links.values().filter(open).count();
        let known = dialled || self.is_needed(peer) || of_peer > 0;
        let limit = if known { self.config.max_links * 2 } else { self.config.max_links };
        let is_refused =
            self.refusals.refused_until(self.now, peer).is_some() || of_peer >= MAX_LINKS_PER_PEER || links >= limit;
        is_refused.then_some(Bye::Refused)
    }

    fn on_met_itself(&mut self, id: LinkId) {
        if let Some(dial) = self.links.get_mut(&id).and_then(|link| link.dial.take()) {
            self.on_own_address(dial);
        }
        self.close(id);
    }

    pub(super) fn on_down(&mut self, id: LinkId) {
        self.drop_link(id, "the link closed before it said hello");
    }

    /// Says goodbye and closes the link as soon as that is handed over.
    pub(super) fn leave(&mut self, id: LinkId, bye: Bye) {
        let leaving = |link: &&Link| matches!(link.phase, Phase::Leaving { .. });
        if self.links.values().filter(leaving).count() >= MAX_LEAVING {
            self.close(id);
            return;
        }
        let now = self.now;
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        let peer = link.peer;
        let dial = link.dial.take();
        link.say_bye(bye);
        link.leave(now);
        if let Some(dial) = dial {
            self.on_dial_useless(dial, "this node takes no link to that peer now");
        }
        self.part(peer, id);
        self.take_back(id);
        self.ready.insert(id);
        self.rearm(id);
        self.settle(peer);
    }

    /// Closes a link at once.
    pub(super) fn close(&mut self, id: LinkId) {
        self.close_because(id, "the link closed before it said hello");
    }

    fn close_because(&mut self, id: LinkId, reason: &str) {
        if self.links.contains_key(&id) {
            self.drop_link(id, reason);
            self.effect(Effect::Close { link: id });
        }
    }

    fn drop_link(&mut self, id: LinkId, reason: &str) {
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        let peer = link.peer;
        let dial = link.dial.take();
        self.part(peer, id);
        self.take_back(id);
        self.links.remove(&id);
        self.ready.remove(&id);
        self.timers.set(&Timer::Link(id), None);
        if let Some(dial) = dial {
            self.on_dial_useless(dial, reason);
        }
        self.settle(peer);
    }

    /// Sets the link's timer. It may come early, never late.
    pub(super) fn rearm(&mut self, id: LinkId) {
        if let Some(link) = self.links.get(&id) {
            self.timers.set_at_latest(&Timer::Link(id), link.due());
        }
    }

    pub(super) fn on_link_due(&mut self, id: LinkId) {
        let now = self.now;
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        let peer = link.peer;
        match link.phase {
            _ if link.due() > now => {}
            Phase::Live => match link.liveness.on_time(now) {
                Some(Silence::Probe) => self.probe(id),
                Some(Silence::Suspect) => {
                    self.stats.suspects += 1;
                    self.effect(Effect::LinkSilent { link: id });
                    self.take_back(id);
                    self.settle(peer);
                    self.probe(id);
                }
                Some(Silence::Close) => self.close(id),
                None => {}
            },
            Phase::Opening => {
                self.close_because(id, "the node said no hello within 10 seconds");
            }
            Phase::Replaced { .. } | Phase::Leaving { .. } => self.close(id),
        }
        self.rearm(id);
    }

    pub(super) fn on_measure(&mut self, id: LinkId) {
        if let Some(link) = self.links.get_mut(&id).filter(|link| link.is_live()) {
            link.owes_round_trip = true;
            self.probe(id);
            self.rearm(id);
        }
    }

    pub(super) fn probe(&mut self, id: LinkId) {
        let nonce = self.random();
        if let Some(link) = self.links.get_mut(&id) {
            link.probe(nonce);
            self.ready.insert(id);
        }
    }

    pub(super) fn random(&mut self) -> u64 {
        self.rng.next_u64()
    }

    /// Every link is left.
    pub(super) fn leave_all(&mut self, bye: Bye) {
        let links: Vec<_> = self.links.keys().copied().collect();
        for link in links {
            self.leave(link, bye);
        }
    }

    pub(super) fn leave_peer(&mut self, peer: &PeerKey, bye: Bye) {
        let of_peer = self.links.values().filter(|link| link.peer == *peer);
        let links: Vec<_> = of_peer.map(|link| link.id).collect();
        for link in links {
            self.leave(link, bye);
        }
    }

    // --- bytes in ---

    pub(super) fn on_bytes(&mut self, id: LinkId, bytes: Bytes) {
        let now = self.now;
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        if matches!(link.phase, Phase::Leaving { .. }) {
            return;
        }
        let peer = link.peer;
        self.stats.bytes_in += bytes.len() as u64;
        let was_suspect = link.on_bytes(now, bytes);
        if was_suspect {
            self.effect(Effect::LinkAnswers { link: id });
            self.settle(peer);
        }
        while let Some(heard) = self.next_heard(id) {
            self.on_heard(id, peer, heard);
        }
        if let Some(link) = self.links.get_mut(&id).filter(|link| link.is_live() && link.has_other_round_trip()) {
            let round_trip = link.tell_round_trip();
            self.effect(Effect::RoundTrip { link: id, round_trip });
        }
        self.ready.insert(id);
        self.rearm(id);
    }

    fn next_heard(&mut self, id: LinkId) -> Option<Heard> {
        let link = self.links.get_mut(&id)?;
        if matches!(link.phase, Phase::Leaving { .. }) {
            return None;
        }
        link.next_heard(self.now)
    }

    fn on_heard(&mut self, id: LinkId, peer: PeerKey, heard: Heard) {
        match heard {
            Heard::Hello(hello) => self.on_hello(id, peer, hello),
            Heard::Parcel(class, bytes) => {
                self.stats.parcels_received += 1;
                self.effect(Effect::Parcel { link: id, peer, class, bytes });
            }
            Heard::Control(frame) => self.effect(Effect::Control { link: id, peer, frame }),
            Heard::Got(tokens) => {
                for token in tokens {
                    self.tokens.remove(&token);
                    self.effect(Effect::Got { token });
                }
            }
            Heard::Answer(nonce) => self.on_answer(peer, id, nonce),
            Heard::Bye(bye) => self.on_bye(id, peer, bye),
            Heard::Wrong(evidence) => self.on_wrong(id, peer, evidence),
        }
    }

    fn on_hello(&mut self, id: LinkId, peer: PeerKey, mut hello: Hello) {
        hello::make_printable(&mut hello.name);
        if hello::common_version(&hello.versions).is_none() {
            self.on_incompatible(id, peer);
            return;
        }
        let now = self.now;
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        link.on_hello(now, hello);
        let (kind, dial) = (link.kind, link.dial.take());
        // Measures the round trip before anything is queued in front.
        self.probe(id);
        if let Some(dial) = dial {
            self.on_dialled(peer, kind, dial);
        }
        self.join(peer, id);
        // The hello's timer may be later than the first one of a live link.
        self.rearm(id);
    }

    /// The other end says no more on this link.
    fn on_bye(&mut self, id: LinkId, peer: PeerKey, bye: Bye) {
        let (reason, pause) = match bye {
            Bye::ReplacedBy { .. } => ("the node keeps another link", None),
            Bye::ShuttingDown => ("the node is shutting down", None),
            Bye::Refused => ("the node refused the link", Some(REFUSED_PAUSE)),
            Bye::Incompatible => (INCOMPATIBLE, Some(INCOMPATIBLE_PAUSE)),
        };
        let target = self.dial_target(id);
        self.close_because(id, reason);
        if let Some(pause) = pause {
            self.pause_dialling(peer, target, pause);
        }
    }

    fn on_incompatible(&mut self, id: LinkId, peer: PeerKey) {
        let target = self.dial_target(id);
        if let Some(dial) = self.links.get_mut(&id).and_then(|link| link.dial.take()) {
            self.on_dial_useless(dial, INCOMPATIBLE);
        }
        self.leave(id, Bye::Incompatible);
        self.pause_dialling(peer, target, INCOMPATIBLE_PAUSE);
    }

    /// What was dialled, while the link has not said hello.
    fn dial_target(&self, id: LinkId) -> Option<Target> {
        let dial = self.links.get(&id)?.dial.as_ref()?;
        Some(dial.target.clone())
    }

    fn on_wrong(&mut self, id: LinkId, peer: PeerKey, evidence: Evidence) {
        self.stats.strikes += 1;
        self.effect(Effect::Evidence { peer, evidence });
        let strike = self.refusals.on_strike(self.now, peer);
        let target = self.dial_target(id);
        self.close_because(id, "the node broke the protocol");
        if strike == Strike::Out {
            self.leave_peer(&peer, Bye::Refused);
            self.pause_dialling(peer, target, REFUSED_PAUSE);
        }
    }

    // --- frames out ---

    pub(super) fn on_durable(&mut self, batch: BatchNo) {
        self.durable = self.durable.max(batch);
        for link in self.links.values_mut() {
            // A link that has not said hello may have waited for this.
            if link.queue.on_durable(self.durable) || link.owes_hello() {
                self.ready.insert(link.id);
            }
        }
    }

    pub(super) fn on_writable(&mut self, id: LinkId, bytes: u64) {
        if let Some(link) = self.links.get_mut(&id) {
            link.grant(bytes);
            self.ready.insert(id);
        }
    }

    pub(super) fn on_send(&mut self, peer: PeerKey, parcel: Parcel) {
        let token = parcel.token;
        let fits = (1..=MAX_PARCEL_BYTES).contains(&parcel.bytes.len());
        let best = self.best(&peer).filter(|_| fits);
        let Some(link) = best.and_then(|best| self.links.get_mut(&best)) else {
            self.lose(token);
            return;
        };
        let id = link.id;
        if link.queue.push(parcel, self.durable).is_ok() {
            self.tokens.insert(token, id);
            self.ready.insert(id);
        } else {
            self.lose(token);
        }
    }

    pub(super) fn lose(&mut self, token: Token) {
        self.stats.parcels_lost += 1;
        self.tokens.remove(&token);
        self.effect(Effect::Lost { token });
    }

    pub(super) fn on_withdraw(&mut self, token: Token) {
        let on = self.tokens.get(&token).and_then(|id| self.links.get_mut(id));
        if on.is_some_and(|link| link.queue.withdraw(token)) {
            self.tokens.remove(&token);
        }
    }

    pub(super) fn on_control(&mut self, link: Option<LinkId>, peer: PeerKey, frame: Frame, batch: BatchNo) {
        // What routing says on a link means nothing on another, and nothing of it may be left out: it waits for the
        // answer of a suspect link.
        let stays = matches!(frame, Frame::Routing(_));
        let usable = |id: &LinkId| self.links.get(id).is_some_and(|link| link.is_live() || stays && link.is_suspect());
        let Some(id) = link.filter(usable).or_else(|| self.best(&peer).filter(|_| !stays)) else {
            return;
        };
        if let Some(link) = self.links.get_mut(&id) {
            // A full queue drops it: these frames answer, and what is not answered is asked again. Routing begins anew.
            let pushed = link.queue.push_frame(Encoded::of(&frame), batch, self.durable);
            self.ready.insert(id);
            if pushed.is_err() {
                self.stats.frames_dropped += 1;
                if stays {
                    self.effect(Effect::RoutingLeftOut { link: id });
                }
            }
        }
    }

    /// Gives the next bytes of a link to the writer, or takes it out of those that have something.
    pub(super) fn hand_over(&mut self, id: LinkId) {
        let (now, durable) = (self.now, self.durable);
        let Some(link) = self.links.get_mut(&id) else {
            self.ready.remove(&id);
            return;
        };
        let (config, boot, card_seq, own) = (&self.config, self.boot, self.card_seq, self.own);
        let hello = |number: LinkNumber| Hello {
            versions: vec![VERSION],
            boot,
            link: if number.dialler == own { number.link } else { 0 },
            capabilities: config.capabilities.clone(),
            card_seq,
            name: config.name.clone(),
        };
        if let Some(handed) = link.hand_over(now, durable, hello) {
            self.stats.bytes_out += handed.bytes.len() as u64;
            self.stats.parcels_sent += handed.sent.len() as u64;
            self.effects.push_back(Effect::Transmit { link: id, bytes: handed.bytes, batch: handed.batch });
            for token in handed.sent {
                self.effects.push_back(Effect::Sent { token });
            }
            return;
        }
        self.ready.remove(&id);
        if link.has_left(now) {
            self.close(id);
        } else {
            self.rearm(id);
        }
    }
}
