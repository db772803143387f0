//! A collector for each test, under the cfg `rondel_own_collector` alone: it goes with the last of
//! the threads that pinned, and does all work that was left to it. What is still there then is a
//! leak.
//!
//! That of a program never goes. Whatever waits in it can still be reached when the process ends,
//! and no tool would call it lost.

use std::sync::{Arc, Mutex, PoisonError, Weak};

pub(crate) use crossbeam_epoch::Guard;
use crossbeam_epoch::{Collector, LocalHandle};

thread_local! {
    static PLACE: Place = Place::new();
}

/// A thread's place among those that pin.
struct Place {
    handle: LocalHandle,
    /// Others find the collector by this.
    _collector: Arc<Collector>,
}

/// As that of crossbeam: a thread that has given up its place, since it ends, gets one for this
/// guard.
pub(crate) fn pin() -> Guard {
    PLACE.try_with(|place| place.handle.pin()).unwrap_or_else(|_| Place::new().handle.pin())
}

impl Place {
    /// In the collector that others use, or in a new one.
    fn new() -> Self {
        static CURRENT: Mutex<Weak<Collector>> = Mutex::new(Weak::new());
        let mut current = CURRENT.lock().unwrap_or_else(PoisonError::into_inner);
        let collector = current.upgrade().unwrap_or_default();
        *current = Arc::downgrade(&collector);
        Self { handle: collector.register(), _collector: collector }
    }
}
