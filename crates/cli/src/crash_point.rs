//! A node that ends by itself at a named place of the store; only with the feature `failpoints`.

use std::sync::atomic::{AtomicU64, Ordering};

/// Names the place, and at which visit of it: `store::before_commit:12`.
const VARIABLE: &str = "TIDINGS_CRASH_AT";

/// Arms the place that the environment names. The process ends there as a kill would end it: at once.
///
/// # Errors
///
/// What is wrong with the variable.
pub(crate) fn arm() -> Result<(), String> {
    let Ok(text) = std::env::var(VARIABLE) else { return Ok(()) };
    let wrong =
        || format!("expected a place and a number in {VARIABLE}, such as store::before_commit:12, got {text:?}");
    let (place, visit) = text.rsplit_once(':').ok_or_else(wrong)?;
    let visit: u64 = visit.parse().map_err(|_| wrong())?;
    let visits = AtomicU64::new(0);
    let count = move || {
        if visits.fetch_add(1, Ordering::Relaxed) + 1 == visit {
            std::process::abort();
        }
    };
    fail::cfg_callback(place, count).map_err(|error| format!("{VARIABLE}: {error}"))
}
