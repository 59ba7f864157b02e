//! Everything an engine needs to start, without payloads.

use bytes::Bytes;
use rusqlite::Row;
use tidings_core::class::Class;
use tidings_core::ids::{MessageId, OutParcelNo};
use tidings_core::links::Address;
use tidings_core::record::{
    BookAddress, Contact, InFlow, Invite, MAX_UNTOLD, OutFlow, OutParcel, Pended, Snapshot, StoredSession,
};
use tidings_core::time::{Age, Wall};
use tidings_core::wire::RecordedRoute;
use tidings_crypto::SessionId;

use crate::apply::flow_of;
use crate::codec::{Reader, Unreadable, array, path_of, peer};
use crate::exit;
use crate::store::{Store, StoreError};

/// The newest recorded routes of received messages, newest first.
const UNTOLD: &str = "SELECT route.peer, route.flow, route.seqs, route.hops, route.path FROM route
    JOIN in_flow ON in_flow.flow = route.flow AND in_flow.sender = route.peer
    ORDER BY route.row DESC LIMIT 4096";
const _: () = assert!(MAX_UNTOLD == 4096);

impl Store {
    /// Reads what an engine starts from.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database cannot be read.
    pub fn snapshot(&self) -> Result<Snapshot, StoreError> {
        let _inside = exit::inside();
        let mut snapshot = Snapshot::default();
        self.read_meta(&mut snapshot)?;
        snapshot.cards = self.rows("SELECT peer, card FROM card", |row| Ok((peer(&blob(row, 0)?)?, bytes(row, 1)?)))?;
        snapshot.sessions = self.rows("SELECT session, peer, state FROM session", |row| {
            Ok(StoredSession {
                session: SessionId::from_bytes(array(&blob(row, 0)?)?),
                peer: peer(&blob(row, 1)?)?,
                state: bytes(row, 2)?,
            })
        })?;
        snapshot.out_flows = self.rows("SELECT flow, peer, class, state FROM out_flow", out_flow)?;
        snapshot.out_parcels = self.rows(
            "SELECT parcel, peer, flow, seqs, session, floor, deadline, record_route FROM out_parcel",
            out_parcel,
        )?;
        snapshot.in_flows = self.rows("SELECT flow, sender, state FROM in_flow", in_flow)?;
        snapshot.pended = self.rows(
            "SELECT sender, flow, seq, class, received, hops, predecessors, part, parts, path FROM pended",
            pended,
        )?;
        snapshot.routes = self.rows(UNTOLD, |row| Ok((peer(&blob(row, 0)?)?, flow_of(row.get(1)?), route(row)?)))?;
        snapshot.routes.reverse();
        snapshot.stream_tails = self.rows("SELECT peer, stream, flow, seq FROM out_stream", |row| {
            let id = MessageId { flow: flow_of(row.get(2)?), seq: number(row, 3)? };
            Ok((peer(&blob(row, 0)?)?, row.get(1)?, id))
        })?;
        snapshot.out_multipart = self.rows("SELECT flow, first, parts FROM out_multipart", |row| {
            Ok((flow_of(row.get(0)?), number(row, 1)?, row.get(2)?))
        })?;
        snapshot.idempotency =
            self.rows("SELECT key FROM idempotency ORDER BY row", |row| Ok(array(&blob(row, 0)?)?))?;
        snapshot.contacts = self.rows("SELECT peer, name, verified, added FROM contact", |row| {
            Ok(Contact {
                peer: peer(&blob(row, 0)?)?,
                name: row.get(1)?,
                verified: row.get(2)?,
                added: Wall(number(row, 3)?),
            })
        })?;
        snapshot.invites = self.rows("SELECT secret, deadline FROM invite", |row| {
            Ok(Invite { secret: array(&blob(row, 0)?)?, deadline: Age(number(row, 1)?) })
        })?;
        snapshot.book = self.rows("SELECT peer, addresses FROM book", |row| {
            Ok((peer(&blob(row, 0)?)?, addresses(Reader::new(blob(row, 1)?))?))
        })?;
        self.read_outbox(&mut snapshot)?;
        Ok(snapshot)
    }

    fn read_meta(&self, snapshot: &mut Snapshot) -> Result<(), StoreError> {
        let sql = "SELECT boot, incarnation, account, card_seq, card, age, wall, last_parcel FROM meta JOIN clock";
        let meta = self.rows(sql, |row| {
            let card = match (row.get::<_, Option<i64>>(3)?, row.get::<_, Option<Vec<u8>>>(4)?) {
                (Some(seq), Some(card)) => Some((seq.cast_unsigned(), Bytes::from(card))),
                _ => None,
            };
            Ok(Snapshot {
                boot: number(row, 0)?,
                incarnation: number(row, 1)?,
                account: bytes(row, 2)?,
                own_card: card,
                checkpoint: (Age(number(row, 5)?), Wall(number(row, 6)?)),
                last_out_parcel: number(row, 7)?,
                ..Snapshot::default()
            })
        })?;
        *snapshot = meta.into_iter().next().ok_or(StoreError::Unreadable)?;
        Ok(())
    }

    fn read_outbox(&self, snapshot: &mut Snapshot) -> Result<(), StoreError> {
        let waiting: Vec<(u32, u64)> = self.rows(
            "SELECT class, sum(bytes + 64 * count) FROM out_batch JOIN out_flow USING (flow)
             WHERE first + count > floor GROUP BY class",
            |row| Ok((row.get(0)?, number(row, 1)?)),
        )?;
        for (class, bytes) in waiting {
            if let Some(class) = Class::from_wire(class) {
                snapshot.outbox_bytes[class.index()] = bytes;
            }
        }
        // The first look at the deadlines passes over what is done, page by page.
        let deadline: Vec<Option<i64>> = self.rows("SELECT min(deadline) FROM out_batch", |row| Ok(row.get(0)?))?;
        snapshot.next_deadline = deadline.into_iter().flatten().next().map(|age| Age(age.cast_unsigned()));
        Ok(())
    }

    pub(crate) fn rows<T>(
        &self,
        sql: &str,
        mut read: impl FnMut(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query([])?;
        let mut all = Vec::new();
        while let Some(row) = rows.next()? {
            all.push(read(row)?);
        }
        Ok(all)
    }
}

pub(crate) fn number(row: &Row<'_>, column: usize) -> Result<u64, StoreError> {
    Ok(row.get::<_, i64>(column)?.cast_unsigned())
}

pub(crate) fn blob(row: &Row<'_>, column: usize) -> Result<Vec<u8>, StoreError> {
    Ok(row.get(column)?)
}

pub(crate) fn bytes(row: &Row<'_>, column: usize) -> Result<Bytes, StoreError> {
    Ok(row.get::<_, Vec<u8>>(column)?.into())
}

pub(crate) fn class(row: &Row<'_>, column: usize) -> Result<Class, StoreError> {
    Ok(Class::from_wire(row.get(column)?).ok_or(Unreadable)?)
}

/// Columns: flow, peer, class, state.
pub(crate) fn out_flow(row: &Row<'_>) -> Result<OutFlow, StoreError> {
    let mut state = Reader::new(blob(row, 3)?);
    Ok(OutFlow {
        flow: flow_of(row.get(0)?),
        peer: peer(&blob(row, 1)?)?,
        class: class(row, 2)?,
        random: array(&state.bytes()?)?,
        next: state.number()?,
        floor: state.number()?,
        delivered: state.set()?,
        partial: state.set()?,
        void: state.set()?,
        untold: state.set()?,
        unacknowledged: state.set()?,
        in_flight: state.set()?,
        incarnation: state.option()?,
        touched: Age(state.number()?),
    })
}

fn out_parcel(row: &Row<'_>) -> Result<OutParcel, StoreError> {
    Ok(OutParcel {
        parcel: OutParcelNo(number(row, 0)?),
        peer: peer(&blob(row, 1)?)?,
        flow: flow_of(row.get(2)?),
        seqs: Reader::new(blob(row, 3)?).set()?,
        session: SessionId::from_bytes(array(&blob(row, 4)?)?),
        floor: number(row, 5)?,
        deadline: Age(number(row, 6)?),
        inner: Bytes::new(),
        record_route: row.get(7)?,
    })
}

fn in_flow(row: &Row<'_>) -> Result<InFlow, StoreError> {
    let mut state = Reader::new(blob(row, 2)?);
    let mut flow = InFlow {
        flow: flow_of(row.get(0)?),
        sender: peer(&blob(row, 1)?)?,
        since: state.number()?,
        floor: state.number()?,
        delivered: state.set()?,
        void: state.set()?,
        unacknowledged: state.set()?,
        pended: state.set()?,
        touched: Age(state.number()?),
        multipart: Vec::new(),
    };
    for _ in 0..state.number()? {
        let (first, parts) = (state.number()?, state.number()?);
        flow.multipart.push((first, u32::try_from(parts).map_err(|_| Unreadable)?));
    }
    Ok(flow)
}

fn pended(row: &Row<'_>) -> Result<Pended, StoreError> {
    let predecessors = blob(row, 6)?;
    let predecessors = predecessors.chunks(16).map(|id| Ok(MessageId::from_bytes(array(id)?)));
    Ok(Pended {
        sender: peer(&blob(row, 0)?)?,
        flow: flow_of(row.get(1)?),
        seq: number(row, 2)?,
        class: class(row, 3)?,
        encoded: Bytes::new(),
        received_at: Wall(number(row, 4)?),
        hops: row.get(5)?,
        path: row.get::<_, Option<Vec<u8>>>(9)?.map(path_of).transpose()?,
        predecessors: predecessors.collect::<Result<_, StoreError>>()?,
        part: row.get::<_, Option<u32>>(7)?.zip(row.get::<_, Option<u32>>(8)?),
    })
}

/// Columns from the third on: seqs, hops, path.
pub(crate) fn route(row: &Row<'_>) -> Result<RecordedRoute, StoreError> {
    Ok(RecordedRoute { seqs: Reader::new(blob(row, 2)?).set()?, hops: row.get(3)?, path: path_of(blob(row, 4)?)? })
}

fn addresses(mut blob: Reader) -> Result<Vec<BookAddress>, StoreError> {
    let mut addresses = Vec::new();
    while !blob.is_empty() {
        let address = Address::new(blob.text()?).map_err(|_| Unreadable)?;
        addresses.push(BookAddress { address, reached: blob.option()?.map(Age) });
    }
    Ok(addresses)
}
