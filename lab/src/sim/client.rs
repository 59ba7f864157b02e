//! The application of a node: it submits, reads and acknowledges, and writes all of it down.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use tidings_core::class::Class;
use tidings_core::ids::{At, CommandId, MessageId};
use tidings_core::message::{Idempotency, Submission};
use tidings_crypto::PeerKey;

use super::dice::Dice;
use crate::log::{Hash, Submitted};
use crate::scenario::{ClassName, Recipients, Send};

/// Stands in every payload: whoever finds it on a wire has found what should be sealed.
pub(crate) const MARKER: &[u8] = b"TIDINGS-LAB-PLAINTEXT";

/// One of so many messages asks for the way it takes: by its payload, so that it asks again when it is sent again.
const RECORDED_EVERY: u128 = 4;

/// What a call asked, until it is answered.
#[derive(Clone, Debug)]
pub(crate) enum Asked {
    Submit(Submit),
    Acknowledge(Vec<MessageId>),
    Cancel,
}

/// A call that submits messages, kept so that it can be made again.
#[derive(Clone, Debug)]
pub(crate) struct Submit {
    pub(crate) first_call: u64,
    pub(crate) submissions: Vec<Submission>,
    pub(crate) written: Vec<Submitted>,
    pub(crate) cancels: Vec<usize>,
    pub(crate) repeat: bool,
}

#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) dice: Dice,
    pub(crate) last_call: u64,
    pub(crate) asked: BTreeMap<CommandId, Asked>,
    /// Calls of earlier lives that were not answered and carry a key.
    pub(crate) again: VecDeque<Submit>,
    /// Accepted and not known to be acknowledged or ended, those of hostile nodes left out.
    pub(crate) open: BTreeSet<MessageId>,
    /// Shown and to be acknowledged.
    pub(crate) to_acknowledge: Vec<MessageId>,
    pub(crate) acknowledging: bool,
    /// The last change that was told.
    pub(crate) told: At,
    /// By stream of submissions: how many calls were made, and who is next.
    pub(crate) progress: Vec<Progress>,
    payloads: u64,
}

/// How far one table `[[send]]` is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress {
    pub(crate) calls: u64,
    pub(crate) recipients: Vec<usize>,
    next: usize,
}

impl Client {
    pub(crate) fn new(dice: Dice, progress: Vec<Progress>) -> Self {
        Self {
            dice,
            last_call: 0,
            asked: BTreeMap::new(),
            again: VecDeque::new(),
            open: BTreeSet::new(),
            to_acknowledge: Vec::new(),
            acknowledging: false,
            told: At::default(),
            progress,
            payloads: 0,
        }
    }

    /// Numbers a call.
    pub(crate) fn call(&mut self) -> CommandId {
        self.last_call += 1;
        CommandId(self.last_call)
    }

    /// Its node is gone.
    pub(crate) fn on_end(&mut self) {
        for (_, asked) in std::mem::take(&mut self.asked) {
            if let Asked::Submit(submit) = asked
                && submit.repeat
            {
                self.again.push_back(submit);
            }
        }
        self.to_acknowledge.clear();
        self.acknowledging = false;
    }

    /// Whether everything it has asked and sent has come to an end.
    pub(crate) fn is_settled(&self) -> bool {
        self.open.is_empty() && self.asked.is_empty() && self.again.is_empty() && self.to_acknowledge.is_empty()
    }

    /// Words the next call of a stream of submissions.
    pub(crate) fn compose(&mut self, own: usize, number: usize, send: &Send, keys: &[PeerKey]) -> Option<Submit> {
        let progress = &mut self.progress[number];
        if progress.recipients.is_empty() {
            return None;
        }
        progress.calls += 1;
        let class = send.class.unwrap_or(ClassName::Normal);
        let lifetime = send.lifetime.map_or(tidings_core::message::DEFAULT_LIFETIME, |lifetime| lifetime.0);
        let (mut submissions, mut written, mut cancels) = (Vec::new(), Vec::new(), Vec::new());
        for index in 0..send.per_call.unwrap_or(1) {
            let to = self.progress[number].recipient(send, &mut self.dice);
            let bytes = send.bytes.map_or(256, |sizes| self.dice.between(sizes.least, sizes.most));
            let payload = self.payload(own, bytes);
            written.push(Submitted {
                to: u32::try_from(to).unwrap_or(u32::MAX),
                class,
                hash: Hash::of(&payload),
                bytes,
                lifetime_ms: u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX),
                stream: send.stream.clone(),
            });
            if send.cancel.is_some_and(|cancel| self.dice.chance(cancel.0)) {
                cancels.push(usize::try_from(index).unwrap_or_default());
            }
            let record_route = Hash::of(&payload).0.is_multiple_of(RECORDED_EVERY);
            let submission = submission(keys[to], class, lifetime, payload, send.stream.clone());
            submissions.push(Submission { record_route, ..submission });
        }
        if send.repeat {
            for submission in &mut submissions {
                submission.idempotency = Some(Idempotency { key: self.dice.bytes(), body: self.dice.bytes() });
            }
        }
        Some(Submit { first_call: 0, submissions, written, cancels, repeat: send.repeat })
    }

    fn payload(&mut self, own: usize, bytes: u64) -> Bytes {
        self.payloads += 1;
        let mut payload = Vec::with_capacity(usize::try_from(bytes).unwrap_or_default());
        payload.extend_from_slice(MARKER);
        payload.extend_from_slice(format!(" {own}.{} ", self.payloads).as_bytes());
        let filler = self.dice.next().to_le_bytes();
        while (payload.len() as u64) < bytes {
            payload.extend_from_slice(&filler);
        }
        payload.truncate(usize::try_from(bytes).unwrap_or_default());
        payload.into()
    }
}

fn submission(to: PeerKey, class: ClassName, lifetime: Duration, payload: Bytes, stream: Option<String>) -> Submission {
    Submission {
        to,
        class: class.into(),
        lifetime,
        kind: "lab".to_owned(),
        payload,
        stream,
        headers: Vec::new(),
        reply_to: None,
        retry_of: None,
        record_route: false,
        idempotency: None,
    }
}

impl From<ClassName> for Class {
    fn from(name: ClassName) -> Self {
        match name {
            ClassName::Critical => Self::Critical,
            ClassName::High => Self::High,
            ClassName::Normal => Self::Normal,
            ClassName::Low => Self::Low,
            ClassName::Bulk => Self::Bulk,
        }
    }
}

impl Progress {
    pub(crate) fn to(recipients: Vec<usize>) -> Self {
        Self { calls: 0, recipients, next: 0 }
    }

    /// To whom the next message goes: in turn, or to anybody. There must be somebody.
    pub(crate) fn recipient(&mut self, send: &Send, dice: &mut Dice) -> usize {
        let count = self.recipients.len();
        let at = if send.to == Recipients::Anybody { dice.index(count) } else { self.next % count };
        self.next += 1;
        self.recipients[at]
    }
}
