//! What people and programs ask: the inbox, sent messages with their states, events to resume from.

use bytes::Bytes;
use rusqlite::params;
use tidings_core::class::Class;
use tidings_core::ids::{At, FlowId, MessageId, Seq};
use tidings_core::interval::IntervalSet;
use tidings_core::message::{Change, Ending, FailureCode, InboxMessage, MessageState, Step};
use tidings_core::record::OutFlow;
use tidings_core::time::Wall;
use tidings_core::wire::{MessageContent, Path, RecordedRoute, decode_content};
use tidings_crypto::PeerKey;

use crate::apply::{event_at, event_row, flow_key, flow_of};
use crate::codec::{Reader, Unreadable, array, path_of, peer};
use crate::exit;
use crate::snapshot::{blob, class, number, out_flow, route};
use crate::store::{Store, StoreError};

/// A message that this node accepted for sending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredMessage {
    /// Its name.
    pub id: MessageId,
    /// The recipient.
    pub to: PeerKey,
    /// Its priority.
    pub class: Class,
    /// Kind, headers and the rest; the payload whole, whatever parts it travels in.
    pub content: MessageContent,
    /// Where it stands.
    pub state: MessageState,
    /// When it was accepted.
    pub accepted_at: Wall,
    /// How often it was handed to a link.
    pub attempts: u64,
    /// The ended message it was sent again for.
    pub retry_of: Option<MessageId>,
    /// The way it went, once the recipient has told: links and relays. Only of messages that asked for it.
    pub route: Option<(u32, Path)>,
    /// What happened to it, oldest first.
    pub timeline: Vec<(Wall, TimelineEntry)>,
}

/// How a received message came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Its name.
    pub id: MessageId,
    /// The sender.
    pub from: PeerKey,
    /// When it arrived.
    pub received_at: Wall,
    /// Links it crossed.
    pub hops: u32,
    /// The relays it says it crossed; `None` where its sender did not ask for them.
    pub path: Option<Path>,
    /// Whether the application has consumed it.
    pub consumed: bool,
}

/// Something that happened to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimelineEntry {
    /// A step of its parcel.
    Step(Step),
    /// A new state.
    State(MessageState),
}

/// Which sent messages are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MessageFilter {
    /// Only those to this peer.
    pub to: Option<PeerKey>,
    /// Only those in one of these states, by [`MessageState::name`]; empty: in any.
    pub states: Vec<String>,
}

/// A place in the list of sent messages, newest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The row of the batch.
    pub row: u64,
    /// The message of it that was listed last.
    pub seq: Seq,
}

/// One page of the list of sent messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessagePage {
    /// Newest first, each without its timeline.
    pub messages: Vec<StoredMessage>,
    /// Where the next page goes on; `None` if this is the last.
    pub next: Option<Place>,
}

/// An event about sent messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredChange {
    /// Its place.
    pub at: At,
    /// The flow.
    pub flow: FlowId,
    /// The recipient.
    pub peer: PeerKey,
    /// Which messages.
    pub seqs: IntervalSet,
    /// What happened.
    pub change: Change,
    /// When.
    pub wall: Wall,
}

/// One page of events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChangePage {
    /// In order.
    pub changes: Vec<StoredChange>,
    /// Whether events right after the place asked for are forgotten.
    pub lagged: bool,
}

fn change_of(number: i64) -> Result<Change, Unreadable> {
    match number {
        1 => Ok(Change::Delivered),
        2 => Ok(Change::Acknowledged),
        other => ending_of(other).map(Change::Ended),
    }
}

fn ending_of(number: i64) -> Result<Ending, Unreadable> {
    match number {
        3 => Ok(Ending::Expired),
        4 => Ok(Ending::Cancelled),
        other => {
            let code = u8::try_from(other - 16).ok().and_then(FailureCode::from_number);
            code.map(Ending::Failed).ok_or(Unreadable)
        }
    }
}

fn step_of(number: i64) -> Result<Step, Unreadable> {
    match number {
        1 => Ok(Step::Sent),
        2 => Ok(Step::Refused),
        3 => Ok(Step::SealedAnew),
        _ => Err(Unreadable),
    }
}

impl Store {
    /// Messages of the inbox after a place, oldest first, without those that were consumed: at most `limit`, and
    /// no more than `max_bytes` of payload together, but for a first one that is larger by itself.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database cannot be read.
    pub fn inbox(
        &self,
        after: Option<At>,
        limit: usize,
        max_bytes: u64,
        kind: Option<&str>,
    ) -> Result<Vec<InboxMessage>, StoreError> {
        let _inside = exit::inside();
        let place = after.map_or(-1, event_row);
        let mut statement = self.connection.prepare_cached(
            "SELECT inbox.row, sender, flow, class, received, hops, messages, inbox_consumed.seqs, path
             FROM inbox LEFT JOIN inbox_consumed USING (row)
             WHERE inbox.row >= coalesce((SELECT max(row) FROM inbox WHERE row <= ?1), 0) ORDER BY inbox.row",
        )?;
        let mut rows = statement.query([place])?;
        let (mut messages, mut bytes) = (Vec::new(), 0);
        'rows: while let Some(row) = rows.next()?
            && messages.len() < limit
        {
            let first = event_at(row.get(0)?);
            let from = peer(&blob(row, 1)?)?;
            let flow = flow_of(row.get(2)?);
            let consumed = match row.get::<_, Option<Vec<u8>>>(7)? {
                Some(consumed) => Reader::new(consumed).set()?,
                None => IntervalSet::new(),
            };
            let path = row.get::<_, Option<Vec<u8>>>(8)?.map(path_of).transpose()?;
            let mut batch = Reader::new(blob(row, 6)?);
            for index in 0.. {
                if batch.is_empty() || messages.len() >= limit {
                    break;
                }
                let (seq, encoded) = (batch.number()?, batch.bytes()?);
                let at = At { boot: first.boot, n: first.n + index };
                if consumed.contains(seq) || after.is_some_and(|after| at <= after) {
                    continue;
                }
                let content = decode_content(encoded).map_err(|_| Unreadable)?;
                if kind.is_some_and(|kind| kind != content.kind) {
                    continue;
                }
                bytes += content.payload.len() as u64;
                if bytes > max_bytes && !messages.is_empty() {
                    break 'rows;
                }
                messages.push(InboxMessage {
                    at,
                    id: MessageId { flow, seq },
                    from,
                    kind: content.kind,
                    payload: content.payload,
                    stream: content.stream,
                    headers: content.headers,
                    class: class(row, 3)?,
                    reply_to: content.reply_to,
                    sent_at: content.sent_at,
                    expires_at: content.expires_at,
                    received_at: Wall(number(row, 4)?),
                    hops: row.get(5)?,
                    path: path.clone().filter(|_| content.record_route),
                });
            }
        }
        Ok(messages)
    }

    /// A sent message with its timeline; `None` if it is unknown or forgotten.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database cannot be read.
    pub fn message(&self, id: MessageId) -> Result<Option<StoredMessage>, StoreError> {
        let _inside = exit::inside();
        let Some(flow) = self.flow_record(id.flow)? else { return Ok(None) };
        let mut statement = self.connection.prepare_cached(
            "SELECT first, accepted, messages FROM out_batch WHERE flow = ?1 AND first <= ?2
             ORDER BY first DESC LIMIT 1",
        )?;
        let mut rows = statement.query(params![flow_key(id.flow), id.seq.cast_signed()])?;
        let Some(row) = rows.next()? else { return Ok(None) };
        let contents = unpack(number(row, 0)?, blob(row, 2)?)?;
        let accepted_at = Wall(number(row, 1)?);
        let Some((seq, content)) = contents.into_iter().find(|(seq, _)| *seq == id.seq) else { return Ok(None) };
        let mut message = self.describe(&flow, seq, content, accepted_at)?;
        if message.content.record_route {
            let out = "JOIN out_flow ON out_flow.flow = route.flow AND out_flow.peer = route.peer";
            message.route = self.routes(id, out)?.map(|(.., route)| (route.hops, route.path));
        }
        message.timeline = self.timeline(id)?;
        message.timeline.insert(0, (accepted_at, TimelineEntry::State(MessageState::Accepted)));
        let sent = |entry: &&(Wall, TimelineEntry)| entry.1 == TimelineEntry::Step(Step::Sent);
        message.attempts = message.timeline.iter().filter(sent).count() as u64;
        Ok(Some(message))
    }

    /// How a received message came: while it waits in the inbox, and if its route is recorded as long as that is
    /// kept.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database cannot be read.
    pub fn arrival(&self, id: MessageId) -> Result<Option<Arrival>, StoreError> {
        let _inside = exit::inside();
        let mut statement = self.connection.prepare_cached(
            "SELECT sender, received, hops, path, messages, inbox_consumed.seqs
             FROM inbox LEFT JOIN inbox_consumed USING (row) WHERE flow = ?1 AND first <= ?2 AND last >= ?2",
        )?;
        let mut rows = statement.query(params![flow_key(id.flow), id.seq.cast_signed()])?;
        while let Some(row) = rows.next()? {
            let Some(encoded) = encoded_of(blob(row, 4)?, id.seq)? else { continue };
            let asked = decode_content(encoded).map_err(|_| Unreadable)?.record_route;
            let consumed = row.get::<_, Option<Vec<u8>>>(5)?.map(|blob| Reader::new(blob).set()).transpose()?;
            return Ok(Some(Arrival {
                id,
                from: peer(&blob(row, 0)?)?,
                received_at: Wall(number(row, 1)?),
                hops: row.get(2)?,
                path: row.get::<_, Option<Vec<u8>>>(3)?.map(path_of).transpose()?.filter(|_| asked),
                consumed: consumed.is_some_and(|consumed| consumed.contains(id.seq)),
            }));
        }
        let received = self.routes(id, "JOIN in_flow ON in_flow.flow = route.flow AND in_flow.sender = route.peer")?;
        Ok(received.map(|(from, received_at, route)| Arrival {
            id,
            from,
            received_at,
            hops: route.hops,
            path: Some(route.path),
            consumed: true,
        }))
    }

    /// Sent messages after a place, newest first.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database cannot be read.
    pub fn messages(
        &self,
        filter: &MessageFilter,
        after: Option<Place>,
        limit: usize,
    ) -> Result<MessagePage, StoreError> {
        let _inside = exit::inside();
        let mut statement = self.connection.prepare_cached(
            "SELECT out_batch.row, flow, first, accepted, messages, peer FROM out_batch JOIN out_flow USING (flow)
             WHERE out_batch.row <= ?1 AND (?2 IS NULL OR peer = ?2) ORDER BY out_batch.row DESC",
        )?;
        let top = after.map_or(i64::MAX, |place| place.row.cast_signed());
        let mut rows = statement.query(params![top, filter.to.map(|peer| peer.to_bytes())])?;
        let mut page = MessagePage { messages: Vec::new(), next: None };
        while let Some(row) = rows.next()? {
            let (row_number, key) = (number(row, 0)?, row.get(1)?);
            let Some(flow) = self.flow_record(flow_of(key))? else { continue };
            let contents = unpack(number(row, 2)?, blob(row, 4)?)?;
            for (seq, content) in contents.into_iter().rev() {
                if after.is_some_and(|place| place.row == row_number && seq >= place.seq) {
                    continue;
                }
                let message = self.describe(&flow, seq, content, Wall(number(row, 3)?))?;
                let name = message.state.name();
                if !filter.states.is_empty() && !filter.states.iter().any(|state| state == name) {
                    continue;
                }
                page.messages.push(message);
                if page.messages.len() >= limit {
                    page.next = Some(Place { row: row_number, seq });
                    return Ok(page);
                }
            }
        }
        Ok(page)
    }

    /// Events after a place.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database cannot be read.
    pub fn changes(&self, after: At, limit: usize) -> Result<ChangePage, StoreError> {
        let _inside = exit::inside();
        let mut statement = self.connection.prepare_cached(
            "SELECT row, flow, peer, seqs, change, wall FROM changed WHERE row > ?1 ORDER BY row LIMIT ?2",
        )?;
        let mut rows = statement.query(params![event_row(after), limit as i64])?;
        let mut page = ChangePage::default();
        while let Some(row) = rows.next()? {
            page.changes.push(StoredChange {
                at: event_at(row.get(0)?),
                flow: flow_of(row.get(1)?),
                peer: peer(&blob(row, 2)?)?,
                seqs: Reader::new(blob(row, 3)?).set()?,
                change: change_of(row.get(4)?)?,
                wall: Wall(number(row, 5)?),
            });
        }
        let (oldest, count): (Option<i64>, i64) = self
            .connection
            .prepare_cached("SELECT min(row), count(*) FROM changed")?
            .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        // Rows are only ever forgotten when the table is full.
        page.lagged = count >= crate::apply::MAX_EVENTS && oldest.is_some_and(|oldest| oldest > event_row(after) + 1);
        Ok(page)
    }

    fn flow_record(&self, flow: FlowId) -> Result<Option<OutFlow>, StoreError> {
        let mut statement =
            self.connection.prepare_cached("SELECT flow, peer, class, state FROM out_flow WHERE flow = ?1")?;
        let mut rows = statement.query([flow_key(flow)])?;
        rows.next()?.map(out_flow).transpose()
    }

    fn describe(
        &self,
        flow: &OutFlow,
        seq: Seq,
        content: MessageContent,
        accepted_at: Wall,
    ) -> Result<StoredMessage, StoreError> {
        let key = flow_key(flow.flow);
        let mut ended = self.connection.prepare_cached(
            "SELECT ending, last FROM ended WHERE flow = ?1 AND first <= ?2 ORDER BY first DESC LIMIT 1",
        )?;
        let mut rows = ended.query(params![key, seq.cast_signed()])?;
        let state = match rows.next()? {
            Some(row) if number(row, 1)? >= seq => ending_of(row.get(0)?)?.state(),
            Some(_) | None => flow.state_of(seq),
        };
        let mut retry = self.connection.prepare_cached("SELECT old FROM out_retry WHERE flow = ?1 AND seq = ?2")?;
        let mut rows = retry.query(params![key, seq.cast_signed()])?;
        let retry_of = match rows.next()? {
            Some(row) => Some(MessageId::from_bytes(array(&blob(row, 0)?)?)),
            None => None,
        };
        Ok(StoredMessage {
            id: MessageId { flow: flow.flow, seq },
            to: flow.peer,
            class: flow.class,
            content,
            state,
            accepted_at,
            attempts: u64::from(flow.in_flight.contains(seq) || seq < flow.floor),
            retry_of,
            route: None,
            timeline: Vec::new(),
        })
    }

    /// The newest recorded route of a message: the other end, when it became known, and the route.
    fn routes(&self, id: MessageId, join: &str) -> Result<Option<(PeerKey, Wall, RecordedRoute)>, StoreError> {
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT route.peer, route.wall, route.seqs, route.hops, route.path FROM route {join}
             WHERE route.flow = ?1 ORDER BY route.row DESC"
        ))?;
        let mut rows = statement.query([flow_key(id.flow)])?;
        while let Some(row) = rows.next()? {
            let found = route(row)?;
            if found.seqs.contains(id.seq) {
                return Ok(Some((peer(&blob(row, 0)?)?, Wall(number(row, 1)?), found)));
            }
        }
        Ok(None)
    }

    fn timeline(&self, id: MessageId) -> Result<Vec<(Wall, TimelineEntry)>, StoreError> {
        let mut entries = Vec::new();
        let sources = [
            ("SELECT seqs, step, wall FROM timeline WHERE flow = ?1 ORDER BY row", true),
            ("SELECT seqs, change, wall FROM changed WHERE flow = ?1 ORDER BY row", false),
        ];
        for (sql, is_step) in sources {
            let mut statement = self.connection.prepare_cached(sql)?;
            let mut rows = statement.query([flow_key(id.flow)])?;
            while let Some(row) = rows.next()? {
                if !Reader::new(blob(row, 0)?).set()?.contains(id.seq) {
                    continue;
                }
                let what: i64 = row.get(1)?;
                let entry = if is_step {
                    TimelineEntry::Step(step_of(what)?)
                } else {
                    TimelineEntry::State(change_of(what)?.state())
                };
                entries.push((Wall(number(row, 2)?), entry));
            }
        }
        entries.sort_by_key(|(wall, _)| *wall);
        Ok(entries)
    }
}

/// The message with a seq in a row of the inbox.
fn encoded_of(messages: Vec<u8>, wanted: Seq) -> Result<Option<Bytes>, StoreError> {
    let mut messages = Reader::new(messages);
    while !messages.is_empty() {
        let (seq, encoded) = (messages.number()?, messages.bytes()?);
        if seq == wanted {
            return Ok(Some(encoded));
        }
    }
    Ok(None)
}

/// The messages of a batch by first part, their payloads joined.
fn unpack(first: Seq, batch: Vec<u8>) -> Result<Vec<(Seq, MessageContent)>, StoreError> {
    let mut batch = Reader::new(batch);
    let mut contents: Vec<(Seq, MessageContent)> = Vec::new();
    let mut payload: Vec<u8> = Vec::new();
    for seq in first.. {
        if batch.is_empty() {
            break;
        }
        let mut content = decode_content(batch.bytes()?).map_err(|_| Unreadable)?;
        match (content.part.take(), contents.last_mut()) {
            (Some(part), Some((_, whole))) if part.index > 0 => {
                payload.extend_from_slice(&content.payload);
                if part.index + 1 == part.count {
                    whole.payload = Bytes::from(std::mem::take(&mut payload));
                }
            }
            (part, _) => {
                if part.is_some() {
                    payload = content.payload.to_vec();
                }
                contents.push((seq, content));
            }
        }
    }
    Ok(contents)
}
