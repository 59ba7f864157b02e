//! What a simulator looks at that runs many engines and knows where all of them send to.

use tidings_crypto::{PeerKey, Sealer};

use super::Engine;
use crate::ids::LinkId;

impl<S: Sealer> Engine<S> {
    /// Returns the best and the second next hop of the routes to a peer: the link, and the neighbour at its other end.
    pub fn next_hops(&self, peer: &PeerKey) -> [Option<(LinkId, PeerKey)>; 2] {
        let hops = self.routing.next_hops(&peer.routing_id());
        [hops.best, hops.second].map(|hop| hop.map(|hop| (hop.link, hop.peer)))
    }

    /// Returns the counts of what was carried for others, which the whole view has too.
    pub fn relay_stats(&self) -> crate::relay::Stats {
        self.relay.stats()
    }

    /// Returns the counts of links, which the whole view has too.
    pub fn link_stats(&self) -> crate::links::Stats {
        self.links.stats()
    }
}
