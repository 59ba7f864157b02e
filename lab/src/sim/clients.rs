//! What the clients do in the simulated world, and what they write down.

use tidings_core::ids::{CommandId, MessageId, Seq};
use tidings_core::message::{Change, Ending, Refusal};
use tidings_core::record::InboxBatch;
use tidings_core::wire::decode_content;
use tidings_core::{Command, Event, Input, Reply};
use tidings_crypto::PeerKey;

use super::client::{Asked, Submit};
use super::node::LabSealer;
use super::trace::Mark;
use super::world::{BEGIN, Happening, World};
use crate::log::{Entry, Hash, Id, Outcome, State};

impl<S: LabSealer> World<S> {
    /// A node is there: its client reads what waits, asks what became of its messages, and repeats what was not
    /// answered.
    pub(super) fn client_starts(&mut self, index: usize) {
        self.write(Some(index), Entry::Start);
        for message in self.nodes[index].store.inbox() {
            self.show(index, message.id, message.from, &message.payload, message.stream);
        }
        let told = self.nodes[index].client.told;
        for change in self.nodes[index].store.changes(told) {
            self.nodes[index].client.told = change.at;
            for seq in change.seqs.seqs() {
                self.told(index, MessageId { flow: change.flow, seq }, change.change);
            }
        }
        let again = std::mem::take(&mut self.nodes[index].client.again);
        for submit in again {
            self.submit(index, submit);
        }
    }

    /// It is time for the next call of a stream of submissions.
    pub(super) fn on_submit_time(&mut self, index: usize, number: usize) {
        let scenario = self.scenario.clone();
        let send = &scenario.send[number];
        let end = BEGIN + send.end.unwrap_or(scenario.length).micros();
        let next = self.now + send.every.micros();
        let done = |calls: u64| send.calls.is_some_and(|wanted| calls >= wanted);
        if self.healed || done(self.nodes[index].client.progress[number].calls) {
            return;
        }
        if self.nodes[index].is_running()
            && let Some(submit) = self.nodes[index].client.compose(index, number, send, &self.keys)
        {
            self.submit(index, submit);
        }
        if next <= end && !done(self.nodes[index].client.progress[number].calls) {
            self.queue.push(next, Happening::Submit { node: index, send: number });
        }
    }

    fn submit(&mut self, index: usize, mut submit: Submit) {
        let client = &mut self.nodes[index].client;
        let call = client.call();
        let repeats = (submit.first_call > 0).then_some(submit.first_call);
        if repeats.is_none() {
            submit.first_call = call.0;
        }
        let submissions = submit.submissions.clone();
        let entry = Entry::Submit { call: call.0, messages: submit.written.clone(), repeats };
        client.asked.insert(call, Asked::Submit(submit));
        self.tally.submitted += submissions.len() as u64;
        self.write(Some(index), entry);
        self.command(index, call, Command::Submit(submissions));
    }

    fn command(&mut self, index: usize, call: CommandId, command: Command) {
        self.trace.note(self.now, index, Mark::Command, call.0, 0);
        self.input(index, Input::Command(call, command));
    }

    /// The client acknowledges what it was shown.
    pub(super) fn acknowledge(&mut self, index: usize, life: u64) {
        if !self.is_alive(index, life) {
            return;
        }
        let client = &mut self.nodes[index].client;
        client.acknowledging = false;
        let ids = std::mem::take(&mut client.to_acknowledge);
        if ids.is_empty() {
            return;
        }
        let call = client.call();
        client.asked.insert(call, Asked::Acknowledge(ids.clone()));
        self.write(Some(index), Entry::Acknowledge { call: call.0, ids: ids.iter().copied().map(Id).collect() });
        self.command(index, call, Command::Consume(ids));
    }

    /// The client withdraws a message.
    pub(super) fn cancel(&mut self, index: usize, life: u64, id: MessageId) {
        if !self.is_alive(index, life) {
            return;
        }
        let call = self.nodes[index].client.call();
        self.nodes[index].client.asked.insert(call, Asked::Cancel);
        self.write(Some(index), Entry::Cancel { id: Id(id) });
        self.command(index, call, Command::Cancel(id));
    }

    pub(super) fn on_reply(&mut self, index: usize, call: CommandId, reply: Reply) {
        self.trace.note(self.now, index, Mark::Reply, call.0, 0);
        let Some(asked) = self.nodes[index].client.asked.remove(&call) else {
            self.broken = Some(format!("n{index}: call {} was answered twice", call.0));
            return;
        };
        match (asked, reply) {
            (Asked::Submit(submit), Reply::Submitted(results)) => self.submitted(index, call, &submit, results),
            (Asked::Submit(submit), Reply::Refused(refusal)) => {
                let results = submit.submissions.iter().map(|_| Err(refusal)).collect();
                self.submitted(index, call, &submit, results);
            }
            (Asked::Acknowledge(_), Reply::Consumed { unknown }) => {
                let unknown = unknown.into_iter().map(Id).collect();
                self.write(Some(index), Entry::Acknowledged { call: call.0, unknown });
            }
            // Not acknowledged: asked again, as any client would.
            (Asked::Acknowledge(ids), Reply::Refused(_)) => {
                self.nodes[index].client.to_acknowledge.extend(ids);
                self.acknowledge_soon(index, 1_000_000);
            }
            (Asked::Cancel, Reply::Done | Reply::Refused(_)) => {}
            (asked, reply) => {
                self.broken = Some(format!("n{index}: {asked:?} was answered by {reply:?}"));
            }
        }
    }

    fn submitted(
        &mut self,
        index: usize,
        call: CommandId,
        submit: &Submit,
        results: Vec<Result<tidings_core::message::Accepted, Refusal>>,
    ) {
        let mut written = Vec::with_capacity(results.len());
        for (number, result) in results.into_iter().enumerate() {
            match result {
                Ok(accepted) => {
                    let to = submit.written.get(number).map_or(0, |message| message.to as usize);
                    if self.hostile[to].is_none() && !accepted.repeated {
                        self.nodes[index].client.open.insert(accepted.id);
                    }
                    if submit.cancels.contains(&number) {
                        let (life, id) = (self.nodes[index].life, accepted.id);
                        let after = self.nodes[index].client.dice.below(200_000);
                        self.queue.push(self.now + after, Happening::Cancel { node: index, life, id });
                    }
                    self.trace.tell(self.now, index, || format!("accepts {:?}", accepted.id));
                    written.push(Outcome::Accepted(Id(accepted.id)));
                }
                Err(refusal) => {
                    self.tally.refused += 1;
                    written.push(Outcome::Refused(refusal.to_string()));
                }
            }
        }
        self.write(Some(index), Entry::Answer { call: call.0, results: written });
    }
}

impl<S: LabSealer> World<S> {
    pub(super) fn on_event(&mut self, index: usize, event: Event) {
        self.trace.tell(self.now, index, || format!("{event:?}"));
        match event {
            Event::Received(batch) => self.on_received(index, &batch),
            Event::Released(at) => {
                let before = tidings_core::ids::At { boot: at.boot, n: at.n.saturating_sub(1) };
                match self.nodes[index].store.inbox_after(before).into_iter().next() {
                    Some(message) if message.at == at => {
                        self.show(index, message.id, message.from, &message.payload, message.stream);
                    }
                    Some(_) | None => self.broken = Some(format!("n{index}: nothing in the inbox at {at}")),
                }
            }
            Event::Delivered { flow, seqs } => {
                for seq in seqs.seqs() {
                    self.on_state(index, MessageId { flow, seq }, State::Delivered);
                }
            }
            Event::Changed { at, flow, peer, seqs, change, .. } => {
                self.nodes[index].client.told = at;
                for seq in seqs.seqs() {
                    let id = MessageId { flow, seq };
                    if change == Change::Delivered {
                        self.check_told_path(index, &peer, id);
                    }
                    self.told(index, id, change);
                }
            }
            Event::Misconduct { peer, evidence } => {
                let of = self.routes.node(&peer);
                let honest = of.is_some_and(|of| self.hostile[of].is_none());
                self.trace.note(self.now, index, Mark::Event, 1, of.unwrap_or(0) as u64);
                if self.hostile[index].is_none() {
                    self.tally.accuse(honest, evidence);
                }
            }
            Event::Degraded { reason } => self.tally.degraded(reason),
            Event::Route { peer, .. } => self.on_rerouted(index, &peer),
            Event::NeighbourUp { .. } | Event::NeighbourDown { .. } | Event::Contact(_) => {}
            Event::Topology { kind, .. } => self.shaping.on_kind(self.now, index, kind),
        }
    }

    fn on_received(&mut self, index: usize, batch: &InboxBatch) {
        self.check_hops(index, &batch.sender, batch.hops);
        for (seq, encoded) in &batch.messages {
            let id = MessageId { flow: batch.flow, seq: *seq };
            match decode_content(encoded.clone()) {
                Ok(content) => {
                    if content.record_route {
                        self.check_path(index, &batch.sender, batch.hops, batch.path.as_ref());
                    }
                    self.show(index, id, batch.sender, &content.payload, content.stream);
                }
                Err(error) => self.broken = Some(format!("n{index}: {id:?} is in the inbox unreadable: {error}")),
            }
        }
    }

    fn show(&mut self, index: usize, id: MessageId, from: PeerKey, payload: &[u8], stream: Option<String>) {
        self.trace.note(self.now, index, Mark::Event, 2, id.seq);
        let from = self.routes.node(&from).unwrap_or(usize::MAX);
        let from = u32::try_from(from).unwrap_or(u32::MAX);
        self.tally.shown += 1;
        self.write(Some(index), Entry::Shown { id: Id(id), from, hash: Hash::of(payload), stream });
        self.nodes[index].client.to_acknowledge.push(id);
        let after = self.scenario.client.acknowledge_after.map_or(0, |after| after.micros());
        self.acknowledge_soon(index, after);
    }

    fn acknowledge_soon(&mut self, index: usize, after: u64) {
        let node = &mut self.nodes[index];
        if !node.client.acknowledging {
            node.client.acknowledging = true;
            self.queue.push(self.now + after + 1, Happening::Acknowledge { node: index, life: node.life });
        }
    }

    fn told(&mut self, index: usize, id: MessageId, change: Change) {
        let state = match change {
            Change::Delivered => State::Delivered,
            Change::Acknowledged => State::Acknowledged,
            Change::Ended(Ending::Expired) => State::Expired,
            Change::Ended(Ending::Cancelled) => State::Cancelled,
            Change::Ended(Ending::Failed(_)) => State::Failed,
        };
        self.on_state(index, id, state);
    }

    fn on_state(&mut self, index: usize, id: MessageId, state: State) {
        self.trace.note(self.now, index, Mark::Event, 3, id.seq as Seq);
        if state != State::Delivered {
            self.nodes[index].client.open.remove(&id);
        }
        self.write(Some(index), Entry::State { id: Id(id), state });
    }
}
