//! How the servers are.
//!
//! Owns what is found out about them, by probes and by what becomes of requests, and who is passed
//! over for it and until when. Never picks a server, and takes none off the roster.

mod outlier;
mod passive;
mod probe;

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
    time::Duration,
};

use http::uri::PathAndQuery;
use tokio::{runtime::Handle, task::JoinHandle};

use crate::{
    backend::{Backend, Condition, FULL, State},
    roster::Roster,
    settings::Limits,
    tls::Connector,
};
use outlier::Outliers;
pub use passive::Outcome;
pub(crate) use passive::Streaks;

/// How servers are looked after.
#[derive(Clone, Debug)]
pub struct HealthSettings {
    /// What a probe asks for.
    pub path: PathAndQuery,
    /// Between two probes of a server.
    pub interval: Duration,
}

impl Default for HealthSettings {
    fn default() -> Self {
        Self { path: PathAndQuery::from_static("/"), interval: Duration::from_secs(5) }
    }
}

/// How often it is looked whose rest is over.
const LOOK: Duration = Duration::from_millis(100);

/// Looks after the servers until their roster is gone. Without settings nobody is probed, and only
/// those who come back are let in again.
pub(crate) fn start(
    roster: &Arc<Roster>,
    settings: Option<HealthSettings>,
    limits: &Limits,
    tls: &Arc<Connector>,
    background: &Handle,
) {
    let reach = Reach { limits: limits.clone(), tls: Arc::clone(tls) };
    background.spawn(look_after(Arc::downgrade(roster), settings, reach));
}

/// What it takes to reach a server.
#[derive(Clone, Debug)]
struct Reach {
    limits: Limits,
    tls: Arc<Connector>,
}

async fn look_after(roster: Weak<Roster>, settings: Option<HealthSettings>, reach: Reach) {
    let mut probes: HashMap<u32, Probing> = HashMap::new();
    let mut outliers = Outliers::default();
    while let Some(roster) = roster.upgrade() {
        let servers = roster.servers();
        for backend in &servers {
            roster.tend(backend);
        }
        if let Some(settings) = &settings {
            probes.retain(|serial, _| servers.iter().any(|server| server.serial() == *serial));
            for backend in &servers {
                probes.entry(backend.serial()).or_insert_with(|| {
                    let roster = Arc::downgrade(&roster);
                    let watch =
                        probe::watch(roster, Arc::clone(backend), settings.clone(), reach.clone());
                    Probing(tokio::spawn(watch))
                });
            }
            outliers.look(&roster, &servers);
        }
        drop(roster);
        tokio::time::sleep(LOOK).await;
    }
}

/// The task that probes a server; ends when it is dropped.
struct Probing(JoinHandle<()>);

impl Drop for Probing {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Roster {
    /// Ends a rest that is over, and lets one who has come back take more of its turns with time.
    fn tend(&self, backend: &Backend) {
        let (now, condition) = (self.time.now(), backend.condition());
        if condition.ejected.is_some_and(|until| until <= now) {
            backend.streaks.end();
            let (_, state) = backend.change(|condition| {
                condition.ejected = None;
                self.let_in(condition);
            });
            tracing::info!(server = backend.id(), %state, "server's rest is over");
        } else if condition.ramp < FULL {
            let since = now.saturating_sub(condition.returned.unwrap_or_default());
            backend.change(|condition| condition.ramp = percent(since, self.slow_start));
        }
    }

    /// What a server's probes say.
    fn set_down(&self, backend: &Backend, down: bool, why: &str) {
        let (before, after) = backend.change(|condition| {
            if condition.down && !down {
                self.let_in(condition);
            }
            condition.down = down;
        });
        if down && before != State::Down {
            tracing::warn!(server = backend.id(), why, "server is down");
        } else if !down {
            tracing::info!(server = backend.id(), state = %after, "server is up again");
        }
    }

    /// One who is new, or was away, takes more of its turns with time.
    pub(crate) fn let_in(&self, condition: &mut Condition) {
        condition.returned = Some(self.time.now());
        condition.ramp = percent(Duration::ZERO, self.slow_start);
    }
}

/// How much of its turns a server takes after this time.
fn percent(since: Duration, slow_start: Duration) -> u8 {
    if since >= slow_start {
        return FULL;
    }
    let percent = since.as_millis() * u128::from(FULL) / slow_start.as_millis().max(1);
    u8::try_from(percent).unwrap_or(FULL).clamp(1, FULL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_grow_from_one_percent_to_all_over_the_slow_start() {
        let at = |ms| percent(Duration::from_millis(ms), Duration::from_secs(10));
        assert_eq!([at(0), at(99), at(5_000), at(9_999), at(10_000)], [1, 1, 50, 99, 100]);
        assert_eq!(percent(Duration::ZERO, Duration::ZERO), 100);
    }
}
