//! The simulator: the real engine, thousands of nodes, virtual time, one seed.
//!
//! A seed decides everything: the topology, who says what when, what goes wrong, what the disks and links do. The same
//! seed gives the same run, and its trace the same hash. Whatever happened, all faults end, and then everything that
//! was accepted must come to its end within the scenario's time to settle; the checker says whether it did.

#[cfg(feature = "sqlite")]
mod beside;
mod client;
mod clients;
mod clock;
mod dice;
mod expect;
mod faults;
mod flaps;
mod heard;
mod hostile;
mod kinds;
mod liar;
mod lives;
mod node;
mod outputs;
mod queue;
#[cfg(all(feature = "seeded", getrandom_backend = "custom"))]
mod random;
mod reach;
mod report;
mod reuse;
mod routes;
mod run;
mod seal;
mod shape;
mod shrink;
mod swarm;
mod trace;
mod traffic;
mod ways;
mod wire;
mod world;

#[cfg(test)]
mod tests;

#[cfg(feature = "net")]
pub(crate) use self::client::{MARKER, Progress};
pub(crate) use self::dice::Dice;
#[cfg(any(feature = "net", test))]
pub(crate) use self::dice::Purpose;
pub(crate) use self::faults::Fault;
#[cfg(feature = "net")]
pub(crate) use self::faults::plan;
pub(crate) use self::kinds::Kinds;
#[cfg(feature = "net")]
pub(crate) use self::report::quantiles;
pub(crate) use self::report::{Sim, Summary, scenarios, swarm};
pub(crate) use self::run::{How, planned, run};
#[cfg(feature = "net")]
pub(crate) use self::wire::Quality;
pub(crate) use self::world::BEGIN;
