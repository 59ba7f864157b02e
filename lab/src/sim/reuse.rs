//! Whether a key of a session serves twice, which docs/spec/session.md §3.7 forbids and no client could see.
//!
//! The cheap sealer tells what arrives genuine. A text that was sealed, stored and resent is the same to the last byte;
//! two texts under one key come of a session that was not stored before what it sealed left.

use std::cell::RefCell;
use std::collections::HashMap;

thread_local! {
    // A seed runs in a thread of its own.
    static SEEN: RefCell<Seen> = RefCell::new(Seen::default());
}

#[derive(Default)]
struct Seen {
    /// By message key, the text's tag; half of each is enough.
    tags: HashMap<[u8; 16], [u8; 16]>,
    twice: u64,
}

/// A genuine text has arrived.
pub(super) fn note(key: &[u8; 32], tag: &[u8; 32]) {
    let half = |bytes: &[u8; 32]| *bytes.first_chunk().expect("16 of 32 bytes");
    SEEN.with_borrow_mut(|seen| {
        let first = *seen.tags.entry(half(key)).or_insert(half(tag));
        seen.twice += u64::from(first != half(tag));
    });
}

/// How often another text arrived under a key that had served before.
pub(super) fn twice() -> u64 {
    SEEN.with_borrow(|seen| seen.twice)
}
