//! Probes: a request of our own, now and then, to see whether a server answers.
//!
//! Owns the asking and the counting of answers. A server is down after three failures in a row, and
//! up again after two successes, so that one lost packet, or one lucky answer, changes nothing.

use std::{
    error::Error as _,
    pin::pin,
    sync::{Arc, Weak},
    time::Duration,
};

use hyper::{Request, Response, body::Incoming, header, header::HeaderValue};
use tokio::time::timeout;

use super::{HealthSettings, Reach};
use crate::{
    backend::Backend,
    body::Upload,
    multiplex,
    pool::{self, Upstream},
    roster::Roster,
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
    reach: Reach,
) {
    let patience = settings.interval.clamp(Duration::from_secs(1), Duration::from_secs(5));
    let mut count = Count::default();
    loop {
        let probed = timeout(patience, probe(&backend, &settings, &reach)).await;
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
async fn probe(backend: &Backend, settings: &HealthSettings, reach: &Reach) -> Result<(), String> {
    let Reach { limits, tls } = reach;
    if backend.speaks_http2() {
        return probe_http2(backend, settings, reach).await;
    }
    let upstream = pool::connect(backend, limits, tls).await;
    let upstream = upstream.map_err(|error| pool::reason(&error))?;
    let Upstream { mut sender, connection, expected, .. } = *upstream;
    let mut request = Request::new(Upload::empty());
    expected.response_to(request.method());
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
    verdict(answer)
}

async fn probe_http2(
    backend: &Backend,
    settings: &HealthSettings,
    reach: &Reach,
) -> Result<(), String> {
    let opened = multiplex::open(backend, &reach.limits, &reach.tls).await;
    let (mut sender, connection) = opened.map_err(|error| pool::reason(&error))?;
    let mut request = Request::new(Upload::empty().into_http2());
    let url = format!("{}{}", backend.url(), settings.path);
    *request.uri_mut() = url.parse().map_err(|_| format!("nobody can be asked for {url}"))?;
    request.headers_mut().insert(header::USER_AGENT, AGENT);
    let answer = pin!(sender.send_request(request));
    tokio::select! {
        biased;
        answer = answer => match answer {
            Err(error) if is_reset_by_server(&error) => Ok(()),
            answer => verdict(answer),
        },
        ended = connection => match ended {
            Ok(()) => Err("it gives no answer".to_owned()),
            Err(error) => Err(format!("it gives no answer: {error}")),
        }
    }
}

/// gRPC servers may answer so what is no call of theirs: they are there, and speak HTTP/2.
fn is_reset_by_server(error: &hyper::Error) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<h2::Error>());
    cause.is_some_and(|cause| {
        let refused = cause.reason() == Some(h2::Reason::REFUSED_STREAM);
        cause.is_reset() && cause.is_remote() && !refused
    })
}

fn verdict(answer: hyper::Result<Response<Incoming>>) -> Result<(), String> {
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
