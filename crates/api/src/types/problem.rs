//! Problem documents, RFC 9457.

use serde::{Deserialize, Serialize};

use super::Code;

/// The media type of a problem document.
#[cfg(feature = "server")]
pub(crate) const MEDIA_TYPE: &str = "application/problem+json";

/// A failure as the API tells it: `application/problem+json`, RFC 9457.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
#[error("{detail}")]
pub struct Problem {
    /// Always `about:blank`: [`Self::code`] is what programs look at.
    #[serde(rename = "type", default = "about_blank")]
    pub kind: String,
    /// The HTTP status in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// A stable name.
    pub code: Code,
    /// One sentence for people: what happened here.
    pub detail: String,
    /// What to do about it.
    pub remedy: String,
}

fn about_blank() -> String {
    "about:blank".to_owned()
}

impl Problem {
    /// Makes the problem of a code with a sentence of what happened.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            kind: about_blank(),
            title: title(code.status()).to_owned(),
            status: code.status(),
            code,
            detail: detail.into(),
            remedy: code.remedy().to_owned(),
        }
    }
}

/// The reason phrase of a status (RFC 9110), as `about:blank` asks for.
fn title(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        409 => "Conflict",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        503 => "Service Unavailable",
        507 => "Insufficient Storage",
        _ => "Error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_has_exactly_these_members() {
        let document = serde_json::to_value(Problem::new(Code::Busy, "too much is waiting"));
        assert_eq!(
            document.ok(),
            Some(serde_json::json!({
                "type": "about:blank",
                "title": "Too Many Requests",
                "status": 429,
                "code": "busy",
                "detail": "too much is waiting",
                "remedy": "try again after the time in `Retry-After`",
            }))
        );
    }

    #[test]
    fn every_code_has_a_title() {
        for code in Code::ALL {
            assert_ne!(Problem::new(*code, "").title, "Error", "{code}");
        }
    }
}
