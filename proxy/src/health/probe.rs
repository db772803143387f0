//! Probes: a request of our own, now and then, to see whether a server answers.
//!
//! Owns the asking and the counting of answers. A server is down after three failures in a row, and
//! up again after two successes, so that one lost packet, or one lucky answer, changes nothing.

use std::{
    pin::pin,
    sync::{Arc, Weak},
    time::Duration,
};

use hyper::{Method, Request, header, header::HeaderValue};
use tokio::time::timeout;

use super::HealthSettings;
use crate::{
    backend::Backend,
    body::Upload,
    pool::{self, Upstream},
    roster::Roster,
    settings::Limits,
};

const FALL: u32 = 3;
const RISE: u32 = 2;
const AGENT: HeaderValue =
    HeaderValue::from_static(concat!("rondel-proxy/", env!("CARGO_PKG_VERSION"), " (probe)"));

/// Probes a server until its roster is gone; the first time at once.
pub(super) async fn watch(
    roster: Weak<Roster>,
    backend: Arc<Backend>,
    settings: HealthSettings,
    limits: Limits,
) {
    let patience = settings.interval.clamp(Duration::from_secs(1), Duration::from_secs(5));
    let mut count = Count::default();
    loop {
        let probed = timeout(patience, probe(&backend, &settings, &limits)).await;
        let probed = probed.unwrap_or_else(|_| Err("it does not answer in time".to_owned()));
        let Some(roster) = roster.upgrade() else { return };
        if let Some(down) = count.add(probed.is_err(), backend.condition().down) {
            roster.set_down(&backend, down, probed.err().as_deref().unwrap_or_default());
        }
        drop(roster);
        tokio::time::sleep(jittered(settings.interval)).await;
    }
}

/// What the probes since the last change, or the last surprise, said.
#[derive(Debug, Default)]
struct Count {
    failures: u32,
    successes: u32,
}

impl Count {
    /// Whether the server is to be seen as down from now on, if that is news.
    fn add(&mut self, failed: bool, is_down: bool) -> Option<bool> {
        if failed {
            *self = Self { failures: self.failures + 1, successes: 0 };
            (!is_down && self.failures >= FALL).then_some(true)
        } else {
            *self = Self { failures: 0, successes: self.successes + 1 };
            (is_down && self.successes >= RISE).then_some(false)
        }
    }
}

/// Over a connection of its own, since a server that takes no new ones is down.
async fn probe(
    backend: &Backend,
    settings: &HealthSettings,
    limits: &Limits,
) -> Result<(), String> {
    let upstream = pool::connect(backend, limits).await.map_err(|error| error.to_string())?;
    let Upstream { mut sender, connection, expected, .. } = *upstream;
    expected.response_to(&Method::GET);
    let mut request = Request::new(Upload::empty());
    *request.uri_mut() = settings.path.clone().into();
    let headers = request.headers_mut();
    headers.insert(header::HOST, backend.authority().clone());
    headers.insert(header::USER_AGENT, AGENT);
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    let mut connection = Box::pin(connection);
    let mut answer = pin!(sender.send_request(request));
    let answer = tokio::select! {
        biased;
        answer = &mut answer => answer,
        _ = &mut connection => {
            // It ended, perhaps right after the answer.
            drop(connection);
            answer.await
        }
    };
    match answer {
        Ok(response) if response.status().is_server_error() => {
            Err(format!("it answers {}", response.status()))
        }
        Ok(_) => Ok(()),
        Err(error) => Err(format!("it gives no answer: {error}")),
    }
}

/// Between nine and eleven tenths, so that many proxies do not probe a server all at once.
fn jittered(interval: Duration) -> Duration {
    interval.mul_f64(0.9 + fastrand::f64() / 5.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_failures_are_down_two_successes_are_up_and_flapping_changes_nothing() {
        let mut count = Count::default();
        let mut is_down = false;
        let mut states = String::new();
        for probe in "xx.xx.xxxx.x.x..x.xxx..".chars() {
            is_down = count.add(probe == 'x', is_down).unwrap_or(is_down);
            states.push(if is_down { 'D' } else { 'u' });
        }
        assert_eq!(states, "uuuuuuuuDDDDDDDuuuuuDDu");
    }
}
