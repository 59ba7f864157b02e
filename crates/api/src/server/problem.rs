//! How failures become answers.

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use tidings::{CallError, DialError, InviteError, Refusal, ResolveError, WaitError};

use crate::types::{Code, MEDIA_TYPE, Problem};

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
        let mut response = (status, axum::Json(&self)).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        if let Some(seconds) = self.code.retry_after_seconds() {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.code == Code::Unauthorized {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let code = match refusal {
            Refusal::TooLarge { .. } => Code::TooLarge,
            Refusal::Lifetime | Refusal::Kind | Refusal::ToSelf => Code::InvalidMessage,
            Refusal::Busy => Code::Busy,
            Refusal::DiskFull => Code::DiskFull,
            Refusal::IdempotencyMismatch => Code::IdempotencyMismatch,
            Refusal::Unknown => Code::UnknownMessage,
            Refusal::Ended => Code::AlreadyEnded,
            Refusal::NotEnded => Code::NotEnded,
            Refusal::BadInvite => Code::InvalidInvite,
            Refusal::NameTaken => Code::NameTaken,
            Refusal::Stopping => Code::Stopping,
            _ => Code::Unavailable,
        };
        Self::new(code, refusal.to_string())
    }
}

impl From<CallError> for Problem {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Refused(refusal) => refusal.into(),
            CallError::Stopped => Self::new(Code::Stopping, "the node is stopping"),
            CallError::Unavailable | _ => Self::new(Code::Unavailable, "the node's database cannot be used right now"),
        }
    }
}

impl From<WaitError> for Problem {
    fn from(error: WaitError) -> Self {
        match error {
            WaitError::Call(error) => error.into(),
            WaitError::TooManyWaits => Self::new(Code::Busy, "too many messages are being waited for at once"),
            WaitError::Unknown | _ => {
                let detail = "no such message was sent from here, or it is no longer kept";
                Self::new(Code::UnknownMessage, detail)
            }
        }
    }
}

impl From<DialError> for Problem {
    fn from(error: DialError) -> Self {
        match error {
            DialError::Call(error) => error.into(),
            DialError::Address { got, reason } => {
                let detail = format!("{got:?} cannot be dialled: {reason}");
                Self::new(Code::InvalidAddress, detail)
            }
            DialError::Failed { reason } => Self::new(Code::Unreachable, format!("no link came about: {reason}")),
            other => Self::new(Code::Unreachable, other.to_string()),
        }
    }
}

impl From<InviteError> for Problem {
    fn from(error: InviteError) -> Self {
        match error {
            InviteError::Call(error) => error.into(),
            InviteError::NotAnInvite | _ => {
                let detail = "this is no invite, or a part of it is missing";
                Self::new(Code::InvalidInvite, detail)
            }
        }
    }
}

impl From<ResolveError> for Problem {
    fn from(error: ResolveError) -> Self {
        match error {
            ResolveError::Call(error) => error.into(),
            ResolveError::Ambiguous { text, candidates } => {
                let candidates: Vec<String> = candidates.iter().map(ToString::to_string).collect();
                let detail = format!("{text:?} fits several peers: {}", candidates.join(", "));
                Self::new(Code::AmbiguousRecipient, detail)
            }
            ResolveError::Unknown { text } => {
                let detail = format!("nobody called {text:?} is known here");
                Self::new(Code::UnknownRecipient, detail)
            }
            other => Self::new(Code::UnknownRecipient, other.to_string()),
        }
    }
}
