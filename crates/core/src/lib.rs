//! The Tidings protocol as a pure state machine.
//!
//! Nothing in this crate reads a clock, opens a socket, touches a disk or draws from a global random source:
//! everything that happens comes in through [`Engine::handle`], everything it wants done comes out of
//! [`Engine::poll_output`], and [`Engine::next_deadline`] says when to call again. The same inputs give the
//! same outputs, so a simulator can run thousands of nodes in virtual time, and a crash is "drop the engine,
//! build a new one from what was persisted".
//!
//! Start at [`engine`] for the composition, [`Input`] and [`Output`] for the contract, [`record`] for what is
//! stored. `docs/spec/` numbers the sections that the code cites.

pub mod class;
pub mod delivery;
pub mod engine;
pub mod ids;
pub mod input;
pub mod interval;
pub mod links;
pub mod message;
#[cfg(feature = "model")]
pub mod model;
pub mod output;
pub mod record;
pub mod relay;
pub mod routing;
mod sessions;
pub mod time;
mod timers;
pub mod topology;
pub mod trust;
pub mod view;
pub mod wire;

pub use engine::{Config, Engine};
pub use input::{Command, DiskState, Input};
pub use output::{Event, Output, Reply};
