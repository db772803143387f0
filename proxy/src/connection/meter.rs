//! How much of what an HTTP/2 client sends is of no use.
//!
//! Owns the count of bytes that ask for nothing (pings, settings, windows, empty frames) and of
//! requests taken back, over a few seconds, and the verdict. h2 bounds what these cost in memory;
//! this bounds what they cost in time, which the other clients of the worker would pay.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::{clock::Tick, worker::HTTP2_WINDOW};

/// What a connection is allowed within [`SPAN`]: as much of bodies as may wait to be passed on,
/// which is of use only then, and as many bytes again as fifteen thousand pings have.
const BYTES: u32 = HTTP2_WINDOW + 256 * 1024;
/// A browser that leaves a page takes back what it still loads, at most once or twice a span.
const TAKEN_BACK: u32 = 250;
/// Ten seconds.
const SPAN: Tick = 40;

/// What each frame that is of use may cost beside it: windows are opened for what is sent.
const BESIDE: u32 = 64;
/// What a request may cost: its head, also a large one.
const REQUEST: u32 = 16 * 1024;

/// The count for one connection. Written by its thread alone.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    since: AtomicU32,
    bytes: AtomicU32,
    taken_back: AtomicU32,
}

impl Meter {
    /// Bytes came in. False: it is enough.
    pub(crate) fn read(&self, count: usize, now: Tick) -> bool {
        // ORDERING: Relaxed, here and below; one thread.
        if now.saturating_sub(self.since.load(Ordering::Relaxed)) >= SPAN {
            self.since.store(now, Ordering::Relaxed);
            self.bytes.store(0, Ordering::Relaxed);
            self.taken_back.store(0, Ordering::Relaxed);
        }
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let bytes = self.bytes.load(Ordering::Relaxed).saturating_add(count);
        self.bytes.store(bytes, Ordering::Relaxed);
        bytes <= BYTES && self.taken_back.load(Ordering::Relaxed) <= TAKEN_BACK
    }

    pub(crate) fn request(&self) {
        self.allow(REQUEST);
    }

    /// A part of a body went through, in whatever direction.
    pub(crate) fn moved(&self, bytes: usize) {
        if bytes > 0 {
            self.allow(u32::try_from(bytes).unwrap_or(u32::MAX).saturating_add(BESIDE));
        }
    }

    /// The client wants no answer any more.
    pub(crate) fn taken_back(&self) {
        let count = self.taken_back.load(Ordering::Relaxed);
        self.taken_back.store(count.saturating_add(1), Ordering::Relaxed);
    }

    fn allow(&self, bytes: u32) {
        let count = self.bytes.load(Ordering::Relaxed);
        self.bytes.store(count.saturating_sub(bytes), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PING: usize = 17;

    #[test]
    fn pings_are_borne_now_and_then_but_not_by_the_thousands() {
        let meter = Meter::default();
        assert!((1..100_000).all(|number| meter.read(PING, number)), "a few in a tick");
        let meter = Meter::default();
        let borne = (0..100_000).take_while(|_| meter.read(PING, 1)).count();
        assert!((50_000..100_000).contains(&borne), "{borne}");
    }

    #[test]
    fn requests_and_bodies_can_come_at_any_rate() {
        let meter = Meter::default();
        for _ in 0..100_000 {
            assert!(meter.read(16 * 1024 + 9, 1));
            meter.moved(16 * 1024);
        }
        for _ in 0..100_000 {
            assert!(meter.read(60, 1));
            meter.request();
        }
    }

    #[test]
    fn taking_requests_back_is_borne_until_it_is_all_that_happens() {
        let meter = Meter::default();
        let borne = (0..10_000).take_while(|_| {
            meter.request();
            meter.taken_back();
            meter.read(70, 1)
        });
        assert_eq!(borne.count(), 250);
        assert!(meter.read(70, 1 + SPAN));
    }
}
