//! A worker's clock: coarse, and free to read.
//!
//! Owns the time in ticks of a quarter second. A request reads and writes plain numbers; the
//! system's clock is asked four times a second, by the worker, and not by each request.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use tokio::time::Instant;

/// A moment, counted from the worker's start.
pub(crate) type Tick = u32;

/// How long a tick is.
pub(crate) const TICK: Duration = Duration::from_millis(250);

#[derive(Debug)]
pub(crate) struct Clock {
    start: Instant,
    now: AtomicU32,
}

impl Clock {
    pub(crate) fn new() -> Self {
        // Tick 0 means "none" elsewhere, so time begins at 1.
        Self { start: Instant::now() - TICK, now: AtomicU32::new(1) }
    }

    pub(crate) fn now(&self) -> Tick {
        // ORDERING: Relaxed; the number is all there is.
        self.now.load(Ordering::Relaxed)
    }

    /// The tick in which `time` from now has passed for certain; never the last one, which means
    /// "over" elsewhere.
    pub(crate) fn after(&self, time: Duration) -> Tick {
        self.now().saturating_add(ticks(time)).saturating_add(1).min(Tick::MAX - 1)
    }

    /// When the tick begins.
    pub(crate) fn instant(&self, tick: Tick) -> Instant {
        self.start + TICK * tick
    }

    /// Sets the clock by the system's; called by the worker once a tick.
    pub(crate) fn advance(&self) {
        let now = self.start.elapsed().as_millis() / TICK.as_millis();
        self.now.store(Tick::try_from(now).unwrap_or(Tick::MAX), Ordering::Relaxed);
    }
}

/// Whole ticks in `time`, rounded down.
pub(crate) fn ticks(time: Duration) -> Tick {
    Tick::try_from(time.as_millis() / TICK.as_millis()).unwrap_or(Tick::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_deadline_is_never_early_and_at_most_two_ticks_late() {
        let clock = Clock::new();
        for step in [0, 100, 249, 250, 999] {
            tokio::time::advance(Duration::from_millis(step)).await;
            clock.advance();
            for wait in [0, 1, 250, 10_000] {
                let wait = Duration::from_millis(wait);
                let due = clock.instant(clock.after(wait)) - Instant::now();
                assert!(due >= wait && due <= wait + 2 * TICK, "{wait:?} became {due:?}");
            }
        }
    }

    #[tokio::test]
    async fn a_time_without_end_is_not_over() {
        assert_eq!(Clock::new().after(Duration::MAX), Tick::MAX - 1);
    }
}
