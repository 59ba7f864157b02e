//! Shortest ways by links, seen from outside.

use std::collections::VecDeque;

/// How many links the shortest ways from a node have to each of so many; `None` where none leads.
pub(super) fn distances<I: IntoIterator<Item = usize>>(
    nodes: usize,
    from: usize,
    linked: impl Fn(usize) -> I,
) -> Vec<Option<u32>> {
    let mut distances = vec![None; nodes];
    distances[from] = Some(0);
    let mut open = VecDeque::from([(from, 0)]);
    while let Some((at, length)) = open.pop_front() {
        for next in linked(at) {
            if distances[next].is_none() {
                distances[next] = Some(length + 1);
                open.push_back((next, length + 1));
            }
        }
    }
    distances
}
