//! What a recipient is told and asked until its receipt says that it knows: which messages ended, and which its
//! application has consumed. docs/spec/delivery.md §3.

use std::collections::BTreeMap;
use std::time::Duration;

use tidings_crypto::PeerKey;

use super::{Effect, Moment, State};
use crate::ids::FlowId;
use crate::time::Instant;
use crate::wire::Control;

/// Peers to be told or asked again, with doubling waits.
#[derive(Debug)]
pub(super) struct Reminders {
    first: Duration,
    longest: Duration,
    /// When, and the wait after that.
    due: BTreeMap<PeerKey, (Instant, Duration)>,
}

impl Reminders {
    /// For what ended: the recipient may be holding a message back for it.
    pub(super) fn of_ends() -> Self {
        Self { first: Duration::from_secs(5), longest: Duration::from_mins(5), due: BTreeMap::new() }
    }

    /// For what is consumed: the recipient tells it unasked, so that only a lost receipt waits for this.
    pub(super) fn of_questions() -> Self {
        Self { first: Duration::from_mins(1), longest: Duration::from_hours(1), due: BTreeMap::new() }
    }

    /// Counts the waits anew from now. Says how long the first one is.
    fn begin(&mut self, now: Instant, peer: PeerKey) {
        self.due.insert(peer, (now + self.first, self.first * 2));
    }

    pub(super) fn begin_if_none(&mut self, now: Instant, peer: PeerKey) {
        self.due.entry(peer).or_insert((now + self.first, self.first * 2));
    }

    pub(super) fn end(&mut self, peer: &PeerKey) {
        self.due.remove(peer);
    }

    fn take_due(&mut self, now: Instant) -> Vec<(PeerKey, Duration)> {
        let due = self.due.extract_if(.., |_, (due, _)| *due <= now);
        due.map(|(peer, (_, wait))| (peer, wait)).collect()
    }

    fn again(&mut self, peer: PeerKey, at: Instant, wait: Duration) {
        self.due.insert(peer, (at, (wait * 2).min(self.longest)));
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.due.values().map(|(due, _)| *due).min()
    }
}

impl State {
    /// A new path: the peer is told what ended, and asked what its application has consumed.
    pub(super) fn remind_all(&mut self, now: Moment, peer: PeerKey) {
        if self.ask(now, peer) {
            self.outgoing.questions.begin(now.mono, peer);
        }
        self.tell_floors(peer);
        self.tell(now, peer);
    }

    pub(super) fn remind_due(&mut self, now: Moment) {
        for (peer, wait) in self.outgoing.ends.take_due(now.mono) {
            if self.tell_ends(peer) {
                let at = now.mono + self.jittered(wait);
                self.outgoing.ends.again(peer, at, wait);
            }
        }
        for (peer, wait) in self.outgoing.questions.take_due(now.mono) {
            if self.ask(now, peer) {
                let at = now.mono + self.jittered(wait);
                self.outgoing.questions.again(peer, at, wait);
            }
        }
    }

    /// Tells a peer what ended, at once and again until a receipt names it.
    pub(super) fn tell(&mut self, now: Moment, peer: PeerKey) {
        self.outgoing.ends.end(&peer);
        if self.tell_ends(peer) {
            self.outgoing.ends.begin(now.mono, peer);
        }
    }

    /// Says whether there was something to tell, and a way to.
    fn tell_ends(&mut self, peer: PeerKey) -> bool {
        let controls = self.outgoing.untold(&peer);
        let tells = !controls.is_empty() && self.reachable.contains_key(&peer);
        if tells {
            self.effects.push_back(Effect::State { peer, controls });
        }
        tells
    }

    /// Says whether there was something to ask, and a way to.
    fn ask(&mut self, now: Moment, peer: PeerKey) -> bool {
        let flows = self.outgoing.of_peer(&peer).into_iter();
        let is_asked = |id: &FlowId| self.outgoing.flows.get(id).is_some_and(|flow| flow.is_asked_for(now.age));
        let asked: Vec<_> = flows.filter(is_asked).collect();
        let asks = !asked.is_empty() && self.reachable.contains_key(&peer);
        if asks {
            self.effects.push_back(Effect::State { peer, controls: vec![Control::Query(asked)] });
        }
        asks
    }

    /// What a peer's messages follow in other flows may have been done in an earlier database of it: it learns the
    /// floors, else they would wait for ever.
    pub(super) fn tell_floors(&mut self, peer: PeerKey) {
        let flows = self.outgoing.of_peer(&peer).into_iter();
        let flows = flows.filter_map(|id| self.outgoing.flows.get(&id)).filter(|flow| flow.record.floor > 0);
        let controls: Vec<_> = flows.map(|flow| Control::FlowState(flow.statement())).collect();
        if !controls.is_empty() {
            self.effects.push_back(Effect::State { peer, controls });
        }
    }
}
