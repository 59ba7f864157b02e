//! Routing alone, in virtual time.

mod churn;
mod convergence;
mod net;
