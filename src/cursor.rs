//! A private position in a ring.

use core::fmt;

use crate::{
    Entry, Guard, Ring,
    raw::{Member, MemberId},
};

/// A position of one's own, made by [`Ring::cursor`] or [`Ring::cursor_at`]. Moves of it are
/// nobody's turn: the shared cursor stays where it is.
///
/// The position is before the first member, or on a member. It holds no guard, so it may be kept
/// for any time, and sent to another thread that the ring outlives: one of a scope; any other makes
/// its own from its own `Arc` of the ring.
///
/// # While others act
///
/// If the member under the cursor is removed, [`current`](Self::current) is `None`, and a move
/// goes on from the member that preceded it when the cursor came there: forward to that member's
/// successor, backward onto that member. If that one is gone too, the cursor starts again before
/// the first. Moves are weakly consistent: a step backward may pass over a member that is inserted
/// at the same time.
///
/// ```
/// let ring: rondel::Ring<char> = "abc".chars().collect();
/// let guard = rondel::pin();
/// let mut cursor = ring.cursor();
/// assert!(cursor.current(&guard).is_none());
/// assert_eq!(*cursor.move_next(&guard).unwrap(), 'a');
/// let b = cursor.move_next(&guard).unwrap();
/// ring.remove(b.key());
/// assert!(cursor.current(&guard).is_none());
/// assert_eq!(*cursor.move_next(&guard).unwrap(), 'c');
/// assert_eq!(*cursor.move_next(&guard).unwrap(), 'a'); // round it goes
/// assert_eq!(*cursor.move_prev(&guard).unwrap(), 'c');
/// ```
#[must_use = "a position does nothing by itself"]
pub struct Cursor<'r, T> {
    ring: &'r Ring<T>,
    at: MemberId,
    /// What preceded `at` when the cursor came there.
    before: MemberId,
}

impl<'r, T: Send + Sync + 'static> Cursor<'r, T> {
    pub(crate) fn new(ring: &'r Ring<T>) -> Self {
        Self { ring, at: MemberId::SENTINEL, before: MemberId::SENTINEL }
    }

    pub(crate) fn on(ring: &'r Ring<T>, at: MemberId, guard: &Guard) -> Option<Self> {
        let (_, before) = ring.core().onto(at, guard)?;
        Some(Self { ring, at, before })
    }

    /// The member under the cursor; `None` before the first, or if it was removed.
    ///
    /// ```
    /// let ring = rondel::Ring::new();
    /// let key = ring.push_back("a");
    /// let guard = rondel::pin();
    /// let cursor = ring.cursor_at(key).unwrap();
    /// assert_eq!(cursor.current(&guard).as_deref(), Some(&"a"));
    /// ring.remove(key);
    /// assert!(cursor.current(&guard).is_none());
    /// ```
    ///
    /// # Progress
    ///
    /// Wait-free, O(1).
    pub fn current<'g>(&self, guard: &'g Guard) -> Option<Entry<'g, T>>
    where
        'r: 'g,
    {
        if self.at == MemberId::SENTINEL { None } else { self.ring.entry(self.at, guard) }
    }

    /// Moves to the successor, past the end to the first; `None`, and before the first, if the
    /// ring is empty.
    ///
    /// ```
    /// let ring: rondel::Ring<u32> = (0..2).collect();
    /// let guard = rondel::pin();
    /// let mut cursor = ring.cursor();
    /// let steps: Vec<u32> =
    ///     (0..3).filter_map(|_| cursor.move_next(&guard)).map(|entry| *entry).collect();
    /// assert_eq!(steps, [0, 1, 0]);
    /// assert_eq!(*ring.next(&guard).unwrap(), 0); // and it was nobody's turn
    /// ```
    ///
    /// # While others act
    ///
    /// The member was in the ring at some moment of the call. One that is inserted behind the
    /// cursor during it may or may not be stepped on.
    ///
    /// # Progress
    ///
    /// Lock-free, O(1) expected.
    pub fn move_next<'g>(&mut self, guard: &'g Guard) -> Option<Entry<'g, T>>
    where
        'r: 'g,
    {
        self.come_to(self.ring.core().forward(self.at, self.before, guard))
    }

    /// Moves to the predecessor, past the front to the last; `None`, and before the first, if the
    /// ring is empty.
    ///
    /// ```
    /// let ring: rondel::Ring<u32> = (0..3).collect();
    /// let guard = rondel::pin();
    /// let mut cursor = ring.cursor();
    /// assert_eq!(*cursor.move_prev(&guard).unwrap(), 2);
    /// assert_eq!(*cursor.move_prev(&guard).unwrap(), 1);
    /// ```
    ///
    /// # While others act
    ///
    /// The member was in the ring at some moment of the call. One that is inserted before the
    /// cursor during it may be passed over.
    ///
    /// # Progress
    ///
    /// Lock-free, O(1) expected; see [`Ring::remove`] for when a predecessor must be looked for.
    pub fn move_prev<'g>(&mut self, guard: &'g Guard) -> Option<Entry<'g, T>>
    where
        'r: 'g,
    {
        self.come_to(self.ring.core().backward(self.at, self.before, guard))
    }

    fn come_to<'g>(&mut self, place: Option<(Member<'g, T>, MemberId)>) -> Option<Entry<'g, T>> {
        let Some((member, before)) = place else {
            *self = Self::new(self.ring);
            return None;
        };
        self.at = member.id();
        self.before = before;
        Some(Entry::new(self.ring.core().id(), member))
    }
}

impl<T> Clone for Cursor<'_, T> {
    /// Another position in the same place.
    fn clone(&self) -> Self {
        Self { ..*self }
    }
}

impl<T> fmt::Debug for Cursor<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cursor").field("at", &self.at).finish_non_exhaustive()
    }
}
