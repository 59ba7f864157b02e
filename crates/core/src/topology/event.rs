//! What goes into the module and what comes out of it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use tidings_crypto::{Neighbours, PeerKey, Power};

/// A shape of the network; docs/spec/topology.md §3.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A random, nearly regular graph.
    Mesh,
    /// Successors by key, with chords across: a small world.
    Ring,
    /// A few hubs that form a mesh; everybody else holds two of them.
    Hierarchical,
    /// One centre, or as few as can serve everybody.
    Star,
    /// Whichever of the others suits size, churn, loss and power.
    #[default]
    Adaptive,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Mesh, Self::Ring, Self::Hierarchical, Self::Star, Self::Adaptive];

    /// What people call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mesh => "mesh",
            Self::Ring => "ring",
            Self::Hierarchical => "hierarchical",
            Self::Star => "star",
            Self::Adaptive => "adaptive",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A text that names no kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected mesh, ring, hierarchical, star or adaptive, got {got:?}")]
pub struct KindError {
    got: String,
}

impl FromStr for Kind {
    type Err = KindError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let named = Self::ALL.into_iter().find(|kind| kind.name() == text);
        named.ok_or_else(|| KindError { got: text.chars().take(64).collect() })
    }
}

/// Whether a peer can be dialled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reach {
    /// No address of it is known.
    #[default]
    Nowhere,
    /// It has an address.
    Address,
    /// It is on the local network.
    Lan,
}

/// How a peer is bound to this node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Standing {
    /// Not at all.
    #[default]
    Stranger,
    /// A contact: its link is never dropped.
    Contact,
    /// A person joined it: its link is wanted and never dropped.
    Joined,
}

/// What a peer's announcement says that matters here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Where its energy comes from.
    pub(crate) power: Power,
    /// How well it would serve as a hub, 2 to 15; spec §4.1.
    pub(crate) fitness: Option<u8>,
    /// Its neighbours, as it tells them.
    pub(crate) neighbours: Neighbours,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A deadline may have come.
    Tick,
    /// An address of a peer was found, or its last one is gone. Told again only with news.
    Known { peer: PeerKey, reach: Reach },
    /// A peer became a contact, was joined, or is a stranger again.
    Standing { peer: PeerKey, standing: Standing },
    /// A peer can be sent to over a link.
    Linked { peer: PeerKey },
    /// No link leads to a peer any more.
    Unlinked { peer: PeerKey },
    /// Every address of a wanted peer was tried in vain.
    DialFailed { peer: PeerKey },
    /// A route leads to a peer.
    Routed { peer: PeerKey },
    /// No route leads to a peer any more.
    Unrouted { peer: PeerKey },
    /// A peer says something new of itself.
    Announced { peer: PeerKey, facts: Facts },
    /// Nothing that a peer said holds any more.
    Forgotten { peer: PeerKey },
    /// How far a peer is trusted, in thousandths; who was never judged has 500.
    Trust { peer: PeerKey, permille: u16 },
    /// What this node is like: where its energy comes from, and the most that its links have carried.
    Own { power: Power, bandwidth_kbps: u64 },
    /// What was lost on this node's links lately, in thousandths.
    Loss { permille: u16 },
    /// A person sets the kind.
    Kind(Kind),
}

/// Something to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Dial a peer until there is a link, and again when it is gone.
    Want { peer: PeerKey },
    /// Dial it no longer. A link that there is stays.
    Unwant { peer: PeerKey },
    /// Close the link, and take none from this peer for a while.
    Drop { peer: PeerKey, pause: Duration },
    /// Links are laid in this shape from now on, and why.
    Kind { kind: Kind, reason: String },
    /// What this node is to announce.
    Announce { neighbours: Neighbours, fitness: u8 },
}
