//! What a peer did wrong, counted, and what it may cost us before we stop listening.
//!
//! Trust is computed from evidence alone: facts this node verified itself. In this version the evidence is
//! counted and shown, and admission runs on fixed numbers; docs/spec/wire.md §7.

/// A fact about a peer's conduct.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Evidence {
    /// A frame that cannot be read, or is not allowed where it stands.
    MalformedFrame,
    /// A parcel that cannot be read, or whose parts contradict one another.
    MalformedParcel,
    /// A parcel for somebody else, from a node that does not know us as a relay.
    WrongRecipient,
    /// A parcel that nothing here opens.
    CannotOpen,
    /// A parcel whose plaintext contradicts its clear header or its session.
    Forged,
    /// A card that does not verify.
    BadCard,
    /// More than the admission bucket allows.
    Flood,
    /// A statement about a flow beyond its bounds.
    BadFlow,
    /// A `Got` for bytes that were never sent.
    BadGot,
}
