//! Writes records: each variant is one or two statements.

use rusqlite::{Transaction, params};
use tidings_core::ids::{At, FlowId, Seq};
use tidings_core::interval::IntervalSet;
use tidings_core::message::{Change, Ending, MAX_IDEMPOTENCY_KEYS, Step};
use tidings_core::record::{InFlow, InboxBatch, MAX_ROUTES, OutBatch, OutFlow, OutParcel, Pended, Record};
use tidings_core::time::Wall;
use tidings_core::wire::{Path, RecordedRoute, decode_content, encode_content};
use tidings_crypto::PeerKey;

use crate::codec::{Reader, Unreadable, Writer, path_of};
use crate::store::StoreError;

type Done = Result<(), StoreError>;

/// Done messages are kept this long, in milliseconds of age, so that their state can be asked for.
const RETENTION_MS: u64 = 24 * 3_600_000;
/// The most events and timeline steps kept.
pub(crate) const MAX_EVENTS: i64 = 100_000;

/// Applies one batch within a transaction.
#[expect(clippy::wildcard_enum_match_arm, reason = "one record of many is looked for")]
pub(crate) fn batch(transaction: &Transaction<'_>, records: &[Record]) -> Done {
    fail::fail_point!("store::before_write", |_| Err(crate::store::broken()));
    let age = records.iter().rev().find_map(|record| match record {
        Record::Checkpoint { age, .. } => Some(age.0),
        _ => None,
    });
    let writer = Batch { db: transaction, age: age.unwrap_or(0) };
    records.iter().try_for_each(|record| writer.apply(record))
}

/// A pended part: class, time of arrival, hops, message, path.
type PartRow = (u32, i64, u32, Vec<u8>, Option<Vec<u8>>);

/// A batch being written.
struct Batch<'a> {
    db: &'a Transaction<'a>,
    age: u64,
}

/// The row of an event: events are ordered by boot, then by number.
pub(crate) fn event_row(at: At) -> i64 {
    ((at.boot << 40) | at.n).cast_signed()
}

pub(crate) fn event_at(row: i64) -> At {
    let row = row.cast_unsigned();
    At { boot: row >> 40, n: row & ((1 << 40) - 1) }
}

pub(crate) fn flow_key(flow: FlowId) -> i64 {
    i64::from_be_bytes(flow.0)
}

pub(crate) fn flow_of(key: i64) -> FlowId {
    FlowId(key.to_be_bytes())
}

pub(crate) fn change_number(change: Change) -> i64 {
    match change {
        Change::Delivered => 1,
        Change::Acknowledged => 2,
        Change::Ended(ending) => ending_number(ending),
    }
}

pub(crate) fn ending_number(ending: Ending) -> i64 {
    match ending {
        Ending::Expired => 3,
        Ending::Cancelled => 4,
        Ending::Failed(code) => 16 + i64::from(code as u8),
    }
}

pub(crate) fn step_number(step: Step) -> i64 {
    match step {
        Step::Sent => 1,
        Step::Refused => 2,
        Step::SealedAnew => 3,
    }
}

pub(crate) fn out_flow_state(flow: &OutFlow) -> Vec<u8> {
    Writer::default()
        .bytes(&flow.random)
        .number(flow.next)
        .number(flow.floor)
        .set(&flow.delivered)
        .set(&flow.partial)
        .set(&flow.void)
        .set(&flow.untold)
        .set(&flow.unacknowledged)
        .set(&flow.in_flight)
        .option(flow.incarnation)
        .number(flow.touched.0)
        .finish()
}

fn in_flow_state(flow: &InFlow) -> Vec<u8> {
    let writer = Writer::default()
        .number(flow.since)
        .number(flow.floor)
        .set(&flow.delivered)
        .set(&flow.void)
        .set(&flow.unacknowledged)
        .set(&flow.pended)
        .number(flow.touched.0)
        .number(flow.multipart.len() as u64);
    let parts = flow.multipart.iter();
    parts.fold(writer, |writer, (first, parts)| writer.number(*first).number(u64::from(*parts))).finish()
}

fn path_blob(path: Option<&Path>) -> Option<Vec<u8>> {
    path.map(|path| path.to_bytes().into())
}

fn set_blob(set: &IntervalSet) -> Vec<u8> {
    Writer::default().set(set).finish()
}

impl Batch<'_> {
    fn run(&self, sql: &str, values: impl rusqlite::Params) -> Result<usize, StoreError> {
        Ok(self.db.prepare_cached(sql)?.execute(values)?)
    }

    fn apply(&self, record: &Record) -> Done {
        match record {
            Record::Booted { boot } => self.run("UPDATE meta SET boot = ?1", [boot.cast_signed()])?,
            Record::Checkpoint { age, wall } => {
                self.run("UPDATE clock SET age = ?1, wall = ?2", [age.0.cast_signed(), wall.0.cast_signed()])?
            }
            Record::Account(account) => self.run("UPDATE meta SET account = ?1", [account.as_ref()])?,
            Record::OwnCard { seq, card } => {
                self.run("UPDATE meta SET card_seq = ?1, card = ?2", params![seq.cast_signed(), card.as_ref()])?
            }
            Record::Card { peer, card } => {
                self.run("INSERT OR REPLACE INTO card VALUES (?1, ?2)", params![peer.as_bytes(), card.as_ref()])?
            }
            Record::CardForgotten { peer } => self.run("DELETE FROM card WHERE peer = ?1", [peer.as_bytes()])?,
            Record::Session(session) => self.run(
                "INSERT OR REPLACE INTO session VALUES (?1, ?2, ?3)",
                params![session.session.as_bytes(), session.peer.as_bytes(), session.state.as_ref()],
            )?,
            Record::SessionDropped { session } => {
                self.run("DELETE FROM session WHERE session = ?1", [session.as_bytes()])?
            }
            Record::Contact(contact) => self.run(
                "INSERT OR REPLACE INTO contact VALUES (?1, ?2, ?3, ?4)",
                params![contact.peer.as_bytes(), contact.name, contact.verified, contact.added.0.cast_signed()],
            )?,
            Record::ContactRemoved { peer } => self.run("DELETE FROM contact WHERE peer = ?1", [peer.as_bytes()])?,
            Record::Invite(invite) => self.run(
                "INSERT OR REPLACE INTO invite VALUES (?1, ?2)",
                params![invite.secret, invite.deadline.0.cast_signed()],
            )?,
            Record::InviteDone { secret } => self.run("DELETE FROM invite WHERE secret = ?1", [secret])?,
            Record::Prune => self.prune()?,
            Record::Book { peer, addresses } if addresses.is_empty() => {
                self.run("DELETE FROM book WHERE peer = ?1", [peer.as_bytes()])?
            }
            Record::Book { peer, addresses } => {
                let blob = addresses.iter().fold(Writer::default(), |writer, known| {
                    writer.bytes(known.address.as_str().as_bytes()).option(known.reached.map(|age| age.0))
                });
                self.run("INSERT OR REPLACE INTO book VALUES (?1, ?2)", params![peer.as_bytes(), blob.finish()])?
            }
            Record::OutFlow(flow) => self.out_flow(flow)?,
            Record::OutFlowDropped { flow } => self.out_flow_dropped(*flow)?,
            Record::Accepted(batch) => self.accepted(batch)?,
            Record::ParcelSealed(parcel) => self.parcel(parcel)?,
            Record::ParcelDone { parcel } => {
                self.run("DELETE FROM out_parcel WHERE parcel = ?1", [parcel.0.cast_signed()])?
            }
            Record::Ended { flow, seqs, ending, wall } => self.ended(*flow, seqs, *ending, *wall)?,
            Record::Changed { at, flow, peer, seqs, change, wall } => {
                self.changed(*at, *flow, peer, seqs, *change, *wall)?
            }
            Record::Timeline { flow, seqs, step, wall } => self.run(
                "INSERT INTO timeline (flow, seqs, step, wall) VALUES (?1, ?2, ?3, ?4)",
                params![flow_key(*flow), set_blob(seqs), step_number(*step), wall.0.cast_signed()],
            )?,
            Record::Route { peer, flow, route, wall } => self.route(peer, *flow, route, *wall)?,
            Record::InFlow(flow) => self.run(
                "INSERT OR REPLACE INTO in_flow VALUES (?1, ?2, ?3)",
                params![flow_key(flow.flow), flow.sender.as_bytes(), in_flow_state(flow)],
            )?,
            Record::InFlowDropped { sender, flow } => {
                let key = params![flow_key(*flow), sender.as_bytes()];
                self.run("DELETE FROM route WHERE flow = ?1 AND peer = ?2", key)?;
                self.run("DELETE FROM in_flow WHERE flow = ?1 AND sender = ?2", key)?
            }
            Record::Inbox(batch) => self.inbox(batch, 1)?,
            Record::Pended(pended) => self.pended(pended)?,
            Record::Released { at, sender, flow, first, parts } => self.released(*at, sender, *flow, *first, *parts)?,
            Record::PendedDropped { sender, flow, seqs } => {
                for (from, to) in seqs.iter() {
                    self.drop_pended(sender, *flow, from, to)?;
                }
                0
            }
            Record::Consumed { sender, flow, seqs } => self.consumed(sender, *flow, seqs)?,
        };
        Ok(())
    }

    fn out_flow(&self, flow: &OutFlow) -> Result<usize, StoreError> {
        self.run(
            "INSERT OR REPLACE INTO out_flow VALUES (?1, ?2, ?3, ?4, ?5)",
            params![
                flow_key(flow.flow),
                flow.peer.as_bytes(),
                flow.class.to_wire(),
                flow.floor.cast_signed(),
                out_flow_state(flow)
            ],
        )
    }

    fn out_flow_dropped(&self, flow: FlowId) -> Result<usize, StoreError> {
        let key = flow_key(flow);
        for table in
            ["out_batch", "out_multipart", "out_retry", "out_stream", "out_parcel", "ended", "timeline", "route"]
        {
            self.run(&format!("DELETE FROM {table} WHERE flow = ?1"), [key])?;
        }
        self.run("DELETE FROM out_flow WHERE flow = ?1", [key])
    }

    fn accepted(&self, batch: &OutBatch) -> Result<usize, StoreError> {
        let Some(first) = batch.messages.first().map(|message| message.seq) else { return Ok(0) };
        let key = flow_key(batch.flow);
        let mut bytes = 0;
        let messages = batch.messages.iter().fold(Writer::default(), |writer, message| {
            bytes += message.encoded.len() as u64;
            writer.bytes(&message.encoded)
        });
        self.run(
            "INSERT INTO out_batch (flow, first, count, deadline, accepted, age, bytes, messages)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            params![
                key,
                first.cast_signed(),
                batch.messages.len() as i64,
                batch.deadline.0.cast_signed(),
                batch.accepted_at.0.cast_signed(),
                self.age.cast_signed(),
                bytes.cast_signed(),
                messages.finish()
            ],
        )?;
        for (first, parts) in &batch.multipart {
            self.run("INSERT INTO out_multipart VALUES (?1, ?2, ?3)", params![key, first.cast_signed(), parts])?;
        }
        for (seq, old) in &batch.retry_of {
            self.run("INSERT INTO out_retry VALUES (?1, ?2, ?3)", params![key, seq.cast_signed(), old.to_bytes()])?;
        }
        for (stream, seq) in &batch.stream_tails {
            self.run(
                "INSERT OR REPLACE INTO out_stream VALUES (?1, ?2, ?3, ?4)",
                params![batch.peer.as_bytes(), stream, key, seq.cast_signed()],
            )?;
        }
        for (named, seq) in &batch.idempotency {
            self.run(
                "INSERT OR REPLACE INTO idempotency (key, body, flow, seq, accepted, age)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![
                    named.key,
                    named.body,
                    key,
                    seq.cast_signed(),
                    batch.accepted_at.0.cast_signed(),
                    self.age.cast_signed()
                ],
            )?;
        }
        Ok(1)
    }

    fn parcel(&self, parcel: &OutParcel) -> Result<usize, StoreError> {
        self.run("UPDATE clock SET last_parcel = max(last_parcel, ?1)", [parcel.parcel.0.cast_signed()])?;
        self.run(
            "INSERT OR REPLACE INTO out_parcel VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            params![
                parcel.parcel.0.cast_signed(),
                parcel.peer.as_bytes(),
                flow_key(parcel.flow),
                set_blob(&parcel.seqs),
                parcel.session.as_bytes(),
                parcel.floor.cast_signed(),
                parcel.deadline.0.cast_signed(),
                parcel.inner.as_ref(),
                parcel.record_route
            ],
        )
    }

    fn ended(&self, flow: FlowId, seqs: &IntervalSet, ending: Ending, wall: Wall) -> Result<usize, StoreError> {
        for (from, to) in seqs.iter() {
            self.run(
                "INSERT OR REPLACE INTO ended VALUES (?1, ?2, ?3, ?4, ?5)",
                params![
                    flow_key(flow),
                    from.cast_signed(),
                    to.cast_signed(),
                    ending_number(ending),
                    wall.0.cast_signed()
                ],
            )?;
        }
        Ok(1)
    }

    fn changed(
        &self,
        at: At,
        flow: FlowId,
        peer: &PeerKey,
        seqs: &IntervalSet,
        change: Change,
        wall: Wall,
    ) -> Result<usize, StoreError> {
        if change == Change::Delivered {
            self.correct_ended(flow, seqs)?;
        }
        self.run(
            "INSERT OR REPLACE INTO changed VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                event_row(at),
                flow_key(flow),
                peer.as_bytes(),
                set_blob(seqs),
                change_number(change),
                wall.0.cast_signed()
            ],
        )
    }

    /// What ended here and was delivered all the same has not ended.
    fn correct_ended(&self, flow: FlowId, seqs: &IntervalSet) -> Done {
        let (Some(from), Some(to)) = (seqs.first(), seqs.last()) else { return Ok(()) };
        let key = flow_key(flow);
        let mut statement = self.db.prepare_cached(
            "SELECT first, last, ending, wall FROM ended WHERE flow = ?1 AND first <= ?3 AND last >= ?2",
        )?;
        let rows: Vec<(i64, i64, i64, i64)> = statement
            .query_map(params![key, from.cast_signed(), to.cast_signed()], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
            })?
            .collect::<Result<_, _>>()?;
        for (first, last, ending, wall) in rows {
            let mut rest = IntervalSet::of(first.cast_unsigned(), last.cast_unsigned());
            rest.subtract(seqs);
            self.run("DELETE FROM ended WHERE flow = ?1 AND first = ?2", [key, first])?;
            for (from, to) in rest.iter() {
                self.run(
                    "INSERT INTO ended VALUES (?1, ?2, ?3, ?4, ?5)",
                    [key, from.cast_signed(), to.cast_signed(), ending, wall],
                )?;
            }
        }
        Ok(())
    }

    /// Keeps a recorded route; the oldest go beyond the bound.
    fn route(&self, peer: &PeerKey, flow: FlowId, route: &RecordedRoute, wall: Wall) -> Result<usize, StoreError> {
        self.run(
            "INSERT INTO route (flow, peer, seqs, hops, path, wall) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                flow_key(flow),
                peer.as_bytes(),
                set_blob(&route.seqs),
                route.hops,
                route.path.to_bytes().as_ref(),
                wall.0.cast_signed()
            ],
        )?;
        self.run("DELETE FROM route WHERE row <= ?1", [self.db.last_insert_rowid() - MAX_ROUTES as i64])
    }

    fn inbox(&self, batch: &InboxBatch, parts: u32) -> Result<usize, StoreError> {
        let seqs: IntervalSet = batch.messages.iter().map(|(seq, _)| *seq).collect();
        let (Some(first), Some(last)) = (seqs.first(), seqs.last()) else { return Ok(0) };
        let messages =
            batch.messages.iter().fold(Writer::default(), |writer, (seq, encoded)| writer.number(*seq).bytes(encoded));
        let all = if parts > 1 { IntervalSet::of(first, first + u64::from(parts) - 1) } else { seqs };
        let last = last.max(all.last().unwrap_or(last));
        self.run(
            "INSERT INTO inbox VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
            params![
                event_row(batch.at),
                batch.sender.as_bytes(),
                flow_key(batch.flow),
                first.cast_signed(),
                last.cast_signed(),
                batch.class.to_wire(),
                parts,
                batch.received_at.0.cast_signed(),
                batch.hops,
                path_blob(batch.path.as_ref()),
                set_blob(&all),
                messages.finish()
            ],
        )
    }

    fn pended(&self, pended: &Pended) -> Result<usize, StoreError> {
        self.run(
            "INSERT OR REPLACE INTO pended VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            params![
                pended.sender.as_bytes(),
                flow_key(pended.flow),
                pended.seq.cast_signed(),
                pended.class.to_wire(),
                pended.received_at.0.cast_signed(),
                pended.hops,
                path_blob(pended.path.as_ref()),
                pended.predecessors.iter().map(|id| id.to_bytes()).collect::<Vec<_>>().concat(),
                pended.part.map(|(index, _)| index),
                pended.part.map(|(_, parts)| parts),
                pended.encoded.as_ref()
            ],
        )
    }

    fn drop_pended(&self, sender: &PeerKey, flow: FlowId, from: Seq, to: Seq) -> Result<usize, StoreError> {
        self.run(
            "DELETE FROM pended WHERE flow = ?1 AND sender = ?2 AND seq BETWEEN ?3 AND ?4",
            params![flow_key(flow), sender.as_bytes(), from.cast_signed(), to.cast_signed()],
        )
    }

    /// Moves a message from the pended to the inbox, its payloads joined.
    fn released(&self, at: At, sender: &PeerKey, flow: FlowId, first: Seq, parts: u32) -> Result<usize, StoreError> {
        let last = first + u64::from(parts) - 1;
        let mut statement = self.db.prepare_cached(
            "SELECT class, received, hops, encoded, path FROM pended
             WHERE flow = ?1 AND sender = ?2 AND seq BETWEEN ?3 AND ?4 ORDER BY seq",
        )?;
        let rows: Vec<PartRow> = statement
            .query_map(params![flow_key(flow), sender.as_bytes(), first.cast_signed(), last.cast_signed()], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
            })?
            .collect::<Result<_, _>>()?;
        let mut whole: Option<tidings_core::wire::MessageContent> = None;
        let mut payload = Vec::new();
        for (_, _, _, encoded, _) in &rows {
            let part = decode_content(encoded.clone().into()).map_err(|_| Unreadable)?;
            payload.extend_from_slice(&part.payload);
            whole.get_or_insert(part);
        }
        let (Some(mut content), Some((class, .., path)), Some((_, received, hops, ..))) =
            (whole, rows.first(), rows.last())
        else {
            return Err(StoreError::Unreadable);
        };
        content.payload = payload.into();
        content.part = None;
        let batch = InboxBatch {
            at,
            sender: *sender,
            flow,
            class: tidings_core::class::Class::from_wire(*class).ok_or(Unreadable)?,
            messages: vec![(first, encode_content(&content))],
            received_at: Wall(received.cast_unsigned()),
            hops: *hops,
            path: path.clone().map(path_of).transpose()?,
        };
        self.drop_pended(sender, flow, first, last)?;
        self.inbox(&batch, parts)
    }

    /// Takes consumed messages out of the inbox: whole rows where all of a row is, else as exceptions.
    fn consumed(&self, sender: &PeerKey, flow: FlowId, seqs: &IntervalSet) -> Result<usize, StoreError> {
        let (Some(from), Some(to)) = (seqs.first(), seqs.last()) else { return Ok(0) };
        let mut statement = self.db.prepare_cached(
            "SELECT inbox.row, inbox.seqs, inbox_consumed.seqs FROM inbox LEFT JOIN inbox_consumed USING (row)
             WHERE flow = ?1 AND first <= ?3 AND last >= ?2 AND sender = ?4",
        )?;
        let rows: Vec<(i64, Vec<u8>, Option<Vec<u8>>)> = statement
            .query_map(params![flow_key(flow), from.cast_signed(), to.cast_signed(), sender.as_bytes()], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })?
            .collect::<Result<_, _>>()?;
        for (row, all, before) in rows {
            let all = Reader::new(all).set()?;
            let had_exceptions = before.is_some();
            let mut consumed = before.map_or(Ok(IntervalSet::new()), |blob| Reader::new(blob).set())?;
            consumed.union_with(&seqs.intersection(&all));
            if consumed.covers(&all) {
                self.run("DELETE FROM inbox WHERE row = ?1", [row])?;
                if had_exceptions {
                    self.run("DELETE FROM inbox_consumed WHERE row = ?1", [row])?;
                }
            } else if !consumed.is_empty() {
                self.run("INSERT OR REPLACE INTO inbox_consumed VALUES (?1, ?2)", params![row, set_blob(&consumed)])?;
            }
        }
        Ok(1)
    }

    /// Forgets what is done and older than its retention.
    fn prune(&self) -> Result<usize, StoreError> {
        let before = self.age.saturating_sub(RETENTION_MS).cast_signed();
        self.run(
            "DELETE FROM out_batch WHERE age < ?1
             AND first + count <= (SELECT floor FROM out_flow WHERE out_flow.flow = out_batch.flow)",
            [before],
        )?;
        for (table, place) in [("out_multipart", "first"), ("out_retry", "seq"), ("ended", "last")] {
            self.run(
                &format!(
                    "DELETE FROM {table} WHERE {place} < coalesce(
                        (SELECT min(first) FROM out_batch WHERE out_batch.flow = {table}.flow),
                        (SELECT floor FROM out_flow WHERE out_flow.flow = {table}.flow), 0)"
                ),
                [],
            )?;
        }
        self.run(
            "DELETE FROM idempotency WHERE age < ?1 OR row <= (SELECT max(row) FROM idempotency) - ?2",
            params![before, MAX_IDEMPOTENCY_KEYS as i64],
        )?;
        for table in ["changed", "timeline"] {
            self.run(
                &format!(
                    "DELETE FROM {table} WHERE row <= (SELECT row FROM {table} ORDER BY row DESC LIMIT 1 OFFSET ?1)"
                ),
                [MAX_EVENTS],
            )?;
        }
        Ok(0)
    }
}
