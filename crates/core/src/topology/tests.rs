//! Stories of the topology in virtual time.

mod adaptive;
mod churn;
mod healing;
mod kinds;
mod metrics;
mod net;
mod solo;
