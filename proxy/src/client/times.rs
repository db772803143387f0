//! What a connection is doing, and until when.
//!
//! Owns its deadlines: when it, or the server that it waits for, has had its time. Never sleeps:
//! `connection.rs` watches the deadline that is set here.

use std::{
    sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering},
    time::Duration,
};

use crate::clock::Tick;

use super::Client;

/// What a connection is doing, which decides what its deadline means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Between two requests.
    Idle,
    /// Some bytes of a head have come.
    Head,
    /// A request is being answered; on HTTP/2, one at least.
    Busy,
    /// The first bytes are those of HTTP/2, which goes on elsewhere.
    Http2,
}

/// The moments that matter, zero where there is none.
#[derive(Debug, Default)]
pub(super) struct Times {
    phase: AtomicU8,
    pub(super) deadline: AtomicU32,
    /// Until when it has to read on, if it is being answered and does not.
    write_deadline: AtomicU32,
    /// Since when more of a request's body is waited for.
    pub(super) awaited_since: AtomicU32,
    /// Whether the response has begun.
    pub(super) answering: AtomicBool,
}

pub(super) const NO_DEADLINE: Tick = 0;
pub(super) const PASSED: Tick = Tick::MAX;

impl Client {
    pub(crate) fn phase(&self) -> Phase {
        match self.times.phase.load(Ordering::Relaxed) {
            0 => Phase::Idle,
            1 => Phase::Head,
            2 => Phase::Busy,
            _ => Phase::Http2,
        }
    }

    /// Bytes came in. Between two requests they begin the next one's head.
    pub(crate) fn bytes_came(&self) {
        if self.phase() == Phase::Idle {
            self.enter(Phase::Head, self.worker.clock.after(self.worker.proxy.limits.head));
        }
    }

    /// The connection turns out to be one of HTTP/2.
    pub(crate) fn found_http2(&self) {
        self.enter(Phase::Http2, NO_DEADLINE);
    }

    /// Its HTTP/2 begins: idle until the first request.
    pub(crate) fn begin_http2(&self) {
        self.rest();
    }

    /// One more request of HTTP/2.
    pub(super) fn begin_stream(&self) {
        self.enter(Phase::Busy, self.stall());
    }

    /// HTTP/2: something moves.
    pub(super) fn put_off_stall(&self) {
        self.times.deadline.store(self.stall(), Ordering::Relaxed);
    }

    /// HTTP/2: when it is certain that no request moves because the client does not read. Those
    /// that wait for a server end before that.
    fn stall(&self) -> Tick {
        self.worker.clock.after(self.worker.proxy.limits.response.saturating_mul(2))
    }

    pub(crate) fn deadline(&self) -> Option<Tick> {
        let deadline = match self.times.deadline.load(Ordering::Relaxed) {
            NO_DEADLINE | PASSED => Tick::MAX,
            tick => tick,
        };
        let first = match self.times.write_deadline.load(Ordering::Relaxed) {
            NO_DEADLINE => deadline,
            tick => tick.min(deadline),
        };
        (first != Tick::MAX).then_some(first)
    }

    /// What was tried to be written to it was taken, or not.
    pub(crate) fn reads(&self, does: bool) {
        if does {
            self.times.write_deadline.store(NO_DEADLINE, Ordering::Relaxed);
        } else if self.times.write_deadline.load(Ordering::Relaxed) == NO_DEADLINE {
            let due = self.worker.clock.after(self.worker.proxy.limits.idle);
            self.times.write_deadline.store(due, Ordering::Relaxed);
        }
    }

    /// Whether the deadline that has passed is that for reading on.
    pub(crate) fn has_stopped_reading(&self) -> bool {
        let due = self.times.write_deadline.load(Ordering::Relaxed);
        due != NO_DEADLINE && self.deadline() == Some(due)
    }

    /// Said by the connection's task once the deadline is over.
    pub(crate) fn expire(&self) {
        self.times.deadline.store(PASSED, Ordering::Relaxed);
    }

    /// An idle connection is to be closed; it is given a little time for its last bytes.
    pub(crate) fn linger(&self) {
        self.enter(Phase::Idle, self.worker.clock.after(self.worker.proxy.limits.head));
    }

    /// We are about to end: what comes on an idle connection has to come soon.
    pub(crate) fn hurry(&self) {
        const SOON: Duration = Duration::from_millis(500);
        self.enter(Phase::Idle, self.worker.clock.after(SOON));
    }

    /// Since when it was waited for, if it was.
    pub(super) fn ends_waiting(&self) -> Option<Tick> {
        match self.times.awaited_since.load(Ordering::Relaxed) {
            NO_DEADLINE => None,
            since => {
                self.times.awaited_since.store(NO_DEADLINE, Ordering::Relaxed);
                Some(since)
            }
        }
    }

    pub(super) fn rest(&self) {
        self.enter(Phase::Idle, self.worker.clock.after(self.worker.proxy.limits.idle));
    }

    pub(super) fn enter(&self, phase: Phase, deadline: Tick) {
        // ORDERING: Relaxed here and above; one thread.
        self.times.phase.store(phase as u8, Ordering::Relaxed);
        self.times.deadline.store(deadline, Ordering::Relaxed);
    }
}
