//! Which of the servers that could take a request gets it.
//!
//! Owns the choice of the policy; each is a file of its own. All of them end in the ring: a policy
//! says whom it would take, and the ring gives the turn to the first such server after the one
//! before. So all of them break ties in ring order, respect weights, and pass over servers that are
//! away without a cost to their neighbours.
//! `docs/scheduling.md` compares them, in simulation and measured.

mod least_conn;
mod p2c;
mod peak_ewma;
mod rr;
mod sigma;

pub(crate) use peak_ewma::Latency;

use std::{fmt, sync::Arc, time::Duration};

use rondel::{Entry, Guard, Ring};

use crate::{backend::Backend, load::Totals};

pub(crate) type Turn<'g> = Entry<'g, Arc<Backend>>;

/// A way to choose.
pub(crate) trait Policy: fmt::Debug + Send + Sync {
    /// Who has the turn, of those that `usable` names; `None` if it names nobody.
    fn choose<'g>(&self, choice: &Choice<'g, '_>) -> Option<Turn<'g>>;

    /// Whether it wants to know how long servers take.
    fn is_timed(&self) -> bool {
        false
    }

    /// Whether it reads the sums over the pool.
    fn totals(&self) -> Option<&Arc<Totals>> {
        None
    }
}

/// What there is to choose from.
pub(crate) struct Choice<'g, 'c> {
    pub(crate) ring: &'g Ring<Arc<Backend>>,
    pub(crate) guard: &'g Guard,
    pub(crate) usable: &'c dyn Fn(&Backend) -> bool,
    /// Time since the pool began; zero if the policy is not timed.
    pub(crate) now: Duration,
}

impl<'g> Choice<'g, '_> {
    /// The next usable one in turn that `accept` takes.
    fn next(&self, accept: impl Fn(&Backend) -> bool) -> Option<Turn<'g>> {
        self.ring.next_where(self.guard, |backend| (self.usable)(backend) && accept(backend))
    }

    /// The usable members, one lap.
    fn members(&self) -> impl Iterator<Item = Turn<'g>> {
        self.ring.iter(self.guard).filter(|member| (self.usable)(member))
    }

    /// Any two different servers, each as likely as its weight says; one if there is only one.
    fn two_at_random(&self) -> (Option<Turn<'g>>, Option<Turn<'g>>) {
        let first = any_of(self.members());
        let second = first.and_then(|first| {
            any_of(self.members().filter(|member| member.serial() != first.serial()))
        });
        (first, second)
    }
}

/// One of them, each with the same chance, in one pass.
fn any_of<T>(candidates: impl Iterator<Item = T>) -> Option<T> {
    let numbered = (1..).zip(candidates);
    numbered.filter(|(number, _)| fastrand::usize(..*number) == 0).last().map(|(_, one)| one)
}

/// How the next server is chosen.
#[derive(Clone, Copy, Debug, PartialEq, clap::ValueEnum)]
pub enum Algorithm {
    /// Ring order
    Rr,
    /// Ring order, passing over servers with more in flight than the pool's mean
    Sigma,
    /// The server with the fewest requests in flight for its weight
    LeastConn,
    /// Of two servers at random, the one with fewer requests in flight
    P2c,
    /// Of two servers at random, the one that would answer sooner
    PeakEwma,
}

impl Algorithm {
    /// `z0` is for `sigma`: how many standard deviations above the mean are still good.
    pub(crate) fn policy(self, z0: f64) -> Box<dyn Policy> {
        match self {
            Self::Rr => Box::new(rr::RoundRobin),
            Self::Sigma => Box::new(sigma::Sigma::new(z0)),
            Self::LeastConn => Box::new(least_conn::LeastConn),
            Self::P2c => Box::new(p2c::TwoChoices),
            Self::PeakEwma => Box::new(peak_ewma::PeakEwma),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{backend::InFlight, health::Outcome, roster::Roster, servers};

    const ALL: [Algorithm; 5] = [
        Algorithm::Rr,
        Algorithm::Sigma,
        Algorithm::LeastConn,
        Algorithm::P2c,
        Algorithm::PeakEwma,
    ];

    fn roster(algorithm: Algorithm, text: &str) -> Roster {
        Roster::new(servers::parse(text).unwrap(), algorithm.policy(0.0))
    }

    fn counts(held: &[InFlight], ids: [&str; 2]) -> [usize; 2] {
        ids.map(|id| held.iter().filter(|request| request.backend().id() == id).count())
    }

    #[test]
    fn requests_that_stay_are_spread_by_weight() {
        for algorithm in ALL {
            fastrand::seed(1);
            // Time stands still: that this thread was left waiting is no server's latency.
            let specs = servers::parse("http://a name=a weight=3\nhttp://b name=b").unwrap();
            let roster = Roster::simulated(specs, algorithm, Arc::default());
            let mut held = Vec::new();
            for _ in 0..400 {
                let request = roster.next().unwrap();
                roster.report(&request, Outcome::Good);
                request.backend().latency.observe(Duration::from_millis(1), roster.time.now());
                held.push(request);
            }
            let [a, b] = counts(&held, ["a", "b"]);
            assert!((290..=310).contains(&a) && a + b == 400, "{algorithm:?}: {a} and {b}");
        }
    }

    #[test]
    fn every_policy_serves_as_long_as_anybody_has_room_and_no_longer() {
        for algorithm in ALL {
            let roster = roster(
                algorithm,
                "http://a name=a max=1\nhttp://b name=b max=2\nhttp://c name=c backup max=1",
            );
            let held: Vec<_> = std::iter::from_fn(|| roster.next()).take(10).collect();
            assert_eq!(held.len(), 4, "{algorithm:?}");
            assert_eq!(held[3].backend().id(), "c", "{algorithm:?}");
        }
    }

    #[test]
    fn all_but_rr_leave_out_a_server_that_is_stuck() {
        for algorithm in &ALL[1..] {
            let roster = roster(*algorithm, "http://a name=a\nhttp://b name=b\nhttp://c name=c");
            let _stuck: Vec<_> =
                (0..30).map(|_| roster.find("a").unwrap().enter(Duration::ZERO).unwrap()).collect();
            let answered = (0..20).map(|_| {
                let request = roster.next().unwrap();
                roster.report(&request, Outcome::Good);
                request
            });
            let answered: Vec<_> = answered.collect();
            assert_eq!(counts(&answered, ["a", "b"])[0], 0, "{algorithm:?}");
        }
    }

    #[test]
    fn equal_and_idle_servers_are_taken_in_ring_order() {
        for algorithm in [Algorithm::Rr, Algorithm::Sigma, Algorithm::LeastConn] {
            let roster = roster(algorithm, "http://a name=a\nhttp://b name=b\nhttp://c name=c");
            let turns = (0..6).map(|_| roster.next().unwrap().backend().id().to_owned());
            assert_eq!(turns.collect::<String>(), "abcabc", "{algorithm:?}");
        }
    }
}
