//! What a process that exits does not do to its databases.
//!
//! SQLCipher and OpenSSL free their keys when the process exits, by atexit(3), while other threads still run. A commit
//! under way would crash, or encrypt with what is in that memory by then. So whoever uses a connection is [`inside`];
//! before those handlers one of ours shuts the door and never opens it again. It waits for the commit under way, and
//! whoever comes later waits until the process has ended: for the database that is like a power cut.

use std::sync::{Once, PoisonError, RwLock, RwLockReadGuard};

use rusqlite::Connection;

static DOOR: RwLock<()> = RwLock::new(());

/// While this is held, connections may be used. Whoever holds it does not ask for it again, and waits for nobody.
pub(crate) fn inside() -> RwLockReadGuard<'static, ()> {
    DOOR.read().unwrap_or_else(PoisonError::into_inner)
}

extern "C" fn shut() {
    std::mem::forget(DOOR.write());
}

/// Initialises the library on one thread, since a second one could ask for encryption before it is registered, and then
/// has the door shut before the library's own handlers run: what is registered last is called first.
pub(crate) fn initialise() {
    static DONE: Once = Once::new();
    DONE.call_once(|| {
        // If either fails, so does the opening that follows, which says why, or the process ends as it did without.
        drop(Connection::open_in_memory());
        let _registered = tidings_process::on_exit(shut);
    });
}
