//! Version 1 of the schema. Each batch of messages is one row, whatever their number; docs/spec/storage.md §2.

/// The version that this crate writes.
pub(crate) const VERSION: i64 = 1;

/// Creates all tables of version 1.
pub(crate) const CREATE: &str = "
CREATE TABLE meta (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    boot INTEGER NOT NULL,
    incarnation INTEGER NOT NULL,
    account BLOB NOT NULL,
    card_seq INTEGER,
    card BLOB
);
CREATE TABLE clock (id INTEGER PRIMARY KEY CHECK (id = 1), age INTEGER NOT NULL, wall INTEGER NOT NULL,
    last_parcel INTEGER NOT NULL);
CREATE TABLE card (peer BLOB PRIMARY KEY, card BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE session (session BLOB PRIMARY KEY, peer BLOB NOT NULL, state BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE contact (peer BLOB PRIMARY KEY, name TEXT NOT NULL, verified INTEGER NOT NULL, added INTEGER NOT NULL)
    WITHOUT ROWID;
CREATE TABLE invite (secret BLOB PRIMARY KEY, deadline INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE book (peer BLOB PRIMARY KEY, addresses BLOB NOT NULL) WITHOUT ROWID;

CREATE TABLE out_flow (flow INTEGER PRIMARY KEY, peer BLOB NOT NULL, class INTEGER NOT NULL, floor INTEGER NOT NULL,
    state BLOB NOT NULL);
CREATE TABLE out_batch (row INTEGER PRIMARY KEY, flow INTEGER NOT NULL, first INTEGER NOT NULL,
    count INTEGER NOT NULL, deadline INTEGER NOT NULL, accepted INTEGER NOT NULL, age INTEGER NOT NULL,
    bytes INTEGER NOT NULL, messages BLOB NOT NULL);
CREATE INDEX out_batch_place ON out_batch (flow, first);
CREATE INDEX out_batch_deadline ON out_batch (deadline);
CREATE TABLE out_multipart (flow INTEGER NOT NULL, first INTEGER NOT NULL, parts INTEGER NOT NULL,
    PRIMARY KEY (flow, first)) WITHOUT ROWID;
CREATE TABLE out_retry (flow INTEGER NOT NULL, seq INTEGER NOT NULL, old BLOB NOT NULL, PRIMARY KEY (flow, seq))
    WITHOUT ROWID;
CREATE TABLE out_stream (peer BLOB NOT NULL, stream TEXT NOT NULL, flow INTEGER NOT NULL, seq INTEGER NOT NULL,
    PRIMARY KEY (peer, stream, flow)) WITHOUT ROWID;
CREATE TABLE out_parcel (parcel INTEGER PRIMARY KEY, peer BLOB NOT NULL, flow INTEGER NOT NULL, seqs BLOB NOT NULL,
    session BLOB NOT NULL, floor INTEGER NOT NULL, deadline INTEGER NOT NULL, inner BLOB NOT NULL,
    record_route INTEGER NOT NULL);
CREATE TABLE idempotency (row INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, body BLOB NOT NULL,
    flow INTEGER NOT NULL, seq INTEGER NOT NULL, accepted INTEGER NOT NULL, age INTEGER NOT NULL);
CREATE TABLE ended (flow INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, ending INTEGER NOT NULL,
    wall INTEGER NOT NULL, PRIMARY KEY (flow, first)) WITHOUT ROWID;
CREATE TABLE changed (row INTEGER PRIMARY KEY, flow INTEGER NOT NULL, peer BLOB NOT NULL, seqs BLOB NOT NULL,
    change INTEGER NOT NULL, wall INTEGER NOT NULL);
CREATE INDEX changed_flow ON changed (flow);
CREATE TABLE timeline (row INTEGER PRIMARY KEY, flow INTEGER NOT NULL, seqs BLOB NOT NULL, step INTEGER NOT NULL,
    wall INTEGER NOT NULL);
CREATE INDEX timeline_flow ON timeline (flow);
CREATE TABLE route (row INTEGER PRIMARY KEY, flow INTEGER NOT NULL, peer BLOB NOT NULL, seqs BLOB NOT NULL,
    hops INTEGER NOT NULL, path BLOB NOT NULL, wall INTEGER NOT NULL);
CREATE INDEX route_flow ON route (flow);

CREATE TABLE in_flow (flow INTEGER NOT NULL, sender BLOB NOT NULL, state BLOB NOT NULL, PRIMARY KEY (flow, sender))
    WITHOUT ROWID;
CREATE TABLE inbox (row INTEGER PRIMARY KEY, sender BLOB NOT NULL, flow INTEGER NOT NULL, first INTEGER NOT NULL,
    last INTEGER NOT NULL, class INTEGER NOT NULL, parts INTEGER NOT NULL, received INTEGER NOT NULL,
    hops INTEGER NOT NULL, path BLOB, seqs BLOB NOT NULL, messages BLOB NOT NULL);
CREATE INDEX inbox_place ON inbox (flow, first);
CREATE TABLE inbox_consumed (row INTEGER PRIMARY KEY, seqs BLOB NOT NULL);
CREATE TABLE pended (sender BLOB NOT NULL, flow INTEGER NOT NULL, seq INTEGER NOT NULL, class INTEGER NOT NULL,
    received INTEGER NOT NULL, hops INTEGER NOT NULL, path BLOB, predecessors BLOB NOT NULL, part INTEGER,
    parts INTEGER, encoded BLOB NOT NULL, PRIMARY KEY (flow, sender, seq));
";
