//! Membership and order: find, insert, remove, unlink.
//!
//! The list is Harris' (T. L. Harris, "A pragmatic implementation of non-blocking linked lists",
//! 2001): a removal first marks the member's own link, which decides it, and then takes the slot
//! out by an exchange on its predecessor's link, which anybody may do. The way back is a hint, as
//! in H. Sundell and P. Tsigas, "Lock-free deques and doubly linked lists" (2008). What is ours:
//! links are indices with generations, the cursor is moved away between mark and unlink, and
//! nothing is linked in front of a removed member.

use alloc::sync::Arc;

use crate::{
    guard::Guard,
    raw::{
        Core, Member,
        word::{Hint, Index, Link, MemberId, SENTINEL},
    },
    sync::{Ordering, back_off, step},
};

/// Where to insert.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    Before(MemberId),
    After(MemberId),
}

impl Place {
    pub(crate) const FRONT: Self = Self::After(MemberId::SENTINEL);
    pub(crate) const BACK: Self = Self::Before(MemberId::SENTINEL);
}

/// A slot and its link as it was read.
type Seen = (Index, Link);

impl<T: Send + Sync + 'static> Core<T> {
    /// Inserts, or gives the value back because the anchor is not a member.
    ///
    /// Takes effect when the predecessor's link changes.
    pub(crate) fn insert(
        self: &Arc<Self>,
        place: Place,
        value: T,
        guard: &Guard,
    ) -> Result<MemberId, T> {
        // Found before there is a slot: whoever dies on the way there leaves nothing behind.
        let Some(mut gap) = self.gap(place, guard) else { return Err(value) };
        step!(GapFound);
        let Some(index) = self.table.take() else {
            panic!(
                "a ring holds at most {} members, with those that were removed and that a guard keeps: \
                 see rondel::docs::memory",
                crate::raw::table::SLOTS - 1
            )
        };
        let slot = self.slot(index);
        let vacant = slot.link();
        // SAFETY: N2, `take` hands out a vacant slot to one caller.
        unsafe { slot.write(value) };
        // ORDERING: Relaxed, see `len`.
        self.len.fetch_add(1, Ordering::Relaxed);

        let mut failures = 0;
        loop {
            let ((before, link), after) = gap;
            let new = MemberId::new(index, vacant);
            // From here on the slot says that it holds a value, which goes with the ring if this
            // thread goes no further.
            slot.prepare(vacant.to(after), Hint::to(MemberId::new(before, link)));
            step!(Prepared);
            if self.slot(before).relink(link, link.to(index)) {
                step!(Linked);
                self.correct_hint(after, index);
                return Ok(new);
            }
            back_off(&mut failures);
            match self.gap(place, guard) {
                Some(other) => gap = other,
                None => break,
            }
        }

        // The anchor left meanwhile.
        // ORDERING: Relaxed, see `len`.
        self.len.fetch_sub(1, Ordering::Relaxed);
        slot.prepare(vacant, Hint::free(SENTINEL));
        // SAFETY: N2, written above, and never published.
        let value = unsafe { slot.take() };
        step!(Refused);
        // After a grace period like any other: so a slot that a pinned thread saw on top of the
        // free list is not there again before it unpins, whatever the version says.
        let core = Arc::clone(self);
        guard.defer(move || core.table.give_back(index));
        Err(value)
    }

    /// Removes the member of that name; whether this call did it.
    ///
    /// Decided by one read-modify-write on the member's own link.
    pub(crate) fn remove(self: &Arc<Self>, at: MemberId, guard: &Guard) -> bool {
        if !self.is_member(at) {
            return false;
        }
        // The slot was live under this pin, so it cannot become another member's before we mark it.
        let won = !self.slot(at.index()).mark().is_removed();
        step!(Marked);
        if won {
            // ORDERING: Relaxed, see `len`.
            self.len.fetch_sub(1, Ordering::Relaxed);
        }
        self.unlink(at.index(), guard);
        won
    }

    /// Removes the first member. Its successor follows the sentinel from then on.
    ///
    /// A mark alone could hit a member that is not the first any more. So the sentinel's link is
    /// made busy before: it then changes only by the unlinking of the member it names, which
    /// anybody who needs the link brings about.
    pub(crate) fn pop_front<'g>(self: &'g Arc<Self>, guard: &'g Guard) -> Option<Member<'g, T>> {
        let mut failures = 0;
        loop {
            let head = self.link(SENTINEL);
            step!(FrontRead);
            let first = head.successor();
            if first == SENTINEL {
                return None;
            }
            if head.is_busy() {
                self.finish((SENTINEL, head), guard);
                continue;
            }
            let link = self.link(first);
            if !self.slot(SENTINEL).relink(head, head.busy()) {
                back_off(&mut failures);
                continue;
            }
            step!(FrontBusy);
            self.finish((SENTINEL, head.busy()), guard);
            step!(FrontTaken);
            if self.link(first).is_popped() {
                // SAFETY: N4, `first` was linked when the sentinel was made busy.
                return Some(unsafe { self.member(first, link, guard) });
            }
            // A removal by key was faster.
        }
    }

    /// Removes the last member: one exchange says that it is live, the last, and removed.
    pub(crate) fn pop_back<'g>(self: &'g Arc<Self>, guard: &'g Guard) -> Option<Member<'g, T>> {
        let mut failures = 0;
        loop {
            let (last, link) = self.last(guard)?;
            step!(LastFound);
            if self.slot(last).relink(link, link.removed()) {
                step!(Marked);
                // ORDERING: Relaxed, see `len`.
                self.len.fetch_sub(1, Ordering::Relaxed);
                self.unlink(last, guard);
                // SAFETY: N4, seen linked by `last`.
                return Some(unsafe { self.member(last, link, guard) });
            }
            back_off(&mut failures);
        }
    }

    pub(crate) fn front<'g>(self: &'g Arc<Self>, guard: &'g Guard) -> Option<Member<'g, T>> {
        let (first, link) = self.first(guard)?;
        // SAFETY: N4, seen linked by `first`.
        Some(unsafe { self.member(first, link, guard) })
    }

    pub(crate) fn back<'g>(self: &'g Arc<Self>, guard: &'g Guard) -> Option<Member<'g, T>> {
        let (last, link) = self.last(guard)?;
        // SAFETY: N4, seen linked by `last`.
        Some(unsafe { self.member(last, link, guard) })
    }

    /// Whether `at` is in the ring.
    fn is_member(&self, at: MemberId) -> bool {
        at.is_live_in(self.link(at.index()))
    }

    /// The first live member, with its link.
    fn first(self: &Arc<Self>, guard: &Guard) -> Option<Seen> {
        loop {
            let head = self.link(SENTINEL);
            let first = head.successor();
            if first == SENTINEL {
                return None;
            }
            let link = self.link(first);
            if !link.is_removed() {
                return Some((first, link));
            }
            self.unlink_after((SENTINEL, head), first, guard);
        }
    }

    /// The last live member, with its link, which names the sentinel.
    fn last(self: &Arc<Self>, guard: &Guard) -> Option<Seen> {
        let (last, link) = self.predecessor(SENTINEL, guard)?;
        (last != SENTINEL).then_some((last, link))
    }

    /// The live slot whose link must change for an insert at `place`, and the live slot that
    /// follows it; `None` if the anchor is not a member.
    fn gap(self: &Arc<Self>, place: Place, guard: &Guard) -> Option<(Seen, Index)> {
        loop {
            let (before, link) = match place {
                Place::After(at) => {
                    if at != MemberId::SENTINEL && !self.is_member(at) {
                        return None;
                    }
                    (at.index(), self.link(at.index()))
                }
                Place::Before(at) => {
                    if at != MemberId::SENTINEL && !self.is_member(at) {
                        return None;
                    }
                    let Some(seen) = self.predecessor(at.index(), guard) else { continue };
                    seen
                }
            };
            if link.is_removed() {
                continue;
            }
            if link.is_busy() {
                self.finish((before, link), guard);
                continue;
            }
            // Who sees a removal must not act upon it before it is finished.
            let after = link.successor();
            if self.link(after).is_removed() {
                self.unlink_after((before, link), after, guard);
                continue;
            }
            return Some(((before, link), after));
        }
    }

    /// Takes a removed slot out of the list, or waits for nobody: returns once it is out.
    pub(super) fn unlink(self: &Arc<Self>, index: Index, guard: &Guard) {
        while let Some(before) = self.predecessor(index, guard) {
            if self.unlink_after(before, index, guard) {
                return;
            }
        }
    }

    /// Takes the removed slot `index` out behind `before`; whether this call did it.
    ///
    /// The steps of every unlinking, in this order, by the remover or a helper:
    ///
    /// 1. Make the predecessor's link busy. An insert that looked before the removal could still
    ///    come in between; from here on it cannot, so the predecessor stays what it is until it
    ///    is removed itself, and then its own predecessor's link is busy in its stead.
    /// 2. Move the cursor off, to that predecessor.
    /// 3. Take the slot out.
    /// 4. Correct the successor's hint, and leave the value to its grace period.
    pub(super) fn unlink_after(
        self: &Arc<Self>,
        (before, link): Seen,
        index: Index,
        guard: &Guard,
    ) -> bool {
        step!(BeforeFound);
        let busy = link.busy();
        if !link.is_busy() && !self.slot(before).relink(link, busy) {
            return false;
        }
        if !self.step_off(index, before) {
            return false;
        }
        step!(SteppedOff);
        let gone = self.link(index);
        if !self.slot(before).relink(busy, busy.past(gone)) {
            return false;
        }
        step!(Unlinked);
        self.slot(index).set_unlinked();
        step!(SaidUnlinked);
        self.correct_hint(gone.successor(), before);
        step!(ToRetire);
        self.retire(MemberId::new(index, gone), guard);
        step!(Retired);
        true
    }

    /// Brings what holds a busy link to its end.
    fn finish(self: &Arc<Self>, (before, link): Seen, guard: &Guard) {
        let leaving = link.successor();
        // Only behind the sentinel can it be unmarked: then it is being taken from the front.
        let mut state = self.link(leaving);
        while !state.is_removed() {
            if self.slot(leaving).relink(state, state.popped()) {
                step!(FrontMarked);
                // ORDERING: Relaxed, see `len`.
                self.len.fetch_sub(1, Ordering::Relaxed);
            }
            state = self.link(leaving);
        }
        self.unlink_after((before, link), leaving, guard);
    }

    /// The live slot that links to `index`, with its link; `None` once `index` is unlinked.
    ///
    /// Unlinks the removed slots on its way. O(1) where the hint is exact; otherwise it walks from
    /// the hint, or from the sentinel if the hinted member is gone.
    pub(super) fn predecessor(self: &Arc<Self>, index: Index, guard: &Guard) -> Option<Seen> {
        let hint = self.slot(index).hint();
        step!(HintFollowed);
        if hint.is_unlinked() {
            return None;
        }
        let mut at = hint.member().index();
        let mut link = self.link(at);
        if at != SENTINEL && !hint.member().is_live_in(link) {
            at = SENTINEL;
            link = self.link(at);
        }
        loop {
            if link.is_removed() {
                at = SENTINEL;
                link = self.link(at);
            }
            let next = link.successor();
            if next == index {
                return Some((at, link));
            }
            if next == SENTINEL {
                // Once round: a removed slot that is not in the list never will be again.
                return None;
            }
            let beyond = self.link(next);
            step!(Searching);
            if beyond.is_removed() {
                self.unlink_after((at, link), next, guard);
                link = self.link(at);
            } else {
                at = next;
                link = beyond;
            }
        }
    }

    /// Makes `index`'s hint name `before`, which was seen to precede it.
    ///
    /// Gives up when another thread has linked or unlinked something between the two, since that
    /// thread corrects the hint after it. Verifies what it installed: `before` may have been
    /// removed, and the hint corrected on that account, in the meantime.
    fn correct_hint(&self, index: Index, before: Index) {
        let mut before = before;
        loop {
            let hint = self.slot(index).hint();
            let link = self.link(before);
            if hint.is_unlinked() || link.is_removed() || link.successor() != index {
                return;
            }
            step!(HintRead);
            if !self.slot(index).rehint(hint, Hint::to(MemberId::new(before, link))) {
                continue;
            }
            step!(HintWritten);
            if !self.link(before).is_removed() {
                return;
            }
            let Some(live) = self.live_before(index) else { return };
            before = live;
        }
    }

    /// The live slot nearest before `index`, found without helping anybody.
    fn live_before(&self, index: Index) -> Option<Index> {
        let (mut live, mut at) = (SENTINEL, SENTINEL);
        loop {
            let next = self.link(at).successor();
            if next == index {
                return Some(live);
            }
            if next == SENTINEL {
                return None;
            }
            if !self.link(next).is_removed() {
                live = next;
            }
            at = next;
        }
    }

    /// Whether every hint names the slot that links to its own (N6). Needs quiet.
    #[cfg(rondel_loom)]
    pub(crate) fn hints_are_exact(&self) -> bool {
        let mut at = SENTINEL;
        loop {
            let link = self.link(at);
            let next = link.successor();
            if self.slot(next).hint() != Hint::to(MemberId::new(at, link)) {
                return false;
            }
            if next == SENTINEL {
                return true;
            }
            at = next;
        }
    }
}

#[cfg(all(test, not(rondel_loom)))]
mod tests {
    use super::*;
    use crate::pin;

    /// A hint can be late by so much that its slot has become another member's, behind this one.
    #[test]
    fn a_hint_to_a_slot_that_is_used_again_is_not_followed() {
        let core = Arc::new(Core::new());
        let push = |value| core.insert(Place::BACK, value, &pin()).expect("the back is there");
        let (a, old, b) = (push(0), push(1), push(2));
        assert!(core.remove(old, &pin()));
        let new = std::iter::repeat_with(|| {
            for _ in 0..64 {
                pin().flush();
            }
            push(3)
        })
        .find(|new| new.index() == old.index())
        .expect("the slot is free at some time");

        let slot = core.slot(b.index());
        assert!(slot.rehint(slot.hint(), Hint::to(old)));
        let guard = pin();
        assert!(core.find(new, &guard).is_some());
        assert_eq!(core.predecessor(b.index(), &guard).map(|(before, _)| before), Some(a.index()));
        core.close();
    }
}
