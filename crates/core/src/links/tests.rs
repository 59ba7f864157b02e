//! Stories of links in virtual time.

mod admission;
mod chaos;
mod contest;
mod dialling;
mod flow;
mod liveness;
mod net;
mod solo;
