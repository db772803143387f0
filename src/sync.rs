//! Atomics and cells, from `core` or from loom: chosen once, here.
//!
//! No other file of the crate names an atomic type of `core` or of loom, so whatever a model runs
//! is what a program runs.

pub(crate) use core::sync::atomic::Ordering;

#[cfg(not(rondel_loom))]
pub(crate) use core::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize};
#[cfg(rondel_loom)]
pub(crate) use loom::{
    cell::UnsafeCell,
    sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize},
};

/// `core`'s cell with loom's interface: access by closure, so that a model sees each access.
#[cfg(not(rondel_loom))]
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct UnsafeCell<T>(core::cell::UnsafeCell<T>);

#[cfg(not(rondel_loom))]
impl<T> UnsafeCell<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(core::cell::UnsafeCell::new(value))
    }

    #[inline]
    pub(crate) fn with<R>(&self, read: impl FnOnce(*const T) -> R) -> R {
        read(self.0.get())
    }

    #[inline]
    pub(crate) fn with_mut<R>(&self, write: impl FnOnce(*mut T) -> R) -> R {
        write(self.0.get())
    }
}

/// Names a place between two steps of the algorithm. Nothing at all, except under the cfg
/// `rondel_steps`, where a test may stop the thread there, or let it die: see `steps`.
macro_rules! step {
    ($step:ident) => {
        #[cfg(rondel_steps)]
        crate::steps::reach(crate::steps::Step::$step)
    };
}
pub(crate) use step;

/// Waits after the `failures`-th lost race for one word, longer each time.
///
/// The thread that won goes on with the word in its cache: letting it take some turns before
/// asking for the line again is what keeps a contended pick cheap. What that buys in throughput it
/// costs in the tail, since who lost one race waits for that long. Measured on two cores (AMD EPYC,
/// where a spin takes 26 ns; two threads that do nothing but pick, a pin per pick):
///
/// | spins after the first lost race | 0 | 4 | 8 | 16 | **32** | 64 | 128 | 512 |
/// | --- | --- | --- | --- | --- | --- | --- | --- | --- |
/// | ns per pick, both together | 26.7 | 11.8 | 8.7 | 7.4 | **6.7** | 6.3 | 6.0 | 5.8 |
/// | 99.9th percentile of one pick, µs | 0.13 | 0.25 | 0.34 | 0.56 | **0.93** | 1.7 | 3.3 | 12.6 |
///
/// So 32: past the knee, and below a microsecond. With any of these waits both threads' shares of
/// the turns stayed within a tenth of their due. That the wait doubles, up to 1,024 spins, is for
/// machines with more cores, where a second race is lost often: on two it makes no difference.
#[inline]
pub(crate) fn back_off(failures: &mut u32) {
    #[cfg(rondel_loom)]
    loom::thread::yield_now();
    #[cfg(not(rondel_loom))]
    for _ in 0..32_u32 << *failures {
        core::hint::spin_loop();
    }
    *failures = (*failures + 1).min(5);
}

/// A number that no other ring of this process has, never 0.
///
/// Not part of any model: it orders nothing.
pub(crate) fn unique_ring_id() -> core::num::NonZeroU64 {
    use core::{num::NonZeroU64, sync::atomic::AtomicU64};
    static LAST: AtomicU64 = AtomicU64::new(0);
    // ORDERING: Relaxed, uniqueness comes from the read-modify-write alone.
    let last = LAST.fetch_add(1, Ordering::Relaxed);
    // A ring a nanosecond would need 584 years to come round.
    NonZeroU64::MIN.saturating_add(last)
}

/// In place of crossbeam-epoch in models of the protocol alone: nothing is reclaimed before the
/// ring goes. That is sound, costs memory only, and leaves three threads few enough steps to be
/// explored deeply.
#[cfg(rondel_loom_protocol)]
pub(crate) mod no_epoch {
    pub(crate) struct Guard;

    pub(crate) fn pin() -> Guard {
        Guard
    }

    impl Guard {
        pub(crate) fn repin(&mut self) {}

        pub(crate) fn defer(&self, work: impl FnOnce() + Send + 'static) {
            drop(work);
        }
    }
}
