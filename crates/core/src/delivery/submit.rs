//! Acceptance: what an application hands over becomes messages of flows, durable together.

use std::collections::BTreeMap;

use bytes::Bytes;
use tidings_crypto::PeerKey;

use super::idempotency::UsedKeys;
use super::{Effect, Moment, State};
use crate::ids::{CommandId, FlowId, LoadId, MessageId, Seq};
use crate::message::{
    Accepted, Idempotency, MAX_HEADER_BYTES, MAX_HEADERS, MAX_LIFETIME, MAX_NAME_BYTES, MAX_PAYLOAD_BYTES, OWN_KINDS,
    OutMessage, Refusal, Submission,
};
use crate::record::{FirstAnswer, OutBatch, Query, Record, Snapshot};
use crate::time::Age;
use crate::wire::{MessageContent, PartOf, encode_content};

/// A payload above this is cut into parts of this size, so that a part and its headers fit into a parcel.
pub(super) const PART_BYTES: usize = 48 * 1024;
/// The most streams with messages that are not done.
const MAX_STREAMS: usize = 4096;
/// The most calls that wait for the database to say whether they are repeats.
const MAX_WAITING_CALLS: usize = 1024;

/// Calls on their way to acceptance, and what recognises repeats and orders streams.
#[derive(Debug)]
pub(super) struct Submissions {
    used: UsedKeys,
    waiting: BTreeMap<CommandId, Waiting>,
    loads: BTreeMap<LoadId, (CommandId, [u8; 16])>,
    /// The newest message of each stream in each flow.
    tails: BTreeMap<(PeerKey, String), BTreeMap<FlowId, Seq>>,
}

/// A call some of whose keys were used before.
#[derive(Debug)]
struct Waiting {
    submissions: Vec<Submission>,
    answers: BTreeMap<[u8; 16], FirstAnswer>,
    missing: usize,
}

impl Submissions {
    pub(super) fn restore(snapshot: &Snapshot, age: Age) -> Self {
        let mut tails: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
        for (peer, stream, id) in &snapshot.stream_tails {
            tails.entry((*peer, stream.clone())).or_default().insert(id.flow, id.seq);
        }
        Self {
            used: UsedKeys::restore(&snapshot.idempotency, age),
            waiting: BTreeMap::new(),
            loads: BTreeMap::new(),
            tails,
        }
    }
}

/// The batches that a call's messages form: one flow and deadline each, seqs without gaps.
#[derive(Debug, Default)]
struct Batches {
    open: BTreeMap<FlowId, OutBatch>,
    full: Vec<OutBatch>,
    keys: BTreeMap<[u8; 16], FirstAnswer>,
}

impl Batches {
    /// The batch that continues with messages of this flow and deadline.
    fn of(&mut self, empty: OutBatch) -> &mut OutBatch {
        let flow = empty.flow;
        if self.open.get(&flow).is_some_and(|open| open.deadline != empty.deadline) {
            self.full.extend(self.open.remove(&flow));
        }
        self.open.entry(flow).or_insert(empty)
    }

    fn finish(self) -> impl Iterator<Item = OutBatch> {
        self.full.into_iter().chain(self.open.into_values())
    }
}

impl State {
    pub(super) fn on_submit(&mut self, now: Moment, command: CommandId, submissions: Vec<Submission>) {
        let mut keys: Vec<_> = submissions.iter().filter_map(|s| s.idempotency.map(|named| named.key)).collect();
        keys.retain(|key| self.submissions.used.contains(key));
        keys.sort_unstable();
        keys.dedup();
        if keys.is_empty() {
            self.accept(now, command, submissions, &BTreeMap::new());
        } else if self.submissions.waiting.len() >= MAX_WAITING_CALLS {
            let refused = submissions.iter().map(|_| Err(Refusal::Busy)).collect();
            self.effects.push_back(Effect::Accepted(command, refused));
        } else {
            for key in &keys {
                let load = self.load(Query::Idempotent(*key));
                self.submissions.loads.insert(load, (command, *key));
            }
            let waiting = Waiting { submissions, answers: BTreeMap::new(), missing: keys.len() };
            self.submissions.waiting.insert(command, waiting);
        }
    }

    pub(super) fn on_first_answer(&mut self, now: Moment, load: LoadId, answer: Option<FirstAnswer>) {
        let Some((command, key)) = self.submissions.loads.remove(&load) else { return };
        let Some(waiting) = self.submissions.waiting.get_mut(&command) else { return };
        waiting.missing -= 1;
        if let Some(answer) = answer {
            waiting.answers.insert(key, answer);
        }
        if waiting.missing == 0
            && let Some(waiting) = self.submissions.waiting.remove(&command)
        {
            self.accept(now, command, waiting.submissions, &waiting.answers);
        }
    }

    pub(super) fn on_submit_own(&mut self, now: Moment, submission: Submission) {
        let mut batches = Batches::default();
        if self.accept_one(now, &submission, &mut batches).is_ok() {
            self.finish_batches(batches);
            self.pump(now, submission.to);
        }
    }

    fn accept(
        &mut self,
        now: Moment,
        command: CommandId,
        submissions: Vec<Submission>,
        answers: &BTreeMap<[u8; 16], FirstAnswer>,
    ) {
        let mut batches = Batches::default();
        let mut peers = Vec::new();
        let results = submissions
            .iter()
            .map(|submission| {
                if let Some(named) = submission.idempotency
                    && let Some(first) = answers.get(&named.key).or_else(|| batches.keys.get(&named.key))
                {
                    return repeated(&named, first);
                }
                check(submission)?;
                let accepted = self.accept_one(now, submission, &mut batches)?;
                peers.push(submission.to);
                Ok(accepted)
            })
            .collect();
        self.finish_batches(batches);
        self.effects.push_back(Effect::Accepted(command, results));
        peers.sort_unstable();
        peers.dedup();
        for peer in peers {
            self.pump(now, peer);
        }
    }

    fn accept_one(&mut self, now: Moment, submission: &Submission, batches: &mut Batches) -> Result<Accepted, Refusal> {
        if submission.to == self.own {
            return Err(Refusal::ToSelf);
        }
        if self.disk_full {
            return Err(Refusal::DiskFull);
        }
        let tail = submission.stream.as_ref().map(|stream| (submission.to, stream.clone()));
        if let Some(tail) = &tail {
            self.make_room_for_stream(tail)?;
        }
        let bytes = submission.payload.len() as u64 + 64;
        if !self.quota.take(submission.class, bytes) {
            return Err(Refusal::Busy);
        }
        let random = self.random8();
        let flow = self.outgoing.flow_for(&self.own, submission.to, submission.class, random, now.age);
        let before = tail.as_ref().and_then(|tail| self.submissions.tails.get(tail)).into_iter().flatten();
        let before = before.map(|(flow, seq)| MessageId { flow: *flow, seq: *seq });
        let predecessors = before.filter(|id| self.outgoing.orders(*id)).collect();
        let parts = encode_parts(now, submission, predecessors);
        let count = u32::try_from(parts.len()).map_err(|_| Refusal::Busy)?;
        let deadline = now.age + submission.lifetime;
        let first = self.outgoing.append(flow, parts, deadline, bytes, now.mono);
        let id = MessageId { flow: flow.flow, seq: first.first().map_or(0, |message| message.seq) };

        let batch = batches.of(OutBatch::empty(flow, submission.class, deadline, now.wall));
        batch.messages.extend(first);
        if count > 1 {
            batch.multipart.push((id.seq, count));
        }
        if let Some((_, stream)) = &tail {
            batch.stream_tails.retain(|(name, _)| name != stream);
            batch.stream_tails.push((stream.clone(), id.seq));
        }
        if let Some(old) = submission.retry_of {
            batch.retry_of.push((id.seq, old));
        }
        if let Some(named) = submission.idempotency {
            batch.idempotency.push((named, id.seq));
            self.submissions.used.insert(named.key, now.age);
            let first = FirstAnswer { body: named.body, id, accepted_at: now.wall };
            batches.keys.insert(named.key, first);
        }
        if let Some(tail) = tail {
            self.submissions.tails.entry(tail).or_default().insert(id.flow, id.seq);
        }
        self.stats.accepted += 1;
        Ok(Accepted { id, accepted_at: now.wall, repeated: false })
    }

    fn finish_batches(&mut self, batches: Batches) {
        for batch in batches.finish() {
            self.expiry.at_latest(batch.deadline);
            self.effects.push_back(Effect::Wanted(batch.peer, true));
            self.record(Record::Accepted(batch));
        }
    }

    /// A stream whose last messages order nothing any more makes room for another.
    fn make_room_for_stream(&mut self, tail: &(PeerKey, String)) -> Result<(), Refusal> {
        let tails = &mut self.submissions.tails;
        if tails.len() >= MAX_STREAMS && !tails.contains_key(tail) {
            let outgoing = &self.outgoing;
            tails.retain(|_, last| {
                last.retain(|flow, seq| outgoing.orders(MessageId { flow: *flow, seq: *seq }));
                !last.is_empty()
            });
        }
        if tails.len() >= MAX_STREAMS && !tails.contains_key(tail) { Err(Refusal::Busy) } else { Ok(()) }
    }
}

fn repeated(named: &Idempotency, first: &FirstAnswer) -> Result<Accepted, Refusal> {
    if first.body == named.body {
        Ok(Accepted { id: first.id, accepted_at: first.accepted_at, repeated: true })
    } else {
        Err(Refusal::IdempotencyMismatch)
    }
}

fn check(submission: &Submission) -> Result<(), Refusal> {
    let fits = |what, bytes: usize, limit| if bytes > limit { Err(Refusal::TooLarge { what, limit }) } else { Ok(()) };
    fits("payload", submission.payload.len(), MAX_PAYLOAD_BYTES)?;
    fits("kind", submission.kind.len(), MAX_NAME_BYTES)?;
    fits("stream", submission.stream.as_ref().map_or(0, String::len), MAX_NAME_BYTES)?;
    for (name, value) in &submission.headers {
        fits("header", name.len() + value.len(), MAX_HEADER_BYTES)?;
    }
    if submission.headers.len() > MAX_HEADERS {
        return Err(Refusal::TooLarge { what: "header list", limit: MAX_HEADERS * MAX_HEADER_BYTES });
    }
    if submission.kind.is_empty() || submission.kind.starts_with(OWN_KINDS) {
        return Err(Refusal::Kind);
    }
    if submission.lifetime.as_secs() < 1 || submission.lifetime > MAX_LIFETIME {
        return Err(Refusal::Lifetime);
    }
    Ok(())
}

/// The encoded parts of a message; everything but the payload stands in the first.
fn encode_parts(now: Moment, submission: &Submission, predecessors: Vec<MessageId>) -> Vec<Bytes> {
    let lifetime_ms = u64::try_from(submission.lifetime.as_millis()).unwrap_or(u64::MAX);
    let whole = MessageContent {
        kind: submission.kind.clone(),
        payload: submission.payload.clone(),
        sent_at: now.wall,
        expires_at: crate::time::Wall(now.wall.0.saturating_add(lifetime_ms)),
        stream: submission.stream.clone(),
        predecessors,
        headers: submission.headers.clone(),
        reply_to: submission.reply_to,
        part: None,
        record_route: submission.record_route,
    };
    if submission.payload.len() <= PART_BYTES {
        return vec![encode_content(&whole)];
    }
    let count = submission.payload.len().div_ceil(PART_BYTES);
    let part = |index: usize| {
        let from = index * PART_BYTES;
        let payload = submission.payload.slice(from..(from + PART_BYTES).min(submission.payload.len()));
        // The payload is at most MAX_PAYLOAD_BYTES, so that there are at most 22 parts.
        let part = Some(PartOf { index: index as u32, count: count as u32 });
        let first = whole.clone();
        let content = if index == 0 {
            MessageContent { payload, part, ..first }
        } else {
            MessageContent {
                kind: String::new(),
                payload,
                stream: None,
                predecessors: Vec::new(),
                headers: Vec::new(),
                reply_to: None,
                part,
                record_route: false,
                ..first
            }
        };
        encode_content(&content)
    };
    (0..count).map(part).collect()
}

/// Messages with their places in the flow.
pub(super) fn numbered(first: Seq, deadline: Age, encoded: Vec<Bytes>) -> Vec<OutMessage> {
    (first..).zip(encoded).map(|(seq, encoded)| OutMessage { seq, deadline, encoded }).collect()
}
