//! Routing alone, in virtual time.

mod churn;
mod convergence;
mod damping;
mod islands;
mod net;
