//! The path of a request, in one function.
//!
//! Owns the order of the steps. Each step is a file of its own.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, OnceLock, Weak},
    time::Duration,
};

use hyper::{Request, Response, StatusCode, body::Incoming, upgrade::OnUpgrade};
use ipnet::IpNet;
use tokio::runtime::Handle;

use crate::{
    access_log::{AccessLog, Target},
    addresses::{Addresses, Crowded, Seat},
    affinity::{self, Pick},
    body::{Payload, Upload},
    client::{Client, Exchange},
    error::Failure,
    forward::{self, Reply},
    framing, headers, health,
    metrics::Metrics,
    respond,
    roster::Roster,
    session::{SessionSetupError, Sessions},
    settings::{Affinity, HostPolicy, Limits, Settings},
    tls::{Acceptor, Connector},
    worker::Worker,
};

/// How long a start waits for a session store that does not answer.
const STORE: Duration = Duration::from_millis(500);

/// What all workers share.
#[derive(Debug)]
pub struct Proxy {
    pub(crate) roster: Arc<Roster>,
    pub(crate) affinity: Affinity,
    pub(crate) sessions: Option<Sessions>,
    pub(crate) trusted: Vec<IpNet>,
    /// Whose connections begin with a PROXY protocol header.
    pub(crate) announcers: Vec<IpNet>,
    pub(crate) host: HostPolicy,
    /// None: clients come in clear.
    pub(crate) acceptor: Option<Acceptor>,
    pub(crate) connector: Arc<Connector>,
    pub(crate) limits: Limits,
    /// None: each may have any number of connections.
    pub(crate) addresses: Option<Arc<Addresses>>,
    pub(crate) drain: Duration,
    pub(crate) metrics: Metrics,
    /// Whether a request without a trace begins one.
    pub(crate) trace: bool,
    /// Where the access log is to be, and what writes it while the proxy serves.
    pub(crate) log_to: Option<Target>,
    pub(crate) access_log: OnceLock<AccessLog>,
    /// Whoever serves now, for those who look after them.
    pub(crate) workers: Mutex<Vec<Weak<Worker>>>,
}

impl Proxy {
    /// Puts the parts together. Work beside the requests runs on `background`.
    ///
    /// # Errors
    ///
    /// When sessions or TLS cannot be set up as asked.
    pub fn new(settings: Settings, background: &Handle) -> Result<Arc<Self>, SetupError> {
        let sessions = settings.sessions.map(|chosen| Sessions::new(chosen, background));
        let mut roster =
            Roster::new(settings.servers, settings.algorithm.policy(settings.sigma_z0));
        roster.slow_start = settings.slow_start;
        roster.ejects = settings.health.is_some();
        let roster = Arc::new(roster);
        let connector = Arc::new(Connector::new(settings.roots));
        if roster.servers().iter().any(|server| server.is_https()) {
            connector.prepare();
        }
        let acceptor = settings.certificates.as_ref().map(Acceptor::new).transpose();
        health::start(&roster, settings.health, &settings.limits, &connector, background);
        Ok(Arc::new(Self {
            roster,
            affinity: settings.affinity,
            sessions: sessions.transpose()?,
            trusted: settings.trusted,
            announcers: settings.proxy_protocol,
            host: settings.host,
            acceptor: acceptor.map_err(SetupError::Tls)?,
            connector,
            addresses: settings.limits.connections_per_address.map(Addresses::new),
            limits: settings.limits,
            drain: settings.drain,
            metrics: Metrics::new(settings.admin.is_some() || settings.access_log.is_some()),
            trace: settings.trace,
            log_to: settings.access_log,
            access_log: OnceLock::new(),
            workers: Mutex::default(),
        }))
    }

    /// Waits until it is known whether the session store answers; not for long, if it hangs.
    pub async fn settled(&self) {
        if let Some(sessions) = &self.sessions {
            sessions.settled(STORE).await;
        }
    }

    /// Whether this peer names its clients by the PROXY protocol.
    pub(crate) fn is_announced(&self, peer: IpAddr) -> bool {
        self.announcers.iter().any(|net| net.contains(&peer.to_canonical()))
    }

    /// Whether the forwarding headers of this peer are believed.
    pub(crate) fn is_trusted(&self, peer: IpAddr) -> bool {
        self.trusted.iter().any(|net| net.contains(&peer))
    }

    /// One more connection of this address; trusted peers speak for many, and may have any.
    pub(crate) fn seat(&self, peer: IpAddr) -> Result<Option<Seat>, Crowded> {
        match &self.addresses {
            Some(addresses) if !self.is_trusted(peer) => {
                addresses.enter(peer).ok_or(Crowded).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// The servers, to be looked at and changed.
    pub fn roster(&self) -> &Arc<Roster> {
        &self.roster
    }
}

/// Why the proxy cannot be put together.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// Sessions cannot be set up.
    #[error(transparent)]
    Sessions(#[from] SessionSetupError),
    /// TLS cannot.
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
}

/// Answers one request, whatever becomes of it. Compiled for each version by itself, so that what
/// one needs is no part of the other.
pub(crate) async fn answer<const HTTP2: bool>(
    client: Arc<Client>,
    mut request: Request<Incoming>,
) -> Response<Payload> {
    if HTTP2 {
        headers::from_http2(&mut request);
    }
    let mut exchange = client.begin();
    exchange.note(&request);
    match pass(&mut exchange, request).await {
        Ok((reply, switched)) => respond::with_reply(reply, switched, exchange),
        Err(failure) => respond::with_failure(failure, exchange),
    }
}

async fn pass(
    exchange: &mut Exchange,
    mut request: Request<Incoming>,
) -> Result<(Reply, Option<OnUpgrade>), Failure> {
    exchange.client().check_refusal()?;
    framing::check_request(&request)?;
    framing::check_size(&request, &exchange.proxy().limits)?;
    let session = match &exchange.proxy().sessions {
        Some(sessions) => {
            let opened = sessions.open(request.headers()).await;
            let session = opened.map_err(|_| Failure::Store)?;
            exchange.record.session(session.kind());
            Some(session)
        }
        None => None,
    };
    let switched = headers::to_backend(&mut request, exchange.client())
        .then(|| hyper::upgrade::on(&mut request));
    exchange.record.trace(request.headers());
    if let Some(session) = &session {
        session.to_backend(request.headers_mut());
    }

    let Pick { in_flight, bound } = affinity::pick(exchange.proxy(), session.as_ref())?;
    exchange.picked(in_flight.backend());
    let request = request.map(|body| Upload::new(body, exchange));
    let forwarded = forward::forward(exchange, request, in_flight, bound).await;
    let mut reply = forwarded.map_err(|why| if bound { affinity::only_one(why) } else { why })?;

    if reply.response.status() == StatusCode::SWITCHING_PROTOCOLS && switched.is_none() {
        return Err(Failure::BadResponse);
    }
    headers::to_client(&mut reply.response, session.is_some());
    if let Some(session) = session {
        let status = reply.response.status();
        let backend = reply.in_flight.backend().id();
        session.to_client(backend, status, reply.response.headers_mut()).await;
    }
    Ok((reply, switched))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each connection holds the state of one request, also between two.
    #[test]
    fn what_a_request_is_kept_in_stays_small() {
        fn size<F, A, B>(_: impl Fn(A, B) -> F) -> usize {
            size_of::<F>()
        }
        let size = size(answer::<false>);
        assert!(size <= 4_200, "{size} bytes");
    }
}
