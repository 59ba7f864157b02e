//! What is to happen, ordered by time and then by the order in which it was planned.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A queue of happenings; those of one moment come in the order they were put in.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    heap: BinaryHeap<Reverse<(u64, u64, u32)>>,
    slots: Vec<Option<T>>,
    free: Vec<u32>,
    last: u64,
}

impl<T> Queue<T> {
    pub(crate) fn new() -> Self {
        Self { heap: BinaryHeap::new(), slots: Vec::new(), free: Vec::new(), last: 0 }
    }

    pub(crate) fn push(&mut self, time: u64, what: T) {
        self.last += 1;
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            u32::try_from(self.slots.len() - 1).expect("memory ends before so many happenings")
        });
        self.slots[slot as usize] = Some(what);
        self.heap.push(Reverse((time, self.last, slot)));
    }

    pub(crate) fn next_time(&self) -> Option<u64> {
        self.heap.peek().map(|Reverse((time, ..))| *time)
    }

    pub(crate) fn pop(&mut self) -> Option<(u64, T)> {
        let Reverse((time, _, slot)) = self.heap.pop()?;
        let what = self.slots[slot as usize].take().expect("a slot in the heap is full");
        self.free.push(slot);
        Some((time, what))
    }
}
