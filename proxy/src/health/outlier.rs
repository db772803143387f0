//! Servers that fail more than the others, though never often enough in a row.
//!
//! Owns the comparison of success rates: of servers that had 100 requests in the last ten seconds,
//! if there are five such, those whose rate lies 1.9 standard deviations below the mean are
//! ejected. In a pool of n nobody can be further from the mean than sqrt(n-1) deviations, which is
//! why four servers would be too few. Never counts requests itself (`passive.rs`).

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use crate::{backend::Backend, roster::Roster};

const PERIOD: Duration = Duration::from_secs(10);
const FEWEST_SERVERS: usize = 5;
const FEWEST_REQUESTS: u64 = 100;
const DEVIATIONS: f64 = 1.9;
/// Where all are nearly perfect, one failure is many deviations, and still nothing to act upon.
const LEAST_DIFFERENCE: f64 = 0.01;

/// What was counted when the current period began.
#[derive(Debug, Default)]
pub(super) struct Outliers {
    began: Duration,
    counted: HashMap<u32, (u64, u64)>,
}

impl Outliers {
    /// At the end of a period, ejects who stands out.
    pub(super) fn look(&mut self, roster: &Roster, servers: &[Arc<Backend>]) {
        let now = roster.time.now();
        if now.saturating_sub(self.began) < PERIOD {
            return;
        }
        self.began = now;
        let mut seen = Vec::new();
        let mut rates = Vec::new();
        let counted = servers.iter().map(|server| {
            // ORDERING: Relaxed; counts, and it does not matter if one of them is a request ahead.
            let requests = server.counters.requests.load(Ordering::Relaxed);
            let failures = server.counters.failures.load(Ordering::Relaxed);
            let (requests_before, failures_before) =
                self.counted.get(&server.serial()).copied().unwrap_or_default();
            let new = requests - requests_before;
            if new >= FEWEST_REQUESTS {
                seen.push(server);
                rates.push(1.0 - fraction(failures - failures_before, new));
            }
            (server.serial(), (requests, failures))
        });
        self.counted = counted.collect();
        for (server, rate) in outliers(&rates).map(|at| (seen[at], rates[at])) {
            tracing::debug!(server = server.id(), rate, "success rate stands out");
            roster.eject(server, "it fails more requests than the others");
        }
    }
}

/// Which of the rates stand out, the lowest first.
fn outliers(rates: &[f64]) -> impl Iterator<Item = usize> {
    let count = fraction(rates.len() as u64, 1);
    let mean = rates.iter().sum::<f64>() / count;
    let variance = rates.iter().map(|rate| (rate - mean).powi(2)).sum::<f64>() / count;
    let limit = mean - (DEVIATIONS * variance.sqrt()).max(LEAST_DIFFERENCE);
    let mut low: Vec<usize> = (0..rates.len()).filter(|&at| rates[at] < limit).collect();
    low.sort_by(|&a, &b| rates[a].total_cmp(&rates[b]));
    if rates.len() < FEWEST_SERVERS {
        low.clear();
    }
    low.into_iter()
}

#[expect(clippy::cast_precision_loss, reason = "a rate needs no more digits")]
fn fraction(part: u64, of: u64) -> f64 {
    part as f64 / of as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(rates: &[f64]) -> Vec<usize> {
        outliers(rates).collect()
    }

    #[test]
    fn who_fails_more_than_the_others_stands_out() {
        assert_eq!(found(&[1.0, 0.99, 0.8, 1.0, 1.0]), [2]);
        assert_eq!(found(&[1.0, 1.0, 0.9, 1.0, 1.0, 1.0, 1.0, 0.85, 1.0, 1.0, 1.0, 1.0]), [7]);
    }

    #[test]
    fn nobody_stands_out_of_a_small_pool_or_of_one_that_fails_alike_or_hardly_at_all() {
        assert!(found(&[1.0, 1.0, 1.0, 0.0]).is_empty());
        assert!(found(&[0.5, 0.52, 0.48, 0.5, 0.51]).is_empty());
        assert!(found(&[1.0, 1.0, 1.0, 1.0, 0.999]).is_empty());
        assert!(found(&[]).is_empty());
    }

    #[test]
    fn at_the_end_of_a_period_who_stands_out_rests() {
        let lines = ["http://a", "http://b", "http://c", "http://d", "http://e", "http://f"];
        let specs = crate::servers::parse(&lines.join("\n")).unwrap();
        let mut roster = Roster::new(specs, crate::policy::Algorithm::Rr.policy(0.0));
        let clock = Arc::new(std::sync::atomic::AtomicU64::new(0));
        roster.time = crate::roster::Time::Simulated(Arc::clone(&clock));
        let servers = roster.servers();
        let mut outliers = Outliers::default();
        let mut period = |requests: u64| {
            for (at, server) in servers.iter().enumerate() {
                server.counters.requests.fetch_add(requests, Ordering::Relaxed);
                let failed = if at == 3 { requests / 10 } else { 0 };
                server.counters.failures.fetch_add(failed, Ordering::Relaxed);
            }
            clock.fetch_add(10_000_000_000, Ordering::Relaxed);
            outliers.look(&roster, &servers);
            servers.iter().map(|server| server.is_available()).collect::<Vec<_>>()
        };
        assert_eq!(period(99), [true; 6]);
        assert_eq!(period(100), [true, true, true, false, true, true]);
    }
}
