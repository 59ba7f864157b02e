//! Reads what clients wrote, line by line.

use super::{Accepted, Call, Checker, Origin, Rule, Shown};
use crate::log::{Entry, Hash, Id, Outcome, State, Submitted};

impl Checker {
    pub(super) fn read_client(&mut self, node: u32, at: u64, entry: &Entry) {
        match entry {
            Entry::Start => {
                *self.lives.entry(node).or_default() += 1;
                self.running.insert(node);
            }
            Entry::End => drop(self.running.remove(&node)),
            Entry::Submit { call, messages, .. } => self.on_submit(node, at, *call, messages),
            Entry::Answer { call, results } => self.on_answer(node, at, *call, results),
            Entry::Shown { id, from, hash, stream } => self.on_shown(node, at, *id, *from, *hash, stream.as_deref()),
            Entry::Acknowledge { call, ids } => {
                self.on_acknowledge(ids, node);
                let life = self.life(node);
                self.acknowledgements.insert((node, *call), (ids.clone(), life));
            }
            Entry::Acknowledged { call, unknown } => self.on_acknowledged(node, at, *call, unknown),
            Entry::Cancel { id } => {
                if let Some(accepted) = self.accepted.get_mut(id) {
                    accepted.cancelled = true;
                }
            }
            Entry::State { id, state } => self.on_state(node, at, *id, *state),
            Entry::Run { .. } | Entry::Plaintext { .. } | Entry::Healed { .. } | Entry::Finished => {
                self.violate(Rule::Log, at, format!("a client wrote what only the harness writes: {entry:?}"));
            }
        }
    }

    fn on_submit(&mut self, node: u32, at: u64, call: u64, messages: &[Submitted]) {
        for message in messages {
            self.orders += 1;
            let new = Origin { sender: node, to: message.to, order: self.orders, refused: 0, submitted: 0 };
            let origin = self.origins.entry(message.hash).or_insert(new);
            origin.submitted += 1;
            let same = origin.sender == node && origin.to == message.to;
            self.check(Rule::Log, at, same, || format!("two nodes submit one payload {:?}", message.hash));
        }
        let call_of = Call { at, messages: messages.to_vec(), answered: false, life: self.life(node) };
        let again = self.calls.insert((node, call), call_of);
        self.check(Rule::Log, at, again.is_none(), || format!("node {node} makes call {call} twice"));
    }

    fn on_answer(&mut self, node: u32, at: u64, call: u64, results: &[Outcome]) {
        let Some(asked) = self.calls.get_mut(&(node, call)) else {
            return self.violate(Rule::Log, at, format!("node {node} is answered a call {call} it has not made"));
        };
        let first = !std::mem::replace(&mut asked.answered, true);
        let (messages, asked_at) = (asked.messages.clone(), asked.at);
        let whole = first && messages.len() == results.len();
        self.check(Rule::Log, at, whole, || {
            format!("call {call} of node {node} has {} messages and {} results", messages.len(), results.len())
        });
        for (message, result) in messages.into_iter().zip(results) {
            match result {
                Outcome::Accepted(id) => self.on_accepted(node, at, asked_at, *id, message),
                Outcome::Refused(_) => {
                    self.verdict.figures.refused += u64::from(self.is_honest(node, message.to));
                    if let Some(origin) = self.origins.get_mut(&message.hash) {
                        origin.refused += 1;
                    }
                }
            }
        }
    }

    fn on_accepted(&mut self, node: u32, at: u64, submitted_at: u64, id: Id, message: Submitted) {
        if let Some(known) = self.accepted.get(&id) {
            let same = known.sender == node && known.message.hash == message.hash;
            return self.check(Rule::IdReused, at, same, || format!("{id:?} is given to two messages of node {node}"));
        }
        self.verdict.figures.accepted += u64::from(self.is_honest(node, message.to));
        let told = std::collections::BTreeSet::new();
        let accepted = Accepted { sender: node, message, submitted_at, accepted_at: at, cancelled: false, told };
        self.accepted.insert(id, accepted);
    }

    fn on_shown(&mut self, node: u32, at: u64, id: Id, from: u32, hash: Hash, stream: Option<&str>) {
        if self.hostile.contains(&node) {
            return;
        }
        let life = self.life(node);
        if let Some(shown) = self.shown.get_mut(&(id, from)) {
            let (again, acknowledged) = (shown.life == life && shown.recipient == node, shown.acknowledged);
            let same = shown.hash == hash && shown.recipient == node;
            shown.life = life;
            self.verdict.figures.shown_again += 1;
            self.check(Rule::ShownTwice, at, !again, || format!("node {node} is shown {id:?} again in one life"));
            self.check(Rule::ShownAfterAcknowledgement, at, !acknowledged, || {
                format!("node {node} is shown {id:?} after it had acknowledged it")
            });
            return self.check(Rule::Altered, at, same, || format!("{id:?} is shown again with another payload"));
        }
        let shown = Shown { recipient: node, hash, first_at: at, life, asked: false, acknowledged: false };
        self.shown.insert((id, from), shown);
        self.check_origin(node, at, id, from, hash);
        let other = self.ids.insert((from, hash), id).filter(|other| *other != id);
        self.check(Rule::Doubled, at, other.is_none(), || {
            format!("node {node} is shown one payload as {id:?} and as {:?}", other.unwrap_or(id))
        });
        if let Some(stream) = stream {
            self.check_order(node, at, id, from, hash, stream);
        }
    }

    /// Whether what is shown was sent so.
    fn check_origin(&mut self, node: u32, at: u64, id: Id, from: u32, hash: Hash) {
        if self.hostile.contains(&from) {
            return;
        }
        let origin = self.origins.get(&hash).copied();
        let sent = origin.is_some_and(|origin| origin.sender == from && origin.to == node);
        let refused = origin.is_some_and(|origin| origin.refused == origin.submitted);
        if let Some(accepted) = self.accepted.get(&id).filter(|accepted| accepted.sender == from) {
            let same = accepted.message.hash == hash;
            self.check(Rule::Altered, at, same, || format!("node {node} is shown {id:?} with another payload"));
            if !same {
                return;
            }
        }
        self.check(Rule::Forged, at, sent, || format!("node {from} never sent node {node} what it is shown as {id:?}"));
        self.check(Rule::RefusedAndShown, at, !refused, || format!("node {node} is shown {id:?}, which was refused"));
    }

    fn check_order(&mut self, node: u32, at: u64, id: Id, from: u32, hash: Hash, stream: &str) {
        if !self.is_honest(node, from) {
            return;
        }
        let Some(order) = self.origins.get(&hash).map(|origin| origin.order) else { return };
        let key = (from, node, stream.to_owned());
        let last = self.streams.insert(key, order).unwrap_or(0);
        self.check(Rule::OutOfOrder, at, last < order, || {
            format!("node {node} is shown {id:?} of node {from}'s stream {stream:?} after one that was sent later")
        });
    }

    fn on_acknowledge(&mut self, ids: &[Id], node: u32) {
        for id in ids {
            let of_id = self.shown.range_mut((*id, 0)..=(*id, u32::MAX));
            for (_, shown) in of_id.filter(|(_, shown)| shown.recipient == node) {
                shown.asked = true;
            }
        }
    }

    fn on_acknowledged(&mut self, node: u32, at: u64, call: u64, unknown: &[Id]) {
        let Some((ids, _)) = self.acknowledgements.remove(&(node, call)) else {
            return self.violate(
                Rule::Log,
                at,
                format!("node {node} is answered an acknowledgement {call} it never made"),
            );
        };
        for id in ids.iter().filter(|id| !unknown.contains(id)) {
            let of_id = self.shown.range_mut((*id, 0)..=(*id, u32::MAX));
            for (_, shown) in of_id.filter(|(_, shown)| shown.recipient == node) {
                shown.acknowledged = true;
            }
        }
    }

    fn on_state(&mut self, node: u32, at: u64, id: Id, state: State) {
        let Some(accepted) = self.accepted.get_mut(&id) else {
            // A call that a crash left unanswered may have been accepted all the same.
            let unanswered = self.calls.range((node, 0)..=(node, u64::MAX)).any(|(_, call)| !call.answered);
            let honest = !self.hostile.contains(&node);
            return self.check(Rule::StrangeState, at, unanswered || !honest, || {
                format!("node {node} is told {state:?} of {id:?}, which it never sent")
            });
        };
        let (sender, to, cancelled) = (accepted.sender, accepted.message.to, accepted.cancelled);
        let lived_ms = at.saturating_sub(accepted.submitted_at) / 1000;
        let lifetime_ms = accepted.message.lifetime_ms;
        accepted.told.insert(state);
        if !self.is_honest(sender, to) {
            return;
        }
        self.check(Rule::StrangeState, at, sender == node, || {
            format!("node {node} is told of {id:?} of node {sender}")
        });
        match state {
            State::Acknowledged => {
                let asked = self.shown.get(&(id, sender)).is_some_and(|shown| shown.asked);
                self.check(Rule::AcknowledgedByNobody, at, asked, || format!("nobody has acknowledged {id:?}"));
            }
            State::Expired if !self.clocks_jump => {
                // Two clocks may be a little apart.
                let due = lived_ms + 10 >= lifetime_ms;
                self.check(Rule::EndedEarly, at, due, || {
                    format!("{id:?} expired after {lived_ms} ms of its {lifetime_ms} ms")
                });
            }
            State::Cancelled => {
                self.check(Rule::EndedEarly, at, cancelled, || format!("{id:?} was withdrawn by nobody"));
            }
            State::Delivered | State::Expired | State::Failed => {}
        }
    }
}
