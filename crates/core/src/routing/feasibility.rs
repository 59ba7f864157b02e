//! What makes forwarding free of loops: a route is used only if it is strictly better than the best that this node
//! ever announced for the destination (RFC 8966 §2.4 and §3.5.1; docs/spec/routing.md §4).

use std::collections::BTreeMap;

use tidings_crypto::{AnnouncementHash, RoutingId};

use super::config::{MAX_SOURCES, MAX_STRANGE_SOURCES, REMEMBERED, SOURCE_HOLD};
use super::event::Preference;
use crate::time::Instant;
use crate::wire::Version;

/// The feasibility distance: the best this node has announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Distance {
    pub(super) version: Version,
    pub(super) cost: u8,
}

impl Distance {
    /// Whether a route that a neighbour announces at this version and cost is feasible.
    pub(super) fn admits(&self, version: Version, cost: u8) -> bool {
        version > self.version || (version == self.version && cost < self.cost)
    }

    /// What the distance is after announcing this.
    fn after(self, version: Version, cost: u8) -> Self {
        let better = version > self.version || (version == self.version && cost < self.cost);
        if better { Self { version, cost } } else { self }
    }
}

/// What is remembered of a destination beyond its routes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source {
    /// `None` until something was announced.
    pub(super) distance: Option<Distance>,
    /// The newest announcement seen, to show to who rolls back.
    pub(super) newest: Option<(Version, AnnouncementHash)>,
    /// When this node last announced or retracted it.
    pub(super) touched: Instant,
    /// Until when its announcements live.
    pub(super) until: Instant,
    /// Whether it counts against the share of strangers.
    strange: bool,
}

/// The source table (RFC 8966 §3.2.5), longer-lived than the routes: who forgets a distance may loop.
#[derive(Debug, Default)]
pub(super) struct Sources {
    table: BTreeMap<RoutingId, Source>,
    strange: usize,
}

impl Sources {
    pub(super) fn get(&self, to: &RoutingId) -> Option<&Source> {
        self.table.get(to)
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// Makes room for a destination; false if there is none. Strangers get at most their share, so that a flood
    /// of them leaves room for who matters.
    pub(super) fn admit(
        &mut self,
        to: RoutingId,
        preference: Preference,
        now: Instant,
        used: impl Fn(&RoutingId) -> bool,
    ) -> bool {
        if self.table.contains_key(&to) {
            return true;
        }
        let strange = preference == Preference::None;
        let full = |sources: &Self| sources.len() >= MAX_SOURCES || (strange && sources.strange >= MAX_STRANGE_SOURCES);
        if full(self) && (!self.evict(now, used) || full(self)) {
            return false;
        }
        self.strange += usize::from(strange);
        let source = Source { distance: None, newest: None, touched: now, until: now, strange };
        self.table.insert(to, source);
        true
    }

    /// Forgets the one that has been unused longest, if that is long enough.
    fn evict(&mut self, now: Instant, used: impl Fn(&RoutingId) -> bool) -> bool {
        let over = |source: &Source| source.strange && source.touched + SOURCE_HOLD <= now;
        let unused = self.table.iter().filter(|(to, source)| over(source) && !used(to));
        let Some(to) = unused.min_by_key(|(_, source)| source.touched).map(|(to, _)| *to) else { return false };
        self.remove(&to);
        true
    }

    fn remove(&mut self, to: &RoutingId) {
        if let Some(source) = self.table.remove(to) {
            self.strange -= usize::from(source.strange);
        }
    }

    /// When an announcement that was seen before, or an older one, has lived long enough, whatever age is claimed now.
    pub(super) fn end_of(&self, to: &RoutingId, version: Version) -> Option<Instant> {
        let source = self.table.get(to)?;
        source.newest.filter(|(newest, _)| *newest >= version).map(|_| source.until)
    }

    /// The best that was announced of a destination; `None` if nothing was.
    pub(super) fn distance(&self, to: &RoutingId) -> Option<Distance> {
        self.table.get(to).and_then(|source| source.distance)
    }

    /// Whether a route is feasible.
    pub(super) fn admits(&self, to: &RoutingId, version: Version, cost: u8) -> bool {
        self.distance(to).is_none_or(|distance| distance.admits(version, cost))
    }

    /// Remembers what is announced. Must precede the announcement.
    pub(super) fn announce(&mut self, to: &RoutingId, version: Version, cost: u8, now: Instant) {
        if let Some(source) = self.table.get_mut(to) {
            let fresh = Distance { version, cost };
            source.distance = Some(source.distance.map_or(fresh, |distance| distance.after(version, cost)));
            source.touched = now;
        }
    }

    /// Remembers that a destination is still dealt with.
    pub(super) fn touch(&mut self, to: &RoutingId, now: Instant) {
        if let Some(source) = self.table.get_mut(to) {
            source.touched = now;
        }
    }

    /// Remembers an announcement and how long it lives. Returns the one that it replaces as the newest.
    pub(super) fn seen(
        &mut self,
        to: &RoutingId,
        version: Version,
        hash: AnnouncementHash,
        until: Instant,
    ) -> Option<AnnouncementHash> {
        let source = self.table.get_mut(to)?;
        source.until = source.until.max(until);
        match source.newest {
            Some((newest, _)) if newest >= version => None,
            before => {
                source.newest = Some((version, hash));
                before.map(|(_, hash)| hash)
            }
        }
    }

    /// Forgets what has outlived its announcements and its hold, unless `used`. Returns whom, and when to look again.
    pub(super) fn sweep(
        &mut self,
        now: Instant,
        used: impl Fn(&RoutingId) -> bool,
    ) -> (Vec<(RoutingId, Option<AnnouncementHash>)>, Option<Instant>) {
        let end = |source: &Source| (source.until + REMEMBERED).max(source.touched + SOURCE_HOLD);
        let unused = || self.table.iter().filter(|(to, _)| !used(to));
        let gone: Vec<_> = unused()
            .filter(|(_, source)| end(source) <= now)
            .map(|(to, source)| (*to, source.newest.map(|(_, hash)| hash)))
            .collect();
        let next = unused().map(|(_, source)| end(source)).filter(|end| *end > now).min();
        for (to, _) in &gone {
            self.remove(to);
        }
        (gone, next)
    }
}
