//! Whether a copy may still be taken for the truth.
//!
//! One number says both how often everything known became doubtful and whether the store reports
//! each change by itself. Never looks at a record.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

/// How old a copy may be and still be served without asking, unless the store reports changes. Five
/// seconds are promised; the look-up that comes then takes its time.
pub(crate) const FRESH: Duration = Duration::from_millis(4_900);

/// How long a row is taken for the truth.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fresh {
    /// The table it stands in is the truth.
    Always,
    /// A copy: as long as nothing became doubtful since, and until `end`. One that was `read` from
    /// the store needs no end while the store reports changes; one that we wrote does, since the
    /// store does not report our own write, nor what somebody else wrote just before it.
    While { epoch: u64, end: Instant, read: bool },
}

/// Counts the times at which everything known became doubtful; odd while changes are reported.
#[derive(Debug, Default)]
pub(crate) struct Epoch(AtomicU64);

impl Epoch {
    /// Anything may have changed. From now on every change is reported, or not. Calls must not
    /// overlap.
    pub(crate) fn advance(&self, reported: bool) {
        let now = self.now();
        let step = if is_odd(now) == reported { 2 } else { 1 };
        // ORDERING: Relaxed. A request that still reads the old number comes before this one; who
        // puts copies in and who calls this hold the same lock.
        self.0.store(now + step, Ordering::Relaxed);
    }

    /// Whether the store reports each change by itself.
    pub(crate) fn is_reported(&self) -> bool {
        is_odd(self.now())
    }

    /// A copy that was made now.
    pub(crate) fn fresh(&self, read: bool) -> Fresh {
        Fresh::While { epoch: self.now(), end: Instant::now() + FRESH, read }
    }

    /// A copy that we changed. Where nothing is reported, that makes it no younger: or a session
    /// that is written all the time would never see what others write.
    pub(crate) fn changed(&self, fresh: Fresh) -> Fresh {
        match fresh {
            Fresh::While { epoch, end, .. } if !self.is_reported() => {
                Fresh::While { epoch, end, read: false }
            }
            Fresh::While { epoch, .. } => {
                Fresh::While { epoch, end: Instant::now() + FRESH, read: false }
            }
            Fresh::Always => Fresh::Always,
        }
    }

    /// Whether it may be served without asking.
    pub(crate) fn holds(&self, fresh: Fresh) -> bool {
        match fresh {
            Fresh::Always => true,
            Fresh::While { epoch, end, read } => {
                // The clock is read last, and not at all for a session in steady use.
                epoch == self.now() && ((read && is_odd(epoch)) || Instant::now() < end)
            }
        }
    }

    fn now(&self) -> u64 {
        // ORDERING: Relaxed, see `advance`.
        self.0.load(Ordering::Relaxed)
    }
}

fn is_odd(number: u64) -> bool {
    number % 2 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn old(fresh: Fresh) -> Fresh {
        match fresh {
            Fresh::While { epoch, read, .. } => Fresh::While { epoch, end: Instant::now(), read },
            Fresh::Always => Fresh::Always,
        }
    }

    #[test]
    fn a_copy_is_good_for_five_seconds_where_nothing_is_reported() {
        let epoch = Epoch::default();
        let copy = epoch.fresh(true);
        assert!(epoch.holds(copy));
        assert!(!epoch.holds(old(copy)));
    }

    #[test]
    fn a_copy_that_was_read_is_good_until_a_change_is_reported_and_one_that_we_wrote_is_not() {
        let epoch = Epoch::default();
        epoch.advance(true);
        let copy = epoch.fresh(true);
        assert!(epoch.holds(old(copy)));
        assert!(!epoch.holds(old(epoch.changed(copy))));
        assert!(!epoch.holds(old(epoch.fresh(false))));
    }

    #[test]
    fn nothing_from_before_a_doubt_is_good_whatever_is_reported() {
        for (before, after) in [(false, false), (false, true), (true, false), (true, true)] {
            let epoch = Epoch::default();
            epoch.advance(before);
            let copy = epoch.fresh(true);
            epoch.advance(after);
            assert!(!epoch.holds(copy));
            assert_eq!(epoch.is_reported(), after);
        }
    }

    #[test]
    fn our_own_writes_do_not_keep_a_copy_young_where_nothing_is_reported() {
        let epoch = Epoch::default();
        let aged = old(epoch.fresh(true));
        assert!(!epoch.holds(epoch.changed(aged)));
        epoch.advance(true);
        assert!(epoch.holds(epoch.changed(old(epoch.fresh(true)))));
    }
}
