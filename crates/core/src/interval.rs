//! Sets of sequence numbers as sorted, disjoint, non-adjacent intervals.
//!
//! Deduplication, receipts and catch-up are arithmetic on these sets, so that a flow of ten million messages
//! costs a few numbers. The wire form is a list of (gap, length − 1) pairs; docs/spec/wire.md §6.

use std::fmt;

use crate::ids::Seq;

/// A set of sequence numbers.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct IntervalSet {
    /// Inclusive ends; each interval starts at least two above the end of the one before.
    intervals: Vec<(Seq, Seq)>,
}

/// A list that is not the wire form of a set within its bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IntervalError {
    /// More intervals than the place it stands in allows.
    #[error("expected at most {limit} intervals, got {got}")]
    TooMany {
        /// The bound.
        limit: usize,
        /// What the list holds.
        got: usize,
    },
    /// A gap without a length.
    #[error("expected pairs, got an odd count")]
    Odd,
    /// A number beyond 2⁶⁴ − 1, or adjacent intervals.
    #[error("expected rising intervals within 64 bits")]
    Range,
}

impl IntervalSet {
    /// The empty set.
    pub const fn new() -> Self {
        Self { intervals: Vec::new() }
    }

    /// The set of `from..=to`, empty if `to < from`.
    pub fn of(from: Seq, to: Seq) -> Self {
        let mut set = Self::new();
        set.insert(from, to);
        set
    }

    /// Whether the set holds nothing.
    pub fn is_empty(&self) -> bool {
        self.intervals.is_empty()
    }

    /// How many intervals it takes.
    pub fn intervals(&self) -> usize {
        self.intervals.len()
    }

    /// How many numbers it holds.
    pub fn count(&self) -> u64 {
        self.intervals.iter().fold(0u64, |n, (from, to)| n.saturating_add(to - from).saturating_add(1))
    }

    /// The intervals, rising, both ends included.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (Seq, Seq)> + '_ {
        self.intervals.iter().copied()
    }

    /// Every number, rising.
    pub fn seqs(&self) -> impl Iterator<Item = Seq> + '_ {
        self.intervals.iter().flat_map(|(from, to)| *from..=*to)
    }

    /// The lowest number.
    pub fn first(&self) -> Option<Seq> {
        self.intervals.first().map(|(from, _)| *from)
    }

    /// The highest number.
    pub fn last(&self) -> Option<Seq> {
        self.intervals.last().map(|(_, to)| *to)
    }

    /// Whether `seq` is in the set.
    pub fn contains(&self, seq: Seq) -> bool {
        let after = self.intervals.partition_point(|(from, _)| *from <= seq);
        after > 0 && self.intervals[after - 1].1 >= seq
    }

    /// Whether all of `other` is in the set.
    pub fn covers(&self, other: &Self) -> bool {
        other.iter().all(|(from, to)| {
            let after = self.intervals.partition_point(|(start, _)| *start <= from);
            after > 0 && self.intervals[after - 1].1 >= to
        })
    }

    /// Adds `from..=to`; adds nothing if `to < from`.
    pub fn insert(&mut self, from: Seq, to: Seq) {
        if to < from {
            return;
        }
        let first = self.intervals.partition_point(|(_, end)| end.saturating_add(1) < from);
        let last = self.intervals.partition_point(|(start, _)| *start <= to.saturating_add(1));
        if first == last {
            self.intervals.insert(first, (from, to));
            return;
        }
        let merged = (self.intervals[first].0.min(from), self.intervals[last - 1].1.max(to));
        self.intervals.drain(first + 1..last);
        self.intervals[first] = merged;
    }

    /// Removes `from..=to`.
    pub fn remove(&mut self, from: Seq, to: Seq) {
        if to < from {
            return;
        }
        let first = self.intervals.partition_point(|(_, end)| *end < from);
        let last = self.intervals.partition_point(|(start, _)| *start <= to);
        if first >= last {
            return;
        }
        let left = (self.intervals[first].0, from.wrapping_sub(1));
        let right = (to.wrapping_add(1), self.intervals[last - 1].1);
        let keep_left = self.intervals[first].0 < from;
        let keep_right = self.intervals[last - 1].1 > to;
        let kept = [keep_left.then_some(left), keep_right.then_some(right)];
        self.intervals.splice(first..last, kept.into_iter().flatten());
    }

    /// Adds all of `other`.
    pub fn union_with(&mut self, other: &Self) {
        for (from, to) in other.iter() {
            self.insert(from, to);
        }
    }

    /// Removes all of `other`.
    pub fn subtract(&mut self, other: &Self) {
        for (from, to) in other.iter() {
            self.remove(from, to);
        }
    }

    /// This set without `other`.
    pub fn difference(&self, other: &Self) -> Self {
        let mut rest = self.clone();
        rest.subtract(other);
        rest
    }

    /// What both sets hold.
    pub fn intersection(&self, other: &Self) -> Self {
        let (mut a, mut b) = (self.iter().peekable(), other.iter().peekable());
        let mut common = Vec::new();
        while let (Some(&(a_from, a_to)), Some(&(b_from, b_to))) = (a.peek(), b.peek()) {
            let (from, to) = (a_from.max(b_from), a_to.min(b_to));
            if from <= to {
                common.push((from, to));
            }
            if a_to < b_to {
                a.next();
            } else {
                b.next();
            }
        }
        Self { intervals: common }
    }

    /// Removes everything below `floor`.
    pub fn remove_below(&mut self, floor: Seq) {
        if floor > 0 {
            self.remove(0, floor - 1);
        }
    }

    /// The lowest number at or above `floor` that is not in the set.
    pub fn first_missing(&self, floor: Seq) -> Seq {
        let after = self.intervals.partition_point(|(from, _)| *from <= floor);
        match after.checked_sub(1).map(|at| self.intervals[at]) {
            Some((_, to)) if to >= floor => to.saturating_add(1),
            _ => floor,
        }
    }

    /// The wire form relative to `base`: for each interval the gap since the end of the one before (since
    /// `base` for the first) and its length less one. What lies below `base` is left out.
    pub fn to_wire(&self, base: Seq) -> Vec<u64> {
        let mut list = Vec::with_capacity(self.intervals.len() * 2);
        let mut next = base;
        for (from, to) in self.iter().filter(|(_, to)| *to >= base) {
            let from = from.max(base);
            list.push(from - next);
            list.push(to - from);
            next = to.saturating_add(1);
        }
        list
    }

    /// Reads the wire form.
    ///
    /// # Errors
    ///
    /// [`IntervalError`] for more than `limit` intervals, an odd list, an overflow or adjacent intervals.
    pub fn from_wire(list: &[u64], base: Seq, limit: usize) -> Result<Self, IntervalError> {
        if !list.len().is_multiple_of(2) {
            return Err(IntervalError::Odd);
        }
        if list.len() / 2 > limit {
            return Err(IntervalError::TooMany { limit, got: list.len() / 2 });
        }
        let mut intervals = Vec::with_capacity(list.len() / 2);
        let mut next = Some(base);
        for (index, pair) in list.chunks_exact(2).enumerate() {
            let (gap, length) = (pair[0], pair[1]);
            if index > 0 && gap == 0 {
                return Err(IntervalError::Range);
            }
            let from = next.and_then(|next| next.checked_add(gap)).ok_or(IntervalError::Range)?;
            let to = from.checked_add(length).ok_or(IntervalError::Range)?;
            intervals.push((from, to));
            next = to.checked_add(1);
        }
        Ok(Self { intervals })
    }
}

impl FromIterator<Seq> for IntervalSet {
    fn from_iter<T: IntoIterator<Item = Seq>>(seqs: T) -> Self {
        let mut set = Self::new();
        for seq in seqs {
            set.insert(seq, seq);
        }
        set
    }
}

impl fmt::Debug for IntervalSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut list = f.debug_list();
        for (from, to) in self.iter() {
            if from == to {
                list.entry(&format_args!("{from}"));
            } else {
                list.entry(&format_args!("{from}–{to}"));
            }
        }
        list.finish()
    }
}

#[cfg(test)]
mod tests;
