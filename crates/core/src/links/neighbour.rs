//! The links of one peer: which is used, which stays; docs/spec/links.md §2.

use tidings_crypto::PeerKey;

use super::event::Effect;
use super::link::{Link, Phase};
use super::rank::{self, Contest, DECISION_TIME, LINGER_TIME, Verdict};
use super::{State, Timer};
use crate::ids::LinkId;
use crate::wire::Bye;

/// A peer with a link that has said hello.
#[derive(Debug, Default)]
pub(super) struct Neighbour {
    /// In the order in which they said hello. Those that lost or leave are not among them.
    links: Vec<LinkId>,
    /// The one that stays unless a contest says otherwise.
    incumbent: Option<LinkId>,
    contest: Option<Contest<LinkId>>,
    /// The boot that was told with `PeerUp`.
    up: Option<u64>,
}

impl Neighbour {
    pub(super) fn is_up(&self) -> bool {
        self.up.is_some()
    }

    /// Says whether it was one of them.
    fn remove(&mut self, link: LinkId) -> bool {
        let before = self.links.len();
        self.links.retain(|other| *other != link);
        self.incumbent.take_if(|incumbent| *incumbent == link);
        self.links.len() < before
    }
}

impl State {
    /// The link that the peer's parcels are put on.
    pub(super) fn best(&self, peer: &PeerKey) -> Option<LinkId> {
        let neighbour = self.neighbours.get(peer)?;
        let live = || self.live_links(neighbour);
        let incumbent = neighbour
            .incumbent
            .and_then(|id| self.links.get(&id))
            .filter(|link| link.is_live())
            .or_else(|| live().next())?;
        if self.decides(peer) {
            return Some(incumbent.id);
        }
        // The other end decides between links of one boot. Until it has, the newest one may be the only one
        // that works; an end that never decides is not to be believed that.
        let newest = live().rfind(|link| link.boot() == incumbent.boot()).filter(|link| {
            let said = link.hello.as_ref().map(|(_, at)| *at);
            said.is_some_and(|at| self.now.since(at) < DECISION_TIME)
        });
        Some(newest.unwrap_or(incumbent).id)
    }

    fn live_links<'a>(&'a self, neighbour: &'a Neighbour) -> impl DoubleEndedIterator<Item = &'a Link> {
        let links = neighbour.links.iter();
        links.filter_map(|id| self.links.get(id)).filter(|link| link.is_live())
    }

    /// Whether this end decides between links of one boot: the one with the smaller key does.
    fn decides(&self, peer: &PeerKey) -> bool {
        self.own < *peer
    }

    /// A link has said hello.
    pub(super) fn join(&mut self, peer: PeerKey, link: LinkId) {
        self.neighbours.entry(peer).or_default().links.push(link);
        if let Some(known) = self.links.get_mut(&link) {
            let round_trip = known.tell_round_trip();
            self.effect(Effect::LinkUp { link, peer, round_trip });
        }
        self.settle(peer);
    }

    /// A link has gone or lost. What it had not delivered is still to be taken back.
    pub(super) fn part(&mut self, peer: PeerKey, link: LinkId) {
        if let Some(neighbour) = self.neighbours.get_mut(&peer)
            && neighbour.remove(link)
        {
            self.effect(Effect::LinkDown { link });
        }
    }

    /// Puts what a link holds on the best other link of the same boot, or gives it up.
    pub(super) fn take_back(&mut self, from: LinkId) {
        let Some(link) = self.links.get_mut(&from) else {
            return;
        };
        let (peer, boot) = (link.peer, link.boot());
        let parcels = link.take_back();
        if parcels.is_empty() {
            return;
        }
        let to = self
            .best(&peer)
            .filter(|to| *to != from)
            .and_then(|to| self.links.get_mut(&to))
            // A process that has started anew may have lost what its predecessor read and did not store.
            .filter(|to| to.boot() == boot);
        if let Some(to) = to {
            for parcel in parcels {
                self.stats.parcels_moved += 1;
                self.tokens.insert(parcel.token, to.id);
                to.queue.push_moved(parcel, self.durable);
            }
            self.ready.insert(to.id);
        } else {
            for parcel in parcels {
                self.lose(parcel.token);
            }
        }
    }

    /// Looks at a peer's links after one of them has changed: which is the incumbent, is a contest due, can the
    /// peer be sent to.
    pub(super) fn settle(&mut self, peer: PeerKey) {
        let Some(neighbour) = self.neighbours.get(&peer) else {
            return;
        };
        let live: Vec<_> = self.live_links(neighbour).map(|link| link.id).collect();
        let incumbent =
            neighbour.incumbent.filter(|incumbent| live.contains(incumbent)).or_else(|| live.first().copied());
        let goes_on =
            neighbour.contest.filter(|contest| live.contains(&contest.older) && live.contains(&contest.newer));
        let is_empty = neighbour.links.is_empty();
        if let Some(neighbour) = self.neighbours.get_mut(&peer) {
            neighbour.incumbent = incumbent;
            neighbour.contest = goes_on;
        }
        if goes_on.is_none() {
            self.timers.set(&Timer::Contest(peer), None);
            self.begin_contest(peer, &live);
        }
        self.tell(peer);
        if is_empty {
            self.neighbours.remove(&peer);
        }
    }

    /// Tells whether the peer can be sent to, if that has changed.
    fn tell(&mut self, peer: PeerKey) {
        let best = self.best_link(&peer);
        let hello = best.and_then(|link| Some((link.kind, link.hello.as_ref()?.0.clone())));
        let boot = hello.as_ref().map(|(_, hello)| hello.boot);
        let Some(neighbour) = self.neighbours.get_mut(&peer) else {
            return;
        };
        let before = std::mem::replace(&mut neighbour.up, boot);
        if before == boot {
            return;
        }
        if before.is_some() {
            self.effect(Effect::PeerDown { peer });
        }
        match hello {
            Some((kind, hello)) => {
                self.effect(Effect::PeerUp { peer, kind, hello });
                self.on_peer_up(peer);
            }
            None => self.on_peer_down(peer),
        }
    }

    /// Where two links answer and the decision is this end's, asks the older one.
    fn begin_contest(&mut self, peer: PeerKey, live: &[LinkId]) {
        let contender = |id: &LinkId| self.links.get(id).and_then(Link::contender);
        let neighbour = self.neighbours.get(&peer);
        let Some(incumbent) = neighbour.and_then(|neighbour| neighbour.incumbent) else {
            return;
        };
        let Some(first) = contender(&incumbent) else {
            return;
        };
        let rival = live
            .iter()
            .filter(|id| **id != incumbent)
            .find(|id| self.decides(&peer) || contender(id).is_some_and(|other| other.boot != first.boot));
        let Some(rival) = rival.copied() else {
            return;
        };
        let place = |id: LinkId| live.iter().position(|other| *other == id);
        let (older, newer) = if place(incumbent) < place(rival) { (incumbent, rival) } else { (rival, incumbent) };
        let (Some(old), Some(new)) = (contender(&older), contender(&newer)) else {
            return;
        };
        let nonce = self.random();
        let Some(link) = self.links.get_mut(&older) else {
            return;
        };
        let due = self.now + rank::answer_time(&old, &new, link.liveness.round_trip());
        link.probe(nonce);
        self.ready.insert(older);
        self.timers.set(&Timer::Contest(peer), Some(due));
        if let Some(neighbour) = self.neighbours.get_mut(&peer) {
            neighbour.contest = Some(Contest { older, newer, nonce, due });
        }
    }

    /// A link answered a probe; the older one of a contest by that shows that it works.
    pub(super) fn on_answer(&mut self, peer: PeerKey, link: LinkId, nonce: u64) {
        let Some(neighbour) = self.neighbours.get_mut(&peer) else {
            return;
        };
        let is_asked = |contest: &mut Contest<LinkId>| contest.older == link && contest.nonce == nonce;
        let Some(Contest { older, newer, .. }) = neighbour.contest.take_if(is_asked) else {
            return;
        };
        self.timers.set(&Timer::Contest(peer), None);
        let contender = |id: &LinkId| self.links.get(id).and_then(Link::contender);
        let (Some(old), Some(new)) = (contender(&older), contender(&newer)) else {
            return;
        };
        match rank::decide(&self.own, &old, &new) {
            Verdict::Newer => self.replace(older, newer),
            Verdict::Older => self.replace(newer, older),
            Verdict::SecondHolder => {
                self.stats.second_holders += 1;
                self.set_incumbent(peer, older);
                self.leave(newer, Bye::Refused);
            }
        }
        self.settle(peer);
    }

    /// The older link of a contest has not answered.
    pub(super) fn on_contest_due(&mut self, peer: PeerKey) {
        let contest = self.neighbours.get_mut(&peer).and_then(|neighbour| neighbour.contest.take());
        if let Some(Contest { older, newer, .. }) = contest {
            self.stats.replaced += 1;
            self.set_incumbent(peer, newer);
            let bye = self.replaced_by(newer);
            self.leave(older, bye);
            self.settle(peer);
        }
    }

    fn set_incumbent(&mut self, peer: PeerKey, link: LinkId) {
        if let Some(neighbour) = self.neighbours.get_mut(&peer) {
            neighbour.incumbent = Some(link);
        }
    }

    fn replaced_by(&self, winner: LinkId) -> Bye {
        match self.links.get(&winner).map(|link| link.number) {
            Some(number) => Bye::ReplacedBy { dialler: number.dialler, link: number.link },
            None => Bye::Refused,
        }
    }

    /// Both links answer, one stays. The other end is told on the one that does not, which is read to its end.
    fn replace(&mut self, loser: LinkId, winner: LinkId) {
        self.stats.replaced += 1;
        let bye = self.replaced_by(winner);
        let Some(link) = self.links.get_mut(&loser) else {
            return;
        };
        let peer = link.peer;
        link.phase = Phase::Replaced { until: self.now + LINGER_TIME };
        link.say_bye(bye);
        self.ready.insert(loser);
        self.part(peer, loser);
        self.set_incumbent(peer, winner);
        self.take_back(loser);
        self.rearm(loser);
    }
}
