//! Links to neighbours.
mod address;
pub use address::{Address, AddressError, LinkKind, MAX_ADDRESS_BYTES, Source};
