//! Stories of a few nodes in virtual time, told through the engine's public contract alone.
#![expect(unreachable_pub, reason = "a test's own vocabulary")]

mod app;
mod chaos;
mod crash;
mod delivery;
mod ending;
mod hostile;
mod limits;
mod net;
mod restart;
mod stream;
mod tell;
