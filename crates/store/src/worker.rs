//! The store's thread: takes requests in order, commits together what has queued up.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tidings_core::ids::{BatchNo, LoadId};
use tidings_core::record::{Loaded, Query, Record};
use tidings_core::{DiskState, record};

use crate::ballast::Ballast;
use crate::store::{Store, StoreError};

/// Requests that may be without an answer before [`WorkerHandle::is_behind`].
const MAX_REQUESTS: usize = 4096;
/// Requests that are taken while it is behind, for what whoever asks has begun; beyond it waits.
const QUEUE: usize = 2 * MAX_REQUESTS;
/// Bytes that one commit takes, and that may be unpersisted before [`WorkerHandle::is_behind`].
pub(crate) const MAX_UNPERSISTED_BYTES: u64 = 8 << 20;
/// A batch of nothing but news about what others have waits so long for one that must be durable at once: what a
/// crash takes of it is told again.
const LINGER: Duration = Duration::from_millis(4);
/// The time between two attempts to commit on a full disk, and between two to make the ballast anew.
const FULL_RETRY: Duration = Duration::from_millis(200);
/// How long a thread that is to stop goes on trying to commit on a full disk: two attempts more. Shorter than the
/// 600 ms that a node gives its commits when it stops.
const FULL_PATIENCE: Duration = Duration::from_millis(400);

/// Reads on the thread, and tells whether it could.
pub type Reader = Box<dyn FnOnce(&Store) -> Result<(), StoreError> + Send>;

/// Something for the thread to do.
enum Request {
    Persist(BatchNo, Vec<Record>),
    Load(LoadId, Query),
    Read(Reader),
    Stop,
}

impl Request {
    /// Roughly what it adds to the database.
    fn bytes(&self) -> u64 {
        if let Self::Persist(_, records) = self { records.iter().map(bytes_of).sum() } else { 0 }
    }
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
    /// The database failed, or the thread did, and the thread has ended; what was not persisted is to be built anew
    /// from the disk.
    Failed(String),
}

/// The thread. It lives as long as its handle.
#[derive(Debug)]
pub struct Worker;

/// Asks the thread. Whoever asks takes up nothing new while the thread [is behind](Self::is_behind), and then never
/// waits.
#[derive(Debug)]
pub struct WorkerHandle {
    requests: SyncSender<Request>,
    backlog: Arc<Backlog>,
    thread: Option<JoinHandle<()>>,
    gives_up_at: Arc<OnceLock<Instant>>,
}

/// What the thread was asked and has not done.
#[derive(Debug, Default)]
struct Backlog {
    requests: AtomicUsize,
    /// Of the batches among them.
    bytes: AtomicU64,
}

impl Backlog {
    fn add(&self, bytes: u64) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn done(&self, requests: usize, bytes: u64) {
        self.requests.fetch_sub(requests, Ordering::Relaxed);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Worker {
    /// Starts the thread. `reply` is called on it, and must not panic.
    ///
    /// # Errors
    ///
    /// The system has no thread to give; the database is closed again.
    pub fn spawn(store: Store, reply: Box<dyn FnMut(WorkerReply) + Send>) -> std::io::Result<WorkerHandle> {
        let (requests, queue) = sync_channel(QUEUE);
        let backlog = Arc::new(Backlog::default());
        let ballast = Ballast::beside(store.path());
        let gives_up_at = Arc::new(OnceLock::new());
        let (stop_by, asked) = (Arc::clone(&gives_up_at), Arc::clone(&backlog));
        let mut shop = Shop { store, reply, ballast, full: None, gives_up_at: stop_by, backlog: asked };
        let thread = std::thread::Builder::new().name("tidings-store".into()).spawn(move || {
            shop.reply_if_full();
            shop.run(&queue);
        })?;
        Ok(WorkerHandle { requests, backlog, thread: Some(thread), gives_up_at })
    }
}

impl WorkerHandle {
    /// Stores a batch.
    pub fn persist(&self, batch: BatchNo, records: Vec<Record>) {
        self.ask(Request::Persist(batch, records));
    }

    /// Whether the disk cannot keep up: 4,096 requests or 8 MiB of batches are not done. On a full disk that lasts
    /// until there is room, and whoever asks is to take up no new work meanwhile.
    pub fn is_behind(&self) -> bool {
        self.backlog.requests.load(Ordering::Relaxed) >= MAX_REQUESTS
            || self.backlog.bytes.load(Ordering::Relaxed) >= MAX_UNPERSISTED_BYTES
    }

    /// Answers a question of the engine, after all earlier batches.
    pub fn load(&self, load: LoadId, query: Query) {
        self.ask(Request::Load(load, query));
    }

    /// Runs a reader on the thread, after all earlier batches. An error of the database ends the thread.
    pub fn read(&self, read: Reader) {
        self.ask(Request::Read(read));
    }

    /// Finishes what was asked, closes the database and ends the thread. What a full disk does not take within
    /// [`FULL_PATIENCE`] is left out, and was never told as persisted.
    pub fn stop(mut self) {
        self.lose_patience();
        self.ask(Request::Stop);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been reported by its hook; there is nothing left to finish.
            let _panicked = thread.join();
        }
    }

    fn lose_patience(&self) {
        self.gives_up_at.get_or_init(|| Instant::now() + FULL_PATIENCE);
    }

    fn ask(&self, request: Request) {
        self.backlog.add(request.bytes());
        // An error means that the thread has ended, and has said so by `Failed`.
        let _ended = self.requests.send(request);
    }
}

impl Drop for WorkerHandle {
    fn drop(&mut self) {
        self.lose_patience();
    }
}

/// What the thread owns.
struct Shop {
    store: Store,
    reply: Box<dyn FnMut(WorkerReply) + Send>,
    ballast: Ballast,
    /// While the disk is full: when the ballast is tried next.
    full: Option<Instant>,
    /// Set when the thread is to stop: until when it goes on trying to commit on a full disk.
    gives_up_at: Arc<OnceLock<Instant>>,
    backlog: Arc<Backlog>,
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
            self.on_full();
        }
    }

    fn run(&mut self, queue: &Receiver<Request>) {
        loop {
            let next = match self.full {
                Some(due) => queue.recv_timeout(due.saturating_duration_since(Instant::now())),
                None => queue.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match next {
                Ok(request) => {
                    if !self.serve(request, queue) {
                        return;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.refill();
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
        self.backlog.done(1, 0);
        match request {
            Request::Load(load, query) => match self.store.load(&query) {
                Ok(loaded) => (self.reply)(WorkerReply::Loaded(load, loaded)),
                Err(error) => return self.fail(&error),
            },
            Request::Read(read) => match read(&self.store) {
                Err(error) if error.is_of_connection() => return self.fail(&error),
                Ok(()) | Err(_) => {}
            },
            Request::Stop => return false,
            Request::Persist(..) => {}
        }
        true
    }

    /// Commits a group, however long the disk is full, unless the thread is to stop meanwhile.
    fn commit(&mut self, group: Group) -> bool {
        let Some(last) = group.last else { return true };
        loop {
            match self.store.apply(&group.batches) {
                Ok(()) => break,
                Err(StoreError::Full) => {
                    self.on_full();
                    if !self.ballast.release() && !self.wait_for_room() {
                        return false;
                    }
                }
                Err(error) => return self.fail(&error),
            }
        }
        self.backlog.done(group.batches.len(), group.bytes);
        fail::fail_point!("store::before_answer");
        (self.reply)(WorkerReply::Persisted(last));
        true
    }

    fn on_full(&mut self) {
        if self.full.is_none() {
            self.full = Some(Instant::now() + FULL_RETRY);
            (self.reply)(WorkerReply::Disk(DiskState::Full));
        }
    }

    /// `false` when there is no more time to wait.
    fn wait_for_room(&self) -> bool {
        let rest = match self.gives_up_at.get() {
            Some(end) => end.saturating_duration_since(Instant::now()),
            None => FULL_RETRY,
        };
        if !rest.is_zero() {
            std::thread::park_timeout(FULL_RETRY.min(rest));
        }
        !rest.is_zero()
    }

    /// On a full disk the ballast is made anew as soon as there is room, however much is asked meanwhile.
    fn refill(&mut self) {
        if self.full.is_some_and(|due| due <= Instant::now()) {
            if self.ballast.fill() {
                self.full = None;
                (self.reply)(WorkerReply::Disk(DiskState::Ready));
            } else {
                self.full = Some(Instant::now() + FULL_RETRY);
            }
        }
    }

    fn fail(&mut self, error: &StoreError) -> bool {
        (self.reply)(WorkerReply::Failed(error.to_string()));
        false
    }
}

impl Drop for Shop {
    /// A thread that panics must not leave anybody waiting for its answers.
    fn drop(&mut self) {
        if std::thread::panicking() {
            (self.reply)(WorkerReply::Failed("its thread panicked".into()));
        }
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
            | Record::Route { .. }
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
