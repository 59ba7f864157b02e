use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::{FutureExt, StreamExt};
use tidings_core::class::Class;
use tidings_core::ids::FlowId;
use tidings_core::interval::IntervalSet;
use tidings_core::message::MessageState;
use tidings_core::record::InboxBatch;
use tidings_core::time::Wall;
use tidings_core::wire::{MessageContent, encode_content};
use tidings_crypto::PeerKey;

use super::*;
use crate::event::StateChange;
use crate::inbox::Inbox;

fn at(n: u64) -> At {
    At { boot: 1, n }
}

fn batch(n: u64, count: u64) -> InboxBatch {
    let messages = (n..n + count).map(|seq| {
        let content = MessageContent {
            kind: "data".to_owned(),
            payload: Bytes::from(seq.to_string()),
            sent_at: Wall(1),
            expires_at: Wall(2),
            stream: None,
            predecessors: Vec::new(),
            headers: Vec::new(),
            reply_to: None,
            part: None,
            record_route: false,
        };
        (seq, encode_content(&content))
    });
    InboxBatch {
        at: at(n),
        sender: PeerKey::from_bytes([1; 32]),
        flow: FlowId([2; 8]),
        class: Class::Normal,
        messages: messages.collect(),
        received_at: Wall(3),
        hops: 1,
        path: None,
    }
}

fn change(n: u64) -> StateChange {
    StateChange {
        at: Some(at(n)),
        to: Some(PeerKey::from_bytes([1; 32])),
        flow: FlowId([3; 8]),
        seqs: IntervalSet::of(n, n),
        state: MessageState::Delivered,
        when: Wall(n),
    }
}

/// A database in memory: messages at some places, changes at others.
#[derive(Clone)]
struct Memory {
    messages: Arc<Mutex<Vec<InboxMessage>>>,
    /// How many messages a page has room for.
    room: usize,
    changes: Arc<Mutex<Vec<StateChange>>>,
    lagged: bool,
}

impl Default for Memory {
    fn default() -> Self {
        Self { messages: Arc::default(), room: PAGE, changes: Arc::default(), lagged: false }
    }
}

impl Memory {
    fn with_messages(places: impl IntoIterator<Item = u64>) -> Self {
        let memory = Self::default();
        for n in places {
            memory.add_message(n);
        }
        memory
    }

    fn add_message(&self, n: u64) {
        let mut messages = self.messages.lock().unwrap();
        messages.extend(messages_of(&batch(n, 1)));
    }

    fn add_change(&self, n: u64) {
        self.changes.lock().unwrap().push(change(n));
    }
}

impl Source for Memory {
    async fn messages(&self, after: At) -> Option<Vec<InboxMessage>> {
        let messages = self.messages.lock().unwrap();
        let after = messages.iter().filter(|message| message.at > after);
        Some(after.take(self.room).cloned().collect())
    }

    async fn changes(&self, after: At) -> Option<ChangePage> {
        let changes = self.changes.lock().unwrap();
        let after = changes.iter().filter(|change| change.at > Some(after));
        Some(ChangePage { changes: after.take(PAGE).cloned().collect(), lagged: self.lagged })
    }
}

/// What a stream gives without waiting.
fn drain<T>(stream: &mut (impl futures::Stream<Item = T> + Unpin)) -> Vec<T> {
    let mut items = Vec::new();
    while let Some(Some(item)) = stream.next().now_or_never() {
        items.push(item);
    }
    items
}

fn places(events: &[Event]) -> Vec<Option<u64>> {
    events.iter().map(|event| event.at().map(|at| at.n)).collect()
}

#[test]
fn what_waits_comes_before_what_arrives_and_nothing_twice() {
    let memory = Memory::with_messages([1, 3]);
    let (sender, receiver) = broadcast::channel(8);
    let mut inbox = Inbox::new(memory.clone(), receiver);
    // Arrives between subscription and reading: in the database and in the news.
    memory.add_message(4);
    sender.send(News::Received(Arc::new(batch(4, 1)))).unwrap();
    sender.send(News::Received(Arc::new(batch(6, 2)))).unwrap();
    let got: Vec<u64> = drain(&mut inbox).iter().map(|message| message.at.n).collect();
    assert_eq!(got, [1, 3, 4, 6, 7]);
}

#[test]
fn an_inbox_that_was_too_slow_reads_the_database_again() {
    let memory = Memory::default();
    let (sender, receiver) = broadcast::channel(2);
    let mut inbox = Inbox::new(memory.clone(), receiver);
    assert!(drain(&mut inbox).is_empty());
    for n in 1..=10 {
        memory.add_message(n);
        sender.send(News::Received(Arc::new(batch(n, 1)))).unwrap();
    }
    let got: Vec<u64> = drain(&mut inbox).iter().map(|message| message.at.n).collect();
    assert_eq!(got, (1..=10).collect::<Vec<_>>());
}

#[test]
fn a_released_message_is_read_from_the_database() {
    let memory = Memory::default();
    let (sender, receiver) = broadcast::channel(8);
    let mut inbox = Inbox::new(memory.clone(), receiver);
    assert!(drain(&mut inbox).is_empty());
    memory.add_message(5);
    sender.send(News::Released(at(5))).unwrap();
    let got: Vec<u64> = drain(&mut inbox).iter().map(|message| message.at.n).collect();
    assert_eq!(got, [5]);
}

#[test]
fn both_kinds_are_resumed_in_their_order() {
    let memory = Memory::with_messages([2, 5, 6]);
    for n in [1, 3, 4, 9] {
        memory.add_change(n);
    }
    let (sender, receiver) = broadcast::channel(8);
    let mut events = Box::pin(follow(memory, receiver, Some(at(2))));
    sender.send(News::State(Arc::new(change(9)))).unwrap();
    sender.send(News::State(Arc::new(change(10)))).unwrap();
    let got = drain(&mut events);
    assert_eq!(places(&got), [3, 4, 5, 6, 9, 10].map(Some), "{got:?}");
}

#[test]
fn more_than_a_page_of_one_kind_loses_nothing_of_the_other() {
    let pages = 3 * PAGE as u64;
    let memory = Memory::with_messages((1..=pages).map(|n| 2 * n));
    for n in 1..=pages / 4 {
        memory.add_change(8 * n + 1);
    }
    let (_sender, receiver) = broadcast::channel(8);
    let mut events = Box::pin(follow(memory, receiver, Some(At::default())));
    let got: Vec<u64> = drain(&mut events).iter().filter_map(|event| event.at().map(|at| at.n)).collect();
    assert!(got.is_sorted());
    assert_eq!(got.len() as u64, pages + pages / 4);
}

#[test]
fn pages_that_are_short_because_messages_are_large_lose_nothing() {
    let memory = Memory { room: 1, ..Memory::with_messages([2, 4, 6]) };
    for n in [1, 3, 5, 7] {
        memory.add_change(n);
    }
    let (_sender, receiver) = broadcast::channel(8);
    let mut events = Box::pin(follow(memory, receiver, Some(At::default())));
    assert_eq!(places(&drain(&mut events)), (1..=7).map(Some).collect::<Vec<_>>());
}

#[test]
fn a_slow_reader_is_told_and_goes_on_from_the_database() {
    let memory = Memory::default();
    let (sender, receiver) = broadcast::channel(2);
    let mut events = Box::pin(follow(memory.clone(), receiver, Some(At::default())));
    assert!(drain(&mut events).is_empty());
    memory.add_change(1);
    sender.send(News::State(Arc::new(change(1)))).unwrap();
    assert_eq!(places(&drain(&mut events)), [Some(1)]);
    for n in 2..=8 {
        memory.add_change(n);
        sender.send(News::State(Arc::new(change(n)))).unwrap();
    }
    let got = drain(&mut events);
    assert_eq!(got[0], Event::Lagged { missed: 5 });
    assert_eq!(places(&got[1..]), (2..=8).map(Some).collect::<Vec<_>>());
}

#[test]
fn what_the_database_forgot_is_told() {
    let memory = Memory { lagged: true, ..Memory::default() };
    memory.add_change(20);
    let (_sender, receiver) = broadcast::channel(2);
    let mut events = Box::pin(follow(memory, receiver, Some(at(3))));
    let got = drain(&mut events);
    assert_eq!(got[0], Event::Lagged { missed: 16 });
    assert_eq!(got[1].at(), Some(at(20)));
}

#[test]
fn streams_end_with_the_driver() {
    let (sender, receiver) = broadcast::channel(2);
    let mut events = Box::pin(follow(Memory::default(), receiver, None));
    drop(sender);
    assert_eq!(events.next().now_or_never(), Some(None));
}
