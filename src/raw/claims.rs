//! Turns that were claimed, and wait to be taken.
//!
//! Owns the names and the places of those members. Never keeps them alive: a turn is taken only if
//! its slot still says that the member is in the ring.

use crate::{
    guard::Guard,
    raw::{
        Core, Member,
        slot::Slot,
        word::{MemberId, SENTINEL},
    },
};

pub(crate) const MAX: usize = 32;

/// Those that are left are at the end, from `first` on: one comparison finds them.
pub(crate) struct Claims<'r, T> {
    slots: [&'r Slot<T>; MAX],
    ids: [MemberId; MAX],
    first: usize,
}

impl<'r, T> Claims<'r, T> {
    pub(crate) fn none(core: &'r Core<T>) -> Self {
        Self { slots: [core.slot(SENTINEL); MAX], ids: [MemberId::SENTINEL; MAX], first: MAX }
    }

    pub(crate) fn left(&self) -> usize {
        MAX - self.first
    }

    /// The next turn whose member is in the ring.
    #[inline]
    pub(crate) fn take<'g>(&mut self, guard: &'g Guard) -> Option<Member<'g, T>>
    where
        'r: 'g,
    {
        while let (Some(&slot), Some(&id)) = (self.slots.get(self.first), self.ids.get(self.first))
        {
            self.first += 1;
            let link = slot.link();
            if id.is_live_in(link) {
                // SAFETY: N4, a live slot whose generation was published is linked.
                return Some(unsafe { Member::seen(slot, id.index(), link, guard) });
            }
        }
        None
    }

    /// So many places to write turns to.
    #[inline]
    pub(super) fn places(
        &mut self,
        turns: usize,
    ) -> impl Iterator<Item = (&mut &'r Slot<T>, &mut MemberId)> {
        let first = MAX - turns;
        self.slots[first..].iter_mut().zip(&mut self.ids[first..])
    }

    /// So many were written.
    #[inline]
    pub(super) fn fill(&mut self, turns: usize) {
        self.first = MAX - turns;
    }
}
