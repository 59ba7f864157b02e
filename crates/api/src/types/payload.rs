//! Payloads: UTF-8 text or base64, never both on the way in, both where possible on the way out.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

/// The content of a message that is read back.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct Payload {
    /// The content as text, when it is valid UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<String>,
    /// The content in base64 (RFC 4648 §4), always.
    pub payload_base64: String,
}

impl std::fmt::Debug for Payload {
    /// Leaves the content out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Payload({} base64 characters)", self.payload_base64.len())
    }
}

impl Payload {
    /// Writes octets.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self { payload: std::str::from_utf8(bytes).ok().map(str::to_owned), payload_base64: STANDARD.encode(bytes) }
    }

    /// Reads the octets.
    ///
    /// # Errors
    ///
    /// [`PayloadError::NotBase64`].
    pub fn to_bytes(&self) -> Result<Vec<u8>, PayloadError> {
        STANDARD.decode(&self.payload_base64).map_err(|_| PayloadError::NotBase64)
    }
}

/// Content that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PayloadError {
    /// Neither of the two fields.
    #[error("expected `payload` or `payload_base64`, got neither")]
    Neither,
    /// Both fields.
    #[error("expected `payload` or `payload_base64`, got both")]
    Both,
    /// Not base64.
    #[error("expected base64 with padding in `payload_base64`")]
    NotBase64,
}

/// Reads the two fields of a request.
pub(crate) fn read(text: Option<&str>, base64: Option<&str>) -> Result<Vec<u8>, PayloadError> {
    match (text, base64) {
        (Some(text), None) => Ok(text.as_bytes().to_vec()),
        (None, Some(base64)) => STANDARD.decode(base64).map_err(|_| PayloadError::NotBase64),
        (None, None) => Err(PayloadError::Neither),
        (Some(_), Some(_)) => Err(PayloadError::Both),
    }
}

/// Writes the two fields of a request: text where that is possible, since it is shorter.
pub(crate) fn write(bytes: &[u8]) -> (Option<String>, Option<String>) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (Some(text.to_owned()), None),
        Err(_) => (None, Some(STANDARD.encode(bytes))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_comes_back_as_both_and_octets_only_as_base64() {
        let text = Payload::from_bytes("grüße".as_bytes());
        assert_eq!(text.payload.as_deref(), Some("grüße"));
        assert_eq!(text.to_bytes().as_deref(), Ok("grüße".as_bytes()));
        let octets = Payload::from_bytes(&[0xff, 0x00]);
        assert_eq!(octets.payload, None);
        assert_eq!(octets.to_bytes().as_deref(), Ok(&[0xff, 0x00][..]));
    }

    #[test]
    fn a_request_has_exactly_one_of_the_two() {
        assert_eq!(read(None, None), Err(PayloadError::Neither));
        assert_eq!(read(Some("a"), Some("YQ==")), Err(PayloadError::Both));
        assert_eq!(read(None, Some("YQ")), Err(PayloadError::NotBase64));
        assert_eq!(read(None, Some("YQ==")), Ok(b"a".to_vec()));
    }
}
