//! Where threads wait for each other, to begin at once.
//!
//! Waits by spinning, so that all leave within some ten nanoseconds if they have a core each; a
//! lock would wake one after the other, and calls that take no longer than that would never meet.

use std::{
    hint,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    thread,
};

pub(crate) struct Meeting {
    threads: usize,
    arrived: AtomicUsize,
    meetings: AtomicUsize,
    broken: AtomicBool,
}

impl Meeting {
    pub(crate) fn of(threads: usize) -> Self {
        Self {
            threads,
            arrived: AtomicUsize::new(0),
            meetings: AtomicUsize::new(0),
            broken: AtomicBool::new(false),
        }
    }

    /// Returns when all are here.
    ///
    /// # Panics
    ///
    /// If one of them will never come, because it panicked.
    pub(crate) fn wait(&self) {
        let meeting = self.meetings.load(SeqCst);
        if self.arrived.fetch_add(1, SeqCst) + 1 == self.threads {
            self.arrived.store(0, SeqCst);
            self.meetings.store(meeting + 1, SeqCst);
            return;
        }
        let mut spins = 0_u32;
        while self.meetings.load(SeqCst) == meeting {
            assert!(!self.broken.load(SeqCst), "another thread panicked: see above");
            spins += 1;
            if spins % 256 == 0 || cfg!(miri) {
                thread::yield_now();
            } else {
                hint::spin_loop();
            }
        }
    }

    /// To be held by each thread: frees the others if it panics.
    pub(crate) fn attend(&self) -> Attendance<'_> {
        Attendance(self)
    }
}

pub(crate) struct Attendance<'m>(&'m Meeting);

impl Drop for Attendance<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.broken.store(true, SeqCst);
        }
    }
}
