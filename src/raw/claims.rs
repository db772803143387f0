//! Turns that are claimed several at once, and wait to be taken.
//!
//! Owns the claim, which is one move of the cursor, and the names and the places of those members. Never keeps them alive: a turn is taken only if
//! its slot still says that the member is in the ring.

use alloc::sync::Arc;

use crate::{
    guard::Guard,
    raw::{
        Core, Member,
        slot::Slot,
        turn::Hop,
        word::{Index, MemberId, Position, SENTINEL},
    },
    sync::{back_off, step},
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

impl<T: Send + Sync + 'static> Core<T> {
    /// Claims the next turns, so many of them, with one change of the cursor; none if the ring is
    /// empty. Apart, so that taking what was claimed is short enough to be inlined.
    #[inline(never)]
    pub(crate) fn claim<'r>(
        self: &'r Arc<Self>,
        claims: &mut Claims<'r, T>,
        turns: usize,
        guard: &Guard,
    ) {
        let cursor = self.echo();
        step!(CursorRead);
        if let Some(last) = self.route_nearby(cursor, claims, turns) {
            step!(TurnsFound);
            if self.move_cursor(cursor, last) {
                step!(Moved);
                claims.fill(turns);
                return;
            }
        }
        self.claim_anywhere(claims, turns, guard);
    }

    /// The same, wherever they are, and whoever else is at it.
    fn claim_anywhere<'r>(
        self: &'r Arc<Self>,
        claims: &mut Claims<'r, T>,
        turns: usize,
        guard: &Guard,
    ) {
        let mut failures = 0;
        'again: loop {
            let cursor = self.cursor();
            step!(CursorRead);
            let mut at = cursor.index();
            let mut link = self.link(at);
            step!(LinkRead);
            for (slot, id) in claims.places(turns) {
                match self.look_behind(at, link) {
                    Hop::To { next, slot: of_next, link: link_of_next, .. } => {
                        (*slot, *id) = (of_next, MemberId::new(next, link_of_next));
                        (at, link) = (next, link_of_next);
                    }
                    Hop::Empty => return,
                    Hop::Again => {
                        self.clear_the_way(at, guard);
                        continue 'again;
                    }
                }
            }
            step!(TurnsFound);
            if self.move_cursor(cursor, at) {
                step!(Moved);
                claims.fill(turns);
                return;
            }
            back_off(&mut failures);
        }
    }

    /// So many turns in a row from there, if all are in the first segment; the last of them. Only
    /// looks.
    #[inline]
    fn route_nearby<'r>(
        &'r self,
        cursor: Position,
        claims: &mut Claims<'r, T>,
        turns: usize,
    ) -> Option<Index> {
        let slots = self.table.first();
        let mut index = cursor.index();
        let mut at = slots.get(index as usize)?;
        let mut link = at.link();
        step!(LinkRead);
        for (slot, id) in claims.places(turns) {
            // What says that a member is live says too who follows it.
            index = Self::successor_nearby(slots, at, link)?;
            at = &slots[index as usize];
            link = at.link();
            (*slot, *id) = (at, MemberId::new(index, link));
        }
        (!link.is_removed()).then_some(index)
    }
}
