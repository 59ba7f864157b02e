//! What engines want done.

use tidings_core::Output;
use tidings_core::record::Record;

use super::node::LabSealer;
use super::trace::Mark;
use super::world::World;

impl<S: LabSealer> World<S> {
    pub(super) fn obey(&mut self, index: usize, output: Output) {
        match output {
            Output::Persist { batch, records } => self.persist(index, batch, records),
            Output::Load { load, query } => self.answer(index, load, &query),
            Output::Transmit { link, bytes } => self.transmit(index, link, bytes),
            Output::Dial { dial, peer, address } => {
                self.trace.note(self.now, index, Mark::Dial, dial.0, 0);
                self.dial(index, dial, peer, address);
            }
            Output::Close { link } => {
                self.trace.note(self.now, index, Mark::Close, link.0, 0);
                self.close(index, link);
            }
            // No scenario has a DHT: what is published is held by nobody, and nobody answers.
            Output::Publish { .. } => {}
            Output::FindPeer { .. } => {
                self.tally.searches += 1;
                self.trace.note(self.now, index, Mark::Search, 0, 0);
            }
            Output::Reply(command, reply) => self.on_reply(index, command, reply),
            Output::Event(event) => self.on_event(index, event),
        }
    }
}

/// The names of a batch's records, for people.
pub(super) fn kinds(records: &[Record]) -> String {
    records.iter().map(|record| describe(record).1).collect::<Vec<_>>().join(", ")
}

/// A record's kind and size, for the trace.
pub(super) fn record_mark(record: &Record) -> (u64, u64) {
    let (kind, _, size) = describe(record);
    (kind, size)
}

/// A record's number, name, and how much of what it names there is.
fn describe(record: &Record) -> (u64, &'static str, u64) {
    match record {
        Record::Booted { boot } => (1, "booted", *boot),
        Record::Checkpoint { age, .. } => (2, "checkpoint", age.0),
        Record::Account(_) => (3, "account", 0),
        Record::OwnCard { seq, .. } => (4, "own card", *seq),
        Record::Card { .. } => (5, "card", 0),
        Record::CardForgotten { .. } => (6, "card forgotten", 0),
        Record::Session(_) => (7, "session", 0),
        Record::SessionDropped { .. } => (8, "session dropped", 0),
        Record::OutFlow(flow) => (9, "out flow", flow.next),
        Record::OutFlowDropped { .. } => (10, "out flow dropped", 0),
        Record::Accepted(batch) => (11, "accepted", batch.messages.len() as u64),
        Record::ParcelSealed(parcel) => (12, "parcel sealed", parcel.parcel.0),
        Record::ParcelDone { parcel } => (13, "parcel done", parcel.0),
        Record::Ended { seqs, .. } => (14, "ended", seqs.first().unwrap_or(0)),
        Record::Changed { at, .. } => (15, "changed", at.n),
        Record::Timeline { .. } => (16, "timeline", 0),
        Record::InFlow(_) => (17, "in flow", 0),
        Record::InFlowDropped { .. } => (18, "in flow dropped", 0),
        Record::Inbox(batch) => (19, "inbox", batch.messages.len() as u64),
        Record::Pended(pended) => (20, "pended", pended.seq),
        Record::Released { first, .. } => (21, "released", *first),
        Record::PendedDropped { .. } => (22, "pended dropped", 0),
        Record::Consumed { seqs, .. } => (23, "consumed", seqs.first().unwrap_or(0)),
        Record::Contact(_) => (24, "contact", 0),
        Record::ContactRemoved { .. } => (25, "contact removed", 0),
        Record::Invite(_) => (26, "invite", 0),
        Record::InviteDone { .. } => (27, "invite done", 0),
        Record::Prune => (28, "prune", 0),
        Record::Book { addresses, .. } => (29, "book", addresses.len() as u64),
        Record::Route { route, .. } => (30, "route", u64::from(route.hops)),
    }
}
