//! Where a node's directory is unless told otherwise.

use std::env;
use std::path::PathBuf;

/// Returns the platform's data directory for this program; `None` where it cannot be told.
pub(crate) fn default_directory() -> Option<PathBuf> {
    let home = || env::var_os("HOME").map(PathBuf::from);
    if cfg!(target_os = "macos") {
        return Some(home()?.join("Library/Application Support/tidings"));
    }
    let data = env::var_os("XDG_DATA_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    match data {
        Some(data) => Some(data.join("tidings")),
        None => Some(home()?.join(".local/share/tidings")),
    }
}
