//! The path of a request, in one function.
//!
//! Owns the order of the steps. Each step is a file of its own.

use std::{sync::Arc, time::Duration};

use hyper::{Request, Response, StatusCode, body::Incoming, upgrade::OnUpgrade};
use ipnet::IpNet;
use tokio::runtime::Handle;

use crate::{
    affinity::{self, Pick},
    body::{Payload, Upload},
    client::{Client, Exchange},
    error::Failure,
    forward::{self, Reply},
    framing, headers,
    pick::Rotation,
    respond,
    session::{SessionSetupError, Sessions},
    settings::{Affinity, HostPolicy, Limits, Settings},
};

/// What all workers share.
#[derive(Debug)]
pub struct Proxy {
    pub(crate) rotation: Rotation,
    pub(crate) affinity: Affinity,
    pub(crate) sessions: Option<Sessions>,
    pub(crate) trusted: Vec<IpNet>,
    pub(crate) host: HostPolicy,
    pub(crate) limits: Limits,
    pub(crate) drain: Duration,
}

impl Proxy {
    /// Puts the parts together. Work beside the requests runs on `background`.
    ///
    /// # Errors
    ///
    /// When sessions cannot be set up as asked.
    pub fn new(settings: Settings, background: &Handle) -> Result<Arc<Self>, SessionSetupError> {
        let sessions = settings.sessions.map(|chosen| Sessions::new(chosen, background));
        Ok(Arc::new(Self {
            rotation: Rotation::new(settings.servers),
            affinity: settings.affinity,
            sessions: sessions.transpose()?,
            trusted: settings.trusted,
            host: settings.host,
            limits: settings.limits,
            drain: settings.drain,
        }))
    }
}

/// Answers one request, whatever becomes of it.
pub(crate) async fn answer(client: Arc<Client>, request: Request<Incoming>) -> Response<Payload> {
    let exchange = client.begin();
    match pass(&exchange, request).await {
        Ok((reply, switched)) => respond::with_reply(reply, switched, exchange),
        Err(failure) => respond::with_failure(failure, exchange),
    }
}

async fn pass(
    exchange: &Exchange,
    mut request: Request<Incoming>,
) -> Result<(Reply, Option<OnUpgrade>), Failure> {
    let client = exchange.client();
    let proxy = &client.worker.proxy;

    framing::check_request(&request)?;
    let session = match &proxy.sessions {
        Some(sessions) => {
            let opened = sessions.open(request.headers()).await;
            Some(opened.map_err(|_| Failure::Store)?)
        }
        None => None,
    };
    let switched =
        headers::to_backend(&mut request, client).then(|| hyper::upgrade::on(&mut request));
    if let Some(session) = &session {
        session.to_backend(request.headers_mut());
    }

    let Pick { in_flight, bound } = affinity::pick(proxy, session.as_ref())?;
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
