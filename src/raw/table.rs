//! Where slots live: segments that double in size and never move, and the list of free slots.
//!
//! Owns the memory of all slots. Never looks at a value. A slot, once made, stays in its place
//! until the table goes, so an index that was handed out is always safe to look at (N1).
//!
//! The free list is Treiber's stack (R. K. Treiber, 1986); its links are kept in the hints of the
//! vacant slots. It has no ABA problem, for two reasons: there is a version beside its top, and
//! whoever takes a slot is pinned, while a slot comes back a grace period after it was taken.

use core::ptr;

use crossbeam_utils::CachePadded;

use crate::{
    raw::{
        slot::Slot,
        word::{Hint, INDICES, Index, Link, Position, SENTINEL},
    },
    sync::{AtomicPtr, AtomicU64, Ordering, back_off, step},
};

/// log2 of the size of the first segment. Tiny in models, so that they see the table grow, and yet
/// large enough for three members, whose turns are then taken the short way.
const FIRST_BITS: u32 = if cfg!(any(rondel_small, miri)) {
    1
} else if cfg!(rondel_loom) {
    2
} else {
    5
};
pub(crate) const FIRST: u32 = 1 << FIRST_BITS;
/// Slots in all, the sentinel among them. The last `FIRST` indices would need one more segment,
/// as large as all the others together, and are left unused.
pub(crate) const SLOTS: u64 = INDICES - FIRST as u64;
/// Enough for every index: segment k begins at `(FIRST << k) - FIRST`.
const SEGMENTS: usize = (INDICES.ilog2() - FIRST_BITS) as usize;

pub(crate) struct Table<T> {
    segments: [AtomicPtr<Slot<T>>; SEGMENTS],
    free: CachePadded<Free>,
}

struct Free {
    /// A [`Position`]: the top of the free list; the sentinel, which is never free, if it is empty.
    top: AtomicU64,
    /// The first index that was never handed out.
    fresh: AtomicU64,
}

/// The length of a segment.
const fn length(segment: usize) -> usize {
    (FIRST as usize) << segment
}

/// The segment of a slot, and its place therein.
#[inline]
const fn locate(index: Index) -> (usize, usize) {
    // A small ring has all its members in the first segment. Looking for the top bit would cost a
    // pick from it a third of its time, since some processors take microcode for that.
    if index < FIRST {
        return (0, index as usize);
    }
    let number = index + FIRST;
    let top = number.ilog2();
    ((top - FIRST_BITS) as usize, (number ^ (1 << top)) as usize)
}

impl<T> Table<T> {
    /// A table whose only slot is the sentinel.
    pub(crate) fn new() -> Self {
        let table = Self {
            segments: core::array::from_fn(|_| AtomicPtr::new(ptr::null_mut())),
            free: CachePadded::new(Free {
                top: AtomicU64::new(Position::START.0),
                fresh: AtomicU64::new(1),
            }),
        };
        table.ensure(0);
        let opened = table.slot(SENTINEL).relink(Link::UNUSED, Link::EMPTY_RING);
        debug_assert!(opened, "a new segment holds unused slots");
        table
    }

    /// The slot of an index that was handed out by this table.
    #[inline]
    pub(crate) fn slot(&self, index: Index) -> &Slot<T> {
        let (segment, place) = locate(index);
        debug_assert!(segment < SEGMENTS, "index {index} is too large");
        // SAFETY: N1, an index that was handed out lies in one of the segments.
        let segment = unsafe { self.segments.get_unchecked(segment) };
        // ORDERING: E7. Relaxed: whoever learnt of the index did so by an Acquire that goes back to
        // the thread that took it, and that had the segment by then.
        let slots = segment.load(Ordering::Relaxed);
        debug_assert!(!slots.is_null(), "index {index} was never handed out");
        // SAFETY: N1, `place` is below the segment's length.
        let slot = unsafe { slots.add(place) };
        // SAFETY: N1, the segment of a handed-out index was linked in before the index was known
        // to anybody, and stays until the table goes.
        unsafe { &*slot }
    }

    /// The slots of the first indices, which all exist as long as the table.
    #[inline]
    pub(crate) fn first(&self) -> &[Slot<T>; FIRST as usize] {
        // ORDERING: E7. Relaxed: made before anybody knew of the table.
        let slots = self.segments[0].load(Ordering::Relaxed);
        debug_assert!(!slots.is_null(), "made with the table");
        // SAFETY: N1, made by `new` with this length, and there until the table goes.
        unsafe { &*slots.cast() }
    }

    /// A vacant slot that nobody else can reach, or `None` if all are taken.
    pub(crate) fn take(&self) -> Option<Index> {
        self.pop_free().or_else(|| self.take_fresh())
    }

    fn pop_free(&self) -> Option<Index> {
        let mut failures = 0;
        loop {
            // ORDERING: E6. Acquire: the slot's last owner left it before it was pushed.
            let top = Position(self.free.top.load(Ordering::Acquire));
            if top.index() == SENTINEL {
                return None;
            }
            // The slot may be somebody else's by now, and this its hint: then the version has
            // changed, and the exchange fails.
            let below = self.slot(top.index()).hint().index();
            let popped = top.moved_to(below);
            step!(FreeRead);
            // ORDERING: E6. Relaxed on both sides: a pop publishes nothing, and continues the
            // release sequence of the pushes below it.
            if self
                .free
                .top
                .compare_exchange(top.0, popped.0, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
            {
                return Some(top.index());
            }
            back_off(&mut failures);
        }
    }

    fn take_fresh(&self) -> Option<Index> {
        let mut failures = 0;
        loop {
            // ORDERING: Relaxed. The index is unique by the exchange; its memory comes from E7.
            let fresh = self.free.fresh.load(Ordering::Relaxed);
            if fresh == SLOTS {
                return None;
            }
            #[expect(clippy::cast_possible_truncation, reason = "below 2^24")]
            let index = fresh as Index;
            // Before the index is anybody's: a panic in here leaves none without its slot.
            self.ensure(locate(index).0);
            step!(FreshRead);
            // ORDERING: Relaxed on both sides, as above.
            if self
                .free
                .fresh
                .compare_exchange(fresh, fresh + 1, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
            {
                return Some(index);
            }
            back_off(&mut failures);
        }
    }

    /// Gives a vacant slot back. The caller alone can reach it.
    pub(crate) fn give_back(&self, index: Index) {
        let slot = self.slot(index);
        let mut failures = 0;
        loop {
            // ORDERING: Relaxed. Nothing is read through it; the exchange below checks it.
            let top = Position(self.free.top.load(Ordering::Relaxed));
            slot.set_free(Hint::free(top.index()));
            step!(FreeWritten);
            // ORDERING: E6. Release: who pops the slot finds it vacant. Failure: we load again.
            if self
                .free
                .top
                .compare_exchange(
                    top.0,
                    top.moved_to(index).0,
                    Ordering::Release,
                    Ordering::Relaxed,
                )
                .is_ok()
            {
                return;
            }
            back_off(&mut failures);
        }
    }

    /// Makes the segment if nobody did yet.
    fn ensure(&self, segment: usize) {
        let entry = &self.segments[segment];
        // ORDERING: E7. Acquire: a segment made by another thread is seen in full.
        if !entry.load(Ordering::Acquire).is_null() {
            return;
        }
        let slots: Box<[Slot<T>]> = (0..length(segment)).map(|_| Slot::new(Link::UNUSED)).collect();
        step!(SegmentMade);
        let slots = Box::into_raw(slots);
        // ORDERING: E7. Release: the slots are seen in full by whoever loads the pointer. Acquire
        // on failure: the other thread's segment is used from now on.
        let placed = entry.compare_exchange(
            ptr::null_mut(),
            slots.cast(),
            Ordering::Release,
            Ordering::Acquire,
        );
        if placed.is_err() {
            // SAFETY: N1, ours was not linked in: nobody else knows it.
            drop(unsafe { Box::from_raw(slots) });
        }
    }

    /// Calls `visit` with every index that was handed out. Needs quiet: nothing takes meanwhile.
    pub(crate) fn for_each(&self, mut visit: impl FnMut(Index)) {
        // ORDERING: Relaxed. The caller is alone with the ring.
        let fresh = self.free.fresh.load(Ordering::Relaxed);
        #[expect(clippy::cast_possible_truncation, reason = "at most 2^24")]
        (1..fresh as Index).for_each(&mut visit);
    }
}

impl<T> Drop for Table<T> {
    fn drop(&mut self) {
        for (segment, entry) in self.segments.iter().enumerate() {
            // ORDERING: Relaxed. `&mut self`: every other access happened before.
            let slots = entry.load(Ordering::Relaxed);
            if !slots.is_null() {
                let all = ptr::slice_from_raw_parts_mut(slots, length(segment));
                // SAFETY: N1, made by `ensure` from a box of this length, and freed only here.
                drop(unsafe { Box::from_raw(all) });
            }
        }
    }
}

#[cfg(all(test, rondel_loom))]
#[path = "../../tests/loom/explore.rs"]
mod explore;

#[cfg(all(test, rondel_loom))]
mod models {
    use std::sync::Arc;

    use super::{explore::explore, *};

    /// Takes a slot and uses its cell, which loom sees.
    fn use_one(table: &Table<u32>) -> Index {
        let index = table.take().expect("the table is not full");
        // SAFETY: N2, taken above.
        unsafe { table.slot(index).write(index) };
        // SAFETY: N2, written above.
        assert_eq!(unsafe { table.slot(index).take() }, index);
        index
    }

    #[test]
    fn a_slot_is_free_for_one_while_others_come_and_go_below_it() {
        explore(2, [6, 11], || {
            let table = Arc::new(Table::new());
            let (first, second) = (use_one(&table), use_one(&table));
            table.give_back(second);
            table.give_back(first);
            let other = Arc::clone(&table);
            let thread = loom::thread::spawn(move || {
                let (back, kept) = (use_one(&other), use_one(&other));
                other.give_back(back);
                kept
            });
            let mine = use_one(&table);
            let kept = thread.join().expect("slots can be taken");
            let another = use_one(&table);
            assert!(mine != kept && kept != another && another != mine);
        });
    }

    #[test]
    fn two_threads_make_one_segment() {
        explore(2, [13, 19], || {
            let table = Arc::new(Table::new());
            for _ in 1..FIRST {
                use_one(&table);
            }
            let other = Arc::clone(&table);
            let thread = loom::thread::spawn(move || use_one(&other));
            let mine = use_one(&table);
            assert_ne!(mine, thread.join().expect("slots can be taken"));
        });
    }
}
