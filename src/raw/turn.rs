//! Turns: how the shared cursor moves.
//!
//! ```text
//! next:  c = cursor; n = the live slot that follows c; exchange cursor (c, v) -> (n, v + 1)
//! ```
//!
//! The version makes a successful exchange mean that *nobody moved the cursor, and no removal got
//! as far as unlinking*, since the cursor was read (N5). So what was seen in between still holds
//! in the only way that matters: slots can have been linked, or marked, but none has gone and come
//! back. That is what the proofs below rest upon.

use alloc::sync::Arc;

use crate::{
    guard::Guard,
    raw::{
        Core, Member,
        slot::Slot,
        table::FIRST,
        word::{Index, Link, Position, SENTINEL},
    },
    sync::{Ordering, back_off, step},
};

/// One step forward from a slot.
pub(super) enum Hop<'a, T> {
    /// The live slot that follows, with its link.
    To { next: Index, slot: &'a Slot<T>, link: Link, past_the_end: bool },
    /// The ring was empty.
    Empty,
    /// A removal that is under way must be finished first, or the end of the list moved.
    Again,
}

/// What an attempt to take the next turn came to.
enum Turn<'g, T> {
    Won(Member<'g, T>),
    /// There are no members.
    Nobody,
    /// Another change of the cursor came first.
    Lost,
    /// Behind the cursor, or under it, a removal is under way that must be finished first.
    InTheWay,
}

/// What a search for an acceptable member came to.
enum Search<'g, T> {
    Found {
        member: Member<'g, T>,
        hops: usize,
    },
    /// Everybody was asked once, and nobody accepted.
    Nobody,
    /// The ring changed on the way: start again from the cursor.
    Again,
}

impl<T: Send + Sync + 'static> Core<T> {
    #[inline]
    pub(super) fn cursor(&self) -> Position {
        // ORDERING: E2. Acquire: a removal whose change of the cursor we see is itself seen, so
        // what still looks live afterwards has not been stepped off yet.
        Position(self.cursor.position.load(Ordering::Acquire))
    }

    /// Where the cursor was after one of its last changes; mostly where it is. An exchange that
    /// succeeds from there shows that it was there all the time, since every change makes a new
    /// version.
    #[inline]
    pub(super) fn echo(&self) -> Position {
        // ORDERING: E2. Acquire: as from the cursor itself, since who stores it has made the
        // change, from a position that it had read with Acquire.
        Position(self.cursor.echo.load(Ordering::Acquire))
    }

    #[inline]
    pub(super) fn move_cursor(&self, from: Position, to: Index) -> bool {
        let to = from.moved_to(to);
        // ORDERING: E2. Release: the marks that this thread saw or made are seen by who reads the
        // new position. Acquire is not needed: what `from` says was read with Acquire. Failure is
        // Relaxed: the caller reads again.
        let moved = self
            .cursor
            .position
            .compare_exchange(from.0, to.0, Ordering::Release, Ordering::Relaxed)
            .is_ok();
        if moved {
            // ORDERING: E2. Release, as the change itself.
            self.cursor.echo.store(to.0, Ordering::Release);
        }
        moved
    }

    /// The next turn.
    ///
    /// Tries the common case: nobody is in the way, and the turn is a member's in the first
    /// segment. Short enough to be inlined.
    #[inline]
    pub(crate) fn next<'g>(self: &'g Arc<Self>, guard: &'g Guard) -> Option<Member<'g, T>> {
        let cursor = self.echo();
        step!(CursorRead);
        let Some((next, slot, link)) = self.look_nearby(cursor) else {
            return self.next_anywhere(Some(cursor), guard);
        };
        step!(NextFound);
        if !self.move_cursor(cursor, next) {
            return self.next_anywhere(None, guard);
        }
        step!(Moved);
        // SAFETY: N4, seen linked and live by `look_nearby`.
        Some(unsafe { Member::seen(slot, next, link, guard) })
    }

    /// The live slot that follows, past the sentinel, if both are in the first segment. Only looks.
    #[inline]
    fn look_nearby(&self, cursor: Position) -> Option<(Index, &Slot<T>, Link)> {
        let slots = self.table.first();
        let at = slots.get(cursor.index() as usize)?;
        let link = at.link();
        step!(LinkRead);
        let next = Self::successor_nearby(slots, at, link)?;
        let slot = &slots[next as usize];
        let link = slot.link();
        (!link.is_removed()).then_some((next, slot, link))
    }

    /// The slot that follows `at`, past the sentinel, if `at` is live, as its `link` says, and that
    /// slot in the first segment.
    #[inline]
    pub(super) fn successor_nearby(slots: &[Slot<T>], at: &Slot<T>, link: Link) -> Option<Index> {
        let mut next = link.live_successor();
        if next == u64::from(SENTINEL) {
            next = slots[SENTINEL as usize].link().live_successor();
            step!(HeadRead);
            // As in `look_past_the_end`; or the ring is empty.
            if at.link() != link || next == u64::from(SENTINEL) {
                return None;
            }
        }
        let is_near = next < u64::from(FIRST);
        #[expect(clippy::cast_possible_truncation, reason = "below FIRST")]
        is_near.then_some(next as Index)
    }

    /// The next turn, wherever it is, and whoever else is at it; from the echo first, unless a
    /// race was lost from there. Apart, so that the common path saves no registers for the sake of
    /// this one.
    #[inline(never)]
    fn next_anywhere<'g>(
        self: &'g Arc<Self>,
        echo: Option<Position>,
        guard: &'g Guard,
    ) -> Option<Member<'g, T>> {
        // Only a turn is taken from there: it may be late.
        let from_echo = echo.map_or(Turn::Lost, |echo| self.try_next(echo, guard));
        let mut failures = 0;
        match from_echo {
            Turn::Won(member) => return Some(member),
            Turn::Lost => back_off(&mut failures),
            Turn::Nobody | Turn::InTheWay => {}
        }
        loop {
            let cursor = self.cursor();
            step!(CursorRead);
            match self.try_next(cursor, guard) {
                Turn::Won(member) => return Some(member),
                Turn::Nobody => return None,
                Turn::Lost => back_off(&mut failures),
                Turn::InTheWay => self.clear_the_way(cursor.index(), guard),
            }
        }
    }

    /// One attempt.
    ///
    /// Takes effect when the link that names the result is read (for `Nobody`, when the sentinel
    /// is seen to follow itself): from there to the exchange the cursor did not move.
    #[inline]
    fn try_next<'g>(&'g self, cursor: Position, guard: &'g Guard) -> Turn<'g, T> {
        match self.look(cursor.index()) {
            Hop::To { next, slot, link, .. } => {
                step!(NextFound);
                if !self.move_cursor(cursor, next) {
                    return Turn::Lost;
                }
                step!(Moved);
                // SAFETY: N4, seen linked and live by `look`.
                Turn::Won(unsafe { Member::seen(slot, next, link, guard) })
            }
            Hop::Empty => Turn::Nobody,
            Hop::Again => Turn::InTheWay,
        }
    }

    /// The next turn of a member that `accept` wants; the others are passed over.
    ///
    /// Takes effect between the first and the second walk to the result, which found the same
    /// members on the way; with the cursor where it was, nothing can have come and gone between.
    pub(crate) fn next_where<'g>(
        self: &'g Arc<Self>,
        guard: &'g Guard,
        mut accept: impl FnMut(&T) -> bool,
    ) -> Option<Member<'g, T>> {
        let mut failures = 0;
        loop {
            let cursor = self.cursor();
            step!(CursorRead);
            match self.search(cursor.index(), guard, &mut accept) {
                Search::Found { member, hops } => {
                    let index = member.id().index();
                    step!(Accepted);
                    if self.is_hops_away(cursor.index(), index, hops, guard)
                        && self.move_cursor(cursor, index)
                    {
                        step!(Moved);
                        return Some(member);
                    }
                    back_off(&mut failures);
                }
                Search::Nobody => return None,
                Search::Again => {}
            }
        }
    }

    /// Moves the cursor off the removed slot `index`, whose live predecessor is `before`, or
    /// leaves it where it is: either way by a change that happens after the removal, so that a
    /// picker that was about to install `index` fails. `false` if `before` was removed itself.
    ///
    /// A load that finds the cursor elsewhere would not do: a picker could install `index` after.
    pub(super) fn step_off(&self, index: Index, before: Index) -> bool {
        step!(Busy);
        let mut failures = 0;
        loop {
            let cursor = self.cursor();
            let mut to = cursor.index();
            if to == index {
                // Seen live after the cursor was read, or not installed (N5).
                if self.link(before).is_removed() {
                    return false;
                }
                to = before;
            }
            step!(OffRead);
            if self.move_cursor(cursor, to) {
                return true;
            }
            back_off(&mut failures);
        }
    }

    /// Moves the cursor off the unlinked slot `index`.
    ///
    /// It is there only if a picker stood still between its read and its exchange for so long that
    /// the version came round, which N5 leaves out of account. Without this all pickers would wait
    /// for the slot to be reclaimed, and that for them.
    #[cold]
    fn leave_unlinked(&self, index: Index) {
        let cursor = self.cursor();
        if cursor.index() == index {
            self.move_cursor(cursor, SENTINEL);
        }
    }

    /// The live slot after `at`, past the sentinel. Only looks.
    #[inline]
    fn look(&self, at: Index) -> Hop<'_, T> {
        let link = self.link(at);
        step!(LinkRead);
        self.look_behind(at, link)
    }

    /// The same, from what the link of `at` was.
    #[inline]
    pub(super) fn look_behind(&self, at: Index, link: Link) -> Hop<'_, T> {
        if link.is_removed() {
            return Hop::Again;
        }
        match link.successor() {
            SENTINEL if at == SENTINEL => Hop::Empty,
            SENTINEL => self.look_past_the_end(at, link),
            next => self.look_at(next, false),
        }
    }

    /// The first live slot. `at` was the last one, as its `link` said.
    #[inline]
    fn look_past_the_end(&self, at: Index, link: Link) -> Hop<'_, T> {
        let next = self.link(SENTINEL).successor();
        step!(HeadRead);
        // Was `at` still the last when the first was read? It was not if something had been
        // linked behind it; and if that had gone again, the cursor's version has changed.
        if self.link(at) != link {
            return Hop::Again;
        }
        if next == SENTINEL { Hop::Empty } else { self.look_at(next, true) }
    }

    /// The slot `next`, if it is live.
    #[inline]
    fn look_at(&self, next: Index, past_the_end: bool) -> Hop<'_, T> {
        let slot = self.slot(next);
        let link = slot.link();
        if link.is_removed() { Hop::Again } else { Hop::To { next, slot, link, past_the_end } }
    }

    /// The live slot after `at`, past the sentinel; or what stands in the way is unlinked instead.
    pub(super) fn hop(self: &Arc<Self>, at: Index, guard: &Guard) -> Hop<'_, T> {
        let hop = self.look(at);
        if let Hop::Again = hop {
            self.clear_the_way(at, guard);
        }
        hop
    }

    /// Finishes the removal of `at`, or else of what follows it.
    #[cold]
    pub(super) fn clear_the_way(self: &Arc<Self>, at: Index, guard: &Guard) {
        let mut before = (at, self.link(at));
        if before.1.is_removed() {
            self.unlink(at, guard);
            self.leave_unlinked(at);
            return;
        }
        if before.1.successor() == SENTINEL {
            before = (SENTINEL, self.link(SENTINEL));
        }
        let next = before.1.successor();
        if next != SENTINEL && self.link(next).is_removed() {
            self.unlink_after(before, next, guard);
        }
    }

    /// Asks the members after `start`, each once, in order.
    fn search<'g>(
        self: &'g Arc<Self>,
        start: Index,
        guard: &'g Guard,
        accept: &mut impl FnMut(&T) -> bool,
    ) -> Search<'g, T> {
        let mut at = start;
        let mut laps = 0;
        for hops in 1.. {
            let (next, link) = match self.hop(at, guard) {
                Hop::To { next, link, past_the_end, .. } => {
                    laps += u32::from(past_the_end);
                    (next, link)
                }
                Hop::Empty => return Search::Nobody,
                Hop::Again => return Search::Again,
            };
            if start == SENTINEL && laps == 1 {
                return Search::Nobody;
            }
            if laps == 2 {
                // `start` was never met, so it has left, and the cursor with it.
                return Search::Again;
            }
            // SAFETY: N4, seen linked and live by `hop`.
            let member = unsafe { self.member(next, link, guard) };
            if accept(member.value()) {
                return Search::Found { member, hops };
            }
            if next == start {
                return Search::Nobody;
            }
            at = next;
        }
        Search::Nobody
    }

    /// Whether `index` is still the `hops`-th member after `start`.
    fn is_hops_away(
        self: &Arc<Self>,
        start: Index,
        index: Index,
        hops: usize,
        guard: &Guard,
    ) -> bool {
        // One hop was seen in one step: there was no second place to look at.
        if hops == 1 {
            return true;
        }
        let mut at = start;
        for hop in 1..=hops {
            match self.hop(at, guard) {
                Hop::To { next, .. } if next == index => {
                    step!(Confirmed);
                    return hop == hops;
                }
                Hop::To { next, .. } => at = next,
                Hop::Empty | Hop::Again => return false,
            }
        }
        false
    }
}
