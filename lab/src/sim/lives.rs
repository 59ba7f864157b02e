//! How nodes start and end, and how their disks take what they store.

use tidings_core::ids::{BatchNo, LoadId};
use tidings_core::input::DiskState;
use tidings_core::links::Source;
use tidings_core::record::{Query, Record};
use tidings_core::{Engine, Input};
use tidings_crypto::IdentityKey;

use super::node::{Ending, LabSealer};
use super::reach::Disturbance;
use super::trace::Mark;
use super::world::{Happening, NO_BATCH, World, address};
use crate::log::Entry;

/// The most parcels to one peer that may have no receipt; docs/spec/delivery.md §4.
const WINDOW: usize = 32;

impl<S: LabSealer> World<S> {
    /// Starts a node from its store; its client reads on.
    pub(super) fn start(&mut self, index: usize) {
        let now = self.now;
        let node = &mut self.nodes[index];
        if node.engine.is_some() {
            return;
        }
        node.life += 1;
        let mono = node.dice.below(1 << 40);
        node.clock.restart(now, mono);
        node.armed = u64::MAX;
        (node.disk.committing, node.disk.told) = (None, false);
        (node.disk.issued, node.disk.durable) = (NO_BATCH, NO_BATCH);
        #[cfg(feature = "sqlite")]
        self.beside(index, super::beside::Beside::restart);
        let node = &mut self.nodes[index];
        let snapshot = node.store.snapshot();
        let sealer = if snapshot.account.is_empty() {
            S::make(node.dice.bytes())
        } else {
            match S::restore(&snapshot.account, node.dice.bytes()) {
                Ok(sealer) => sealer,
                Err(error) => return self.broken = Some(format!("n{index}: its account cannot be read: {error}")),
            }
        };
        let identity = IdentityKey::from_seed(&node.identity.seed());
        let seed = node.dice.bytes();
        node.engine = Some(Engine::new(node.config.clone(), identity, sealer, snapshot, node.clock.at(now), seed));
        self.shaping.on_start(now, index, self.nodes[index].config.told.power);
        self.disturb(Disturbance::Gain);
        self.trace.note(now, index, Mark::Start, self.nodes[index].life, 0);
        self.trace.tell(now, index, || "starts".to_owned());
        self.drain(index);
        self.input(index, Input::Listening(vec![address(index)]));
        let [joined, told] = self.nodes[index].knows.clone();
        let told = told.into_iter().map(|other| (other, Source::Card));
        for (other, source) in joined.into_iter().map(|other| (other, Source::Person)).chain(told) {
            let peer = Some(self.keys[other]);
            self.input(index, Input::Discovered { peer, addresses: vec![address(other)], source });
        }
        self.client_starts(index);
        let life = self.nodes[index].life;
        if self.hostile[index].is_some() {
            self.queue.push(now + 1_000_000, Happening::Mischief { node: index, life });
        }
    }

    /// Ends a node.
    pub(super) fn end_node(&mut self, index: usize, ending: Ending) {
        self.count_up(index);
        let node = &mut self.nodes[index];
        if node.engine.take().is_none() {
            return;
        }
        node.deadline = None;
        node.stash.clear();
        let (now, power, links) = (self.now, node.config.told.power, self.linked_roads(index));
        self.shaping.on_end(now, power, links);
        self.disturb(Disturbance::Loss);
        self.routes.forget(index);
        let node = &mut self.nodes[index];
        #[cfg_attr(not(feature = "sqlite"), expect(unused_variables, reason = "only the store beside it is told"))]
        let kept = match ending {
            Ending::Stopped => {
                node.store.sync();
                node.disk.issued
            }
            // The commit under way may have got through, or that and the next, and nobody was told.
            Ending::Killed | Ending::PowerCut => {
                let last = node.disk.committing.map_or(node.disk.durable, |committing| committing);
                let last = if ending == Ending::Killed { node.disk.issued } else { last };
                let kept = BatchNo(node.dice.between(node.disk.durable.0, last.0.max(node.disk.durable.0)));
                node.store.crash_at(kept);
                kept
            }
        };
        #[cfg(feature = "sqlite")]
        self.beside(index, |beside, _| beside.durable(kept));
        self.nodes[index].client.on_end();
        self.trace.note(self.now, index, Mark::End, ending as u64, 0);
        self.trace.tell(self.now, index, || format!("ends: {ending:?}"));
        self.write(Some(index), Entry::End);
        let links = std::mem::take(&mut self.nodes[index].links);
        for (wire, end) in links.into_values() {
            self.wires[wire].ends[end].up = false;
            if ending != Ending::PowerCut {
                self.tell_other_end(wire, end);
            }
        }
    }

    /// Adds up what a node has counted in this life.
    pub(super) fn count_up(&mut self, index: usize) {
        if let Some(engine) = &self.nodes[index].engine {
            let relay = engine.relay_stats();
            self.tally.relayed += relay.relayed;
            self.tally.rerouted += relay.rerouted;
            self.tally.given_back += relay.refused;
            self.tally.frames_dropped += engine.link_stats().frames_dropped;
        }
    }

    /// A fault's node comes back, unless another fault keeps it down.
    pub(super) fn restart(&mut self, index: usize, life: u64) {
        if self.nodes[index].life == life && self.nodes[index].downs == 0 {
            self.start(index);
        }
    }

    /// A node's records go to its store.
    pub(super) fn persist(&mut self, index: usize, batch: BatchNo, records: Vec<Record>) {
        self.trace.note(self.now, index, Mark::Persist, batch.0, records.len() as u64);
        for record in &records {
            let (kind, size) = super::outputs::record_mark(record);
            self.trace.note(self.now, index, Mark::Record, kind, size);
        }
        self.trace.tell(self.now, index, || format!("stores batch {}: {}", batch.0, super::outputs::kinds(&records)));
        #[cfg(feature = "sqlite")]
        self.beside(index, |beside, _| {
            beside.persist(batch, &records);
            Ok(())
        });
        let node = &mut self.nodes[index];
        node.disk.issued = batch;
        if let Err(error) = node.store.apply(batch, records) {
            self.broken = Some(format!("n{index}: batch {} does not fit what is stored: {error}", batch.0));
            return;
        }
        let (sealed, peers) = (node.store.sealed_parcels(), self.keys.len() - 1);
        if sealed > WINDOW * peers {
            self.broken = Some(format!("n{index}: {sealed} parcels for {peers} peers have no receipt"));
            return;
        }
        self.commit(index);
    }

    /// Begins a commit if none is under way and something waits for it.
    pub(super) fn commit(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        if node.disk.committing.is_some() || node.disk.durable == node.disk.issued {
            return;
        }
        if node.disk.full > 0 {
            if !node.disk.told {
                node.disk.told = true;
                let life = node.life;
                // Not at once: the engine is in the midst of saying what it wants.
                self.queue.push(self.now + 1, Happening::DiskFull { node: index, life });
            }
            return;
        }
        node.disk.committing = Some(node.disk.issued);
        let takes = node.disk.commit + node.dice.below(node.disk.commit / 2 + 1);
        self.queue.push(self.now + takes, Happening::Commit { node: index, life: node.life });
    }

    /// The engine learns that its batch waits for room.
    pub(super) fn disk_full(&mut self, index: usize, life: u64) {
        if self.is_alive(index, life) && self.nodes[index].disk.full > 0 {
            self.trace.note(self.now, index, Mark::Disk, 0, 0);
            self.trace.tell(self.now, index, || "disk is full".to_owned());
            self.input(index, Input::Disk(DiskState::Full));
        }
    }

    /// A commit is done.
    pub(super) fn on_commit(&mut self, index: usize, life: u64) {
        if !self.is_alive(index, life) {
            return;
        }
        let node = &mut self.nodes[index];
        let Some(batch) = node.disk.committing.take() else { return };
        node.store.sync_to(batch);
        node.disk.durable = batch;
        #[cfg(feature = "sqlite")]
        self.beside(index, |beside, _| beside.durable(batch));
        self.trace.note(self.now, index, Mark::Persisted, batch.0, 0);
        self.input(index, Input::Persisted(batch));
        self.commit(index);
    }

    /// The disk takes writes again.
    pub(super) fn disk_ready(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        if node.disk.full == 0 && node.disk.told {
            node.disk.told = false;
            self.trace.note(self.now, index, Mark::Disk, 1, 0);
            self.trace.tell(self.now, index, || "disk has room".to_owned());
            self.input(index, Input::Disk(DiskState::Ready));
        }
        if self.nodes[index].engine.is_some() {
            self.commit(index);
        }
    }

    /// The store answers a question, in the order asked.
    pub(super) fn answer(&mut self, index: usize, load: LoadId, query: &Query) {
        self.trace.note(self.now, index, Mark::Load, load.0, 0);
        let node = &mut self.nodes[index];
        let loaded = node.store.load(query);
        #[cfg(feature = "sqlite")]
        if let Some(beside) = &mut node.beside {
            beside.answered(query, &loaded);
        }
        let at = (self.now + 50 + node.dice.below(300)).max(node.last_answer);
        node.last_answer = at;
        self.queue.push(at, Happening::Answer { node: index, life: node.life, load, loaded });
    }
}
