//! `peak-ewma`: of two servers at random, the one that would answer sooner.
//!
//! As in Twitter's Finagle: the time that a server takes, times the requests that it would have.
//! The time is a moving average that jumps up to each peak and comes down slowly, since a server
//! that has been slow once is likely to be so again.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use super::{Choice, Policy, Turn};
use crate::backend::Backend;

/// After this time, a third of a peak is left.
const DECAY: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct PeakEwma;

impl Policy for PeakEwma {
    fn choose<'g>(&self, choice: &Choice<'g, '_>) -> Option<Turn<'g>> {
        let (first, second) = choice.two_at_random();
        let (one, other) = (first?, second.or(first)?);
        let (of_one, of_other) = (cost(&one, choice.now), cost(&other, choice.now));
        choice
            .next(|backend| {
                (backend.serial() == one.serial() && of_one <= of_other)
                    || (backend.serial() == other.serial() && of_other <= of_one)
            })
            .or_else(|| choice.next(|_| true))
    }

    fn is_timed(&self) -> bool {
        true
    }
}

fn cost(backend: &Backend, now: Duration) -> f64 {
    let in_flight = f64::from(backend.in_flight());
    match backend.latency.at(now) {
        Some(latency) => latency * (in_flight + 1.0) / f64::from(backend.weight()),
        // Nobody knows yet, and the first request will tell: until then, it is not given a second.
        None if in_flight > 0.0 => f64::MAX,
        None => 0.0,
    }
}

/// The moving average of a server, in one word: when it was set, and what it was.
#[derive(Debug, Default)]
pub(crate) struct Latency(AtomicU64);

impl Latency {
    /// A server took this long.
    pub(crate) fn observe(&self, took: Duration, now: Duration) {
        let sample = took.as_secs_f64() * 1e6;
        let mix = |word| {
            let average = match at(word, now) {
                Some((average, weight)) if sample < average => {
                    average * weight + sample * (1.0 - weight)
                }
                _ => sample,
            };
            Some(pack(average, now))
        };
        // ORDERING: Relaxed; the word is all there is.
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, mix);
    }

    /// What is to be expected now, in microseconds; none if nothing is known.
    fn at(&self, now: Duration) -> Option<f64> {
        at(self.0.load(Ordering::Relaxed), now).map(|(average, weight)| average * weight)
    }
}

/// The average of a word, and how much of it still counts.
#[expect(clippy::cast_possible_truncation, reason = "each takes its half")]
fn at(word: u64, now: Duration) -> Option<(f64, f64)> {
    let age = f64::from(hundredths(now).wrapping_sub((word >> 32) as u32)) / 100.0;
    (word != 0).then(|| (f64::from(word as u32), (-age / DECAY.as_secs_f64()).exp()))
}

/// Hundredths of a second, then microseconds, at least one.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
fn pack(average: f64, now: Duration) -> u64 {
    u64::from(hundredths(now)) << 32 | average.clamp(1.0, f64::from(u32::MAX)) as u64
}

/// They begin anew after 497 days, which a difference does not notice.
#[expect(clippy::cast_possible_truncation, reason = "see above")]
fn hundredths(now: Duration) -> u32 {
    (now.as_millis() / 10) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn an_average_jumps_to_a_peak_and_comes_down_slowly() {
        let latency = Latency::default();
        assert_eq!(latency.at(ms(0)), None);
        latency.observe(ms(1), ms(1_000));
        assert_eq!(latency.at(ms(1_000)), Some(1_000.0));
        latency.observe(ms(100), ms(1_000));
        assert_eq!(latency.at(ms(1_000)), Some(100_000.0));
        latency.observe(ms(1), ms(2_000));
        let soon = latency.at(ms(2_000)).unwrap();
        assert!((90_000.0..92_000.0).contains(&soon), "{soon}");
        let later = latency.at(ms(42_000)).unwrap();
        assert!((1_500.0..1_700.0).contains(&later), "{later}");
    }
}
