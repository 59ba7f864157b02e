//! The system's randomness, taken from the seed: the real sealer draws its keys from there.
//!
//! Only a build of the simulator has this file: `RUSTFLAGS='--cfg getrandom_backend="custom"' cargo build -p
//! tidings-lab --no-default-features --features seeded`. Every thread begins a stream of its own with
//! [`seed`]; a thread that has begun none reads `/dev/urandom`.

#![expect(unsafe_code, reason = "the function that getrandom calls takes a raw pointer")]

use std::cell::RefCell;
use std::fs::File;
use std::io::Read;

use super::dice::{Dice, Purpose};

thread_local! {
    static STREAM: RefCell<Option<Dice>> = const { RefCell::new(None) };
}

/// What this thread draws from now on follows from the seed.
pub(super) fn seed(seed: u64) {
    STREAM.with_borrow_mut(|stream| *stream = Some(Dice::split(seed, Purpose::System)));
}

fn fill(bytes: &mut [u8]) -> Result<(), getrandom::Error> {
    STREAM.with_borrow_mut(|stream| match stream {
        Some(dice) => {
            for piece in bytes.chunks_mut(8) {
                piece.copy_from_slice(&dice.next().to_le_bytes()[..piece.len()]);
            }
            Ok(())
        }
        None => {
            let read = File::open("/dev/urandom").and_then(|mut file| file.read_exact(bytes));
            read.map_err(|_| getrandom::Error::UNSUPPORTED)
        }
    })
}

/// What getrandom calls in a build with `--cfg getrandom_backend="custom"`.
///
/// # Safety
///
/// `dest` is valid for `len` bytes of writing.
#[unsafe(no_mangle)]
unsafe extern "Rust" fn __getrandom_v03_custom(dest: *mut u8, len: usize) -> Result<(), getrandom::Error> {
    // SAFETY: the caller promises `len` writable bytes, which nobody else uses meanwhile; they are set before they
    // are seen as bytes.
    let bytes = unsafe {
        dest.write_bytes(0, len);
        std::slice::from_raw_parts_mut(dest, len)
    };
    fill(bytes)
}
