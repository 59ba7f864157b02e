//! Stories of a few nodes in virtual time, told through the engine's public contract alone.
#![expect(unreachable_pub, clippy::print_stdout, reason = "a test's own words; what it prints is shown when it fails")]

mod app;
mod chaos;
mod crash;
mod delivery;
mod ending;
mod figures;
mod hostile;
mod limits;
mod net;
mod recorded;
mod restart;
mod routed;
mod searched;
mod stream;
mod tell;
