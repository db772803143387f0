//! What happened, in numbers.
//!
//! Owns the counters: each worker writes its own, and whoever wants to know adds them up. Never
//! takes a lock, allocates or formats on the path of a request, and never shows itself
//! (`admin.rs` does).

mod histogram;

use std::sync::{
    OnceLock,
    atomic::{AtomicU64, Ordering},
};

pub(crate) use self::histogram::{Distribution, Histogram};
use crate::{backend::Backend, error::Failure, session::SessionKind};

/// The numbers of the proxy. Those of a server lie with the server ([`Backend::numbers`]), so that
/// they come and go with it.
#[derive(Debug)]
pub(crate) struct Metrics {
    /// False: nobody reads them, so nothing is counted and no clock is read.
    pub(crate) on: bool,
    pub(crate) workers: PerWorker<WorkerNumbers>,
}

impl Metrics {
    pub(crate) fn new(on: bool) -> Self {
        Self { on, workers: PerWorker::default() }
    }

    /// Adds one number up over all workers.
    pub(crate) fn sum(&self, of: impl Fn(&WorkerNumbers) -> &Tally) -> u64 {
        self.workers.iter().map(|worker| of(worker).count()).sum()
    }
}

/// Which worker it is, and of how many.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) number: usize,
    pub(crate) of: usize,
}

/// One `T` for each worker; made when the first of them asks.
#[derive(Debug)]
pub(crate) struct PerWorker<T>(OnceLock<Box<[T]>>);

impl<T> Default for PerWorker<T> {
    fn default() -> Self {
        Self(OnceLock::new())
    }
}

impl<T: Default> PerWorker<T> {
    pub(crate) fn of(&self, worker: Place) -> &T {
        let all = self.0.get_or_init(|| (0..worker.of).map(|_| T::default()).collect());
        // Workers beyond those that the first one knew of would share, and lose a count at times.
        &all[worker.number.min(all.len() - 1)]
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.get().into_iter().flatten()
    }
}

/// A number that one thread adds to and any thread reads.
#[derive(Debug, Default)]
pub(crate) struct Tally(AtomicU64);

impl Tally {
    pub(crate) fn add(&self, more: u64) {
        // ORDERING: Relaxed; the number is all there is. One thread writes, so a load and a store
        // lose nothing, and cost less than a locked instruction.
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
    }

    /// Puts another number in its place.
    pub(crate) fn set(&self, to: u64) {
        self.0.store(to, Ordering::Relaxed);
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What one worker counts. On cache lines of its own, so that no worker slows another down.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct WorkerNumbers {
    pub(crate) begun: Tally,
    /// Turns that it dealt, and the serial of the server whose the last one was.
    pub(crate) dealt: Tally,
    pub(crate) last: Tally,
    pub(crate) ended: [Tally; Class::ALL.len()],
    pub(crate) sessions: [Tally; SessionKind::ALL.len()],
    pub(crate) retries: Tally,
    /// Bytes of request bodies from clients.
    pub(crate) received: Tally,
    /// Bytes of response bodies to clients.
    pub(crate) sent: Tally,
    pub(crate) connections_opened: Tally,
    pub(crate) connections_closed: Tally,
    /// Closed at once, since their address had as many as it may.
    pub(crate) connections_refused: Tally,
}

/// What one worker counts of one server.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct ServerNumbers {
    /// Turns that it was given.
    pub(crate) picked: Tally,
    pub(crate) answered: [Tally; Class::ALL.len()],
    pub(crate) failed: [Tally; Fault::ALL.len()],
    pub(crate) sent: Tally,
    pub(crate) first_byte: Histogram,
    pub(crate) whole: Histogram,
}

/// The first digit of a status, or none: the client left before there was one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Informational,
    Success,
    Redirection,
    ClientError,
    ServerError,
    Cancelled,
}

impl Class {
    pub(crate) const ALL: [Self; 6] = [
        Self::Informational,
        Self::Success,
        Self::Redirection,
        Self::ClientError,
        Self::ServerError,
        Self::Cancelled,
    ];

    /// 0: there is no status.
    pub(crate) fn of(status: u16) -> Self {
        match status / 100 {
            0 => Self::Cancelled,
            1 => Self::Informational,
            2 => Self::Success,
            3 => Self::Redirection,
            4 => Self::ClientError,
            _ => Self::ServerError,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        ["1xx", "2xx", "3xx", "4xx", "5xx", "cancelled"][self as usize]
    }
}

/// How a server failed a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Connect,
    Cut,
    BadResponse,
    Timeout,
    /// After the head: the body broke off.
    BrokenOff,
}

impl Fault {
    pub(crate) const ALL: [Self; 5] =
        [Self::Connect, Self::Cut, Self::BadResponse, Self::Timeout, Self::BrokenOff];

    /// None: it was not the server.
    pub(crate) fn of(failure: Failure) -> Option<Self> {
        match failure {
            Failure::Connect | Failure::ConnectTimeout | Failure::Tls(_) => Some(Self::Connect),
            Failure::Cut => Some(Self::Cut),
            Failure::BadResponse => Some(Self::BadResponse),
            Failure::Timeout => Some(Self::Timeout),
            _ => None,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        ["connect", "cut", "bad-response", "timeout", "broken-off"][self as usize]
    }
}

/// The numbers of one server, added up over all workers.
#[derive(Clone, Debug, Default)]
pub(crate) struct ServerTotals {
    pub(crate) picked: u64,
    pub(crate) answered: [u64; Class::ALL.len()],
    pub(crate) failed: [u64; Fault::ALL.len()],
    pub(crate) sent: u64,
    pub(crate) first_byte: Distribution,
    pub(crate) whole: Distribution,
}

impl ServerTotals {
    pub(crate) fn of(backend: &Backend) -> Self {
        let mut totals = Self::default();
        for numbers in backend.numbers().iter() {
            totals.picked += numbers.picked.count();
            add(&mut totals.answered, &numbers.answered);
            add(&mut totals.failed, &numbers.failed);
            totals.sent += numbers.sent.count();
            totals.first_byte.add(&numbers.first_byte);
            totals.whole.add(&numbers.whole);
        }
        totals
    }

    /// Requests that it answered, however.
    pub(crate) fn requests(&self) -> u64 {
        self.answered.iter().sum()
    }

    /// Requests that it failed, and answers that say that it failed.
    pub(crate) fn errors(&self) -> u64 {
        self.answered[Class::ServerError as usize] + self.failed.iter().sum::<u64>()
    }
}

fn add(sums: &mut [u64], tallies: &[Tally]) {
    for (sum, tally) in sums.iter_mut().zip(tallies) {
        *sum += tally.count();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_a_class_and_every_class_a_name() {
        let names: Vec<_> =
            [0, 101, 200, 304, 404, 599].map(|status| Class::of(status).name()).into();
        assert_eq!(names, ["cancelled", "1xx", "2xx", "3xx", "4xx", "5xx"]);
        assert!(Class::ALL.iter().enumerate().all(|(at, class)| *class as usize == at));
        assert!(Fault::ALL.iter().enumerate().all(|(at, fault)| *fault as usize == at));
    }

    #[test]
    fn what_workers_count_apart_is_read_together() {
        let numbers: PerWorker<Tally> = PerWorker::default();
        assert_eq!(numbers.iter().count(), 0);
        for number in 0..3 {
            numbers.of(Place { number, of: 3 }).add(number as u64 + 1);
        }
        assert_eq!(numbers.iter().map(Tally::count).sum::<u64>(), 6);
    }
}
