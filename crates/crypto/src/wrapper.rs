//! How a secret lies in a file: wrapped, with a header that says by what (docs/spec/session.md §1).

use std::fmt;

use zeroize::Zeroizing;

/// What a wrapped secret begins with.
const MAGIC: [u8; 8] = *b"tidings\0";

/// The version of the header.
const VERSION: u8 = 1;

/// The longest secret that is wrapped.
const MAX_SECRET_BYTES: usize = 64 * 1024;

/// The bytes of the checksum.
const CHECKSUM_BYTES: usize = 8;

/// Protects a secret before it is written to a file.
///
/// Whoever implements it decides what the protection is: the file's mode, a passphrase, a phone's key store.
pub trait KeyWrapper {
    /// Wraps a secret, to be written to a file.
    ///
    /// # Errors
    ///
    /// [`WrapError`] where it cannot be protected.
    fn wrap(&self, secret: &[u8]) -> Result<Vec<u8>, WrapError>;

    /// Gives back what was wrapped.
    ///
    /// # Errors
    ///
    /// [`WrapError`] where the bytes are not what this wrapper made.
    fn unwrap(&self, wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, WrapError>;
}

/// What protects a wrapped secret, as its header names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WrapperKind {
    /// The mode of the file it lies in, nothing else.
    Plain,
    /// A key derived from a passphrase.
    Passphrase,
    /// The host's key store.
    Host,
    /// Something newer.
    Unknown(u8),
}

impl WrapperKind {
    const fn from_byte(byte: u8) -> Self {
        match byte {
            0 => Self::Plain,
            1 => Self::Passphrase,
            2 => Self::Host,
            other => Self::Unknown(other),
        }
    }

    const fn to_byte(self) -> u8 {
        match self {
            Self::Plain => 0,
            Self::Passphrase => 1,
            Self::Host => 2,
            Self::Unknown(other) => other,
        }
    }
}

impl fmt::Display for WrapperKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain => f.write_str("the file's mode alone"),
            Self::Passphrase => f.write_str("a passphrase"),
            Self::Host => f.write_str("the host's key store"),
            Self::Unknown(kind) => write!(f, "wrapper {kind}, unknown to this version"),
        }
    }
}

/// Wraps a secret in a header and a checksum and nothing else: its protection is the file's mode 0600.
///
/// *"tidings" ‖ 0x00 ‖ version (1) ‖ kind (0) ‖ first 8 bytes of BLAKE3 of what precedes and of the secret ‖ secret*.
/// The checksum is against damage, so that a flipped bit is an error and not another identity.
#[derive(Clone, Copy, Debug, Default)]
pub struct PlainWrapper;

impl KeyWrapper for PlainWrapper {
    fn wrap(&self, secret: &[u8]) -> Result<Vec<u8>, WrapError> {
        if secret.len() > MAX_SECRET_BYTES {
            return Err(WrapError::TooLong { max: MAX_SECRET_BYTES, got: secret.len() });
        }
        let header = header(WrapperKind::Plain);
        Ok([header.as_slice(), &checksum(&header, secret), secret].concat())
    }

    fn unwrap(&self, wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, WrapError> {
        let rest = wrapped.strip_prefix(&MAGIC).ok_or(WrapError::NotWrapped)?;
        let (&[version, kind], rest) = rest.split_first_chunk().ok_or(WrapError::NotWrapped)?;
        if version != VERSION {
            return Err(WrapError::OtherVersion { expected: VERSION, got: version });
        }
        let (expected, got) = (WrapperKind::Plain, WrapperKind::from_byte(kind));
        if got != expected {
            return Err(WrapError::OtherWrapper { expected, got });
        }
        let (sum, secret) = rest.split_first_chunk::<CHECKSUM_BYTES>().ok_or(WrapError::Damaged)?;
        if secret.len() > MAX_SECRET_BYTES {
            return Err(WrapError::TooLong { max: MAX_SECRET_BYTES, got: secret.len() });
        }
        if *sum != checksum(&header(expected), secret) {
            return Err(WrapError::Damaged);
        }
        Ok(Zeroizing::new(secret.to_vec()))
    }
}

fn header(kind: WrapperKind) -> Vec<u8> {
    [MAGIC.as_slice(), &[VERSION, kind.to_byte()]].concat()
}

fn checksum(header: &[u8], secret: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let mut sum = [0; CHECKSUM_BYTES];
    blake3::Hasher::new().update(header).update(secret).finalize_xof().fill(&mut sum);
    sum
}

/// Why a secret could not be wrapped or given back.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WrapError {
    /// The secret is longer than the limit.
    #[error("expected a secret of at most {max} bytes, got {got}")]
    TooLong {
        /// The limit in bytes.
        max: usize,
        /// The secret's length in bytes.
        got: usize,
    },
    /// The bytes were not made by any wrapper.
    #[error("expected a wrapped key, got bytes without its header: not a key file, or damaged")]
    NotWrapped,
    /// The header is of another version.
    #[error("expected a wrapped key of version {expected}, got version {got}: made by a newer version of the program")]
    OtherVersion {
        /// The version read here.
        expected: u8,
        /// The version found.
        got: u8,
    },
    /// Another wrapper made it.
    #[error("expected a key protected by {expected}, got one protected by {got}: open it the way it was made")]
    OtherWrapper {
        /// What this wrapper makes.
        expected: WrapperKind,
        /// What the header names.
        got: WrapperKind,
    },
    /// The checksum does not hold.
    #[error("expected a whole wrapped key, got a damaged or truncated one: restore it from a copy")]
    Damaged,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{KeyWrapper, PlainWrapper, WrapError};

    #[test]
    fn a_wrapped_secret_comes_back() {
        for secret in [b"".as_slice(), &[7; 32], &[7; 65_536]] {
            let wrapped = PlainWrapper.wrap(secret).unwrap();
            assert_eq!(**PlainWrapper.unwrap(&wrapped).unwrap(), *secret);
        }
        assert_eq!(PlainWrapper.wrap(&[7; 65_537]), Err(WrapError::TooLong { max: 65_536, got: 65_537 }));
    }

    /// Pins the format: what an earlier build wrapped.
    #[test]
    fn what_an_earlier_build_wrapped_is_still_read() {
        let wrapped = b"tidings\0\x01\0\x3b\xab\x91\x7a\xb4\xaa\x4a\x27secret";
        assert_eq!(**PlainWrapper.unwrap(wrapped).unwrap(), *b"secret");
    }

    #[test]
    fn another_wrappers_file_is_refused_by_name() {
        let refusal = |position: usize, value: u8| {
            let mut wrapped = PlainWrapper.wrap(b"secret").unwrap();
            wrapped[position] = value;
            PlainWrapper.unwrap(&wrapped).unwrap_err().to_string()
        };
        assert_eq!(
            refusal(9, 1),
            "expected a key protected by the file's mode alone, got one protected by a passphrase: open it the way it \
             was made"
        );
        assert_eq!(
            refusal(9, 9),
            "expected a key protected by the file's mode alone, got one protected by wrapper 9, unknown to this \
             version: open it the way it was made"
        );
        assert_eq!(
            refusal(8, 2),
            "expected a wrapped key of version 1, got version 2: made by a newer version of the program"
        );
        assert_eq!(
            refusal(0, b'T'),
            "expected a wrapped key, got bytes without its header: not a key file, or damaged"
        );
    }

    #[test]
    fn no_altered_or_truncated_secret_is_given_back() {
        let wrapped = PlainWrapper.wrap(&[7; 32]).unwrap();
        for bit in 0..wrapped.len() * 8 {
            let mut altered = wrapped.clone();
            altered[bit / 8] ^= 1 << (bit % 8);
            assert!(PlainWrapper.unwrap(&altered).is_err(), "bit {bit}");
        }
        for length in 0..wrapped.len() {
            assert!(PlainWrapper.unwrap(&wrapped[..length]).is_err(), "{length} bytes");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = PlainWrapper.unwrap(&bytes);
            let _ = PlainWrapper.unwrap(&[b"tidings\0\x01\0", &*bytes].concat());
        }
    }
}
