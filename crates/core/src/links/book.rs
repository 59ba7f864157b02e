//! Which addresses of whom are kept; docs/spec/links.md §7.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use tidings_crypto::PeerKey;

use super::address::{Address, LinkKind, Source};
use crate::record::BookAddress;
use crate::time::Age;

/// The most addresses of one peer: a few interfaces, both families, two transports.
pub(super) const MAX_ADDRESSES: usize = 8;
/// The most peers with addresses; 8 addresses of 256 bytes each make 8 MiB at worst.
pub(super) const MAX_PEERS: usize = 4096;
/// An address that still leads to its peer is written again after this time.
const REWRITE_AGE: Duration = Duration::from_hours(24);

/// The addresses of peers.
#[derive(Debug, Default)]
pub(super) struct Book {
    peers: BTreeMap<PeerKey, Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    addresses: Vec<Entry>,
    persisted: Vec<BookAddress>,
}

#[derive(Clone, Debug)]
struct Entry {
    address: Address,
    source: Source,
    reached: Option<Age>,
    /// It led to the peer at the last success.
    last: LastReached,
    /// Dials since it last led to the peer.
    tries: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum LastReached {
    Yes,
    No,
}

impl Entry {
    /// Smaller is better.
    fn rank(&self) -> (LastReached, u32, Source, Reverse<Option<Age>>) {
        (self.last, self.tries, self.source, Reverse(self.reached))
    }

    fn kept(&self) -> BookAddress {
        BookAddress { address: self.address.clone(), reached: self.reached }
    }
}

/// What came of adding addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Added {
    /// At least one is new or from a better source.
    New,
    Known,
    /// The book is full of peers that are in use.
    Full,
}

/// A peer that was forgotten, and whether the store knows of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Forgotten {
    pub(super) peer: PeerKey,
    pub(super) persisted: bool,
}

impl Book {
    /// Takes what an earlier boot kept.
    pub(super) fn restore(&mut self, peer: PeerKey, addresses: Vec<BookAddress>) {
        if !self.peers.contains_key(&peer) && self.peers.len() >= MAX_PEERS {
            return;
        }
        let entries = self.peers.entry(peer).or_default();
        for (place, kept) in addresses.iter().take(MAX_ADDRESSES).enumerate() {
            if entries.addresses.iter().any(|entry| entry.address == kept.address) {
                continue;
            }
            let led = place == 0 && kept.reached.is_some();
            entries.addresses.push(Entry {
                address: kept.address.clone(),
                source: Source::Book,
                reached: kept.reached,
                last: if led { LastReached::Yes } else { LastReached::No },
                tries: 0,
            });
        }
        entries.persisted = addresses;
        entries.trim();
    }

    /// Takes addresses that were found. `in_use` names peers that may not be forgotten for a new one.
    pub(super) fn add(
        &mut self,
        peer: PeerKey,
        addresses: &[Address],
        source: Source,
        in_use: impl Fn(&PeerKey) -> bool,
    ) -> (Added, Option<Forgotten>) {
        let mut forgotten = None;
        if !self.peers.contains_key(&peer) && self.peers.len() >= MAX_PEERS {
            forgotten = self.forget_one(in_use);
            if forgotten.is_none() {
                return (Added::Full, None);
            }
        }
        let entries = self.peers.entry(peer).or_default();
        let mut added = Added::Known;
        for address in addresses.iter().take(MAX_ADDRESSES) {
            let known = entries.addresses.iter_mut().find(|entry| entry.address == *address);
            match known {
                Some(entry) if source < entry.source => {
                    entry.source = source;
                    added = Added::New;
                }
                Some(_) => {}
                None => {
                    entries.addresses.push(Entry {
                        address: address.clone(),
                        source,
                        reached: None,
                        last: LastReached::No,
                        tries: 0,
                    });
                    added = Added::New;
                }
            }
        }
        entries.trim();
        (added, forgotten)
    }

    /// Forgets the peer that was reached longest ago.
    fn forget_one(&mut self, in_use: impl Fn(&PeerKey) -> bool) -> Option<Forgotten> {
        let peer = self
            .peers
            .iter()
            .filter(|(peer, _)| !in_use(peer))
            .min_by_key(|(_, entries)| entries.addresses.iter().map(|entry| entry.reached).max())
            .map(|(peer, _)| *peer)?;
        let entries = self.peers.remove(&peer)?;
        Some(Forgotten { peer, persisted: !entries.persisted.is_empty() })
    }

    /// An address is being dialled: others have their turn before it comes again.
    pub(super) fn on_tried(&mut self, peer: &PeerKey, address: &Address) {
        if let Some(entry) = self.entry(peer, address) {
            entry.tries = entry.tries.saturating_add(1);
        }
    }

    /// An address led to the peer. Gives what is to be persisted, if that differs from what is.
    pub(super) fn on_reached(&mut self, peer: &PeerKey, address: &Address, age: Age) -> Option<Vec<BookAddress>> {
        let entries = self.peers.get_mut(peer)?;
        for entry in &mut entries.addresses {
            entry.last = LastReached::No;
            if entry.address == *address {
                entry.last = LastReached::Yes;
                entry.tries = 0;
                let due = |reached: Age| reached.until(age) >= REWRITE_AGE;
                if entry.reached.is_none_or(due) {
                    entry.reached = Some(age);
                }
            }
        }
        entries.trim();
        let kept: Vec<_> = entries.addresses.iter().map(Entry::kept).collect();
        if kept == entries.persisted {
            return None;
        }
        entries.persisted.clone_from(&kept);
        Some(kept)
    }

    /// The network has changed: what failed before may work now.
    pub(super) fn on_network_changed(&mut self) {
        for entries in self.peers.values_mut() {
            for entry in &mut entries.addresses {
                entry.tries = 0;
            }
        }
    }

    /// The addresses of a peer, best first.
    pub(super) fn addresses(&self, peer: &PeerKey) -> Vec<Address> {
        self.peers
            .get(peer)
            .map(|entries| entries.addresses.iter().map(|entry| entry.address.clone()).collect())
            .unwrap_or_default()
    }

    /// The addresses of a peer in the order in which they are to be dialled: best first, QUIC and others in
    /// turn, QUIC leading.
    pub(super) fn to_dial(&self, peer: &PeerKey, allowed: impl Fn(&Address, Source) -> bool) -> Vec<Address> {
        let Some(entries) = self.peers.get(peer) else {
            return Vec::new();
        };
        let mut sorted: Vec<_> =
            entries.addresses.iter().filter(|entry| allowed(&entry.address, entry.source)).collect();
        sorted.sort_by_key(|entry| entry.rank());
        let (quic, others): (Vec<_>, Vec<_>) =
            sorted.into_iter().map(|entry| entry.address.clone()).partition(|address| address.kind() == LinkKind::Quic);
        let (mut quic, mut others) = (quic.into_iter(), others.into_iter());
        let mut turns = Vec::new();
        loop {
            let before = turns.len();
            turns.extend(quic.next());
            turns.extend(others.next());
            if turns.len() == before {
                return turns;
            }
        }
    }

    /// Everybody with an address.
    pub(super) fn peers(&self) -> impl Iterator<Item = &PeerKey> {
        self.peers.keys()
    }

    fn entry(&mut self, peer: &PeerKey, address: &Address) -> Option<&mut Entry> {
        let entries = self.peers.get_mut(peer)?;
        entries.addresses.iter_mut().find(|entry| entry.address == *address)
    }
}

impl Entries {
    /// Sorts best first and drops what is beyond the bound; a person's addresses are dropped last.
    fn trim(&mut self) {
        if self.addresses.len() > MAX_ADDRESSES {
            self.addresses.sort_by_key(|entry| (entry.source != Source::Person, entry.rank()));
            self.addresses.truncate(MAX_ADDRESSES);
        }
        self.addresses.sort_by_key(Entry::rank);
    }
}
