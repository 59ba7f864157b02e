//! Writes paths and queries of requests.

use std::fmt::Write as _;

use serde::Serialize;

use super::ClientError;

/// Percent-encodes one segment of a path or one value of a query (RFC 3986 §2.3).
pub(super) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// Puts the fields of a flat struct behind a path, as its query.
pub(super) fn with_query(path: &str, query: &impl Serialize) -> Result<String, ClientError> {
    let fields = serde_json::to_value(query).map_err(|error| ClientError::Answer(error.to_string()))?;
    let mut text = path.to_owned();
    let mut separator = '?';
    for (name, value) in fields.as_object().into_iter().flatten() {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        text.push(separator);
        text.push_str(&format!("{name}={}", encode(&value)));
        separator = '&';
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::InboxQuery;

    #[test]
    fn names_with_spaces_and_slashes_stay_one_segment() {
        assert_eq!(encode("Bob B./é"), "Bob%20B.%2F%C3%A9");
    }

    #[test]
    fn only_fields_with_a_value_are_in_the_query() {
        let query = InboxQuery { limit: Some(7), wait_seconds: None, kind: Some("a b".to_owned()) };
        let path = with_query("/v1/inbox", &query).unwrap();
        assert_eq!(path, "/v1/inbox?kind=a%20b&limit=7");
    }
}
