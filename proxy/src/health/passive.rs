//! What becomes of requests, and what follows from that for their server.
//!
//! Owns the streaks of failures, and the ejection: a server that fails several times in a row rests
//! for a while, which grows with each time. At most half of the servers rest at once, and never the
//! last one that serves.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use crate::{
    backend::{Backend, InFlight, State},
    roster::Roster,
};

/// How an attempt to have a request answered ended, as far as it tells about the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A status below 500.
    Good,
    /// A status of 500 or above, nonsense, silence, or an end without an answer.
    Failed,
    /// No connection.
    Unreachable,
}

/// Failures in a row.
#[derive(Debug, Default)]
pub(crate) struct Streaks {
    failed: AtomicU32,
    unreachable: AtomicU32,
}

const MOST_FAILED: u32 = 5;
const MOST_UNREACHABLE: u32 = 3;

/// The first rest; the n-th is n times as long.
const REST: Duration = Duration::from_secs(10);
const MOST_RESTS: u32 = 30;
/// After so long without one, earlier rests are forgotten.
const FORGET: Duration = Duration::from_secs(300);

impl Streaks {
    /// True: this was one too many.
    fn is_broken_by(&self, outcome: Outcome) -> bool {
        let (streak, most) = match outcome {
            Outcome::Good => {
                self.end();
                return false;
            }
            Outcome::Failed => (&self.failed, MOST_FAILED),
            Outcome::Unreachable => (&self.unreachable, MOST_UNREACHABLE),
        };
        // ORDERING: Relaxed, here and below; a count.
        let broken = streak.fetch_add(1, Ordering::Relaxed) + 1 >= most;
        if broken {
            self.end();
        }
        broken
    }

    /// A load each where there is nothing to end: this is on the path of every request.
    pub(super) fn end(&self) {
        for streak in [&self.failed, &self.unreachable] {
            if streak.load(Ordering::Relaxed) != 0 {
                streak.store(0, Ordering::Relaxed);
            }
        }
    }
}

impl Roster {
    /// Takes note of what became of a request.
    pub fn report(&self, in_flight: &InFlight, outcome: Outcome) {
        let backend = in_flight.backend();
        if self.policy.is_timed() && outcome != Outcome::Unreachable {
            let now = self.time.now();
            backend.latency.observe(now.saturating_sub(in_flight.began()), now);
        }
        backend.counters.requests.fetch_add(1, Ordering::Relaxed);
        if outcome != Outcome::Good {
            backend.counters.failures.fetch_add(1, Ordering::Relaxed);
        }
        if self.ejects && backend.streaks.is_broken_by(outcome) {
            let why = match outcome {
                Outcome::Unreachable => "it cannot be reached",
                _ => "it failed several requests in a row",
            };
            self.eject(backend, why);
        }
    }

    /// Lets a server rest, if enough others are left. True: it rests.
    pub(crate) fn eject(&self, backend: &Arc<Backend>, why: &str) -> bool {
        // One at a time, or two servers could both be let go as the last but one.
        let servers = self.all();
        let resting = servers.iter().filter(|server| server.condition().ejected.is_some()).count();
        let another_serves =
            servers.iter().any(|other| other.serial() != backend.serial() && other.is_available());
        if !backend.is_available() || !another_serves || (resting + 1) * 2 > servers.iter().count()
        {
            return false;
        }
        let now = self.time.now();
        let (before, after) = backend.change(|condition| {
            if condition.returned.is_some_and(|returned| now.saturating_sub(returned) > FORGET) {
                condition.rests = 0;
            }
            condition.rests = (condition.rests + 1).min(MOST_RESTS);
            condition.ejected = Some(now + REST * condition.rests);
        });
        if before != after && after == State::Ejected {
            let rests = REST * backend.condition().rests;
            tracing::warn!(server = backend.id(), why, ?rests, "server ejected");
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::*;
    use crate::{policy::Algorithm, roster::Time, servers};

    /// Servers a, b, c .. and the hand of their clock.
    fn pool(count: usize) -> (Roster, Arc<AtomicU64>) {
        let lines =
            ["http://a name=a\n", "http://b name=b\n", "http://c name=c\n", "http://d name=d"];
        let specs = servers::parse(&lines[..count].concat()).unwrap();
        let mut roster = Roster::new(specs, Algorithm::Rr.policy(0.0));
        let clock = Arc::new(AtomicU64::new(0));
        roster.time = Time::Simulated(Arc::clone(&clock));
        roster.ejects = true;
        (roster, clock)
    }

    fn fails(roster: &Roster, id: &str, outcome: Outcome, times: usize) {
        let backend = roster.find(id).unwrap();
        for _ in 0..times {
            let in_flight = Arc::clone(&backend).enter(Duration::ZERO).unwrap();
            roster.report(&in_flight, outcome);
        }
    }

    fn states(roster: &Roster) -> Vec<State> {
        roster.servers().iter().map(|server| server.state()).collect()
    }

    fn pass(roster: &Roster, clock: &AtomicU64, seconds: u64) {
        clock.fetch_add(seconds * 1_000_000_000, Ordering::Relaxed);
        roster.servers().iter().for_each(|server| roster.tend(server));
    }

    #[test]
    fn five_failures_or_three_vain_connects_in_a_row_eject_and_a_success_in_between_does_not() {
        use State::{Ejected, Up};
        let (roster, _) = pool(4);
        fails(&roster, "a", Outcome::Failed, 4);
        fails(&roster, "a", Outcome::Good, 1);
        fails(&roster, "a", Outcome::Failed, 4);
        fails(&roster, "b", Outcome::Unreachable, 2);
        assert_eq!(states(&roster), [Up, Up, Up, Up]);
        fails(&roster, "a", Outcome::Failed, 1);
        fails(&roster, "b", Outcome::Unreachable, 1);
        assert_eq!(states(&roster), [Ejected, Ejected, Up, Up]);
    }

    #[test]
    fn at_most_half_of_the_pool_rests_and_never_the_last_that_serves() {
        use State::{Down, Ejected, Up};
        let (roster, _) = pool(3);
        for id in ["a", "b", "c"] {
            fails(&roster, id, Outcome::Failed, 50);
        }
        assert_eq!(states(&roster), [Ejected, Up, Up]);
        let (roster, _) = pool(2);
        roster.find("a").unwrap().change(|a| a.down = true);
        fails(&roster, "b", Outcome::Failed, 50);
        assert_eq!(states(&roster), [Down, Up]);
        let (roster, _) = pool(1);
        fails(&roster, "a", Outcome::Unreachable, 50);
        assert_eq!(states(&roster), [Up]);
    }

    #[test]
    fn each_rest_is_longer_than_the_one_before_and_good_conduct_is_rewarded() {
        let (roster, clock) = pool(2);
        for rests in [10, 20, 30] {
            fails(&roster, "a", Outcome::Failed, 5);
            pass(&roster, &clock, rests - 1);
            assert_eq!(states(&roster)[0], State::Ejected);
            pass(&roster, &clock, 1);
            assert_eq!(states(&roster)[0], State::Up);
        }
        pass(&roster, &clock, 301);
        fails(&roster, "a", Outcome::Failed, 5);
        pass(&roster, &clock, 10);
        assert_eq!(states(&roster)[0], State::Up);
    }

    #[test]
    fn who_comes_back_starts_slowly() {
        let (mut roster, clock) = pool(2);
        roster.slow_start = Duration::from_secs(20);
        fails(&roster, "a", Outcome::Failed, 5);
        pass(&roster, &clock, 10);
        assert_eq!(states(&roster)[0], State::Starting(1));
        pass(&roster, &clock, 10);
        assert_eq!(states(&roster)[0], State::Starting(50));
        pass(&roster, &clock, 10);
        assert_eq!(states(&roster)[0], State::Up);
    }
}
