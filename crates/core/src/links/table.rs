//! The links by number. Each has a place of its own: one takes almost 2 KiB, and the nodes of a tree have room for
//! eleven, more than most nodes have links.

use std::collections::BTreeMap;

use super::link::Link;
use crate::ids::LinkId;

/// All links of a node.
#[derive(Debug, Default)]
pub(super) struct Table(BTreeMap<LinkId, Box<Link>>);

impl Table {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn get(&self, id: &LinkId) -> Option<&Link> {
        self.0.get(id).map(Box::as_ref)
    }

    pub(super) fn get_mut(&mut self, id: &LinkId) -> Option<&mut Link> {
        self.0.get_mut(id).map(Box::as_mut)
    }

    pub(super) fn contains_key(&self, id: &LinkId) -> bool {
        self.0.contains_key(id)
    }

    pub(super) fn insert(&mut self, id: LinkId, link: Link) {
        self.0.insert(id, Box::new(link));
    }

    pub(super) fn remove(&mut self, id: &LinkId) {
        self.0.remove(id);
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &LinkId> {
        self.0.keys()
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &Link> {
        self.0.values().map(Box::as_ref)
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut Link> {
        self.0.values_mut().map(Box::as_mut)
    }
}
