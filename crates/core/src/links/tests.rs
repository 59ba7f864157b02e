//! Stories of links in virtual time.

#![expect(clippy::wildcard_enum_match_arm, reason = "a story picks the effects it is about")]

mod admission;
mod chaos;
mod contest;
mod dialling;
mod flow;
mod liveness;
mod net;
mod solo;
