//! What Tidings asks of the C library and no safe crate offers: to take freed memory back, and to say that the process
//! exits.

mod exit;
mod heap;

pub use exit::on_exit;
pub use heap::{Heap, SLACK_BYTES};
