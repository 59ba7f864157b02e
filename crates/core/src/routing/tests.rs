//! Routing alone, in virtual time.

mod convergence;
mod net;
