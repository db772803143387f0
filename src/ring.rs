//! The ring: the safe face of `raw`.

use alloc::sync::Arc;
use core::{
    fmt,
    panic::{RefUnwindSafe, UnwindSafe},
};

use crate::{
    Cursor, Entry, Guard, InsertError, Iter, Key, Lease, pin,
    raw::{Core, Member, MemberId, Place},
};

/// A circular list of members with one shared cursor for round robin.
///
/// All methods take `&self` and may be called by any number of threads at once. The state is a
/// sequence of members and a cursor, which is on the member returned last by [`next`](Self::next),
/// or before the first one. What each method does to that state is said in its first lines; under
/// *while others act*, what it means when they do.
///
/// # Memory
///
/// Members live in slots of a table that grows by doubling and never moves: 16 bytes and the value
/// each. It is freed with the ring, or with the last removal that still waits then. Removed
/// members' slots are used again after a grace period (epoch-based reclamation, K. Fraser,
/// "Practical lock-freedom", 2004, by crossbeam-epoch), so inserting allocates only when the ring is
/// larger than ever before. A guard that is held for long delays that: see [`Guard`].
///
/// A value is dropped on whichever thread ends its grace period, at the latest when the ring is
/// dropped (one that another thread is dropping at that moment may be done a little later). The
/// collector lets a thread keep up to 64 removals to itself until it has more of them, or ends: a
/// thread that lives long and removes little leaves a few removed values waiting. So never wait
/// for a removed value to be dropped: see [memory and stalled readers](crate::docs::memory).
///
/// If a value's `drop` panics there, the panic is reported by the panic hook and goes no further;
/// when the ring itself is dropped, the first panic is passed on once all values are dropped.
///
/// # Limits
///
/// 16,777,183 members, those that wait for their grace period included.
///
/// # Source
///
/// Harris' list (2001) with backward hints as in Sundell and Tsigas (2008), over slots that are
/// named by index and generation, and a versioned cursor.
pub struct Ring<T> {
    core: Arc<Core<T>>,
}

impl<T: Send + Sync + 'static> Ring<T> {
    /// An empty ring.
    ///
    /// ```
    /// let ring: rondel::Ring<u32> = rondel::Ring::new();
    /// assert!(ring.is_empty());
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self { core: Arc::new(Core::new()) }
    }

    /// The number of members.
    ///
    /// Exact when nobody inserts or removes at the same time; otherwise it may count a member that
    /// is just being inserted or removed, never one too few.
    ///
    /// ```
    /// let ring: rondel::Ring<u32> = (0..3).collect();
    /// assert_eq!(ring.len(), 3);
    /// ```
    ///
    /// # Progress
    ///
    /// Wait-free, O(1).
    pub fn len(&self) -> usize {
        self.core.len()
    }

    /// Whether [`len`](Self::len) is 0.
    ///
    /// ```
    /// let ring = rondel::Ring::new();
    /// let key = ring.push_back("a");
    /// assert!(!ring.is_empty());
    /// ring.remove(key);
    /// assert!(ring.is_empty());
    /// ```
    ///
    /// # Progress
    ///
    /// Wait-free, O(1).
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Inserts before the first member. The cursor stays where it is.
    ///
    /// ```
    /// let ring = rondel::Ring::new();
    /// ring.push_back("b");
    /// ring.push_front("a");
    /// let guard = rondel::pin();
    /// assert_eq!(*ring.next(&guard).unwrap(), "a");
    /// ```
    ///
    /// # Progress
    ///
    /// Lock-free, O(1) expected. Allocates if the ring is larger than ever before.
    ///
    /// # Panics
    ///
    /// If the ring is full: see [Limits](Self#limits).
    pub fn push_front(&self, value: T) -> Key {
        self.push(Place::FRONT, value)
    }

    /// Inserts after the last member. The cursor stays where it is: if that is the last member,
    /// the new one is next.
    ///
    /// ```
    /// let ring = rondel::Ring::new();
    /// ring.push_back("a");
    /// let b = ring.push_back("b");
    /// assert_eq!(ring.get(b, &rondel::pin()).as_deref(), Some(&"b"));
    /// ```
    ///
    /// # Progress
    ///
    /// Lock-free, O(1) expected. Allocates if the ring is larger than ever before.
    ///
    /// # Panics
    ///
    /// If the ring is full: see [Limits](Self#limits).
    pub fn push_back(&self, value: T) -> Key {
        self.push(Place::BACK, value)
    }

    /// Inserts right before the member `at`. The cursor stays where it is.
    ///
    /// ```
    /// let ring = rondel::Ring::new();
    /// let b = ring.push_back("b");
    /// ring.insert_before(b, "a").unwrap();
    /// let guard = rondel::pin();
    /// assert_eq!(*ring.front(&guard).unwrap(), "a");
    /// ```
    ///
    /// # Errors
    ///
    /// If `at` is not, or no longer, a member of this ring. The error gives the value back.
    ///
    /// # Progress
    ///
    /// Lock-free, O(1) expected. Allocates if the ring is larger than ever before.
    ///
    /// # Panics
    ///
    /// If the ring is full: see [Limits](Self#limits).
    pub fn insert_before(&self, at: Key, value: T) -> Result<Key, InsertError<T>> {
        self.insert(Place::Before, at, value)
    }

    /// Inserts right after the member `at`. If the cursor is on `at`, the new member is next.
    ///
    /// ```
    /// let ring = rondel::Ring::new();
    /// let a = ring.push_back("a");
    /// ring.push_back("c");
    /// ring.insert_after(a, "b").unwrap();
    /// let guard = rondel::pin();
    /// let lap: Vec<_> = ring.iter(&guard).map(|entry| *entry).collect();
    /// assert_eq!(lap, ["a", "b", "c"]);
    /// ```
    ///
    /// # Errors
    ///
    /// If `at` is not, or no longer, a member of this ring. The error gives the value back.
    ///
    /// # Progress
    ///
    /// Lock-free, O(1) expected. Allocates if the ring is larger than ever before.
    ///
    /// # Panics
    ///
    /// If the ring is full: see [Limits](Self#limits).
    pub fn insert_after(&self, at: Key, value: T) -> Result<Key, InsertError<T>> {
        self.insert(Place::After, at, value)
    }

    /// Removes the member `key`; whether this call did it.
    ///
    /// Nobody else's turn changes. If the cursor is on the member it goes back to the predecessor,
    /// so that the member's successor is next.
    ///
    /// ```
    /// let ring = rondel::Ring::new();
    /// let key = ring.push_back("a");
    /// assert!(ring.remove(key));
    /// assert!(!ring.remove(key));
    /// ```
    ///
    /// # While others act
    ///
    /// Exactly one of several removers is told `true`. Once that call, or any other that found the
    /// member removed, has returned, no `next` that starts later returns the member. Entries of it
    /// stay readable under their guards; the value is dropped after the last of these is gone.
    ///
    /// # Progress
    ///
    /// Lock-free; the decision is one read-modify-write. O(1) expected: the predecessor is found
    /// by a hint. If the hinted member has just left too, it is looked for from the front, O(n).
    pub fn remove(&self, key: Key) -> bool {
        key.within(self.core.id()).is_some_and(|id| self.core.remove(id, &pin()))
    }

    /// Whether `key` names a member of this ring.
    ///
    /// `false` is final. `true` may be out of date at once; [`get`](Self::get) gives the value too.
    ///
    /// ```
    /// let ring = rondel::Ring::new();
    /// let key = ring.push_back("a");
    /// assert!(ring.contains(key));
    /// assert!(!rondel::Ring::<&str>::new().contains(key)); // it is of another ring
    /// ```
    ///
    /// # Progress
    ///
    /// As [`get`](Self::get), and a [`pin`].
    pub fn contains(&self, key: Key) -> bool {
        self.get(key, &pin()).is_some()
    }

    /// The member `key`, or `None` if it is not, or no longer, in this ring.
    ///
    /// ```
    /// let ring = rondel::Ring::new();
    /// let key = ring.push_back(7);
    /// let guard = rondel::pin();
    /// assert_eq!(*ring.get(key, &guard).unwrap(), 7);
    /// ```
    ///
    /// # Progress
    ///
    /// Wait-free, O(1), one load.
    #[inline]
    pub fn get<'g>(&'g self, key: Key, guard: &'g Guard) -> Option<Entry<'g, T>> {
        key.within(self.core.id()).and_then(|id| self.entry(id, guard))
    }

    /// The first member, or `None` if there is none. The cursor is not touched.
    ///
    /// ```
    /// let ring: rondel::Ring<u32> = (0..3).collect();
    /// let guard = rondel::pin();
    /// assert_eq!(ring.front(&guard).as_deref(), Some(&0));
    /// assert_eq!(ring.back(&guard).as_deref(), Some(&2));
    /// ```
    ///
    /// # Progress
    ///
    /// Lock-free, O(1).
    pub fn front<'g>(&'g self, guard: &'g Guard) -> Option<Entry<'g, T>> {
        self.core.front(guard).map(|member| self.shown(member))
    }

    /// The last member, or `None` if there is none. The cursor is not touched.
    ///
    /// ```
    /// let ring = rondel::Ring::new();
    /// let guard = rondel::pin();
    /// assert!(ring.back(&guard).is_none());
    /// ring.push_back("a");
    /// assert_eq!(ring.back(&guard).as_deref(), Some(&"a"));
    /// ```
    ///
    /// # Progress
    ///
    /// Lock-free, O(1) expected; see [`remove`](Self::remove).
    pub fn back<'g>(&'g self, guard: &'g Guard) -> Option<Entry<'g, T>> {
        self.core.back(guard).map(|member| self.shown(member))
    }

    /// Removes the first member, as [`remove`](Self::remove) does, and shows it once more.
    ///
    /// ```
    /// let ring: rondel::Ring<u32> = (0..3).collect();
    /// let guard = rondel::pin();
    /// assert_eq!(*ring.pop_front(&guard).unwrap(), 0);
    /// assert_eq!(*ring.pop_back(&guard).unwrap(), 2);
    /// assert_eq!(ring.len(), 1);
    /// ```
    ///
    /// # While others act
    ///
    /// Each member is popped by one call at most, and not if a [`remove`](Self::remove) was told
    /// `true` for it.
    ///
    /// # Progress
    ///
    /// Lock-free, O(1).
    pub fn pop_front<'g>(&'g self, guard: &'g Guard) -> Option<Entry<'g, T>> {
        self.core.pop_front(guard).map(|member| self.shown(member))
    }

    /// Removes the last member, as [`remove`](Self::remove) does, and shows it once more.
    ///
    /// ```
    /// let ring: rondel::Ring<u32> = (0..3).collect();
    /// let guard = rondel::pin();
    /// let last = ring.pop_back(&guard).unwrap();
    /// assert_eq!(*last, 2);
    /// assert!(last.is_removed());
    /// ```
    ///
    /// # While others act
    ///
    /// As [`pop_front`](Self::pop_front).
    ///
    /// # Progress
    ///
    /// Lock-free, O(1) expected; see [`remove`](Self::remove).
    pub fn pop_back<'g>(&'g self, guard: &'g Guard) -> Option<Entry<'g, T>> {
        self.core.pop_back(guard).map(|member| self.shown(member))
    }

    /// Removes every member that `keep` refuses, front to back, in one lap.
    ///
    /// ```
    /// let ring: rondel::Ring<u32> = (0..6).collect();
    /// ring.retain(|value| value % 2 == 0);
    /// assert_eq!(ring.len(), 3);
    /// ```
    ///
    /// # While others act
    ///
    /// Members go one by one. One that is inserted during the call may or may not be asked about.
    ///
    /// # Progress
    ///
    /// Lock-free, O(n).
    ///
    /// # Panics
    ///
    /// If `keep` does; the members refused so far are removed, the others stay.
    pub fn retain(&self, mut keep: impl FnMut(&T) -> bool) {
        let guard = pin();
        for entry in self.iter(&guard) {
            if !keep(&entry) {
                self.remove(entry.key());
            }
        }
    }

    /// Removes the members, front to back, in one lap. One that is inserted meanwhile may stay.
    ///
    /// ```
    /// let ring: rondel::Ring<u32> = (0..3).collect();
    /// ring.clear();
    /// assert!(ring.is_empty());
    /// ```
    ///
    /// # Progress
    ///
    /// Lock-free, O(n).
    pub fn clear(&self) {
        self.retain(|_| false);
    }

    /// Takes the next turn: moves the cursor to its successor, past the end to the first, and
    /// returns that member; `None` if there is none.
    ///
    /// ```
    /// let ring: rondel::Ring<u32> = (0..2).collect();
    /// let guard = rondel::pin();
    /// assert_eq!(*ring.next(&guard).unwrap(), 0);
    /// assert_eq!(*ring.next(&guard).unwrap(), 1);
    /// assert_eq!(*ring.next(&guard).unwrap(), 0);
    /// ```
    ///
    /// # While others act
    ///
    /// Each call gets a turn of its own, in one order for all threads. For any two members present
    /// during a whole window, and refused by no [`next_where`](Self::next_where) in it, the numbers of
    /// their turns differ by at most 1, whatever else is inserted or removed (turns claimed by a
    /// [`lease`](Self::lease) are counted when they are claimed). A new member gets its first turn
    /// after at most one of each other member, and those under way when it was inserted.
    ///
    /// # Progress
    ///
    /// Lock-free, O(1), no allocation: three loads, one compare-and-swap and a store. It repeats
    /// only when another pick or a removal came first, after a pause that grows with each loss.
    #[inline]
    pub fn next<'g>(&'g self, guard: &'g Guard) -> Option<Entry<'g, T>> {
        self.core.next(guard).map(|member| self.shown(member))
    }

    /// Takes the next turn of a member that `accept` wants, passing over the others; `None`, with
    /// the cursor where it was, after one lap in which it wanted nobody.
    ///
    /// A member that is passed over costs its neighbours nothing: the one that follows gets its
    /// own turn, not one more. The member itself loses this turn, for those who call
    /// [`next`](Self::next) as well, since the cursor is shared: with a call of `next` after each
    /// that refuses it, it may get none at all. Callers who want different members need a ring, or
    /// a [`Cursor`], each.
    ///
    /// ```
    /// let ring: rondel::Ring<u32> = (0..4).collect();
    /// let guard = rondel::pin();
    /// assert_eq!(*ring.next_where(&guard, |value| value % 2 == 1).unwrap(), 1);
    /// assert_eq!(*ring.next(&guard).unwrap(), 2);
    /// assert!(ring.next_where(&guard, |_| false).is_none());
    /// assert_eq!(*ring.next(&guard).unwrap(), 3);
    /// ```
    ///
    /// # While others act
    ///
    /// As [`next`](Self::next). If a turn is lost to another thread the search begins again from
    /// the new position, so `accept` may be asked about a member more than once. A `None` counts
    /// the members that were there for the whole call.
    ///
    /// # Progress
    ///
    /// Lock-free, O(members passed over).
    ///
    /// # Panics
    ///
    /// If `accept` does; nobody has lost a turn then.
    pub fn next_where<'g>(
        &'g self,
        guard: &'g Guard,
        accept: impl FnMut(&T) -> bool,
    ) -> Option<Entry<'g, T>> {
        self.core.next_where(guard, accept).map(|member| self.shown(member))
    }

    /// Takes the next turn and returns a clone of the member's value. Pins inside: for async code,
    /// where a guard cannot be kept across an `.await`.
    ///
    /// ```
    /// let ring: rondel::Ring<&str> = ["a", "b"].into_iter().collect();
    /// assert_eq!(ring.next_cloned(), Some("a"));
    /// ```
    ///
    /// # Progress
    ///
    /// As [`next`](Self::next), and whatever the clone costs. Cloning an `Arc` here is a write to
    /// a shared count: with many threads it costs more than the pick.
    ///
    /// # Panics
    ///
    /// If `T::clone` does; the turn is taken then.
    pub fn next_cloned(&self) -> Option<T>
    where
        T: Clone,
    {
        let guard = pin();
        self.next(&guard).map(|entry| entry.value().clone())
    }

    /// Claims up to `turns` consecutive turns, [`Lease::MAX`] at most, with one move of the
    /// cursor. They are taken from the lease one by one, without touching the cursor.
    ///
    /// ```
    /// let ring: rondel::Ring<u32> = (0..3).collect();
    /// let guard = rondel::pin();
    /// let mut lease = ring.lease(4);
    /// assert_eq!(*ring.next(&guard).unwrap(), 1); // the lease has 0, 1, 2, 0
    /// let leased: Vec<u32> =
    ///     std::iter::from_fn(|| lease.next(&guard)).map(|entry| *entry).collect();
    /// assert_eq!(leased, [0, 1, 2, 0]);
    /// ```
    ///
    /// # While others act
    ///
    /// The claim is one step for the cursor. It counts as so many turns of the members that were
    /// there during the whole call; one that is inserted during it may be missed.
    ///
    /// # Progress
    ///
    /// Lock-free, O(turns).
    pub fn lease(&self, turns: usize) -> Lease<'_, T> {
        Lease::new(self, turns)
    }

    /// One lap over the members, front to back. The cursor is not touched.
    ///
    /// ```
    /// let ring: rondel::Ring<u32> = (0..3).collect();
    /// let guard = rondel::pin();
    /// assert_eq!(ring.iter(&guard).rev().map(|entry| *entry).collect::<Vec<_>>(), [2, 1, 0]);
    /// ```
    ///
    /// # While others act
    ///
    /// Members that stay are shown, once and in order: see [`Iter`].
    ///
    /// # Progress
    ///
    /// Wait-free, O(1); a lap is lock-free and O(n).
    pub fn iter<'g>(&'g self, guard: &'g Guard) -> Iter<'g, T> {
        Iter::new(self, guard)
    }

    /// A private position before the first member. Its moves are nobody's turn.
    ///
    /// ```
    /// let ring: rondel::Ring<u32> = (0..3).collect();
    /// let guard = rondel::pin();
    /// let mut mine = ring.cursor();
    /// assert_eq!(*mine.move_next(&guard).unwrap(), 0);
    /// assert_eq!(*mine.move_next(&guard).unwrap(), 1);
    /// assert_eq!(*ring.next(&guard).unwrap(), 0);
    /// ```
    ///
    /// # Progress
    ///
    /// Wait-free, O(1), no atomic access.
    pub fn cursor(&self) -> Cursor<'_, T> {
        Cursor::new(self)
    }

    /// A private position on the member `at`, or `None` if it is not a member of this ring.
    ///
    /// ```
    /// let ring: rondel::Ring<u32> = (0..3).collect();
    /// let guard = rondel::pin();
    /// let failed = ring.next(&guard).unwrap();
    /// let mut another = ring.cursor_at(failed.key()).unwrap();
    /// assert_eq!(*another.move_next(&guard).unwrap(), 1); // a second try that is nobody's turn
    /// assert_eq!(*ring.next(&guard).unwrap(), 1);
    /// ```
    ///
    /// # Progress
    ///
    /// Lock-free, O(1) expected.
    pub fn cursor_at(&self, at: Key) -> Option<Cursor<'_, T>> {
        at.within(self.core.id()).and_then(|id| Cursor::on(self, id, &pin()))
    }

    /// Whether every member's hint names its predecessor. For models of a ring that is quiet.
    #[cfg(rondel_loom)]
    #[doc(hidden)]
    pub fn hints_are_exact(&self) -> bool {
        self.core.hints_are_exact()
    }

    #[inline]
    pub(crate) fn core(&self) -> &Arc<Core<T>> {
        &self.core
    }

    #[inline]
    pub(crate) fn entry<'g>(&'g self, id: MemberId, guard: &'g Guard) -> Option<Entry<'g, T>> {
        self.core.find(id, guard).map(|member| self.shown(member))
    }

    #[inline]
    pub(crate) fn shown<'g>(&self, member: Member<'g, T>) -> Entry<'g, T> {
        Entry::new(self.core.id(), member)
    }

    fn push(&self, place: Place, value: T) -> Key {
        match self.core.insert(place, value, &pin()) {
            Ok(id) => Key::new(self.core.id(), id),
            Err(_) => unreachable!("the sentinel is never removed"),
        }
    }

    fn insert(
        &self,
        place: fn(MemberId) -> Place,
        at: Key,
        value: T,
    ) -> Result<Key, InsertError<T>> {
        let Some(at) = at.within(self.core.id()) else { return Err(InsertError::new(value)) };
        match self.core.insert(place(at), value, &pin()) {
            Ok(id) => Ok(Key::new(self.core.id(), id)),
            Err(value) => Err(InsertError::new(value)),
        }
    }
}

impl<T> Drop for Ring<T> {
    /// Drops all values, those of removed members that waited for their grace period included:
    /// no entry of this ring is left that could show them.
    fn drop(&mut self) {
        self.core.close();
    }
}

// Whatever panics, the caller's code or a value's drop, the ring is as if the call had not gone on.
impl<T: RefUnwindSafe> UnwindSafe for Ring<T> {}
impl<T: RefUnwindSafe> RefUnwindSafe for Ring<T> {}

impl<T: Send + Sync + 'static> Default for Ring<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Send + Sync + 'static + fmt::Debug> fmt::Debug for Ring<T> {
    /// One lap, front to back.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let guard = pin();
        f.debug_list().entries(self.iter(&guard).map(|entry| entry.value())).finish()
    }
}

impl<T: Send + Sync + 'static> FromIterator<T> for Ring<T> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        let mut ring = Self::new();
        ring.extend(values);
        ring
    }
}

impl<T: Send + Sync + 'static> Extend<T> for Ring<T> {
    /// Pushes each value to the back.
    fn extend<I: IntoIterator<Item = T>>(&mut self, values: I) {
        for value in values {
            self.push_back(value);
        }
    }
}
