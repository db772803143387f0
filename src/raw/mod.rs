//! The algorithm. All `unsafe` of the crate is below this folder.
//!
//! A ring is a singly linked list of slots that starts and ends at the sentinel, slot 0, with a
//! hint backwards in each slot, and one cursor word. The order of files is the order of reading:
//! `word` (packed words), `slot` (one member), `table` (where slots live), `list` (membership and
//! order), `turn` (the shared cursor), `claims` (turns for later), `walk` (moves that are nobody's turn), `reclaim` (when a value
//! goes).
//!
//! # Invariants
//!
//! Named where they are relied upon.
//!
//! - **N1, stable slots.** The slot of an index that was handed out exists, in one place, until
//!   the table goes.
//! - **N2, values.** A slot holds a value from the insert that took it until the one claim that
//!   turns its link vacant. The claim is made after a grace period that began once the slot was
//!   unlinked, or with the ring in exclusive hands.
//! - **N3, the list.** The members are the live slots reached from the sentinel by links. A
//!   removed slot's link never changes again before the claim, so an unlink, which is an exchange
//!   on the link of a live predecessor, takes out exactly one slot, once. Nothing is ever linked
//!   behind a removed slot, nor behind a slot whose link is busy.
//! - **N4, the pin.** A thread that saw a slot linked while pinned may use it, its value, and what
//!   its link names, until it unpins: the claim waits for it. In particular no link or hint that
//!   it read as its expectation for an exchange can come back with another meaning.
//! - **N5, the cursor.** The cursor never names an unlinked slot. Every change of it installs a
//!   slot that was seen live after the cursor was read, or leaves it where it is; every change
//!   changes the version; and between the removal of a slot and its unlinking, by whomsoever, one
//!   change is made that leaves the cursor elsewhere (`step_off`).
//! - **N6, the hint.** A hint names a member that preceded this one. It may be out of date, never
//!   wrong about the order, and in a quiet ring it is exact.

use alloc::sync::Arc;
use core::{fmt, marker::PhantomData, num::NonZeroU64};

use crossbeam_utils::CachePadded;

use crate::{
    guard::Guard,
    raw::{
        slot::Slot,
        table::Table,
        word::{Link, Position},
    },
    sync::{AtomicU64, AtomicUsize, Ordering, unique_ring_id},
};

mod claims;
mod list;
mod reclaim;
mod slot;
mod table;
mod turn;
mod walk;
mod word;

pub(crate) use self::{
    claims::{Claims, MAX},
    list::Place,
    word::{Index, MemberId, SENTINEL},
};

/// What a ring consists of; shared with the values that wait for their grace period.
pub(crate) struct Core<T> {
    cursor: CachePadded<Cursor>,
    table: Table<T>,
    /// Members; counted up before an insert and down after a removal, so never too small.
    len: CachePadded<AtomicUsize>,
    id: NonZeroU64,
    /// Values are shared, and dropped, by any thread.
    _values: PhantomData<Arc<T>>,
}

/// Both in one cache line.
struct Cursor {
    /// A [`Position`]: the member returned last, or the sentinel.
    position: AtomicU64,
    /// The same, stored after each change by whoever made it, so it may be late. A pick reads this
    /// one: a load of a word right behind an exchange on it waits for the exchange, and would cost
    /// as much again as the pick.
    echo: AtomicU64,
}

impl<T> Core<T> {
    pub(crate) fn new() -> Self {
        Self {
            cursor: CachePadded::new(Cursor {
                position: AtomicU64::new(Position::START.0),
                echo: AtomicU64::new(Position::START.0),
            }),
            table: Table::new(),
            len: CachePadded::new(AtomicUsize::new(0)),
            id: unique_ring_id(),
            _values: PhantomData,
        }
    }

    pub(crate) fn id(&self) -> NonZeroU64 {
        self.id
    }

    pub(crate) fn len(&self) -> usize {
        // ORDERING: Relaxed, a count is exact only when the ring is quiet.
        self.len.load(Ordering::Relaxed)
    }

    #[inline]
    fn slot(&self, index: Index) -> &Slot<T> {
        self.table.slot(index)
    }

    #[inline]
    fn link(&self, index: Index) -> Link {
        self.slot(index).link()
    }

    /// # Safety
    ///
    /// As of [`Member::seen`].
    #[inline]
    unsafe fn member<'g>(&'g self, index: Index, link: Link, guard: &'g Guard) -> Member<'g, T> {
        // SAFETY: N4, as the caller says.
        unsafe { Member::seen(self.slot(index), index, link, guard) }
    }
}

/// A member that was seen in the ring under a guard that is still held.
pub(crate) struct Member<'g, T> {
    slot: &'g Slot<T>,
    id: MemberId,
}

impl<T> Clone for Member<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Member<'_, T> {}

impl<'g, T> Member<'g, T> {
    /// # Safety
    ///
    /// While `guard` was pinned, `slot`, which is that of `index`, was seen linked and its link
    /// was `link`.
    #[inline]
    unsafe fn seen(slot: &'g Slot<T>, index: Index, link: Link, _: &'g Guard) -> Self {
        Self { slot, id: MemberId::new(index, link) }
    }

    #[inline]
    pub(crate) fn id(self) -> MemberId {
        self.id
    }

    #[inline]
    pub(crate) fn value(self) -> &'g T {
        // SAFETY: N2 and N4, the slot was seen linked under a guard that lasts for `'g`.
        unsafe { self.slot.value() }
    }

    pub(crate) fn is_removed(self) -> bool {
        !self.id.is_live_in(self.slot.link())
    }
}

impl<T> fmt::Debug for Core<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core")
            .field("id", &self.id)
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}
