//! The store thread as the driver sees it.

use std::sync::Arc;

use tidings_core::ids::{At, BatchNo, LoadId};
use tidings_core::record::{Query, Record};
use tidings_store::{Home, Store, StoreError, Worker, WorkerHandle, WorkerReply};
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::call::{ChangePage, Read};
use crate::event::StateChange;
use crate::sent::SentMessage;

pub(crate) use tidings_store::WorkerReply as StoreReply;

/// A database with its thread.
#[derive(Debug)]
pub(crate) struct Database {
    worker: WorkerHandle,
}

impl Database {
    /// Starts the thread; it waits where `replies` is full. An error means that the system has no thread to give.
    pub(crate) fn start(home: Arc<Home>, store: Store, replies: mpsc::Sender<WorkerReply>) -> std::io::Result<Self> {
        let answer = move |reply| {
            // Nobody else may open the directory before the thread has closed its database, however slow the disk is.
            let _locked = &home;
            // An error means that the driver is gone, and nobody needs the reply.
            let _ = replies.blocking_send(reply);
        };
        Ok(Self { worker: Worker::spawn(store, Box::new(answer))? })
    }

    pub(crate) fn persist(&self, batch: BatchNo, records: Vec<Record>) {
        self.worker.persist(batch, records);
    }

    pub(crate) fn load(&self, load: LoadId, query: Query) {
        self.worker.load(load, query);
    }

    /// Whether the disk cannot keep up, and no new work is to be taken up.
    pub(crate) fn is_behind(&self) -> bool {
        self.worker.is_behind()
    }

    /// Answers a question behind all that was persisted before.
    pub(crate) fn read(&self, read: Read, permit: OwnedSemaphorePermit) {
        self.worker.read(Box::new(move |store| {
            let answered = answer(store, read);
            drop(permit);
            answered
        }));
    }

    /// Finishes what was asked and ends the thread.
    pub(crate) fn stop(self) {
        self.worker.stop();
    }
}

/// Answers a question. Where the database cannot be read the answer is dropped, and its caller told by that.
fn answer(store: &Store, read: Read) -> Result<(), StoreError> {
    // Sending fails where the caller is gone, which needs nothing done.
    let answered = match read {
        Read::Inbox { after, limit, max_bytes, kind, answer } => {
            let after = (after != At::default()).then_some(after);
            let messages = store.inbox(after, limit, max_bytes, kind.as_deref());
            messages.map(|messages| drop(answer.send(messages)))
        }
        Read::Message { id, answer } => {
            store.message(id).map(|message| drop(answer.send(message.map(SentMessage::from))))
        }
        Read::Arrival { id, answer } => store.arrival(id).map(|arrival| drop(answer.send(arrival))),
        Read::Messages { filter, cursor, limit, answer } => {
            store.messages(&filter, cursor.map(|cursor| cursor.0), limit).map(|page| drop(answer.send(page.into())))
        }
        Read::Changes { after, limit, answer } => {
            store.changes(after, limit).map(|page| drop(answer.send(change_page(page))))
        }
    };
    answered.inspect_err(|error| tracing::error!(%error, "a question to the database has no answer"))
}

fn change_page(page: tidings_store::ChangePage) -> ChangePage {
    let changes = page.changes.into_iter().map(|stored| StateChange {
        at: Some(stored.at),
        to: Some(stored.peer),
        flow: stored.flow,
        seqs: stored.seqs,
        state: stored.change.state(),
        when: stored.wall,
    });
    ChangePage { changes: changes.collect(), lagged: page.lagged }
}
