//! What happened in the session layer, in numbers: for metrics, and so that tests can see it.
//!
//! Only rare events are counted here; nothing on the path of an ordinary request touches these.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters of events since the start.
#[derive(Debug, Default)]
pub struct Stats {
    /// Sessions begun.
    pub created: Counter,
    /// Look-ups sent to the store.
    pub lookups: Counter,
    /// Requests served without knowing their record, since the store did not answer.
    pub degraded: Counter,
    /// Requests whose valid cookie named a record that is gone.
    pub expired: Counter,
    /// Values that the limits kept out of a record.
    pub values_dropped: Counter,
    /// Records written to the store.
    pub writes: Counter,
    /// Writes lost because too many were waiting, or because the store will never take them.
    pub writes_dropped: Counter,
    /// Records that the embedded store had to give up for lack of room.
    pub evicted: Counter,
}

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// The number now.
    pub fn count(&self) -> u64 {
        // ORDERING: Relaxed. A count publishes nothing else.
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn add(&self, more: usize) {
        // ORDERING: Relaxed, as above.
        self.0.fetch_add(more as u64, Ordering::Relaxed);
    }
}
