//! A member that was found in a ring.

use core::{
    fmt,
    num::NonZeroU64,
    ops::Deref,
    panic::{RefUnwindSafe, UnwindSafe},
};

use crate::{Key, raw::Member};

/// A member of a ring, kept alive by a guard. Dereferences to its value.
///
/// # While others act
///
/// The value stays readable for `'g` even if the member is removed in the meantime;
/// [`is_removed`](Self::is_removed) tells.
///
/// ```
/// let ring: rondel::Ring<String> = ["a".to_string()].into_iter().collect();
/// let guard = rondel::pin();
/// let entry = ring.next(&guard).unwrap();
/// assert_eq!(entry.len(), 1); // `str::len`
/// assert!(ring.remove(entry.key()));
/// assert!(entry.is_removed());
/// assert_eq!(entry.value(), "a");
/// ```
///
/// It cannot outlive the guard:
///
/// ```compile_fail,E0505
/// let ring: rondel::Ring<u32> = (0..3).collect();
/// let guard = rondel::pin();
/// let entry = ring.next(&guard).unwrap();
/// drop(guard);
/// assert_eq!(*entry, 0);
/// ```
///
/// but may be used as long as it lasts:
///
/// ```
/// let ring: rondel::Ring<u32> = (0..3).collect();
/// let guard = rondel::pin();
/// let entry = ring.next(&guard).unwrap();
/// assert_eq!(*entry, 0);
/// drop(guard);
/// ```
///
/// also by other threads, like any reference:
///
/// ```
/// let ring: rondel::Ring<u32> = (0..3).collect();
/// let guard = rondel::pin();
/// let entry = ring.next(&guard).unwrap();
/// std::thread::scope(|scope| {
///     scope.spawn(|| assert_eq!(*entry, 0));
/// });
/// ```
pub struct Entry<'g, T> {
    ring: NonZeroU64,
    member: Member<'g, T>,
}

impl<'g, T> Entry<'g, T> {
    #[inline]
    pub(crate) fn new(ring: NonZeroU64, member: Member<'g, T>) -> Self {
        Self { ring, member }
    }

    /// The value, for as long as the guard lasts.
    ///
    /// A `&'g T`, where dereferencing gives one that lasts as long as the entry itself.
    ///
    /// ```
    /// let ring: rondel::Ring<String> = ["a".to_string()].into_iter().collect();
    /// let guard = rondel::pin();
    /// let name: &str = ring.next(&guard).unwrap().value();
    /// assert_eq!(name, "a");
    /// ```
    ///
    /// # Progress
    ///
    /// Wait-free, O(1), no atomic access.
    #[inline]
    pub fn value(&self) -> &'g T {
        self.member.value()
    }

    /// The member's name, to keep: it is good beyond the guard.
    ///
    /// ```
    /// let ring: rondel::Ring<u32> = (0..3).collect();
    /// let second = ring.iter(&rondel::pin()).nth(1).unwrap().key();
    /// assert!(ring.remove(second));
    /// ```
    ///
    /// # Progress
    ///
    /// Wait-free, O(1), no atomic access.
    #[inline]
    pub fn key(&self) -> Key {
        Key::new(self.ring, self.member.id())
    }

    /// Whether the member has been removed since it was found.
    ///
    /// `true` is final. `false` may be out of date at once.
    ///
    /// ```
    /// let ring: rondel::Ring<u32> = (0..3).collect();
    /// let guard = rondel::pin();
    /// let entry = ring.front(&guard).unwrap();
    /// assert!(!entry.is_removed());
    /// ring.clear();
    /// assert!(entry.is_removed());
    /// assert_eq!(*entry, 0); // readable all the same
    /// ```
    ///
    /// # Progress
    ///
    /// Wait-free, O(1), one load.
    pub fn is_removed(&self) -> bool {
        self.member.is_removed()
    }
}

impl<T> Clone for Entry<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Entry<'_, T> {}

impl<T> Deref for Entry<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        self.value()
    }
}

// A panic cannot leave a member half changed: entries only read.
impl<T: RefUnwindSafe> UnwindSafe for Entry<'_, T> {}
impl<T: RefUnwindSafe> RefUnwindSafe for Entry<'_, T> {}

impl<T: fmt::Display> fmt::Display for Entry<'_, T> {
    /// As the value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value().fmt(f)
    }
}

impl<T: fmt::Debug> fmt::Debug for Entry<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("key", &self.key()).field("value", self.value()).finish()
    }
}
