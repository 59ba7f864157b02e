//! The token: 256 random bits in a file that only its owner reads.

use std::fmt;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use subtle::ConstantTimeEq;

use super::files;

/// The random bytes of a token.
const BYTES: usize = 32;
/// Its length as text: hexadecimal.
const CHARACTERS: usize = 2 * BYTES;

/// What TCP callers must know.
pub(super) struct Token(String);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// Its file cannot be read or written.
    #[error("the token {} cannot be read or written: {source}", path.display())]
    File {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others can read it, or it is somebody else's.
    #[error(
        "the token {} can be read by others (mode {mode:04o}); remove it, so that a new one is made at the next start",
        path.display()
    )]
    Exposed {
        /// Where.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// It is not one.
    #[error(
        "the token {} is damaged: expected {CHARACTERS} hexadecimal digits; remove it, so that a new one is made at \
         the next start",
        path.display()
    )]
    Damaged {
        /// Where.
        path: PathBuf,
    },
    /// The operating system has no random bytes.
    #[error("the operating system gives no random bytes: {0}")]
    Random(getrandom::Error),
}

impl Token {
    /// Reads the token at `path`, or makes one.
    pub(super) fn open(path: &Path) -> Result<Self, TokenError> {
        match std::fs::symlink_metadata(path) {
            Ok(metadata) => {
                let mode = metadata.permissions().mode() & 0o7777;
                let own = metadata.uid() == rustix::process::geteuid().as_raw();
                if mode & 0o077 != 0 || !own || !metadata.is_file() {
                    return Err(TokenError::Exposed { path: path.to_owned(), mode });
                }
                Self::read(path)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::create(path),
            Err(source) => Err(TokenError::File { path: path.to_owned(), source }),
        }
    }

    fn read(path: &Path) -> Result<Self, TokenError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| TokenError::File { path: path.to_owned(), source })?;
        let text = text.trim_end();
        if text.len() != CHARACTERS || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(TokenError::Damaged { path: path.to_owned() });
        }
        Ok(Self(text.to_owned()))
    }

    fn create(path: &Path) -> Result<Self, TokenError> {
        let mut bytes = [0; BYTES];
        getrandom::fill(&mut bytes).map_err(TokenError::Random)?;
        let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        files::create_new(path, format!("{text}\n").as_bytes())
            .map_err(|source| TokenError::File { path: path.to_owned(), source })?;
        Ok(Self(text))
    }

    /// Whether a caller knows the token; takes the same time wherever the first difference is.
    pub(super) fn is(&self, offered: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(offered).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_made_once_readable_by_its_owner_only() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        let first = Token::open(&path).unwrap();
        let again = Token::open(&path).unwrap();
        assert!(first.is(again.0.as_bytes()));
        assert_eq!(first.0.len(), 64);
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
        let names: Vec<_> = std::fs::read_dir(directory.path()).unwrap().collect();
        assert_eq!(names.len(), 1, "nothing else is left behind");
    }

    #[test]
    fn two_tokens_differ_and_neither_shows_in_debug() {
        let directory = tempfile::tempdir().unwrap();
        let one = Token::open(&directory.path().join("one")).unwrap();
        let two = Token::open(&directory.path().join("two")).unwrap();
        assert!(!one.is(two.0.as_bytes()));
        assert!(!one.is(&one.0.as_bytes()[..63]));
        assert!(!one.is(b""));
        assert_eq!(format!("{one:?}"), "Token(…)");
    }

    #[test]
    fn an_exposed_or_damaged_token_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        Token::open(&path).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
        let error = Token::open(&path).unwrap_err();
        assert!(matches!(error, TokenError::Exposed { mode: 0o644, .. }), "{error}");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        std::fs::write(&path, "abc").unwrap();
        let error = Token::open(&path).unwrap_err();
        assert!(matches!(error, TokenError::Damaged { .. }), "{error}");
    }
}
