//! One slot: a member's links and its value.

use core::mem::MaybeUninit;

use crate::{
    raw::word::{Hint, Link},
    sync::{AtomicU64, Ordering, UnsafeCell},
};

pub(crate) struct Slot<T> {
    /// A [`Link`]: the truth about membership and order.
    next: AtomicU64,
    /// A [`Hint`]: written often, believed never.
    prev: AtomicU64,
    /// Initialised from the insert that takes the slot until the claim that vacates it (N2).
    value: UnsafeCell<MaybeUninit<T>>,
}

// SAFETY: N2, a value is written, and taken out, by one thread while no other can see the slot, which
// may be another thread than made it (`Send`), and read by any number in between (`Sync`).
unsafe impl<T: Send + Sync> Sync for Slot<T> {}

impl<T> Slot<T> {
    pub(crate) fn new(link: Link) -> Self {
        Self {
            next: AtomicU64::new(link.0),
            prev: AtomicU64::new(Hint::free(0).0),
            value: UnsafeCell::new(MaybeUninit::uninit()),
        }
    }

    #[inline]
    pub(crate) fn link(&self) -> Link {
        // ORDERING: E1. Acquire: the slot that this word names was written in full before.
        Link(self.next.load(Ordering::Acquire))
    }

    /// Puts `new` in place of `old`; whether that was still there.
    pub(crate) fn relink(&self, old: Link, new: Link) -> bool {
        // ORDERING: E1. Release hands on what `new` names: the member just written, or one that
        // this thread learnt of by Acquire. Failure is Relaxed: the caller loads the word again.
        self.next.compare_exchange(old.0, new.0, Ordering::Release, Ordering::Relaxed).is_ok()
    }

    /// Removes the member, whatever follows it; the link as it was.
    pub(crate) fn mark(&self) -> Link {
        // ORDERING: E2. Relaxed. What must see the mark sees it through the cursor: the change that
        // steps off comes after the mark and is a Release, also when a helper makes it, since the
        // helper has read the mark and coherence forbids anybody after it to read less. And the
        // successor that is frozen here is read once more, with Acquire, before it is used.
        Link(self.next.fetch_or(Link::REMOVED, Ordering::Relaxed))
    }

    /// Overwrites the link of a slot that nobody else can reach.
    pub(crate) fn prepare(&self, link: Link, hint: Hint) {
        // ORDERING: E1. Relaxed both, since the link that publishes the slot is a Release, and its
        // key is known to nobody before.
        self.prev.store(hint.0, Ordering::Relaxed);
        self.next.store(link.0, Ordering::Relaxed);
    }

    pub(crate) fn hint(&self) -> Hint {
        // ORDERING: E4. Acquire: the slot that the hint names exists for this thread.
        Hint(self.prev.load(Ordering::Acquire))
    }

    /// Puts `new` in place of `old`; whether that was still there.
    pub(crate) fn rehint(&self, old: Hint, new: Hint) -> bool {
        // ORDERING: E4. Release hands on the slot that is named, and the marks that this thread has
        // seen; Acquire takes those of whoever corrected the hint before, so that the look at the
        // target that follows is not out of date. Failure is Relaxed: the caller loads again.
        self.prev.compare_exchange(old.0, new.0, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Says that this slot is out of the list: its hint is of no use any more.
    pub(crate) fn set_unlinked(&self) {
        // ORDERING: E4. Release: who sees it sees the mark too, and does not ask again.
        self.prev.fetch_or(Hint::UNLINKED, Ordering::Release);
    }

    /// Of a vacant slot: links it in front of `below` in the free list.
    pub(crate) fn set_free(&self, below: Hint) {
        // ORDERING: E6. Relaxed: the push that follows is the Release.
        self.prev.store(below.0, Ordering::Relaxed);
    }

    /// Moves a value in.
    ///
    /// # Safety
    ///
    /// The slot is vacant and this thread alone can reach it.
    pub(crate) unsafe fn write(&self, value: T) {
        self.value.with_mut(|cell| {
            // SAFETY: N2, the caller is alone with the slot.
            unsafe { cell.cast::<T>().write(value) };
        });
    }

    /// Moves the value out.
    ///
    /// # Safety
    ///
    /// The slot holds a value, nobody else can see it or takes it, and it is taken once.
    pub(crate) unsafe fn take(&self) -> T {
        self.value.with_mut(|cell| {
            // SAFETY: N2, the caller says that the value is there and that nobody else sees it.
            unsafe { cell.cast::<T>().read() }
        })
    }

    /// The value.
    ///
    /// # Safety
    ///
    /// The slot holds a value, and keeps it for as long as the borrow of `self` lasts.
    #[inline]
    pub(crate) unsafe fn value(&self) -> &T {
        let value = self.value.with(<*const MaybeUninit<T>>::cast::<T>);
        // SAFETY: N2, the caller says that the value is there and stays.
        unsafe { &*value }
    }
}
