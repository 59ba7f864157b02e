//! Gives memory that was freed back to the operating system.
//!
//! The allocator of glibc keeps what was freed between blocks that live: a node that was flooded stays as large as it
//! was at its worst. `malloc_trim` gives back every page of it on which nothing lives; it is a call of its own
//! because no setting makes the allocator do it. Allocators of other systems give back by themselves.
//!
//! ```
//! let mut heap = tidings_process::Heap::default();
//! // Every few seconds:
//! heap.tend();
//! ```

/// How much larger than at its smallest a process may be before it is worth looking for what was freed. Below it a
/// node that works as usual is left alone.
pub const SLACK_BYTES: u64 = 8 * 1024 * 1024;

/// What a process that tends its heap has to remember.
#[derive(Debug, Default)]
pub struct Heap {
    /// The least resident memory so far, in bytes.
    least_bytes: Option<u64>,
}

impl Heap {
    /// Gives freed memory back if the process is more than [`SLACK_BYTES`] larger than it was at its smallest, and says
    /// whether it did so. To be called every few seconds, from one place in a process: it looks at every free block,
    /// some milliseconds for 100 MB, and other threads wait for their part of the heap meanwhile.
    ///
    /// Does nothing on systems without glibc or `/proc`.
    pub fn tend(&mut self) -> bool {
        let Some(resident) = resident_bytes() else {
            return false;
        };
        let tended = self.is_worth_it(resident);
        if tended {
            give_back();
        }
        tended
    }

    fn is_worth_it(&mut self, resident_bytes: u64) -> bool {
        let least = self.least_bytes.map_or(resident_bytes, |least| least.min(resident_bytes));
        self.least_bytes = Some(least);
        resident_bytes - least > SLACK_BYTES
    }
}

/// The process's resident memory; proc(5), `/proc/self/status`.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let field = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = field.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "no safe crate offers the call")]
fn give_back() {
    // SAFETY: malloc_trim(3) is declared so, is MT-Safe, takes any number and leaves what lives where it is.
    unsafe extern "C" {
        safe fn malloc_trim(pad_bytes: usize) -> std::ffi::c_int;
    }
    // It says whether anything was given back, and nothing depends on that.
    let _ = malloc_trim(0);
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn give_back() {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_left_alone_within_its_slack() {
        let mut heap = Heap::default();
        assert!(!heap.is_worth_it(30 * 1024 * 1024));
        assert!(!heap.is_worth_it(30 * 1024 * 1024 + SLACK_BYTES));
        assert!(heap.is_worth_it(30 * 1024 * 1024 + SLACK_BYTES + 1));
        assert!(!heap.is_worth_it(20 * 1024 * 1024), "it is smaller than ever");
        assert!(heap.is_worth_it(30 * 1024 * 1024), "and larger again");
    }

    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[test]
    fn what_was_freed_between_blocks_that_live_goes_back() {
        const BLOCK_BYTES: usize = 16 * 1024;
        let mut heap = Heap::default();
        assert!(!heap.tend());
        let mut blocks: Vec<Vec<u8>> = (0..4096).map(|_| vec![1; BLOCK_BYTES]).collect();
        let mut number = 0;
        blocks.retain(|_| {
            number += 1;
            number % 16 == 0
        });
        let full = resident_bytes().unwrap();
        assert!(heap.tend());
        let after = resident_bytes().unwrap();
        assert!(after + 32 * 1024 * 1024 < full, "{full} before, {after} after, {} blocks live", blocks.len());
    }
}
