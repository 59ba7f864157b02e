//! The stored form of ratchet secrets: a format byte, then the library's own structures in MessagePack.
//!
//! Fields are named, so that a later version of the library can add some. JSON, which the library's authors use, takes
//! twice the room and twice the time to read. No encoding without field types would do: the library has an internally
//! tagged enumeration.
//!
//! What is written here lies in one zeroized buffer. While reading, serde keeps the parts of that enumeration in
//! buffers of its own, which it frees without zeroizing.

use std::io;

use serde::{Serialize, de::DeserializeOwned};
use zeroize::Zeroizing;

use super::LoadError;

/// The format written and read here.
const FORMAT: u8 = 1;

/// The room made at first: enough for a session that has been answered.
const FIRST_CAPACITY_BYTES: usize = 2_048;

/// Serialises secrets.
///
/// The library's structures hold numbers, bytes and lists of known length, so writing them to memory cannot fail; if
/// it did, nothing would be written, and reading that back is [`LoadError::Empty`].
pub(super) fn write<T: Serialize>(secrets: &T) -> Zeroizing<Vec<u8>> {
    let mut buffer = Buffer(Zeroizing::new(Vec::with_capacity(FIRST_CAPACITY_BYTES)));
    buffer.append(&[FORMAT]);
    if rmp_serde::encode::write_named(&mut buffer, secrets).is_err() {
        buffer.0.clear();
    }
    buffer.0
}

/// Reads what [`write`] wrote.
pub(super) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, LoadError> {
    let (&format, mut secrets) = bytes.split_first().ok_or(LoadError::Empty)?;
    if format != FORMAT {
        return Err(LoadError::OtherFormat { expected: FORMAT, got: format });
    }
    let value = rmp_serde::from_read(&mut secrets).map_err(|_| LoadError::Malformed)?;
    if secrets.is_empty() { Ok(value) } else { Err(LoadError::Malformed) }
}

/// A growing buffer that leaves no copy behind when it moves.
struct Buffer(Zeroizing<Vec<u8>>);

impl Buffer {
    fn append(&mut self, bytes: &[u8]) {
        let needed = self.0.len() + bytes.len();
        if needed > self.0.capacity() {
            let mut larger = Zeroizing::new(Vec::with_capacity(needed * 2));
            larger.extend_from_slice(&self.0);
            self.0 = larger;
        }
        self.0.extend_from_slice(bytes);
    }
}

impl io::Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.append(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
