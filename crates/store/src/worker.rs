//! The store's thread: takes requests in order, commits together what has queued up.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tidings_core::ids::{BatchNo, LoadId};
use tidings_core::record::{Loaded, Query, Record};
use tidings_core::{DiskState, record};

use crate::ballast::Ballast;
use crate::store::{Store, StoreError};

/// Requests that may wait. A driver that is this far ahead waits for the disk.
const MAX_REQUESTS: usize = 4096;
/// Bytes that one commit takes; what is queued beyond waits for the next.
pub(crate) const MAX_UNPERSISTED_BYTES: u64 = 8 << 20;
/// A batch of nothing but news about what others have waits so long for one that must be durable at once: what a
/// crash takes of it is told again.
const LINGER: Duration = Duration::from_millis(4);
/// The time between two attempts to commit on a full disk.
const FULL_RETRY: Duration = Duration::from_millis(200);

/// Something for the thread to do.
enum Request {
    Persist(BatchNo, Vec<Record>),
    Load(LoadId, Query),
    Read(Box<dyn FnOnce(&Store) + Send>),
    Stop,
}

/// What the thread says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkerReply {
    /// Every batch up to this one is durable.
    Persisted(BatchNo),
    /// The answer to a question.
    Loaded(LoadId, Loaded),
    /// The disk is full, or has room again.
    Disk(DiskState),
    /// The database failed and the thread has ended; what was not persisted is to be built anew from the disk.
    Failed(String),
}

/// The thread. It lives as long as its handle.
#[derive(Debug)]
pub struct Worker;

/// Asks the thread.
#[derive(Debug)]
pub struct WorkerHandle {
    requests: SyncSender<Request>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// Starts the thread. `reply` is called on it.
    pub fn spawn(store: Store, reply: Box<dyn FnMut(WorkerReply) + Send>) -> WorkerHandle {
        let (requests, queue) = sync_channel(MAX_REQUESTS);
        let ballast = Ballast::beside(store.path());
        let thread = std::thread::Builder::new().name("tidings-store".into()).spawn(move || {
            let mut shop = Shop { store, reply, ballast, full: false };
            shop.reply_if_full();
            shop.run(&queue);
        });
        WorkerHandle { requests, thread: thread.ok() }
    }
}

impl WorkerHandle {
    /// Stores a batch. Waits if [`MAX_REQUESTS`] are queued.
    pub fn persist(&self, batch: BatchNo, records: Vec<Record>) {
        self.ask(Request::Persist(batch, records));
    }

    /// Answers a question of the engine, after all earlier batches.
    pub fn load(&self, load: LoadId, query: Query) {
        self.ask(Request::Load(load, query));
    }

    /// Runs a reader on the thread, after all earlier batches.
    pub fn read(&self, read: Box<dyn FnOnce(&Store) + Send>) {
        self.ask(Request::Read(read));
    }

    /// Finishes what was asked, closes the database and ends the thread.
    pub fn stop(mut self) {
        self.ask(Request::Stop);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been reported by its hook; there is nothing left to finish.
            let _panicked = thread.join();
        }
    }

    fn ask(&self, request: Request) {
        // An error means that the thread has ended, and has said so by `Failed`.
        let _ended = self.requests.send(request);
    }
}

/// What the thread owns.
struct Shop {
    store: Store,
    reply: Box<dyn FnMut(WorkerReply) + Send>,
    ballast: Ballast,
    full: bool,
}

/// Batches to be committed together.
#[derive(Default)]
struct Group {
    batches: Vec<Vec<Record>>,
    last: Option<BatchNo>,
    bytes: u64,
    /// Whether something in it must be durable before somebody can go on.
    urgent: bool,
    /// Until when it waits for one that is urgent.
    lingers_until: Option<Instant>,
}

impl Group {
    fn add(&mut self, batch: BatchNo, records: Vec<Record>) {
        self.bytes += records.iter().map(bytes_of).sum::<u64>();
        self.urgent |= !records.iter().all(is_news);
        self.batches.push(records);
        self.last = Some(batch);
    }

    /// How much longer it waits for company.
    fn linger(&mut self) -> Option<Duration> {
        if self.urgent || self.bytes >= MAX_UNPERSISTED_BYTES {
            return None;
        }
        let now = Instant::now();
        self.lingers_until.get_or_insert(now + LINGER).checked_duration_since(now)
    }
}

impl Shop {
    fn reply_if_full(&mut self) {
        if !self.ballast.fill() {
            self.full = true;
            (self.reply)(WorkerReply::Disk(DiskState::Full));
        }
    }

    fn run(&mut self, queue: &Receiver<Request>) {
        loop {
            // On a full disk the ballast is made anew as soon as there is room.
            let first = if self.full {
                match queue.recv_timeout(FULL_RETRY) {
                    Ok(request) => request,
                    Err(RecvTimeoutError::Timeout) => {
                        self.refill();
                        continue;
                    }
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            } else {
                match queue.recv() {
                    Ok(request) => request,
                    Err(_) => return,
                }
            };
            if !self.serve(first, queue) {
                return;
            }
        }
    }

    /// Serves a request and, if it is a batch, all batches queued behind it. `false` ends the thread.
    #[expect(clippy::wildcard_enum_match_arm, reason = "all but batches end the group")]
    fn serve(&mut self, first: Request, queue: &Receiver<Request>) -> bool {
        let mut group = Group::default();
        let mut next = Some(first);
        while let Some(request) = next.take() {
            match request {
                Request::Persist(batch, records) => {
                    group.add(batch, records);
                    if group.bytes < MAX_UNPERSISTED_BYTES {
                        next = queue.try_recv().ok();
                    }
                    if next.is_none()
                        && let Some(rest) = group.linger()
                    {
                        next = queue.recv_timeout(rest).ok();
                    }
                }
                other => {
                    // What was asked before is seen by what is asked after.
                    if !self.commit(std::mem::take(&mut group)) || !self.answer(other) {
                        return false;
                    }
                }
            }
        }
        self.commit(group)
    }

    fn answer(&mut self, request: Request) -> bool {
        match request {
            Request::Load(load, query) => match self.store.load(&query) {
                Ok(loaded) => (self.reply)(WorkerReply::Loaded(load, loaded)),
                Err(error) => return self.fail(&error),
            },
            Request::Read(read) => read(&self.store),
            Request::Stop => return false,
            Request::Persist(..) => {}
        }
        true
    }

    /// Commits a group, however long the disk is full.
    fn commit(&mut self, group: Group) -> bool {
        let Some(last) = group.last else { return true };
        loop {
            match self.store.apply(&group.batches) {
                Ok(()) => break,
                Err(StoreError::Full) => {
                    if !self.full {
                        self.full = true;
                        (self.reply)(WorkerReply::Disk(DiskState::Full));
                    }
                    if !self.ballast.release() {
                        std::thread::park_timeout(FULL_RETRY);
                    }
                }
                Err(error) => return self.fail(&error),
            }
        }
        fail::fail_point!("store::before_answer");
        (self.reply)(WorkerReply::Persisted(last));
        self.refill();
        true
    }

    fn refill(&mut self) {
        if self.full && self.ballast.fill() {
            self.full = false;
            (self.reply)(WorkerReply::Disk(DiskState::Ready));
        }
    }

    fn fail(&mut self, error: &StoreError) -> bool {
        (self.reply)(WorkerReply::Failed(error.to_string()));
        false
    }
}

/// Whether a record only notes what a peer has said: a receipt, what it settles, where a peer was reached.
fn is_news(record: &Record) -> bool {
    matches!(
        record,
        Record::OutFlow(_)
            | Record::ParcelDone { .. }
            | Record::Changed { .. }
            | Record::Timeline { .. }
            | Record::Book { .. }
            | Record::Checkpoint { .. }
    )
}

/// Roughly what a record takes on disk.
#[expect(clippy::wildcard_enum_match_arm, reason = "the others carry no content")]
fn bytes_of(record: &Record) -> u64 {
    let bytes = match record {
        Record::Accepted(batch) => batch.messages.iter().map(|message| message.encoded.len()).sum(),
        Record::ParcelSealed(record::OutParcel { inner, .. }) => inner.len(),
        Record::Inbox(batch) => batch.messages.iter().map(|(_, encoded)| encoded.len()).sum(),
        Record::Pended(pended) => pended.encoded.len(),
        _ => 0,
    };
    bytes as u64 + 256
}
