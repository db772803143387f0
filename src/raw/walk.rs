//! Moves that are nobody's turn: laps, and private cursors.

use alloc::sync::Arc;

use crate::{
    guard::Guard,
    raw::{
        Core, Member,
        turn::Hop,
        word::{Index, MemberId, SENTINEL},
    },
};

impl<T: Send + Sync + 'static> Core<T> {
    /// The member of that name, if it is in the ring.
    #[inline]
    pub(crate) fn find<'g>(&'g self, at: MemberId, guard: &'g Guard) -> Option<Member<'g, T>> {
        let slot = self.slot(at.index());
        let link = slot.link();
        // SAFETY: N4, a live slot whose generation was published is linked.
        at.is_live_in(link).then(|| unsafe { Member::seen(slot, at.index(), link, guard) })
    }

    /// The slot that follows `at`, live or not; of a removed one, the slot that followed it when
    /// it was removed. `at` was seen linked under the caller's pin, and so is the result (N4).
    pub(crate) fn after(&self, at: Index) -> Index {
        self.link(at).successor()
    }

    /// The first live slot at or behind `at`, which was seen linked under the caller's pin.
    pub(crate) fn settle(&self, at: Index) -> Index {
        let mut at = at;
        loop {
            let link = self.link(at);
            if !link.is_removed() {
                return at;
            }
            at = link.successor();
        }
    }

    /// The member in the slot `at`, which was seen linked under `guard`, if it is still live.
    pub(crate) fn live<'g>(&'g self, at: Index, guard: &'g Guard) -> Option<Member<'g, T>> {
        let link = self.link(at);
        // SAFETY: N4, the caller saw it linked under this guard.
        (at != SENTINEL && link.is_live()).then(|| unsafe { self.member(at, link, guard) })
    }

    /// The member before `at`, which was seen linked under `guard`; `None` if there is none, or
    /// if `at` has left.
    pub(crate) fn before<'g>(
        self: &'g Arc<Self>,
        at: Index,
        guard: &'g Guard,
    ) -> Option<Member<'g, T>> {
        let (before, link) = self.predecessor(at, guard)?;
        // SAFETY: N4, seen linked by `predecessor`.
        (before != SENTINEL).then(|| unsafe { self.member(before, link, guard) })
    }

    /// The member of that name, and what precedes it.
    pub(crate) fn onto<'g>(
        self: &'g Arc<Self>,
        at: MemberId,
        guard: &'g Guard,
    ) -> Option<(Member<'g, T>, MemberId)> {
        let member = self.find(at, guard)?;
        // One that leaves meanwhile has no predecessor to come back to: it is not there.
        let (before, link) = self.predecessor(at.index(), guard)?;
        Some((member, MemberId::new(before, link)))
    }

    /// The member after the first of `at` and `before` that is still there, or else the first of
    /// all, with what precedes it.
    pub(crate) fn forward<'g>(
        self: &'g Arc<Self>,
        at: MemberId,
        before: MemberId,
        guard: &'g Guard,
    ) -> Option<(Member<'g, T>, MemberId)> {
        loop {
            let from = [at, before]
                .into_iter()
                .find(|id| id.is_live_in(self.link(id.index())))
                .unwrap_or(MemberId::SENTINEL);
            match self.hop(from.index(), guard) {
                Hop::To { next, link, past_the_end, .. } => {
                    // SAFETY: N4, seen linked and live by `hop`.
                    let member = unsafe { self.member(next, link, guard) };
                    return Some((member, if past_the_end { MemberId::SENTINEL } else { from }));
                }
                Hop::Empty => return None,
                Hop::Again => {}
            }
        }
    }

    /// The member before `at`, or `before` if `at` has left, or else the last of all, with what
    /// precedes it.
    pub(crate) fn backward<'g>(
        self: &'g Arc<Self>,
        at: MemberId,
        before: MemberId,
        guard: &'g Guard,
    ) -> Option<(Member<'g, T>, MemberId)> {
        loop {
            let is_there = at != MemberId::SENTINEL && self.find(at, guard).is_some();
            let onto = if is_there {
                // `None` if it leaves meanwhile; then the next round does not find it.
                let Some((before, link)) = self.predecessor(at.index(), guard) else { continue };
                MemberId::new(before, link)
            } else {
                before
            };
            // SENTINEL, or what has left: past the front, to the last.
            if onto != MemberId::SENTINEL {
                if let Some(place) = self.onto(onto, guard) {
                    return Some(place);
                }
                if is_there {
                    continue;
                }
            }
            let last = self.back(guard)?.id();
            if let Some(place) = self.onto(last, guard) {
                return Some(place);
            }
        }
    }
}
