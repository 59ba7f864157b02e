//! The routes to one destination, by link. There are as many as neighbours, few, and they are all looked at whenever
//! one of them changes: they lie side by side, in the order of their links.

use super::destination::Route;
use crate::ids::LinkId;

/// At most one route for each link.
#[derive(Debug, Default)]
pub(super) struct Offers(Vec<(LinkId, Route)>);

impl Offers {
    fn place(&self, link: LinkId) -> Result<usize, usize> {
        self.0.binary_search_by_key(&link, |(link, _)| *link)
    }

    pub(super) fn get(&self, link: &LinkId) -> Option<&Route> {
        self.place(*link).ok().map(|place| &self.0[place].1)
    }

    pub(super) fn get_mut(&mut self, link: &LinkId) -> Option<&mut Route> {
        self.place(*link).ok().map(|place| &mut self.0[place].1)
    }

    pub(super) fn contains_key(&self, link: &LinkId) -> bool {
        self.place(*link).is_ok()
    }

    /// Puts in a route. Returns the one that it replaces.
    pub(super) fn insert(&mut self, link: LinkId, route: Route) -> Option<Route> {
        match self.place(link) {
            Ok(place) => Some(std::mem::replace(&mut self.0[place].1, route)),
            Err(place) => {
                self.0.insert(place, (link, route));
                None
            }
        }
    }

    pub(super) fn remove(&mut self, link: &LinkId) {
        if let Ok(place) = self.place(*link) {
            self.0.remove(place);
        }
    }

    pub(super) fn retain(&mut self, keeps: impl Fn(&Route) -> bool) {
        self.0.retain(|(_, route)| keeps(route));
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&LinkId, &Route)> {
        self.0.iter().map(|(link, route)| (link, route))
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &Route> {
        self.0.iter().map(|(_, route)| route)
    }
}
