//! The two ends of a link compare what was said on it, so that nothing that went wrong stays wrong;
//! docs/spec/routing.md §3.5.

use super::config::RESTARTS;
use super::link::Urgency;
use super::{State, Timer};
use crate::ids::LinkId;
use crate::trust::Evidence;
use crate::wire::Routing;

impl State {
    pub(super) fn on_digest_due(&mut self, id: LinkId) {
        let Some(link) = self.links.get(&id) else { return };
        self.timers.set_at_latest(&Timer::Digest(id), self.now + self.config.digest_interval);
        if link.answers && !link.news.restart {
            let (digest, count) = link.said.digest();
            self.send(id, Routing::Digest { digest, count });
        }
        self.reconsider_refused(id);
    }

    /// What was refused because a table was full may find room now.
    fn reconsider_refused(&mut self, id: LinkId) {
        let Some(link) = self.links.get(&id) else { return };
        let refused = link.indices.iter().filter(|(to, _)| {
            self.destinations.get(to).is_none_or(|destination| !destination.routes.contains_key(&id))
        });
        let refused: Vec<u16> = refused.map(|(_, index)| *index).collect();
        for index in refused {
            self.consider(id, index);
        }
    }

    pub(super) fn on_digest(&mut self, id: LinkId, digest: [u8; 16], count: u32) {
        let Some(link) = self.links.get_mut(&id) else { return };
        if link.heard_digest() == (digest, count) {
            return;
        }
        self.stats.digests_differed += 1;
        self.ask_for_all_routes(id);
    }

    /// Asks a neighbour to begin anew; once until it does.
    pub(super) fn ask_for_all_routes(&mut self, id: LinkId) {
        if let Some(link) = self.links.get_mut(&id)
            && !std::mem::replace(&mut link.wants_all, true)
        {
            self.send(id, Routing::WantRoutes);
        }
    }

    pub(super) fn on_want_routes(&mut self, id: LinkId) {
        let now = self.now;
        let Some(link) = self.links.get_mut(&id) else { return };
        if !link.restarts.take(now, RESTARTS) {
            self.stats.refused += 1;
            self.misconduct(id, Evidence::Flood);
            return;
        }
        self.begin_anew(id);
    }

    /// Something that was said did not go: it may have named what later updates do not name again.
    pub(super) fn on_left_out(&mut self, id: LinkId) {
        if let Some(link) = self.links.get_mut(&id) {
            link.wants_all = false;
        }
        self.begin_anew(id);
    }

    fn begin_anew(&mut self, id: LinkId) {
        let now = self.now;
        let Some(link) = self.links.get_mut(&id) else { return };
        for to in link.said.destinations() {
            self.sources.touch(to, now);
        }
        link.said.clear();
        link.news.restart = true;
        for to in self.destinations.keys().chain([&self.own.id]) {
            link.news.add(*to, Urgency::Urgent);
        }
    }
}
