//! Several turns claimed at once.

use core::{
    fmt,
    panic::{RefUnwindSafe, UnwindSafe},
};

use crate::{
    Entry, Guard, Ring, pin,
    raw::{self, Claims},
};

/// Turns that were claimed by [`Ring::lease`], to be taken one by one.
///
/// Taking a turn touches nothing shared but the member itself, and claiming sixteen changes the
/// cursor once: when threads contend for the cursor, a lease spares them that.
///
/// # While others act
///
/// The turns are those of the members that followed the cursor when the lease was made. A member
/// that is removed before its turn is passed over; one that is inserted later is not in the lease.
///
/// # Fairness
///
/// Turns that are not taken are lost to their members: a lease that is dropped early leaves them
/// one turn behind the others, for good. Until it is used up, or if it is not, the ring's bound on
/// the difference of turns grows by one for each lease, or by the number of laps in it.
///
/// ```
/// let ring: rondel::Ring<char> = "abc".chars().collect();
/// let guard = rondel::pin();
/// let mut lease = ring.lease(2);
/// assert_eq!(*ring.next(&guard).unwrap(), 'c'); // 'a' and 'b' are claimed
/// assert_eq!(*lease.next(&guard).unwrap(), 'a');
/// assert_eq!(*lease.next(&guard).unwrap(), 'b');
/// assert!(lease.next(&guard).is_none());
/// ```
#[must_use = "turns that are not taken are lost to their members"]
pub struct Lease<'r, T> {
    ring: &'r Ring<T>,
    claims: Claims<'r, T>,
}

impl<'r, T: Send + Sync + 'static> Lease<'r, T> {
    /// The most turns that one lease claims.
    ///
    /// ```
    /// let ring: rondel::Ring<u32> = (0..3).collect();
    /// assert_eq!(ring.lease(1_000).remaining(), rondel::Lease::<u32>::MAX);
    /// ```
    pub const MAX: usize = raw::MAX;

    pub(crate) fn new(ring: &'r Ring<T>, turns: usize) -> Self {
        let mut lease = Self { ring, claims: Claims::none(ring.core()) };
        lease.renew(turns, &pin());
        lease
    }

    /// Once the lease is used up, claims turns anew, as [`Ring::lease`] does; those that are left
    /// are kept, and no others claimed. Cheaper than a new lease, which would have to be moved.
    ///
    /// ```
    /// let ring: rondel::Ring<u32> = (0..3).collect();
    /// let mut guard = rondel::pin();
    /// let mut lease = ring.lease(16);
    /// for turn in 0..99 {
    ///     if lease.remaining() == 0 {
    ///         guard.repin();
    ///         lease.renew(16, &guard);
    ///     }
    ///     assert_eq!(*lease.next(&guard).unwrap(), turn % 3);
    /// }
    /// ```
    ///
    /// # Progress
    ///
    /// Lock-free, O(turns).
    pub fn renew(&mut self, turns: usize, guard: &Guard) {
        if self.remaining() == 0 {
            self.ring.core().claim(&mut self.claims, turns.min(Self::MAX), guard);
        }
    }

    /// Takes the next turn of the lease; `None` when it is used up.
    ///
    /// Never returns a member whose removal had returned when this call began.
    ///
    /// ```
    /// let ring = rondel::Ring::new();
    /// let (a, _b) = (ring.push_back("a"), ring.push_back("b"));
    /// let mut lease = ring.lease(2);
    /// ring.remove(a);
    /// let guard = rondel::pin();
    /// assert_eq!(*lease.next(&guard).unwrap(), "b"); // a's turn is passed over
    /// assert!(lease.next(&guard).is_none());
    /// ```
    ///
    /// # Progress
    ///
    /// Wait-free: at most as many steps as the lease has turns. O(1), one load per turn.
    #[inline]
    pub fn next<'g>(&mut self, guard: &'g Guard) -> Option<Entry<'g, T>>
    where
        'r: 'g,
    {
        self.claims.take(guard).map(|member| self.ring.shown(member))
    }

    /// Turns that are left, those of members removed meanwhile included.
    ///
    /// ```
    /// let ring: rondel::Ring<u32> = (0..3).collect();
    /// let mut lease = ring.lease(5);
    /// assert_eq!(lease.remaining(), 5);
    /// lease.next(&rondel::pin());
    /// assert_eq!(lease.remaining(), 4);
    /// ```
    ///
    /// # Progress
    ///
    /// Wait-free, O(1), no atomic access.
    pub fn remaining(&self) -> usize {
        self.claims.left()
    }
}

// A turn is taken, or it is not.
impl<T: RefUnwindSafe> UnwindSafe for Lease<'_, T> {}
impl<T: RefUnwindSafe> RefUnwindSafe for Lease<'_, T> {}

impl<T> fmt::Debug for Lease<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("remaining", &self.claims.left()).finish_non_exhaustive()
    }
}
