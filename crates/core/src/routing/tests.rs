//! Routing alone, in virtual time.

mod bounds;
mod churn;
mod convergence;
mod conversation;
mod damping;
mod hostile;
mod islands;
mod liars;
mod net;
mod solo;
