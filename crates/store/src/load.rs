//! Answers the engine's questions.

use bytes::Bytes;
use rusqlite::{OptionalExtension as _, params};
use tidings_core::ids::{FlowId, MessageId, OutParcelNo, Seq};
use tidings_core::message::OutMessage;
use tidings_core::record::{ExpiryPlace, FirstAnswer, Loaded, Query};
use tidings_core::time::{Age, Wall};

use crate::apply::{flow_key, flow_of};
use crate::codec::{Reader, array};
use crate::exit;
use crate::store::{Store, StoreError};

impl Store {
    /// Answers a question of the engine.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database cannot be read.
    pub fn load(&self, query: &Query) -> Result<Loaded, StoreError> {
        let _inside = exit::inside();
        match query {
            Query::OutMessages { flow, from, max_bytes } => self.out_messages(*flow, *from, *max_bytes),
            Query::OutParcels(parcels) => self.out_parcels(parcels),
            Query::Idempotent(key) => self.idempotent(key),
            Query::Expiring { after, until, limit } => self.expiring(*after, *until, *limit),
        }
    }

    fn out_messages(&self, flow: FlowId, from: Seq, max_bytes: usize) -> Result<Loaded, StoreError> {
        // Batches of a flow do not overlap: the one that holds `from` is the last to begin at or before it.
        let mut statement = self.connection.prepare_cached(
            "SELECT first, deadline, messages FROM out_batch
             WHERE flow = ?1 AND first >= coalesce(
                 (SELECT max(first) FROM out_batch WHERE flow = ?1 AND first <= ?2), 0)
             ORDER BY first",
        )?;
        let mut rows = statement.query(params![flow_key(flow), from.cast_signed()])?;
        let (mut messages, mut bytes, mut end) = (Vec::new(), 0, true);
        'rows: while let Some(row) = rows.next()? {
            let first: i64 = row.get(0)?;
            let deadline = Age(row.get::<_, i64>(1)?.cast_unsigned());
            let mut blob = Reader::new(row.get(2)?);
            let mut seq = first.cast_unsigned();
            while !blob.is_empty() {
                let encoded = blob.bytes()?;
                if seq >= from {
                    if bytes >= max_bytes && !messages.is_empty() {
                        end = false;
                        break 'rows;
                    }
                    bytes += encoded.len();
                    // A copy of its own, so that one message does not keep its whole batch in memory.
                    messages.push(OutMessage { seq, deadline, encoded: Bytes::copy_from_slice(&encoded) });
                }
                seq += 1;
            }
        }
        Ok(Loaded::OutMessages { messages, end })
    }

    fn out_parcels(&self, parcels: &[OutParcelNo]) -> Result<Loaded, StoreError> {
        let mut statement = self.connection.prepare_cached("SELECT inner FROM out_parcel WHERE parcel = ?1")?;
        let mut found = Vec::with_capacity(parcels.len());
        for parcel in parcels {
            let inner: Option<Vec<u8>> = statement.query_row([parcel.0.cast_signed()], |row| row.get(0)).optional()?;
            found.extend(inner.map(|inner| (*parcel, inner.into())));
        }
        Ok(Loaded::OutParcels(found))
    }

    fn idempotent(&self, key: &[u8; 16]) -> Result<Loaded, StoreError> {
        let mut statement =
            self.connection.prepare_cached("SELECT body, flow, seq, accepted FROM idempotency WHERE key = ?1")?;
        let row: Option<(Vec<u8>, i64, i64, i64)> =
            statement.query_row([key], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))).optional()?;
        let answer = match row {
            None => None,
            Some((body, flow, seq, accepted)) => Some(FirstAnswer {
                body: array(&body)?,
                id: MessageId { flow: flow_of(flow), seq: seq.cast_unsigned() },
                accepted_at: Wall(accepted.cast_unsigned()),
            }),
        };
        Ok(Loaded::Idempotent(answer))
    }

    fn expiring(&self, after: ExpiryPlace, until: Age, limit: usize) -> Result<Loaded, StoreError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT flow, first, count, deadline, row FROM out_batch
             WHERE (deadline, row) > (?1, ?2) AND deadline <= ?3 ORDER BY deadline, row LIMIT ?4",
        )?;
        let mut rows = statement.query(params![
            after.deadline.0.cast_signed(),
            after.row.cast_signed(),
            until.0.cast_signed(),
            limit as i64
        ])?;
        let (mut batches, mut place) = (Vec::new(), after);
        while let Some(row) = rows.next()? {
            let (first, count): (i64, i64) = (row.get(1)?, row.get(2)?);
            batches.push((flow_of(row.get(0)?), first.cast_unsigned(), count.cast_unsigned()));
            place = ExpiryPlace {
                deadline: Age(row.get::<_, i64>(3)?.cast_unsigned()),
                row: row.get::<_, i64>(4)?.cast_unsigned(),
            };
        }
        let next: Option<i64> = self
            .connection
            .prepare_cached("SELECT min(deadline) FROM out_batch WHERE (deadline, row) > (?1, ?2)")?
            .query_row(params![place.deadline.0.cast_signed(), place.row.cast_signed()], |row| row.get(0))?;
        Ok(Loaded::Expiring { batches, after: place, next: next.map(|age| Age(age.cast_unsigned())) })
    }
}
