//! Which links this node wants: what topology decides, delivery needs and people ask for. docs/spec/topology.md.

use std::collections::{BTreeMap, BTreeSet};

use tidings_crypto::{Announcement, Neighbours, PeerKey, Sealer};

use super::{Engine, MEASURED};
use crate::delivery::Moment;
use crate::links::{self, Address, Source};
use crate::output::Event;
use crate::time::Instant;
use crate::topology::{self, Reach, Standing};

/// How a node says in its capabilities how well it would serve as a hub.
const FITNESS: &str = "hub:";

/// Parcels from which a loss can be told.
const LEAST_SAMPLE: u64 = 100;
/// The most peers whose addresses are remembered as told: as many as topology knows.
const MAX_TOLD: usize = 4096;

/// Who asks for a link to whom.
#[derive(Debug, Default)]
pub(super) struct Wants {
    by_delivery: BTreeSet<PeerKey>,
    by_topology: BTreeSet<PeerKey>,
    /// What this node tells of its neighbours and of itself as a hub.
    pub(super) neighbours: Neighbours,
    fitness: Option<u8>,
    pub(super) next_measure: Instant,
    counted: Counted,
    /// The addresses that topology was told of, in short.
    told: BTreeMap<PeerKey, (Reach, [u8; 8])>,
    /// Who has done something wrong in this call.
    pub(super) judged: BTreeSet<PeerKey>,
}

/// What links had carried when they were measured last.
#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    bytes: u64,
    sent: u64,
    lost: u64,
    /// The most in a minute so far.
    most_kbps: u64,
}

impl Wants {
    /// Whether addresses of a peer are others than it was last told to have, or it is nearer than that.
    fn is_news(&mut self, peer: PeerKey, reach: Reach, addresses: &[Address]) -> bool {
        let mut hasher = blake3::Hasher::new();
        for address in addresses {
            hasher.update(address.as_str().as_bytes());
            hasher.update(&[0]);
        }
        let mut short = [0; 8];
        hasher.finalize_xof().fill(&mut short);
        let told = (reach, short);
        if self.told.get(&peer).is_some_and(|before| *before == told || before.0 > reach) {
            return false;
        }
        if self.told.len() < MAX_TOLD || self.told.contains_key(&peer) {
            self.told.insert(peer, told);
        }
        true
    }

    /// Whether messages wait for a peer.
    pub(super) fn waits_for(&self, peer: &PeerKey) -> bool {
        self.by_delivery.contains(peer)
    }

    pub(super) fn capabilities(&self) -> Vec<String> {
        self.fitness.map(|fitness| format!("{FITNESS}{fitness}")).into_iter().collect()
    }
}

impl<S: Sealer> Engine<S> {
    pub(super) fn on_topology(&mut self, now: Moment, effect: topology::Effect) {
        use topology::Effect;
        match effect {
            Effect::Want { peer } => {
                self.wants.by_topology.insert(peer);
                self.want(now, peer);
            }
            Effect::Unwant { peer } => {
                self.wants.by_topology.remove(&peer);
                self.want(now, peer);
            }
            Effect::Drop { peer, pause } => {
                self.links.handle(now.mono, links::Event::ClosePeer { peer, pause });
            }
            Effect::Kind { kind, reason } => self.event(Event::Topology { kind, reason }),
            Effect::Announce { neighbours, fitness } => {
                self.wants.neighbours = neighbours;
                self.wants.fitness = Some(fitness);
                self.announce(now);
            }
        }
    }

    /// Whether something waits for a peer.
    pub(super) fn on_wanted(&mut self, now: Moment, peer: PeerKey, wanted: bool) {
        if wanted {
            self.wants.by_delivery.insert(peer);
        } else {
            self.wants.by_delivery.remove(&peer);
        }
        self.prefer(now, peer, wanted);
        self.want(now, peer);
        self.seek(now, peer);
    }

    /// Tells the links whether anybody wants one to a peer.
    fn want(&mut self, now: Moment, peer: PeerKey) {
        let wants = &self.wants;
        let wanted =
            wants.by_delivery.contains(&peer) || wants.by_topology.contains(&peer) || self.contacts.contains_key(&peer);
        self.links.handle(now.mono, links::Event::Wanted { peer, wanted });
    }

    /// A peer became a contact, or is none any more.
    pub(super) fn on_contact(&mut self, now: Moment, peer: PeerKey) {
        let standing = if self.contacts.contains_key(&peer) { Standing::Contact } else { Standing::Stranger };
        self.topology.handle(now.mono, topology::Event::Standing { peer, standing });
        let in_use = self.wants.by_delivery.contains(&peer);
        self.prefer(now, peer, in_use);
        self.want(now, peer);
    }

    /// Addresses of a peer were found.
    pub(super) fn on_addresses(&mut self, now: Moment, peer: Option<PeerKey>, addresses: Vec<Address>, source: Source) {
        if let Some(peer) = peer.filter(|peer| *peer != self.own && !addresses.is_empty()) {
            let reach = if source == Source::Lan { Reach::Lan } else { Reach::Address };
            if self.wants.is_news(peer, reach, &addresses) {
                self.topology.handle(now.mono, topology::Event::Known { peer, reach });
            }
            if source == Source::Person {
                self.topology.handle(now.mono, topology::Event::Standing { peer, standing: Standing::Joined });
            }
        }
        self.links.handle(now.mono, links::Event::Discovered { peer, addresses, source, age: now.age });
    }

    pub(super) fn on_facts(&mut self, now: Moment, announcement: &Announcement) {
        let told = announcement.capabilities.iter().find_map(|text| text.strip_prefix(FITNESS));
        let facts = topology::Facts {
            power: announcement.power,
            fitness: told.and_then(|text| text.parse().ok()),
            neighbours: announcement.neighbours.clone(),
        };
        let peer = announcement.peer;
        self.topology.handle(now.mono, topology::Event::Announced { peer, facts });
    }

    /// Tells topology what this node's links have carried and lost since the last time.
    pub(super) fn measure_links(&mut self, now: Moment) {
        let stats = self.links.stats();
        let (bytes, sent) = (stats.bytes_in + stats.bytes_out, stats.parcels_sent);
        let lost = stats.parcels_lost + stats.parcels_moved;
        let before = self.wants.counted;
        let kbps = (bytes - before.bytes) * 8 / 1000 / MEASURED.as_secs();
        let most_kbps = before.most_kbps.max(kbps);
        let newly_sent = sent - before.sent;
        // Fewer say nothing: they are counted on.
        let enough = newly_sent >= LEAST_SAMPLE;
        let permille = (lost - before.lost).min(newly_sent) * 1000 / newly_sent.max(1);
        let (sent, lost) = if enough { (sent, lost) } else { (before.sent, before.lost) };
        self.wants.counted = Counted { bytes, sent, lost, most_kbps };
        let own = topology::Event::Own { power: self.told.power, bandwidth_kbps: most_kbps };
        self.topology.handle(now.mono, own);
        if enough {
            let permille = u16::try_from(permille).unwrap_or(1000);
            self.topology.handle(now.mono, topology::Event::Loss { permille });
        }
    }

    /// Whoever has done something wrong is trusted half as far, a third, and so on.
    pub(super) fn judge(&mut self, now: Moment) {
        for peer in std::mem::take(&mut self.wants.judged) {
            let wrongs: u64 = self.trust.evidence(&peer).values().sum();
            let permille = u16::try_from(500 / (wrongs + 1)).unwrap_or(0);
            self.topology.handle(now.mono, topology::Event::Trust { peer, permille });
        }
    }

    pub(super) fn set_topology(&mut self, now: Moment, kind: topology::Kind) {
        self.topology.handle(now.mono, topology::Event::Kind(kind));
    }
}
