//! How the proxy is told to end.
//!
//! Owns the two steps, drain and cut. Never ends anything itself: who listens does.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

use tokio::sync::Notify;

/// A signal with two steps, which everybody who holds a clone can give and see.
///
/// *Drain*: nothing new is accepted, what is in flight is answered, idle connections are closed.
/// *Cut*: whatever still runs is ended at once.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    step: AtomicU8,
    changed: Notify,
}

const DRAIN: u8 = 1;
const CUT: u8 = 2;

impl Stop {
    /// A signal that was not given yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives the next step: first drain, then cut. This is what a signal to the process means.
    pub fn next_step(&self) {
        let to = if self.is_draining() { CUT } else { DRAIN };
        self.raise(to);
    }

    /// Accept nothing more and finish what is in flight.
    pub fn drain(&self) {
        self.raise(DRAIN);
    }

    /// End whatever still runs.
    pub fn cut(&self) {
        self.raise(CUT);
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.reached(DRAIN)
    }

    /// Resolves when draining begins, or at once if it has.
    pub(crate) async fn draining(&self) {
        self.wait_for(DRAIN).await;
    }

    /// Resolves when everything is to end, or at once if so.
    pub(crate) async fn cutting(&self) {
        self.wait_for(CUT).await;
    }

    fn raise(&self, to: u8) {
        // ORDERING: Release pairs with the Acquire of `reached`: whoever sees the step also sees
        // what was done before it was given.
        self.0.step.fetch_max(to, Ordering::Release);
        self.0.changed.notify_waiters();
    }

    fn reached(&self, step: u8) -> bool {
        // ORDERING: Acquire; see `raise`.
        self.0.step.load(Ordering::Acquire) >= step
    }

    async fn wait_for(&self, step: u8) {
        loop {
            // Registered before the check: a step given between the two is not missed.
            let changed = self.0.changed.notified();
            if self.reached(step) {
                return;
            }
            changed.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_step_is_seen_by_those_who_wait_and_by_those_who_come_later() {
        let stop = Stop::new();
        let waiting = tokio::spawn({
            let stop = stop.clone();
            async move { stop.cutting().await }
        });
        tokio::task::yield_now().await;
        stop.next_step();
        stop.draining().await;
        assert!(!waiting.is_finished());
        stop.next_step();
        waiting.await.unwrap();
        stop.cutting().await;
    }
}
