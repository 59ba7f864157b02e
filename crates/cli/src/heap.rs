//! Tends the program's heap while a node runs.

use std::time::Duration;

/// How often.
const INTERVAL: Duration = Duration::from_secs(3);

/// Gives back what was freed, every now and then; has no end.
pub(crate) async fn tend() {
    let mut heap = tidings_process::Heap::default();
    let mut clock = tokio::time::interval(INTERVAL);
    clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        clock.tick().await;
        heap.tend();
    }
}
