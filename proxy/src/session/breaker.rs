//! A circuit breaker: after three failures in a row nobody asks, until a probe is answered.
//!
//! Requests never probe; a task of its own does, so that no request waits while the store is away.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use tokio::{
    sync::{Notify, watch},
    time::timeout,
};

const FAILURES: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(crate) struct Breaker {
    failures: AtomicU32,
    open: watch::Sender<bool>,
    hint: Notify,
}

impl Breaker {
    pub(crate) fn new() -> Self {
        Self { failures: AtomicU32::new(0), open: watch::Sender::new(false), hint: Notify::new() }
    }

    /// Whether asking is of no use.
    pub(crate) fn is_open(&self) -> bool {
        *self.open.borrow()
    }

    /// The store answered.
    pub(crate) fn succeed(&self) {
        // ORDERING: Relaxed, here and in `fail`. The count publishes nothing; `open` does.
        self.failures.store(0, Ordering::Relaxed);
    }

    /// The store did not answer. True if this opened the breaker.
    pub(crate) fn fail(&self) -> bool {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        failures >= FAILURES && !self.open.send_replace(true)
    }

    /// There is reason to believe that the store is back: it is probed now.
    pub(crate) fn hint(&self) {
        self.hint.notify_waiters();
    }

    /// Waits until asking is of use.
    pub(crate) async fn closed(&self) {
        // The sender lives in `self`, so the channel is not closed.
        let _ = self.open.subscribe().wait_for(|open| !open).await;
    }

    /// Closes the breaker when `probe` says that the store answers. Runs for ever.
    pub(crate) async fn tend<F: Future<Output = bool>>(&self, probe: impl Fn() -> F) {
        let mut opened = self.open.subscribe();
        while opened.wait_for(|open| *open).await.is_ok() {
            let mut pause = FIRST_PAUSE;
            loop {
                let hinted = timeout(pause, self.hint.notified()).await.is_ok();
                if probe().await {
                    break;
                }
                if !hinted {
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
            self.succeed();
            self.open.send_replace(false);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::ready,
        sync::{Arc, Mutex},
    };

    use tokio::time::Instant;

    use super::*;

    #[test]
    fn it_opens_at_the_third_failure_in_a_row() {
        let breaker = Breaker::new();
        assert!(!breaker.fail() && !breaker.fail());
        breaker.succeed();
        assert!(!breaker.fail() && !breaker.fail() && !breaker.is_open());
        assert!(breaker.fail(), "now");
        assert!(breaker.is_open());
        assert!(!breaker.fail(), "it is open already");
    }

    #[tokio::test(start_paused = true)]
    async fn it_probes_after_1_2_4_5_5_seconds_and_closes_when_answered() {
        let breaker = Arc::new(Breaker::new());
        let probes = Arc::new(Mutex::new(Vec::new()));
        let start = Instant::now();
        let tending = tokio::spawn({
            let (breaker, probes) = (Arc::clone(&breaker), Arc::clone(&probes));
            async move {
                breaker
                    .tend(|| {
                        let mut probes = probes.lock().unwrap();
                        probes.push(start.elapsed().as_secs());
                        ready(probes.len() == 5)
                    })
                    .await;
            }
        });
        for _ in 0..FAILURES {
            breaker.fail();
        }
        breaker.closed().await;
        assert!(!breaker.is_open());
        assert_eq!(*probes.lock().unwrap(), [1, 3, 7, 12, 17]);
        tending.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn it_probes_at_once_where_there_is_reason_to() {
        let breaker = Arc::new(Breaker::new());
        let start = Instant::now();
        let tending = tokio::spawn({
            let breaker = Arc::clone(&breaker);
            async move { breaker.tend(|| ready(start.elapsed() < Duration::from_millis(100))).await }
        });
        for _ in 0..FAILURES {
            breaker.fail();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(breaker.is_open());
        breaker.hint();
        breaker.closed().await;
        assert!(start.elapsed() < Duration::from_millis(60));
        tending.abort();
    }
}
