//! What a node's application says, and what it still has to say.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use tidings_api::types::SendRequest;
use tidings_core::ids::MessageId;

use crate::log::{Hash, State, Submitted};
use crate::scenario::{ClassName, Recipients, Scenario, Send};
use crate::sim::{Dice, MARKER, Progress, Purpose};

/// How long a message lives whose scenario does not say.
const LIFETIME: Duration = Duration::from_hours(7 * 24);
/// A message is withdrawn within this time of its acceptance.
const CANCEL_WITHIN: Duration = Duration::from_millis(200);

/// A call that submits messages, kept so that it can be made again.
#[derive(Clone, Debug)]
pub(super) struct Submit {
    pub(super) first_call: Option<u64>,
    pub(super) requests: Vec<SendRequest>,
    pub(super) written: Vec<Submitted>,
    /// When which message is withdrawn after its acceptance.
    pub(super) cancels: Vec<(usize, Duration)>,
    pub(super) repeat: bool,
}

/// All of it, across the lives of the node.
#[derive(Debug)]
pub(super) struct Workload {
    node: usize,
    /// Names this run's calls.
    run: String,
    dice: Dice,
    progress: Vec<Progress>,
    payloads: u64,
    last_call: u64,
    /// Calls that wait for their answer.
    pub(super) asked: BTreeMap<u64, Submit>,
    /// Calls that got none and carry a key.
    pub(super) again: VecDeque<Submit>,
    /// Accepted, as far as answers tell.
    accepted: BTreeSet<MessageId>,
    /// Accepted, and neither acknowledged nor ended.
    open: BTreeSet<MessageId>,
    /// What was told of messages before the answer that names them.
    early: BTreeMap<MessageId, Vec<State>>,
    /// Shown, and not asked to be acknowledged.
    pub(super) to_acknowledge: Vec<MessageId>,
    /// The place of the last change that was told.
    pub(super) told: Option<String>,
}

impl Workload {
    pub(super) fn new(scenario: &Scenario, node: usize, neighbours: &[usize], seed: u64) -> Self {
        let everybody = 0..scenario.topology.nodes;
        let recipients = |send: &Send| match &send.to {
            Recipients::Neighbours => neighbours.to_vec(),
            Recipients::All | Recipients::Anybody => everybody.clone().filter(|to| *to != node).collect(),
            Recipients::These(nodes) => nodes.iter().copied().filter(|to| *to != node).collect(),
        };
        let progress = scenario.send.iter().map(|send| Progress::to(recipients(send)));
        Self {
            node,
            run: format!("{}-{seed}", scenario.name),
            dice: Dice::split(seed, Purpose::Client(node)),
            progress: progress.collect(),
            payloads: 0,
            last_call: 0,
            asked: BTreeMap::new(),
            again: VecDeque::new(),
            accepted: BTreeSet::new(),
            open: BTreeSet::new(),
            early: BTreeMap::new(),
            to_acknowledge: Vec::new(),
            told: None,
        }
    }

    /// Numbers a call.
    pub(super) fn call(&mut self) -> u64 {
        self.last_call += 1;
        self.last_call
    }

    /// Whether a table has made all its calls.
    pub(super) fn is_done(&self, number: usize, send: &Send) -> bool {
        let progress = &self.progress[number];
        progress.recipients.is_empty() || send.calls.is_some_and(|calls| progress.calls >= calls)
    }

    /// How long a table waits before its first call, so that not all nodes call at once.
    pub(super) fn stagger(&mut self, send: &Send) -> Duration {
        Duration::from_micros(self.dice.below(send.every.micros().min(1_000_000)))
    }

    /// Words a table's next call to recipients of these names.
    pub(super) fn compose(&mut self, number: usize, send: &Send, names: &[String]) -> Submit {
        self.progress[number].calls += 1;
        let call = self.call_name(number);
        let (mut requests, mut written, mut cancels) = (Vec::new(), Vec::new(), Vec::new());
        for index in 0..usize::try_from(send.per_call.unwrap_or(1)).unwrap_or(usize::MAX) {
            let to = self.progress[number].recipient(send, &mut self.dice);
            let bytes = send.bytes.map_or(256, |sizes| self.dice.between(sizes.least, sizes.most));
            let payload = self.payload(bytes);
            let lifetime = send.lifetime.map_or(LIFETIME, |lifetime| lifetime.0);
            written.push(Submitted {
                to: u32::try_from(to).unwrap_or(u32::MAX),
                class: send.class.unwrap_or(ClassName::Normal),
                hash: Hash::of(&payload),
                bytes,
                lifetime_ms: lifetime.as_secs() * 1_000,
                stream: send.stream.clone(),
            });
            if send.cancel.is_some_and(|cancel| self.dice.chance(cancel.0)) {
                cancels.push((index, CANCEL_WITHIN.mul_f64(self.dice.below(1_000) as f64 / 1e3)));
            }
            requests.push(SendRequest {
                priority: send.class.map(|class| class.name().to_owned()),
                expires_in_seconds: send.lifetime.map(|lifetime| lifetime.0.as_secs()),
                stream: send.stream.clone(),
                idempotency_key: Some(format!("{call}-{index}")),
                ..SendRequest::new(names[to].clone(), &payload)
            });
        }
        Submit { first_call: None, requests, written, cancels, repeat: send.repeat }
    }

    fn call_name(&self, number: usize) -> String {
        format!("{}-{}-{number}-{}", self.run, self.node, self.progress[number].calls)
    }

    fn payload(&mut self, bytes: u64) -> Vec<u8> {
        self.payloads += 1;
        let length = usize::try_from(bytes).unwrap_or(usize::MAX);
        let mut payload = [MARKER, format!(" {}.{} ", self.node, self.payloads).as_bytes()].concat();
        while payload.len() < length {
            payload.extend_from_slice(&self.dice.bytes::<8>());
        }
        payload.truncate(length);
        payload
    }

    /// A message is accepted; returns what was told of it before.
    pub(super) fn on_accepted(&mut self, id: MessageId) -> Vec<State> {
        if self.accepted.insert(id) {
            self.open.insert(id);
        }
        let early = self.early.remove(&id).unwrap_or_default();
        for state in &early {
            self.on_state(id, *state);
        }
        early
    }

    /// The node tells a state; says whether that can be written down, or has to wait for the message's acceptance.
    pub(super) fn on_state(&mut self, id: MessageId, state: State) -> bool {
        let known = self.accepted.contains(&id);
        if !known {
            self.early.entry(id).or_default().push(state);
        } else if state != State::Delivered {
            self.open.remove(&id);
        }
        known
    }

    /// Messages that are accepted and have not ended.
    pub(super) fn open(&self) -> &BTreeSet<MessageId> {
        &self.open
    }

    /// The node is gone, and with it the answers.
    pub(super) fn on_end(&mut self) {
        for (_, submit) in std::mem::take(&mut self.asked) {
            if submit.repeat {
                self.again.push_back(submit);
            }
        }
        self.to_acknowledge.clear();
    }

    /// Whether everything asked and sent has come to an end.
    pub(super) fn is_settled(&self) -> bool {
        self.open.is_empty() && self.asked.is_empty() && self.again.is_empty() && self.to_acknowledge.is_empty()
    }
}
