//! The pin: what keeps a member that was seen in a ring alive.

use core::{
    fmt,
    panic::{RefUnwindSafe, UnwindSafe},
};

#[cfg(rondel_own_collector)]
use crate::collector as epoch;
#[cfg(rondel_loom_protocol)]
use crate::sync::no_epoch as epoch;
#[cfg(not(any(rondel_loom_protocol, rondel_own_collector)))]
use crossbeam_epoch as epoch;

/// Keeps every member that is reached through it alive, until it is dropped or repinned.
///
/// A guard is needed wherever a ring hands out a reference, and it serves any number of rings.
/// It belongs to the thread that made it.
///
/// # While others act
///
/// A member may be removed while a guard shows it: [`Entry::is_removed`](crate::Entry::is_removed)
/// tells. Its value stays until all guards that could show it are gone. So a guard that is kept
/// for long keeps *everything* alive that is removed meanwhile, from any ring: its memory is
/// neither dropped nor used again. Keep a guard for a pick, or [`repin`](Self::repin) it for each.
///
/// ```
/// let ring: rondel::Ring<&str> = ["a", "b"].into_iter().collect();
/// let guard = rondel::pin();
/// let first = ring.next(&guard).unwrap();
/// ring.remove(first.key());
/// assert_eq!(*first, "a"); // removed, and still there for this guard
/// ```
///
/// It cannot be sent to another thread, nor lent to one, hence not be held across an `.await` of a
/// future that moves between threads; [`Ring::next_cloned`](crate::Ring::next_cloned) pins inside
/// instead. The compiler's complaint names `crossbeam_epoch::internal::Local`, which is what a guard
/// is made of: call [`pin`] in the other thread, or after the `.await`.
///
/// ```compile_fail,E0277
/// fn send<T: Send>(_: T) {}
/// send(rondel::pin());
/// ```
pub struct Guard {
    epoch: epoch::Guard,
}

/// Pins the current thread.
///
/// A pin within a pin is allowed: what either shows stays until that one goes.
///
/// ```
/// let ring: rondel::Ring<&str> = ["a"].into_iter().collect();
/// assert_eq!(*ring.next(&rondel::pin()).unwrap(), "a");
/// ```
///
/// # Progress
///
/// Lock-free. A few steps, but for a thread's first call, which registers it and may allocate, and
/// for each 128th, which does some of the reclamation that is due: it may drop values that others
/// removed.
///
/// # Complexity
///
/// A few nanoseconds: a thread-local look-up, a store and a fence; a pin within a pin costs less.
#[must_use = "the guard unpins when it is dropped"]
#[inline]
pub fn pin() -> Guard {
    Guard { epoch: epoch::pin() }
}

impl Guard {
    /// Lets go of all that was seen so far and pins again, cheaper than a new guard.
    ///
    /// The exclusive borrow sees to it that no entry of before is in use.
    ///
    /// ```
    /// let ring: rondel::Ring<u32> = (0..3).collect();
    /// let mut guard = rondel::pin();
    /// for turn in 0..9 {
    ///     guard.repin();
    ///     assert_eq!(*ring.next(&guard).unwrap(), turn % 3);
    /// }
    /// ```
    ///
    /// # Progress
    ///
    /// Wait-free. Without effect while the thread holds another guard.
    #[inline]
    pub fn repin(&mut self) {
        self.epoch.repin();
    }

    /// Calls `work` once nobody is pinned any more who is pinned now.
    pub(crate) fn defer(&self, work: impl FnOnce() + Send + 'static) {
        self.epoch.defer(work);
    }

    /// Hands on what this thread keeps to itself, and does some of the work that is due.
    #[cfg(all(test, not(rondel_loom)))]
    pub(crate) fn flush(&self) {
        self.epoch.flush();
    }
}

// A pin is taken and let go as a whole.
impl UnwindSafe for Guard {}
impl RefUnwindSafe for Guard {}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Guard")
    }
}
