//! The database beside the model: in one of a hundred seeds a node's batches go to both, and both answer alike.
//!
//! What the model loses in a crash the database never sees: a batch reaches it when it is durable. A question waits
//! behind the batches that the model answered it from, and is dropped with them.

use std::collections::VecDeque;
use std::path::Path;

use tempfile::TempDir;
use tidings_core::ids::{At, BatchNo};
use tidings_core::model::ModelStore;
use tidings_core::record::{ExpiryPlace, Loaded, Query, Record, Snapshot};
use tidings_store::{Key, Store};

use super::node::LabSealer;
use super::world::World;

/// One of so many seeds has it, and which one.
const EVERY: u64 = 100;
const WHICH: u64 = 33;
/// Where files never reach a disk, so that a commit takes no time.
const MEMORY: &str = "/dev/shm";
/// More events than there ever are.
const MOST_EVENTS: usize = 1_000_000_000;

/// Whether a seed has databases beside its models.
pub(super) fn is_beside(seed: u64) -> bool {
    seed % EVERY == WHICH
}

/// The database of a node.
#[derive(Debug)]
pub(crate) struct Beside {
    store: Option<Store>,
    waiting: VecDeque<Waiting>,
    /// Where the model's last answer about deadlines ended, and the database's, which numbers its rows itself.
    places: (ExpiryPlace, ExpiryPlace),
    /// How many answers were the same.
    compared: u64,
    folder: TempDir,
}

#[derive(Debug)]
enum Waiting {
    Batch(BatchNo, Vec<Record>),
    Question(Query, Loaded),
}

impl Beside {
    fn new() -> Result<Self, String> {
        let memory = Path::new(MEMORY);
        let folder = if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() };
        let folder = folder.map_err(|error| format!("no folder for a database: {error}"))?;
        let mut beside =
            Self { store: None, waiting: VecDeque::new(), places: Default::default(), compared: 0, folder };
        beside.open()?;
        Ok(beside)
    }

    fn open(&mut self) -> Result<(), String> {
        // The old one first: the new one locks the files.
        self.store = None;
        let store = Store::open(&self.folder.path().join("tidings.db"), &Key::new([7; 32]));
        self.store = Some(store.map_err(|error| format!("the database does not open: {error}"))?);
        Ok(())
    }

    /// A batch is applied to the model.
    pub(super) fn persist(&mut self, batch: BatchNo, records: &[Record]) {
        self.waiting.push_back(Waiting::Batch(batch, records.to_vec()));
    }

    /// The model has answered.
    pub(super) fn answered(&mut self, query: &Query, loaded: &Loaded) {
        self.waiting.push_back(Waiting::Question(query.clone(), loaded.clone()));
    }

    /// Batches up to this one are durable.
    pub(super) fn durable(&mut self, last: BatchNo) -> Result<(), String> {
        let mut batches = Vec::new();
        while let Some(next) = self.waiting.pop_front() {
            match next {
                Waiting::Batch(batch, records) if batch <= last => batches.push(records),
                Waiting::Batch(..) => {
                    self.waiting.push_front(next);
                    break;
                }
                Waiting::Question(query, expected) => {
                    self.apply(std::mem::take(&mut batches))?;
                    self.ask(&query, &expected)?;
                }
            }
        }
        self.apply(batches)
    }

    /// What is not durable is lost, and the node starts from what is.
    pub(super) fn restart(&mut self, model: &ModelStore) -> Result<(), String> {
        self.waiting.clear();
        self.places = Default::default();
        self.open()?;
        self.compare(model)
    }

    fn store(&mut self) -> Result<&mut Store, String> {
        self.store.as_mut().ok_or_else(|| "the database is closed".to_owned())
    }

    fn apply(&mut self, batches: Vec<Vec<Record>>) -> Result<(), String> {
        if batches.is_empty() {
            return Ok(());
        }
        self.store()?.apply(&batches).map_err(|error| format!("the database takes no batch: {error}"))
    }

    fn ask(&mut self, query: &Query, expected: &Loaded) -> Result<(), String> {
        let mut query = query.clone();
        if let Query::Expiring { after, .. } = &mut query
            && *after == self.places.0
        {
            *after = self.places.1;
        }
        let mut got = self.store()?.load(&query).map_err(|error| format!("the database does not answer: {error}"))?;
        if let (Loaded::Expiring { after: model, .. }, Loaded::Expiring { after, .. }) = (expected, &mut got) {
            self.places = (*model, *after);
            after.row = model.row;
        }
        self.compared += 1;
        if got == *expected { Ok(()) } else { Err(differ(&format!("{query:?}"), expected, &got)) }
    }
}

impl Beside {
    /// Compares all that can be read of both.
    fn compare(&mut self, model: &ModelStore) -> Result<(), String> {
        let failed = |error| format!("the database cannot be read: {error}");
        let store = self.store()?;
        let (snapshot, events) =
            (store.snapshot().map_err(failed)?, store.changes(At::default(), MOST_EVENTS).map_err(failed)?);
        let inbox = store.inbox(None, usize::MAX, u64::MAX, None).map_err(failed)?;
        compare_snapshots(model.snapshot(), snapshot)?;
        let expected = model.inbox();
        if inbox != expected {
            return Err(differ("the inbox", &expected, &inbox));
        }
        let events: Vec<_> = events
            .changes
            .into_iter()
            .map(|change| (change.at, change.flow, change.peer, change.seqs, change.change, change.wall))
            .collect();
        let expected: Vec<_> = model
            .changes(At::default())
            .into_iter()
            .map(|change| (change.at, change.flow, change.peer, change.seqs, change.change, change.wall))
            .collect();
        if events != expected {
            return Err(differ("the events", &expected, &events));
        }
        self.compared += 3;
        Ok(())
    }
}

/// Each database has a random name of its own, and an order of its own where none is promised.
fn compare_snapshots(mut model: Snapshot, mut database: Snapshot) -> Result<(), String> {
    database.incarnation = model.incarnation;
    for snapshot in [&mut model, &mut database] {
        snapshot.cards.sort_by_key(|(peer, _)| *peer);
        snapshot.sessions.sort_by_key(|stored| stored.session);
        snapshot.out_flows.sort_by_key(|flow| flow.flow);
        snapshot.out_parcels.sort_by_key(|parcel| parcel.parcel);
        snapshot.in_flows.sort_by_key(|flow| (flow.flow, flow.sender));
        snapshot.pended.sort_by_key(|pended| (pended.flow, pended.sender, pended.seq));
        snapshot.stream_tails.sort();
        snapshot.out_multipart.sort_unstable();
        snapshot.contacts.sort_by_key(|contact| contact.peer);
        snapshot.invites.sort_by_key(|invite| invite.secret);
        snapshot.book.sort_by_key(|(peer, _)| *peer);
    }
    if model == database { Ok(()) } else { Err(differ("the snapshot", &model, &database)) }
}

/// What is different, from a little before the place where it begins.
fn differ(what: &str, model: &impl std::fmt::Debug, database: &impl std::fmt::Debug) -> String {
    let (model, database) = (format!("{model:?}"), format!("{database:?}"));
    let same = model.chars().zip(database.chars()).take_while(|(a, b)| a == b).count();
    let from = same.saturating_sub(200);
    let part = |text: &str| text.chars().skip(from).take(400).collect::<String>();
    format!("model and database differ in {what}: …{}… and …{}…", part(&model), part(&database))
}

impl<S: LabSealer> World<S> {
    /// Every node gets a database beside its model.
    pub(super) fn put_databases_beside(&mut self) {
        for index in 0..self.nodes.len() {
            match Beside::new() {
                Ok(beside) => self.nodes[index].beside = Some(Box::new(beside)),
                Err(error) => return self.broken = Some(error),
            }
        }
    }

    /// Does something with a node's database, if it has one; a difference is a violation.
    pub(super) fn beside(&mut self, index: usize, what: impl FnOnce(&mut Beside, &ModelStore) -> Result<(), String>) {
        let node = &mut self.nodes[index];
        let Some(beside) = &mut node.beside else { return };
        if let Err(error) = what(beside, &node.store)
            && self.broken.is_none()
        {
            self.broken = Some(format!("n{index}: {error}"));
        }
    }

    /// Compares every database with its model, and counts how many answers were the same.
    pub(super) fn compare_databases(&mut self) -> u64 {
        for index in 0..self.nodes.len() {
            self.beside(index, |beside, model| {
                beside.durable(BatchNo(u64::MAX))?;
                beside.compare(model)
            });
        }
        self.nodes.iter().filter_map(|node| node.beside.as_ref()).map(|beside| beside.compared).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::Arc;

    use bytes::Bytes;

    use super::*;
    use crate::scenario::load;
    use crate::sim::run::{How, run};

    #[test]
    fn the_database_answers_as_the_model_does() {
        for name in ["flapping", "withdrawn"] {
            let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("scenarios/{name}.toml"));
            let outcome = run(&Arc::new(load(&file).unwrap()), WHICH, &How::default());
            assert_eq!(outcome.verdict.violations, [], "{name}");
            assert!(outcome.compared > 100, "{name}: {}", outcome.compared);
        }
    }

    #[test]
    fn a_difference_is_seen() {
        let (mut beside, mut model) = (Beside::new().unwrap(), ModelStore::new(1));
        beside.compare(&model).unwrap();
        let account = |byte| vec![Record::Account(Bytes::from(vec![byte; 3]))];
        model.apply(BatchNo(1), account(1)).unwrap();
        beside.persist(BatchNo(1), &account(2));
        beside.durable(BatchNo(1)).unwrap();
        let error = beside.compare(&model).unwrap_err();
        assert!(error.contains("differ in the snapshot"), "{error}");
    }

    #[test]
    fn what_is_lost_in_the_model_never_reaches_the_database() {
        let (mut beside, mut model) = (Beside::new().unwrap(), ModelStore::new(1));
        for boot in 1..=3 {
            let records = vec![Record::Booted { boot }];
            beside.persist(BatchNo(boot), &records);
            model.apply(BatchNo(boot), records).unwrap();
        }
        model.crash_at(BatchNo(2));
        beside.durable(BatchNo(2)).unwrap();
        beside.restart(&model).unwrap();
        assert_eq!(beside.store().unwrap().snapshot().unwrap().boot, 2);
    }
}
