//! Everything that can go wrong, once: its name, its HTTP status, its exit code and what to do about it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How a command of the CLI ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// A failure that none of the others names.
    Other = 1,
    /// The command line is wrong.
    Usage = 2,
    /// No node runs in the directory.
    NoNode = 3,
    /// The node refused.
    Refused = 4,
    /// The time to wait is over; the node still tries.
    TimedOut = 5,
    /// What was asked for has ended without success.
    Unsuccessful = 6,
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $variant:ident $name:literal $status:literal $exit:ident $remedy:literal;)+) => {
        /// A stable name for a failure, in the API's problem documents, on the WebSocket and in the CLI.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
        #[serde(rename_all = "snake_case")]
        #[non_exhaustive]
        pub enum Code {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Code {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// Its name: lower case with underscores.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// The HTTP status it travels with.
            pub const fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)+ }
            }

            /// The exit code of a command that fails with it.
            pub const fn exit(self) -> Exit {
                match self { $(Self::$variant => Exit::$exit,)+ }
            }

            /// What to do about it: a clause that follows the sentence of what happened.
            pub const fn remedy(self) -> &'static str {
                match self { $(Self::$variant => $remedy,)+ }
            }
        }
    };
}

codes! {
    /// The request cannot be read: malformed JSON, an unknown field, a value of the wrong form.
    InvalidRequest "invalid_request" 400 Usage "compare the request with /openapi.json";
    /// The token is missing or wrong.
    Unauthorized "unauthorized" 401 Refused
        "send the content of the file `token` in the data directory as `Authorization: Bearer TOKEN`";
    /// The `Origin` header names a foreign site.
    OriginRefused "origin_refused" 403 Refused "call the API from the node's own origin or without a browser";
    /// There is no such path, or not with this method.
    NotFound "not_found" 404 Refused "see /openapi.json for what exists";
    /// The recipient is no contact, neighbour or peer id.
    UnknownRecipient "unknown_recipient" 404 Refused
        "use a peer id, or add the recipient first with `tidings join INVITE`";
    /// No such peer.
    UnknownPeer "unknown_peer" 404 Refused "see `tidings peers`";
    /// No such message.
    UnknownMessage "unknown_message" 404 Refused "see `tidings outbox` for what this node has sent";
    /// No such contact.
    UnknownContact "unknown_contact" 404 Refused "see `tidings contacts list`";
    /// Several peers match.
    AmbiguousRecipient "ambiguous_recipient" 409 Refused "write more of the peer id";
    /// Another contact has the name.
    NameTaken "name_taken" 409 Refused "choose another name, or rename the other contact first";
    /// The message has ended or is delivered.
    AlreadyEnded "already_ended" 409 Refused "see what became of it with `tidings trace ID`";
    /// The message has not ended.
    NotEnded "not_ended" 409 Refused "wait for it, or cancel it first";
    /// The body or the payload is larger than allowed.
    TooLarge "too_large" 413 Refused "send at most 1 MiB per message and 2 MiB per request";
    /// The content type is neither JSON nor octets, or not the one this path takes.
    UnsupportedMediaType "unsupported_media_type" 415 Refused "send `Content-Type: application/json`";
    /// The `Host` header is not this node's.
    HostRefused "host_refused" 421 Refused "use the address in the data directory's file `api.addr`";
    /// The message breaks a rule that its form does not show.
    InvalidMessage "invalid_message" 422 Refused "change the message and send it again";
    /// The address cannot be dialled.
    InvalidAddress "invalid_address" 422 Refused "use an address like /ip4/192.0.2.1/udp/4001/quic-v1";
    /// Labels that cannot be told.
    InvalidLabel "invalid_label" 422 Refused
        "use at most 8 labels like room=kitchen, of at most 32 bytes each";
    /// The idempotency key was used for another request.
    IdempotencyMismatch "idempotency_mismatch" 422 Refused "use a new key for a new message";
    /// The invite is damaged, used or has expired.
    InvalidInvite "invalid_invite" 422 Refused "ask for a new one, made with `tidings invite`";
    /// A bound on what waits, or on connections, is reached.
    Busy "busy" 429 Refused "try again after the time in `Retry-After`";
    /// Nobody answered at the address.
    Unreachable "unreachable" 503 Unsuccessful "check the address and that the other node runs";
    /// The node is not ready yet.
    Starting "starting" 503 Other "wait until /readyz answers 200";
    /// The node is paused.
    Paused "paused" 503 Refused "resume it with `POST /v1/node/resume`";
    /// The node is stopping.
    Stopping "stopping" 503 Other "start it again with `tidings run`";
    /// The node cannot answer, most often because its store does not work.
    Unavailable "unavailable" 503 Other "run `tidings doctor`";
    /// The disk is full.
    DiskFull "disk_full" 507 Refused "free some space; what is already accepted is safe";
}

impl Code {
    /// How long to wait before trying again, where trying again makes sense.
    pub const fn retry_after_seconds(self) -> Option<u32> {
        match self {
            Self::Busy | Self::Starting => Some(1),
            Self::DiskFull | Self::Unavailable => Some(10),
            Self::InvalidRequest
            | Self::Unauthorized
            | Self::OriginRefused
            | Self::NotFound
            | Self::UnknownRecipient
            | Self::UnknownPeer
            | Self::UnknownMessage
            | Self::UnknownContact
            | Self::AmbiguousRecipient
            | Self::NameTaken
            | Self::AlreadyEnded
            | Self::NotEnded
            | Self::TooLarge
            | Self::UnsupportedMediaType
            | Self::HostRefused
            | Self::InvalidMessage
            | Self::InvalidAddress
            | Self::InvalidLabel
            | Self::IdempotencyMismatch
            | Self::InvalidInvite
            | Self::Unreachable
            | Self::Paused
            | Self::Stopping => None,
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const STATUSES: [u16; 12] = [400, 401, 403, 404, 409, 413, 415, 421, 422, 429, 503, 507];

    #[test]
    fn every_status_is_one_of_the_documented_and_each_is_used() {
        let used: BTreeSet<u16> = Code::ALL.iter().map(|code| code.status()).collect();
        assert_eq!(used.into_iter().collect::<Vec<_>>(), STATUSES);
    }

    #[test]
    fn names_are_unique_snake_case_and_the_serialized_form() {
        let names: BTreeSet<&str> = Code::ALL.iter().map(|code| code.name()).collect();
        assert_eq!(names.len(), Code::ALL.len());
        for code in Code::ALL {
            assert!(code.name().bytes().all(|b| b.is_ascii_lowercase() || b == b'_'));
            assert_eq!(serde_json::to_value(code).ok(), Some(serde_json::Value::from(code.name())));
        }
    }

    #[test]
    fn every_failure_says_what_to_do_and_exits_with_a_failure() {
        for code in Code::ALL {
            assert!(!code.remedy().is_empty() && !code.remedy().ends_with('.'), "{code}");
            assert_ne!(code.exit(), Exit::Done, "{code}");
        }
    }

    #[test]
    fn too_many_requests_says_when_to_come_back() {
        for code in Code::ALL.iter().filter(|code| code.status() == 429) {
            assert!(code.retry_after_seconds().is_some(), "{code}");
        }
    }

    #[test]
    fn exit_codes_are_the_documented_ones() {
        let exit = |code: Code| code.exit() as u8;
        assert_eq!(exit(Code::InvalidRequest), 2);
        assert_eq!(exit(Code::UnknownRecipient), 4);
        assert_eq!(exit(Code::Busy), 4);
        assert_eq!(exit(Code::Unreachable), 6);
        assert_eq!(exit(Code::Unavailable), 1);
        assert_eq!(Exit::NoNode as u8, 3);
        assert_eq!(Exit::TimedOut as u8, 5);
    }
}
