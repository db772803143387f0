//! One lap over a ring.

use core::{fmt, iter::FusedIterator};

use crate::{
    Entry, Guard, Ring,
    raw::{Index, SENTINEL},
};

/// One lap, front to back, made by [`Ring::iter`]. Does not touch the cursor.
///
/// # While others act
///
/// Shows every member that is in the ring for the whole lap, once and in order, from whichever
/// end; none that was removed before the lap began; and of those that come or go during the lap,
/// some. No member is shown twice, also when both ends are used.
///
/// # Progress
///
/// A step is lock-free and takes O(1), plus the members removed since that it passes over. A step
/// from the back may have to look for the predecessor: see [`Ring::remove`].
///
/// ```
/// let ring: rondel::Ring<u32> = (0..4).collect();
/// let guard = rondel::pin();
/// let mut lap = ring.iter(&guard);
/// assert_eq!(*lap.next().unwrap(), 0);
/// assert_eq!(*lap.next_back().unwrap(), 3);
/// ring.push_back(4); // behind what was shown from the back
/// let rest: Vec<u32> = lap.map(|entry| *entry).collect();
/// assert_eq!(rest, [1, 2]);
/// ```
#[must_use = "a lap shows nothing unless it is walked"]
pub struct Iter<'g, T> {
    ring: &'g Ring<T>,
    guard: &'g Guard,
    /// The first slot to show, and the one to stop before. Both were linked under this guard, and
    /// are moved on to the first live slot at or behind them before use.
    front: Index,
    end: Index,
}

impl<'g, T: Send + Sync + 'static> Iter<'g, T> {
    pub(crate) fn new(ring: &'g Ring<T>, guard: &'g Guard) -> Self {
        Self { ring, guard, front: ring.core().after(SENTINEL), end: SENTINEL }
    }

    /// Whether anything is left. `end` is settled last: if `front` is still live after that, it
    /// comes before `end`, and nothing from `end` on has been shown from the front.
    fn settle(&mut self) -> bool {
        self.front = self.ring.core().settle(self.front);
        self.end = self.ring.core().settle(self.end);
        self.front != self.end
    }
}

impl<'g, T: Send + Sync + 'static> Iterator for Iter<'g, T> {
    type Item = Entry<'g, T>;

    fn next(&mut self) -> Option<Entry<'g, T>> {
        let core = self.ring.core();
        while self.settle() {
            if let Some(member) = core.live(self.front, self.guard) {
                self.front = core.after(self.front);
                return Some(Entry::new(core.id(), member));
            }
        }
        None
    }
}

impl<T: Send + Sync + 'static> DoubleEndedIterator for Iter<'_, T> {
    fn next_back(&mut self) -> Option<Self::Item> {
        let core = self.ring.core();
        while self.settle() {
            let last = core.before(self.end, self.guard);
            // The front is asked after `last` was found: live, it is not behind it.
            if core.live(self.front, self.guard).is_none() {
                continue;
            }
            if let Some(member) = last {
                self.end = member.id().index();
                return Some(Entry::new(core.id(), member));
            }
        }
        None
    }
}

impl<T: Send + Sync + 'static> FusedIterator for Iter<'_, T> {}

impl<T> Clone for Iter<'_, T> {
    /// The rest of the lap, once more.
    fn clone(&self) -> Self {
        Self { ..*self }
    }
}

impl<T> fmt::Debug for Iter<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Iter").finish_non_exhaustive()
    }
}
