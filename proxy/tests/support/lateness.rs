//! How late the machine itself is: what a thread that only sleeps sleeps too long.
//!
//! Promises are about the proxy. On a machine with other things to do, a time that was measured is
//! longer by what everybody had to wait there; this is what may be taken off, and no more.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// Watches until it is dropped.
pub(crate) struct Lateness {
    nanos: Arc<AtomicU64>,
    ended: Arc<AtomicBool>,
}

/// The time that runs since a moment, without that for which nobody could run.
pub(crate) struct Watch<'a> {
    lateness: &'a Lateness,
    start: Instant,
    late: u64,
}

const NAP: Duration = Duration::from_millis(1);
/// A sleep takes so much longer than asked for on a machine that has nothing else to do.
const USUAL: Duration = Duration::from_micros(500);

impl Lateness {
    pub(crate) fn new() -> Self {
        let (nanos, ended) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let this = Self { nanos: Arc::clone(&nanos), ended: Arc::clone(&ended) };
        thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                let start = Instant::now();
                thread::sleep(NAP);
                let late = start.elapsed().saturating_sub(NAP + USUAL);
                nanos.fetch_add(u64::try_from(late.as_nanos()).unwrap_or(0), Ordering::Relaxed);
            }
        });
        this
    }

    pub(crate) fn watch(&self) -> Watch<'_> {
        Watch { lateness: self, start: Instant::now(), late: self.nanos.load(Ordering::Relaxed) }
    }
}

impl Watch<'_> {
    pub(crate) fn elapsed(&self) -> Duration {
        let elapsed = self.start.elapsed();
        // A stall that lasts still is not counted before its end, which is soon.
        let late = self.lateness.nanos.load(Ordering::Relaxed) - self.late;
        elapsed.saturating_sub(Duration::from_nanos(late))
    }
}

impl Drop for Lateness {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
    }
}
