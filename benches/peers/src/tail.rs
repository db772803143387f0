//! Rounds that time every single pick.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::{
    picks::{Start, together},
    rotation::Rotation,
    sample::ratio,
};

/// What the single picks of a round took.
#[derive(Clone, Debug)]
pub struct Tail {
    /// Nanoseconds, the clock's own cost included.
    pub nanoseconds: Histogram<u64>,
    /// Each thread's part of all picks, times the number of threads, least first: 1 is its due.
    pub shares: Vec<f64>,
}

const MEMBERS: usize = 8;

pub(crate) fn round<R: Rotation>(threads: usize, time: Duration) -> Tail {
    let rotation = R::with_members(MEMBERS);
    let start = Start::of(threads);
    let histograms = together(threads, || {
        // Three digits, up to a minute: a pick that takes longer is a broken one.
        let mut histogram = Histogram::new_with_max(60_000_000_000, 3).expect("sensible bounds");
        let mut local = rotation.local();
        let begin = start.wait();
        let mut after = begin;
        while after - begin < time {
            let before = Instant::now();
            std::hint::black_box(rotation.next(&mut local));
            after = Instant::now();
            let nanoseconds = u64::try_from((after - before).as_nanos()).expect("short");
            histogram.record(nanoseconds).expect("less than a minute");
        }
        histogram
    });
    let all = histograms.iter().map(Histogram::len).sum::<u64>();
    let mut shares: Vec<f64> =
        histograms.iter().map(|own| ratio(own.len(), all) * ratio(threads as u64, 1)).collect();
    shares.sort_by(f64::total_cmp);
    let mut nanoseconds = Histogram::new_with_max(60_000_000_000, 3).expect("sensible bounds");
    for histogram in histograms {
        nanoseconds.add(histogram).expect("the same bounds");
    }
    Tail { nanoseconds, shares }
}
