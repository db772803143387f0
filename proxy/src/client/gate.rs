//! The order of a connection's requests.
//!
//! Owns whether the next one may be read. Never reads one.

use std::sync::atomic::{AtomicU8, Ordering};

/// Whether the client's next request may be read (`scan/requests.rs`): one at a time, so that what
/// comes behind a request is looked at only once it is clear what it is.
#[derive(Debug, Default)]
pub(crate) struct Gate(AtomicU8);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// A request is being answered.
    Shut,
    /// And the next one waits.
    Parked,
    /// It waits no longer, and must be told.
    Opened,
}

impl Gate {
    pub(crate) fn may_ask(&self) -> bool {
        // ORDERING: Relaxed, here and below; one thread.
        let state = self.0.load(Ordering::Relaxed);
        state == State::Open as u8 || state == State::Opened as u8
    }

    /// A request has come whole, at least its head.
    pub(crate) fn asks(&self) {
        self.0.store(State::Shut as u8, Ordering::Relaxed);
    }

    /// Another one has come before that is answered.
    pub(crate) fn park(&self) {
        self.0.store(State::Parked as u8, Ordering::Relaxed);
    }

    /// Whether a request that waited can be read now; said once.
    pub(crate) fn is_called(&self) -> bool {
        let called = self.0.load(Ordering::Relaxed) == State::Opened as u8;
        if called {
            self.0.store(State::Open as u8, Ordering::Relaxed);
        }
        called
    }

    /// The request is answered, whatever became of it.
    pub(super) fn open(&self) {
        let parked = self.0.load(Ordering::Relaxed) == State::Parked as u8;
        let state = if parked { State::Opened } else { State::Open };
        self.0.store(state as u8, Ordering::Relaxed);
    }
}
