//! Slots in the order of a time, cheaply: buckets of half a minute, each a linked list whose links
//! lie in the slots themselves.
//!
//! Moving a slot costs one look-up among the buckets, of which there are few, and no allocation.
//! The price of an index is the eight bytes of a link per slot.

use std::collections::BTreeMap;

use crate::clock::Timestamp;

use super::slot::{Link, NONE, Slots};

/// Which of a slot's links a timeline uses: expiry and tombstones the first, last-seen the second.
pub(super) const DUE: usize = 0;
pub(super) const SEEN: usize = 1;

/// How far a slot is carried towards the front of its bucket to keep the bucket sorted.
const SORT_WITHIN: usize = 32;

/// The bucket of a moment: 2¹⁵ ms, about 33 seconds, each. Enough for 4,400 years.
pub(super) fn bucket(time: Timestamp) -> u32 {
    u32::try_from(time.as_millis() >> 15).unwrap_or(u32::MAX)
}

/// Slots by bucket; within one of `SEEN`, by last-seen.
#[derive(Default)]
pub(super) struct Timeline<const LINK: usize> {
    buckets: BTreeMap<u32, Ends>,
}

#[derive(Clone, Copy)]
struct Ends {
    head: u32,
    tail: u32,
}

impl<const LINK: usize> Timeline<LINK> {
    /// Adds a slot that is in no timeline with these links.
    ///
    /// Whatever comes in the order of its last-seen stays sorted exactly; what comes out of order
    /// is sorted past 32 others at most.
    pub(super) fn insert(&mut self, slots: &mut Slots, at: u32, bucket: u32) {
        let ends = self.buckets.entry(bucket).or_insert(Ends { head: NONE, tail: NONE });
        let (mut previous, mut next) = (ends.tail, NONE);
        if LINK == SEEN {
            let seen = slots[at].entry.seen;
            for _ in 0..SORT_WITHIN {
                if previous == NONE || slots[previous].entry.seen <= seen {
                    break;
                }
                (previous, next) = (slots[previous].links[LINK].previous, previous);
            }
        }
        slots[at].links[LINK] = Link { previous, next };
        match previous {
            NONE => ends.head = at,
            _ => slots[previous].links[LINK].next = at,
        }
        match next {
            NONE => ends.tail = at,
            _ => slots[next].links[LINK].previous = at,
        }
    }

    /// Takes a slot out of the bucket that it was added to.
    pub(super) fn remove(&mut self, slots: &mut Slots, at: u32, bucket: u32) {
        let Link { previous, next } = std::mem::replace(&mut slots[at].links[LINK], Link::NONE);
        if previous != NONE {
            slots[previous].links[LINK].next = next;
        }
        if next != NONE {
            slots[next].links[LINK].previous = previous;
        }
        if previous != NONE && next != NONE {
            return;
        }
        if previous == NONE && next == NONE {
            self.buckets.remove(&bucket);
        } else if let Some(ends) = self.buckets.get_mut(&bucket) {
            if previous == NONE {
                ends.head = next;
            } else {
                ends.tail = previous;
            }
        }
    }

    /// The first bucket from `from` on, and its first slot.
    pub(super) fn first(&self, from: u32) -> Option<(u32, u32)> {
        self.buckets.range(from..).next().map(|(bucket, ends)| (*bucket, ends.head))
    }

    /// The slots of the buckets from `from` on, in order.
    pub(super) fn iter<'a>(&'a self, slots: &'a Slots, from: u32) -> impl Iterator<Item = u32> + 'a {
        self.buckets.range(from..).flat_map(|(_, ends)| {
            let next = |at: &u32| Some(slots[*at].links[LINK].next).filter(|next| *next != NONE);
            std::iter::successors(Some(ends.head), next)
        })
    }
}
