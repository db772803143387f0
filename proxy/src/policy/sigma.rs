//! `sigma`: everybody in turn, but who has more in hand than others.
//!
//! A server is passed over while its requests in flight, c/w for a server of weight w, lie more
//! than z0 standard deviations above the mean of the pool. The ring makes this cheap: the guard is
//! one comparison of the server at hand with two numbers that all share, there is no order of
//! servers to keep, and about half of the pool passes, so that two looks are enough on average.
//!
//! With z0 = 0 the deviation drops out, and the guard is c W <= C w, where C and W are the sums of
//! requests and weights: integers, and somebody always passes. Whoever has *exactly* the mean is
//! taken only if nobody has less: where few requests are in hand, the mean often is a whole number
//! that servers have, and an idle one would be left idle beside them. With z0 >= 1 two servers
//! never differ, and n servers never do with z0 >= sqrt(n-1) (P. Samuelson, 1968).

use std::sync::Arc;

use super::{Choice, Policy, Turn};
use crate::{
    backend::Backend,
    load::{SQUARES, Sums, Totals},
};

#[derive(Debug)]
pub(super) struct Sigma {
    totals: Arc<Totals>,
    /// z0 squared, in millionths.
    limit: i128,
}

const MILLION: i128 = 1_000_000;

impl Sigma {
    pub(super) fn new(z0: f64) -> Self {
        // Three digits after the point say all that a threshold can mean.
        #[expect(clippy::cast_possible_truncation, reason = "the flag is from 0 to 100")]
        let thousandths = (z0 * 1_000.0).round() as i128;
        Self { totals: Arc::default(), limit: thousandths * thousandths }
    }

    /// Whether some may have less than the mean, and are to be preferred to who has just that.
    fn prefers_less(&self, sums: &Sums) -> bool {
        self.limit == 0 && sums.in_flight > 0
    }

    fn is_within(&self, in_flight: i128, weight: i128, sums: &Sums) -> bool {
        let above = above_mean(in_flight, weight, sums);
        if above <= 0 || self.limit == 0 {
            return above <= 0;
        }
        let (count, share) = (i128::from(sums.in_flight), i128::from(sums.share));
        // `(c/w - C/W)^2 <= z0^2 (Q/W - (C/W)^2)`, times (w W)^2 and the units of Q and of z0^2.
        let unit = i128::from(SQUARES);
        let spread = i128::from(sums.squares) * share - count * count * unit;
        above * above * unit * MILLION <= self.limit * weight * weight * spread
    }
}

/// `c/w - C/W`, times w W: positive above the mean, negative below.
fn above_mean(in_flight: i128, weight: i128, sums: &Sums) -> i128 {
    in_flight * i128::from(sums.share) - i128::from(sums.in_flight) * weight
}

impl Policy for Sigma {
    fn choose<'g>(&self, choice: &Choice<'g, '_>) -> Option<Turn<'g>> {
        let sums = self.totals.read();
        let load = |backend: &Backend| (backend.in_flight().into(), backend.weight().into());
        let is_below = |backend: &Backend| {
            let (in_flight, weight) = load(backend);
            above_mean(in_flight, weight, &sums) < 0
        };
        let is_within = |backend: &Backend| {
            let (in_flight, weight) = load(backend);
            self.is_within(in_flight, weight, &sums)
        };
        let below = if self.prefers_less(&sums) { choice.next(is_below) } else { None };
        below
            .or_else(|| choice.next(is_within))
            // Whoever is below the mean may be full, or no part of the sums.
            .or_else(|| choice.next(|_| true))
    }

    fn totals(&self) -> Option<&Arc<Totals>> {
        Some(&self.totals)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// What passes, of servers given as (in flight, weight).
    fn passing(z0: f64, servers: &[(i64, i64)]) -> Vec<bool> {
        let sums = servers.iter().fold(
            Sums { share: 0, in_flight: 0, squares: 0 },
            |sums, (in_flight, weight)| Sums {
                share: sums.share + weight,
                in_flight: sums.in_flight + in_flight,
                squares: sums.squares + in_flight * in_flight * SQUARES / weight,
            },
        );
        let sigma = Sigma::new(z0);
        let within = |&(c, w): &(i64, i64)| sigma.is_within(c.into(), w.into(), &sums);
        servers.iter().map(within).collect()
    }

    #[test]
    fn who_is_above_the_mean_is_passed_over_and_somebody_always_passes() {
        assert_eq!(passing(0.0, &[(0, 1), (0, 1)]), [true, true]);
        assert_eq!(passing(0.0, &[(1, 1), (0, 1)]), [false, true]);
        assert_eq!(passing(0.0, &[(2, 1), (3, 1), (4, 1)]), [true, true, false]);
        assert_eq!(passing(0.0, &[(4, 2), (2, 1), (2, 1)]), [true, true, true]);
        assert_eq!(passing(0.0, &[(5, 2), (2, 1), (1, 1)]), [false, true, true]);
        for seed in 0..1_000 {
            let mut random = fastrand::Rng::with_seed(seed);
            let pool: Vec<_> = (0..8).map(|_| (random.i64(0..50), random.i64(1..=256))).collect();
            assert!(passing(0.0, &pool).contains(&true), "{pool:?}");
        }
    }

    #[test]
    fn a_threshold_allows_its_number_of_standard_deviations() {
        // Mean 2, deviation sqrt(8): the last one is 8 and thus 2.83 deviations above it.
        let pool: Vec<_> = (0..9).map(|n| (if n == 8 { 10 } else { 1 }, 1)).collect();
        assert!(!passing(2.8, &pool)[8]);
        assert!(passing(2.9, &pool)[8]);
        assert_eq!(passing(0.0, &pool)[..8], [true; 8]);
    }

    #[test]
    fn who_has_the_mean_itself_is_taken_only_if_nobody_has_less() {
        use crate::{policy::Algorithm, roster::Roster, servers};
        let specs = servers::parse("http://a name=a\nhttp://b name=b\nhttp://c name=c").unwrap();
        let roster = Roster::new(specs, Algorithm::Sigma.policy(0.0));
        let hold = |id: &str| roster.find(id).unwrap().enter(Duration::ZERO).unwrap();
        // 2, 1 and 0 in hand, twice in a row: b has the mean, and the turn.
        for _ in 0..2 {
            let _held = [hold("a"), hold("a"), hold("b")];
            assert_eq!(roster.next().unwrap().backend().id(), "c");
        }
        let _held = [hold("a"), hold("b"), hold("c")];
        let turns: Vec<_> =
            (0..3).map(|_| roster.next().unwrap().backend().id().to_owned()).collect();
        assert_eq!(turns, ["a", "b", "c"]);
    }

    #[test]
    fn with_a_threshold_of_one_two_servers_never_differ() {
        for (busy, idle) in [(1, 0), (1_000, 0), (7, 3)] {
            assert_eq!(passing(1.0, &[(busy, 1), (idle, 1)]), [true, true]);
            assert_eq!(passing(0.99, &[(busy, 1), (idle, 1)]), [false, true]);
        }
    }
}
