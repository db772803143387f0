//! How long things took.
//!
//! Owns the buckets, log-linear: eight to each doubling, so that a quantile is off by less than a
//! sixteenth of itself whatever the scale. Writing is two additions and no search.

use std::time::Duration;

use super::Tally;

/// Buckets to each doubling, and their exponent.
const STEPS: usize = 8;
const STEPS_LOG2: u32 = STEPS.ilog2();
/// What takes longer than 2^27 us, two minutes and a quarter, lies in the last bucket.
const LONGEST_LOG2: u32 = 27;
const BUCKETS: usize = (LONGEST_LOG2 - STEPS_LOG2 + 1) as usize * STEPS;

/// Written by one worker.
#[derive(Debug)]
pub(crate) struct Histogram {
    buckets: [Tally; BUCKETS],
    nanoseconds: Tally,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: std::array::from_fn(|_| Tally::default()), nanoseconds: Tally::default() }
    }
}

impl Histogram {
    pub(crate) fn record(&self, nanoseconds: u64) {
        self.buckets[bucket(nanoseconds)].add(1);
        self.nanoseconds.add(nanoseconds);
    }
}

/// The bucket of a time. Its upper bound belongs to it, as Prometheus's `le` wants it.
fn bucket(nanoseconds: u64) -> usize {
    let below = nanoseconds.saturating_sub(1) / 1_000;
    if below < STEPS as u64 {
        return usize::try_from(below).unwrap_or(0);
    }
    let shift = below.ilog2() - STEPS_LOG2;
    let within = usize::try_from(below >> shift).unwrap_or(0) - STEPS;
    ((shift + 1) as usize * STEPS + within).min(BUCKETS - 1)
}

/// Where a bucket ends, in microseconds.
fn end_of(bucket: usize) -> u64 {
    let (shift, within) = (bucket / STEPS, bucket % STEPS);
    if shift == 0 {
        return within as u64 + 1;
    }
    ((STEPS + within + 1) as u64) << (shift - 1)
}

/// Histograms added up, or the difference of two such sums.
#[derive(Clone, Debug)]
pub(crate) struct Distribution {
    buckets: Box<[u64; BUCKETS]>,
    nanoseconds: u64,
}

impl Default for Distribution {
    fn default() -> Self {
        Self { buckets: Box::new([0; BUCKETS]), nanoseconds: 0 }
    }
}

impl Distribution {
    pub(crate) fn add(&mut self, histogram: &Histogram) {
        super::add(&mut *self.buckets, &histogram.buckets);
        self.nanoseconds += histogram.nanoseconds.count();
    }

    /// What came after `earlier`, an older sum of the same histograms.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        let mut difference = self.clone();
        for (now, then) in difference.buckets.iter_mut().zip(earlier.buckets.iter()) {
            *now = now.saturating_sub(*then);
        }
        difference.nanoseconds = self.nanoseconds.saturating_sub(earlier.nanoseconds);
        difference
    }

    pub(crate) fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    pub(crate) fn total(&self) -> Duration {
        Duration::from_nanos(self.nanoseconds)
    }

    /// The time that the share `q` of all stayed within; None: there was nothing. In the middle of
    /// its bucket, which is off by half a bucket at most.
    pub(crate) fn quantile(&self, q: f64) -> Option<Duration> {
        let count = self.count();
        if count == 0 {
            return None;
        }
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the rank of a quantile, from 1 to the count"
        )]
        let rank = ((count as f64 * q).ceil() as u64).clamp(1, count);
        let mut seen = 0;
        let bucket = self.buckets.iter().position(|in_it| {
            seen += in_it;
            seen >= rank
        })?;
        let begin = if bucket == 0 { 0 } else { end_of(bucket - 1) };
        Some(Duration::from_nanos((begin + end_of(bucket)) * 500))
    }

    /// The bounds that are shown to the outside, with how many stayed within each: one to each
    /// doubling from 64 us to 67 s, since a series costs more there than here.
    pub(crate) fn cumulative(&self) -> impl Iterator<Item = (Duration, u64)> {
        const SHOWN_LOG2: std::ops::RangeInclusive<u32> = 6..=26;
        let mut seen = 0;
        let mut next = 0;
        SHOWN_LOG2.map(move |log2| {
            while end_of(next) <= 1 << log2 {
                seen += self.buckets[next];
                next += 1;
            }
            (Duration::from_micros(1 << log2), seen)
        })
    }
}

#[cfg(test)]
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "ranks and times, far from the bounds"
)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn distribution(times: &[u64]) -> Distribution {
        let histogram = Histogram::default();
        for time in times {
            histogram.record(*time);
        }
        let mut distribution = Distribution::default();
        distribution.add(&histogram);
        distribution
    }

    #[test]
    fn a_bound_belongs_to_its_bucket_and_the_next_nanosecond_does_not() {
        let at_64_us = |time| distribution(&[time]).cumulative().next().unwrap();
        assert_eq!(at_64_us(64_000), (Duration::from_micros(64), 1));
        assert_eq!(at_64_us(64_001), (Duration::from_micros(64), 0));
    }

    #[test]
    fn what_is_longer_than_every_bound_is_counted_in_all_alone() {
        let long = distribution(&[u64::MAX / 2, 0]);
        assert_eq!(long.count(), 2);
        let (last, within) = long.cumulative().last().unwrap();
        assert_eq!((last.as_micros(), within), (1 << 26, 1));
    }

    #[test]
    fn a_difference_holds_what_came_in_between() {
        let earlier = distribution(&[1_000_000]);
        let later = distribution(&[1_000_000, 9_000_000]);
        let between = later.since(&earlier);
        assert_eq!(between.count(), 1);
        assert_eq!(between.total(), Duration::from_millis(9));
        assert!(between.quantile(0.5).unwrap() > Duration::from_millis(8));
        assert_eq!(distribution(&[]).quantile(0.5), None);
    }

    proptest! {
        #[test]
        fn a_quantile_is_off_by_less_than_a_sixteenth(
            mut times in prop::collection::vec(8_000_u64..60_000_000_000, 1..200),
            q in 0.0..=1.0_f64,
        ) {
            let found = distribution(&times).quantile(q).unwrap().as_nanos() as f64;
            times.sort_unstable();
            let rank = ((times.len() as f64 * q).ceil() as usize).clamp(1, times.len());
            let exact = times[rank - 1] as f64;
            prop_assert!((found - exact).abs() <= exact / 16.0 + 1_000.0, "{found} for {exact}");
        }

        #[test]
        fn buckets_follow_on_each_other_without_a_gap(time in 1_u64..1 << 37) {
            let (bucket, micros) = (bucket(time), time.div_ceil(1_000));
            prop_assert!(micros <= end_of(bucket) || bucket == BUCKETS - 1);
            prop_assert!(bucket == 0 || micros > end_of(bucket - 1));
        }
    }
}
