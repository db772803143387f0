//! Rounds of picks: how long many of them take, with nothing else going on.

use std::{
    sync::atomic::{
        AtomicU64, AtomicUsize,
        Ordering::{Relaxed, SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use crate::{rotation::Rotation, sample::ratio};

/// What a round came to.
#[derive(Clone, Debug)]
pub struct Picked {
    /// From the first thread's first pick to the last one's last, for the number asked for.
    pub time: Duration,
    /// Nanoseconds per pick of all threads together: the inverse of their throughput.
    pub each: f64,
}

/// Picks that a thread takes on before it asks whether there are more to do. All threads pick until
/// the end: none is left to finish alone. Leases of 16 are used up by then.
pub(crate) const BATCH: u64 = 256;

/// Alone in its cache lines: what the driver counts must not lie beside what it measures.
#[repr(align(128))]
pub(crate) struct Apart<T>(pub(crate) T);

/// All threads begin when the last one is there. Spinning: who waits in the kernel begins when the
/// others have finished.
pub(crate) struct Start {
    threads: usize,
    ready: AtomicUsize,
}

impl Start {
    pub(crate) fn of(threads: usize) -> Self {
        Self { threads, ready: AtomicUsize::new(0) }
    }

    pub(crate) fn wait(&self) -> Instant {
        self.ready.fetch_add(1, SeqCst);
        while self.ready.load(SeqCst) < self.threads {
            thread::yield_now();
        }
        Instant::now()
    }
}

/// Runs `work` in so many threads at once.
pub(crate) fn together<A: Send>(threads: usize, work: impl Fn() -> A + Sync) -> Vec<A> {
    thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(&work)).collect();
        threads.into_iter().map(|thread| thread.join().expect("no pick panics")).collect()
    })
}

pub(crate) fn round<R: Rotation>(members: usize, threads: usize, picks: u64) -> Picked {
    let rotation = Apart(R::with_members(members));
    let rotation = &rotation.0;
    let start = Start::of(threads);
    let taken_on = Apart(AtomicU64::new(0));
    let finished = together(threads, || {
        let mut local = rotation.local();
        let mut turns = vec![0_u64; members];
        let begin = start.wait();
        while taken_on.0.fetch_add(BATCH, Relaxed) < picks {
            for _ in 0..BATCH {
                turns[rotation.next(&mut local)] += 1;
            }
        }
        ((begin, Instant::now()), turns)
    });
    let (times, turns): (Vec<_>, Vec<_>) = finished.into_iter().unzip();
    let turns = sum(&turns);
    if let Some(bound) = R::bound(threads) {
        let apart = difference(&turns);
        assert!(apart <= bound, "{}: turns {apart} apart", R::NAME);
    }
    let time = span(&times).mul_f64(ratio(picks, turns.iter().sum()));
    Picked { time, each: time.as_secs_f64() * 1e9 / ratio(picks, 1) }
}

/// From the first begin to the last end.
pub(crate) fn span(times: &[(Instant, Instant)]) -> Duration {
    let begin = times.iter().map(|(begin, _)| *begin).min().expect("a thread");
    let end = times.iter().map(|(_, end)| *end).max().expect("a thread");
    end - begin
}

/// Each member's turns, by all threads together.
pub(crate) fn sum(threads: &[Vec<u64>]) -> Vec<u64> {
    (0..threads[0].len()).map(|member| threads.iter().map(|turns| turns[member]).sum()).collect()
}

/// The greatest difference of two members' turns.
pub(crate) fn difference(turns: &[u64]) -> u64 {
    let (least, most) = turns.iter().fold((u64::MAX, 0), |(l, m), &n| (l.min(n), m.max(n)));
    most.saturating_sub(least)
}
